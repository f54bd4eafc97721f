"""Every table has a size; when it is full nothing is wiped, nothing is skewed, and the totals stay true."""

import json
import math

import pytest
from harness import EXHAUSTIVE, MIB, SAMPLED, profile

# What the agent itself holds in memory, with every table full: DESIGN 9.
AGENT_LIMIT = 16 * MIB


def agent_bytes(run):
    return run.snapshot()["memory"]["agent_bytes"]


def total(run, figure):
    return sum(f[figure] for f in run.snapshot()["functions"])


FUNCTIONS = r'''
from taken import *
import sys
count, size = int(sys.argv[1]), int(sys.argv[2])
scope = {"take": take}
for i in range(0, count, 500):
    lines = "".join("def f%d(): take(0, %d, 1)\n" % (n, size) for n in range(i, i + 500))
    exec(compile(lines, "many.py", "exec"), scope)
    for n in range(i, i + 500):
        scope.pop("f%d" % n)()
'''


def test_50_000_functions_keep_their_samples_and_the_totals_stay_true(few_pythons, allocations):
    """Known failure 10: a full function table was wiped, and retention read 921876265552700928.0 %."""
    script = FUNCTIONS + "def last(): take(0, 7000, 100)\nlast()\n"
    run = profile(few_pythons, script, [50000, 2000], env=allocations, settings=SAMPLED, timeout=120).check()
    assert all(row.retention is None or 0 <= row.retention <= 100 for row in run.table.rows)
    functions = run.snapshot()["functions"]
    ours = [f for f in functions if f["file"] == "many.py"]
    (others,) = [f for f in functions if f["kind"] == "others"] or [None]
    counted = sum(f["counted_bytes"] for f in ours) + (others["counted_bytes"] if others else 0)
    last = [f for f in functions if f["function"] == "last"]
    counted += sum(f["counted_bytes"] for f in last)
    assert counted >= 50000 * 2000 + 700000
    assert counted <= 50000 * 2000 + 700000 + 60 * MIB  # what others allocated that found no room either
    if others:
        assert others["function"] == "<other functions>"
    assert sum(f["live_count"][0] for f in functions if f["file"] == "many.py") + (
        others["live_count"][0] if others else 0) >= 50000 * 0.97
    assert agent_bytes(run) <= AGENT_LIMIT


def test_5_000_generated_code_objects_at_recycled_addresses_lose_nothing(few_pythons):
    script = r'''
kept = [None] * 5000
for i in range(5000):
    scope = {}
    exec(compile("def template_%d():\n\treturn bytes(2000)\n" % i, "t%d.html" % i, "exec"), scope)
    kept[i] = scope["template_%d" % i]()
print(sum(block.__sizeof__() for block in kept))
'''
    run = profile(few_pythons, script, settings=SAMPLED).check()
    functions = run.snapshot()["functions"]
    ours = [f for f in functions if f["file"].endswith(".html")]
    others = [f for f in functions if f["kind"] == "others"]
    assert all(f["counted"] == 1 and f["function"][9:] == f["file"][1:-5] for f in ours), "taken for another"
    assert len(ours) >= 2000
    live = sum(f["live_bytes"][0] for f in ours + others)
    assert int(run.stdout) <= live <= 1.1 * int(run.stdout)
    assert run.table.lost == 0


def true_error(run, count, size):
    """The standard error of an estimate of so many blocks at the rates in force at the end, the coarsest of the run."""
    rates = run.snapshot()["settings"]
    p = 1 - math.exp(-size / rates["sample_bytes"]) * (1 - 1 / rates["sample_rate"])
    return size * math.sqrt(count * (1 - p) / p)


def test_five_million_live_blocks_thin_the_samples_and_not_the_figures(few_pythons, allocations):
    script = r'''
from taken import *
def many(): take(0, 24, 2000000)
def more(): take(8, 200, 3000000 // 8)
def large(): take(0, 100000, 300)
large(); many(); more()
'''
    run = profile(few_pythons, script, env=allocations, settings={**EXHAUSTIVE, "SEED": 4}, timeout=200).check()
    for name, count, size in (("many", 2000000, 24), ("more", 375000, 200), ("large", 300, 100000)):
        document = run.document(name)
        # The stated error is itself an estimate: of a few samples it may be small by chance. The true one is known.
        error = max(document["live_bytes_se"], true_error(run, count, size))
        assert abs(document["live_bytes"] - count * size) <= 4 * error + 0.001 * count * size, name
        assert document["counted"] >= count and document["counted"] < count * 1.01 + 50, "counting is exact even so"
        assert document["retention_pct"] >= 99, name
    assert run.document("many")["live_bytes_se"] > 0, "the table was never full: no test"
    assert run.snapshot()["table"]["thinned"] > 0
    assert run.table.used <= run.table.capacity
    assert agent_bytes(run) <= AGENT_LIMIT


