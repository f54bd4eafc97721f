"""Every kind of place that allocates, against sys._getframe: see tests/targets/truth_sites.py."""

from __future__ import annotations

import re

import pytest

import frame_oracle


def check(cc, python, which, at_least, env=None):
    run = frame_oracle.run(cc, python, "record", "truth_sites.py", [which], env=env)
    told = re.findall(r"^(\d+) checks (\d+) wrong$", run.stdout, re.M)
    assert len(told) == 1, run.stdout[-4000:] + run.stderr[-4000:]
    checks, wrong = map(int, told[0])
    assert wrong == 0, run.stdout[-8000:]
    assert checks >= at_least
    run.check()


def test_every_kind_of_site_has_the_stack_that_python_tells(cc, python):
    check(cc, python, "builtin", 250 if python.free_threaded else 370)


@pytest.mark.parametrize("package, at_least", [("greenlet", 24), ("gevent", 18), ("uvloop", 18)])
def test_stacks_under_extensions_that_switch_them(cc, packages, python, package, at_least):
    if python.free_threaded:
        pytest.skip("%s has no wheel for free-threaded builds that pip would pick here" % package)
    check(cc, python, package, at_least, {"PYTHONPATH": packages(python, package)})
