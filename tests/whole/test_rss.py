"""RSS explained: the parts add up to it, and each is what the program is known to hold."""

import re

import pytest
from harness import MIB, ROOT, profile

PARTS = ("python_live", "python_slack", "libc_live", "libc_free", "maps", "files_and_stacks", "agent", "rest")


def memory_lines(table):
    """The figures of the table, in MB, and its lines of text."""
    lines = [line[len("MEMORY   "):] for line in table.memory]
    figures = [re.fullmatch(r" *(\d+\.\d\d) MB  \S.*", line) for line in lines]
    return [float(figure[1]) for figure in figures if figure], [line for line, figure in zip(lines, figures) if not figure]


def parts_of(run):
    memory = run.snapshot()["memory"]
    rss = memory["rss"]
    parts = {name: rss[name + "_bytes"] / MIB for name in PARTS}
    assert sum(parts.values()) == pytest.approx(memory["rss_bytes"] / MIB, rel=0.02)
    assert all(run.dump.process["rss_%s_bytes" % name] == rss[name + "_bytes"] for name in PARTS)
    assert run.dump.process.get("rss_remedy") == rss["remedy"]
    (resident, *shown), remedies = memory_lines(run.table)
    assert resident == pytest.approx(memory["rss_bytes"] / MIB, abs=0.006)
    assert sum(shown) == pytest.approx(resident, abs=0.05)
    assert [re.sub(r"^RSS \+.*?: ", "", line) for line in remedies] == ([rss["remedy"]] if rss["remedy"] else [])
    assert parts["rest"] <= 0.1 * memory["rss_bytes"] / MIB + 1, parts
    return parts, rss["remedy"]


def test_each_kind_of_memory_is_told_apart(few_pythons):
    script = ("import mmap\n"
              "small = [b'%080d' % i for i in range(400000)]\n"  # 128 bytes each: 49 MB
              "blocks = [b'x' * 10000 for i in range(8000)]\n"  # 76 MB, from libc's heap
              "large = bytearray(b'x') * (30 << 20)\n"  # one map of libc's
              "mapped = mmap.mmap(-1, 20 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
              "mapped.write(b'x' * (20 << 20))\n")
    parts, remedy = parts_of(profile(few_pythons, script).check())
    small, blocks = 400000 * 128 / MIB, 8000 * 10033 / MIB
    assert parts["python_live"] == pytest.approx(small, rel=0.15)
    assert parts["libc_live"] == pytest.approx(blocks + 30, rel=0.1)
    assert parts["maps"] == pytest.approx(20, abs=1)
    assert remedy is None


def test_a_fragmented_heap_is_no_leak_and_has_its_remedy(one_python):
    """Every 8th of the blocks stays, and pins what libc would give back."""
    script = ("blocks = [bytes(3000) for i in range(64000)]\n"
              "blocks = blocks[::8]\n")
    parts, remedy = parts_of(profile(one_python, script).check())
    assert parts["libc_free"] == pytest.approx(64000 * 7 / 8 * 3040 / MIB, rel=0.1)
    assert "malloc_trim" in remedy


def test_arenas_that_few_small_objects_hold_have_theirs(one_python):
    script = ("import time\n"
              "objects = [b'%080d' % i for i in range(800000)]\n"
              "time.sleep(1.5)\n"
              "objects = objects[::40]\n")
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    parts, remedy = parts_of(run)
    assert parts["python_slack"] >= 60
    assert "PYTHONMALLOC" in remedy


def test_while_it_runs_the_fragmented_heap_is_seen_too(one_python):
    """libc is asked only at the end; before it, what was alive and is still resident has the word."""
    script = ("import time\n"
              "blocks = [bytes(3000) for i in range(64000)]\n"
              "time.sleep(1.5)\n"
              "blocks = blocks[::8]\n"
              "time.sleep(3)\n")
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    during = [dump.process.get("rss_remedy") for dump in run.dumps[:-1]]
    assert during[0] is None and "held by libc it seems" in (during[-1] or "")