@pytest.mark.long
def test_five_million_live_blocks_to_the_letter(few_pythons, allocations):
    script = "from taken import *\ndef many(): take(0, 24, 5000000)\nmany()\n"
    run = profile(few_pythons, script, env=allocations, settings={**EXHAUSTIVE, "SEED": 4}, timeout=300).check()
    document = run.document("many")
    assert abs(document["live_count"] - 5000000) <= 4 * document["live_count_se"]
    assert agent_bytes(run) <= AGENT_LIMIT


def test_thinning_is_unbiased_over_many_seeds(one_python, allocations):
    script = r'''
from taken import *
def kept(): take(0, 100, 20000)
def freed():
    first = take(0, 100, 20000)
    give_back(first, first + 20000, 2)
def large(): take(0, 20000, 100)
kept(); freed(); large()
'''
    sums = {"kept": [], "freed": [], "large": []}
    truth = {"kept": 2000000, "freed": 1000000, "large": 2000000}
    for seed in range(30):
        run = profile(one_python, script, env=allocations,
                      settings={**EXHAUSTIVE, "TABLE_SIZE": 5000, "SEED": seed}).check()
        for name in sums:
            document = run.document(name)
            sums[name].append((document["live_bytes"] - truth[name], document["live_bytes_se"]))
    for name, errors in sums.items():
        mean = sum(error for error, _ in errors) / len(errors)
        of_mean = (sum(se * se for _, se in errors) ** 0.5) / len(errors)
        assert abs(mean) <= 3.3 * of_mean + 1, name  # three sites: 0.3 % of false alarms in all; seeded


def test_a_table_that_was_full_recovers_when_blocks_are_freed(one_python, allocations):
    script = r'''
from taken import *
def burst():
    first = take(0, 100, 50000)
    give_back(first, first + 50000, 1)
def after(): take(0, 3000, 500)
burst(); after()
'''
    run = profile(one_python, script, env=allocations, settings={**EXHAUSTIVE, "TABLE_SIZE": 2000, "SEED": 1}).check()
    assert run.document("burst")["retention_pct"] == 0 and run.document("burst")["live_bytes"] == 0
    after = run.document("after")
    assert abs(after["live_bytes"] - 1500000) <= 4 * after["live_bytes_se"] + 1


def test_recursion_300_deep_has_one_row_and_its_stacks_are_cut(python):
    script = ("kept = []\n"
              "def deep(n):\n"
              "\tkept.append(bytes(1000 + n))\n"
              "\tif n: deep(n - 1)\n"
              "for _ in range(20): deep(300)\n")
    run = profile(python, script, settings=SAMPLED).check()
    document = run.document("deep")
    assert document["counted"] >= 20 * 301 and document["retention_pct"] >= 90  # numbers come and go
    assert document["counted"] < 20 * 301 * 1.25  # frames of 3.8 to 3.10, growths of the list
    assert run.table.lost == 0


def test_ten_thousand_file_names_of_4_000_bytes(few_pythons):
    script = r'''
kept = []
for i in range(10000):
    scope = {}
    exec(compile("def f():\n\treturn bytes(3000)\n", "/%s/%d.py" % ("long" * 1000, i), "exec"), scope)
    kept.append(scope["f"]())
print(len(kept))
'''
    run = profile(few_pythons, script, settings=SAMPLED, timeout=120).check()
    assert run.stdout == "10000\n"
    functions = run.snapshot()["functions"]
    assert all(len(f["file"].encode()) <= 255 for f in functions)
    ours = sum(f["counted"] for f in functions if f["function"] == "f" or f["kind"] == "others")
    assert ours >= 10000
    assert agent_bytes(run) <= AGENT_LIMIT


def test_deep_stacks_at_their_longest(few_pythons):
    script = ("kept = []\n"
              "def deep(n):\n"
              "\tif n: return deep(n - 1)\n"
              "\tkept.append(bytes(3000))\n"
              "import sys; sys.setrecursionlimit(3000)\n"
              "for i in range(700): deep(i)\n")
    run = profile(few_pythons, script, settings={**SAMPLED, "STACK_DEPTH": 512, "SEED": 1}).check()
    document = run.document("deep")
    assert document["counted"] >= 700
    assert abs(document["live_bytes"] - 700 * 3033) <= 4 * document["live_bytes_se"] + 100000
    assert agent_bytes(run) <= AGENT_LIMIT


def test_losses_are_counted_and_printed(one_python, allocations):
    """Whatever finds no room at all is told, in the trailer and in the process document."""
    run = profile(one_python, FUNCTIONS, [3000, 1000], env=allocations,
                  settings={**EXHAUSTIVE, "TABLE_SIZE": 1000}).check()
    snapshot = run.snapshot()
    assert run.table.lost == snapshot["table"]["lost_samples"]
    assert snapshot["table"]["thinned"] > 0
    # Of 3 MB nothing is missing in the exact part, whatever became of the samples.
    ours = sum(f["counted_bytes"] for f in snapshot["functions"] if f["file"] == "many.py" or f["kind"] == "others")
    assert ours >= 3000 * 1000
    assert json.dumps(run.dump.process)
