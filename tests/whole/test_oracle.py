"""Our frames and lines against CPython's own API, at every allocation of an import-heavy program."""

from __future__ import annotations

import re

import pytest

import frame_oracle

SPOILED_EVERY = 50000  # lines, in frame_oracle.c


def compare(cc, python, samples, **more):
    run = frame_oracle.run(cc, python, "compare", "oracle_program.py", [samples], **more).check()
    told = re.findall(r"^frame_oracle: (\d+) samples (\d+) frames (\d+) mismatches (\d+) names$", run.stderr, re.M)
    assert len(told) == 1, run.stderr
    return [int(number) for number in told[0]]


def check(cc, python, wanted, **more):
    samples, frames, mismatches, names = compare(cc, python, wanted, **more)
    print("%s: %d samples, %d frames, %d names, %d mismatches" % (python.name, samples, frames, names, mismatches))
    assert samples >= wanted
    assert frames > 4 * samples
    assert names > frames / 200
    assert mismatches == 0


def test_every_stack_is_the_one_that_cpython_tells(cc, python):
    check(cc, python, 100_000)


@pytest.mark.long
def test_every_stack_is_the_one_that_cpython_tells_in_two_million_allocations(cc, python):
    check(cc, python, 2_000_000, timeout=600)


def test_one_spoiled_line_in_50000_is_noticed(cc, few_pythons):
    samples, frames, mismatches, names = compare(cc, few_pythons, 100_000, env={"FRAME_ORACLE_SPOIL": "1"})
    assert mismatches == frames // SPOILED_EVERY > 0