def test_rss_that_grows_while_nothing_is_kept_is_explained(one_python):
    """Small blocks that stay pin what large ones leave; the next large ones are larger and do not fit."""
    script = ("import time\n"
              "kept = []\n"
              "for turn in range(9):\n"
              "    pairs = [(bytes(3000 + 800 * turn), bytes(550)) for i in range(8000)]\n"
              "    kept.append([small for large, small in pairs])\n"
              "    del pairs\n"
              "    time.sleep(1)\n")
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    said = [line for table in run.tables[4:] for line in memory_lines(table)[1] if line.startswith("RSS +")]
    assert said, [table.memory for table in run.tables]
    grown = re.fullmatch(r"RSS \+(\S+) MB in (\d+) s, live bytes \+(\S+) MB: .*malloc_trim.*", said[-1])
    assert grown and float(grown[1]) >= 3 * float(grown[3]), said


def test_rss_that_grows_with_what_is_alive_is_no_riddle(one_python):
    script = "import time\nkept = []\nfor turn in range(8):\n    kept.append([bytes(3000) for i in range(8000)])\n    time.sleep(1)\n"
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    assert len(run.tables) >= 7
    assert not [line for table in run.tables for line in memory_lines(table)[1]]


def parts_of_each(run):
    """Of every dump, not only of the last."""
    for dump in run.dumps:
        parts = sum(dump.process["rss_%s_bytes" % name] for name in PARTS)
        assert parts == pytest.approx(dump.process["rss_bytes"], rel=0.02)


def test_numpys_arrays_are_part_of_libcs_memory(few_pythons, packages):
    script = ("import numpy, time\n"
              "large = [numpy.ones(1 << 20) for i in range(10)]\n"  # 8 MiB each, maps of libc's
              "small = [numpy.ones(1000) for i in range(5000)]\n"  # 8,000 bytes each
              "time.sleep(1.5)\n")
    run = profile(few_pythons, script, env={"PYTHONPATH": packages(few_pythons, "numpy")},
                  settings={"DUMP_INTERVAL": 1}).check()
    parts_of_each(run)
    parts, remedy = parts_of(run)
    arrays = 80 + 5000 * 8016 / MIB
    # What numpy and its libraries allocate for themselves is in it too.
    assert arrays * 0.97 <= parts["libc_live"] + parts["maps"] <= arrays + 40
    assert remedy is None


def test_with_jemalloc_it_is_said_what_cannot_be_seen(few_pythons):
    from pathlib import Path

    found = sorted(Path("/usr/lib").glob("*/libjemalloc.so.2"))
    if not found:
        pytest.skip("jemalloc is not installed")
    if few_pythons.wrapper:
        pytest.skip("this interpreter brings its own libc, older than the one jemalloc wants")
    script = "import time\nblocks = [b'x' * 10000 for i in range(8000)]\ntime.sleep(1.5)\n"
    run = profile(few_pythons, script, settings={"DUMP_INTERVAL": 1}, preload_also=found).check()
    parts_of_each(run)
    memory = run.snapshot()["memory"]
    assert memory["rss"]["libc_live_bytes"] <= 8 * MIB
    assert memory["rss"]["maps_bytes"] + memory["rss"]["rest_bytes"] >= 8000 * 10000
    assert "another allocator" in memory["rss"]["remedy"]


@pytest.mark.parametrize("program", ["free_list_requests", "threads", "mmaps", "sqlite_memory", "saw_tooth"])
def test_on_the_corpus(few_pythons, program):
    run = profile(few_pythons, ROOT / "tests" / "corpus" / (program + ".py"), [4],
                  settings={"DUMP_INTERVAL": 1}).check()
    assert len(run.dumps) >= 3
    parts_of_each(run)


def test_an_end_in_the_middle_of_anything_does_not_wait_for_libc(one_python):
    """os._exit may come from anywhere; what libc has is then estimated, and the sum still right."""
    run = profile(one_python, "import os\nblocks = [b'x' * 10000 for i in range(2000)]\nos._exit(0)\n").check()
    memory = run.snapshot()["memory"]
    assert memory["rss"]["libc_live_bytes"] == pytest.approx(2000 * 10000, rel=0.4)
    assert memory["rss"]["libc_free_bytes"] == 0
    assert sum(memory["rss"][name + "_bytes"] for name in PARTS) == memory["rss_bytes"]
