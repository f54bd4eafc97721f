"""With SAMPLE_RATE=1 and MIN_SIZE=1 nothing is estimated: the profile equals an allocator log, byte for byte."""

import json
from collections import defaultdict

from harness import EXHAUSTIVE, TARGETS, profile

BIG = {**EXHAUSTIVE, "TABLE_SIZE": 2000000}
FIGURES = ("counted", "counted_bytes", "live_bytes", "live_count")


def by_function(documents):
    sums = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for document in documents:
        for figure in FIGURES:
            sums[document["function"]][figure] += document[figure]
    return {name: figures for name, figures in sums.items() if any(figures.values())}


def in_program(documents):
    return [d for d in documents if d["file"].endswith("exhaustive_program.py") and d["function"] != "<module>"]


def test_zero_difference_to_an_allocator_log_in_bytes_and_blocks_of_every_function(python, cc, tmp_path):
    oracle = cc("allocation_oracle.c", shared=True)
    report = tmp_path / "oracle"
    run = profile(python, TARGETS / "exhaustive_program.py", [report], settings=BIG, preload_first=[oracle]).check()
    truth = by_function(in_program(json.loads(line) for line in report.read_text().splitlines()))
    ours = by_function(in_program(run.dump.functions))
    assert len(truth) > 20
    different = {name: (truth.get(name), ours.get(name)) for name in truth.keys() | ours.keys()
                 if truth.get(name) != ours.get(name)}
    assert not different, "function: (the log, the profile)\n" + "\n".join(map(repr, sorted(different.items())))
    assert all(d["live_bytes_se"] == 0 for d in run.dump.functions), "what is exact has no error"
    assert run.table.lost == 0


def test_every_block_is_a_sample_and_weighs_itself(python, allocations):
    script = ("from taken import *\n"
              "def small(): take(PYMEM_MALLOC, 40, 1000)\n"
              "def large(): take(MALLOC, 4000, 100)\n"
              "small(); large()\n"
              "give_back(0, 250, 1)\n")
    run = profile(python, script, env=allocations, settings=BIG).check()
    small, large = run.document("small"), run.document("large")
    # ctypes adds a few small blocks of its own, gone again.
    assert small["sample_count"] == small["count"] and 1000 <= small["count"] <= 1010
    assert (small["live_count"], small["live_bytes"]) == (750, 30000)
    assert abs(small["retention_pct"] - 75) < 1
    assert (large["live_count"], large["live_bytes"], large["peak_single"]) == (100, 400000, 4000)


def test_parts_of_a_block_that_grew_are_charged_each_to_its_own_line(python, allocations):
    script = r'''
from taken import *
def born():
    take(MALLOC, 1000, 10)
def grows():
    resize_kept(0, 10, 5000)
def grows_again():
    resize_kept(0, 10, 100000)
def shrinks():
    resize_kept(0, 10, 3000)
born(); grows(); grows_again(); shrinks()
'''
    run = profile(python, script, env=allocations, settings=BIG).check()
    born, grows, again = (run.document(name) for name in ("born", "grows", "grows_again"))
    assert grows["counted_bytes"] == 10 * 4000 + grows_of_ctypes(grows, 10)
    # 3,000 of 100,000 bytes are left of each block, and of each part its share.
    assert (born["live_bytes"], grows["live_bytes"], again["live_bytes"]) == (300, 1200, 28500)
    assert run.document("born")["live_count"] == 10, "a block counts once"
    assert run.document("grows")["live_count"] == run.document("grows_again")["live_count"] == 0


def grows_of_ctypes(document, own):
    """What ctypes takes and gives back inside a call, beside the blocks that count."""
    others = document["counted"] - own
    assert 0 <= others <= 10
    return document["counted_bytes"] - {4000: 40000, 5000: 50000}[document["peak_single"]] if others else 0


def test_growing_out_of_pythons_small_blocks_is_a_free_and_an_allocation(python, allocations):
    if python.free_threaded:
        import pytest

        pytest.skip("all sizes are of one allocator there")
    script = r'''
from taken import *
def born():
    take(PYMEM_MALLOC, 400, 10)
def grows():
    resize_kept(0, 10, 5000)
born(); grows()
'''
    run = profile(python, script, env=allocations, settings=BIG).check()
    assert (run.document("born")["live_bytes"], run.document("born")["retention_pct"]) == (0, 0.0)
    grows = run.document("grows")
    assert (grows["live_bytes"], grows["live_count"]) == (50000, 10)
    assert grows["counted_bytes"] == 50000 + grows_of_ctypes(grows, 10)


def test_a_seed_makes_a_run_repeatable(one_python, allocations):
    script = ("from taken import *\n"
              "def small(): take(MALLOC, 100, 30000)\n"
              "def large(): take(MALLOC, 1000, 3000)\n"
              "small(); large()\n")

    def figures(seed):
        run = profile(one_python, script, env={**allocations, "PYTHONHASHSEED": 0},
                      settings={"SEED": seed, "MAX_OVERHEAD": 0}).check()
        return [run.document(f)[key] for f in ("small", "large") for key in ("sample_count", "live_bytes")]

    assert figures(7) == figures(7)
    assert len({tuple(figures(seed)) for seed in range(5)}) > 1
