"""Other tools in the same process: the program's results are its own, and what is said of it is right.

What an allocator that stands before us serves we do not see; CPython's small blocks are seen all the same.
"""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import EXHAUSTIVE, SAMPLED, profile, start

ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4", "mimalloc": "libmimalloc.so.2.0"}
LEAK = ("import json, threading\n"
        "kept = []\n"
        "def leak():\n"
        "\tfor _ in range(300): kept.append(bytes(5000))\n"
        "def leak_small():\n"
        "\tfor n in range(3000): kept.append((str(n), n))\n"
        "def churn():\n"
        "\tfor n in range(50):\n"
        "\t\ttext = json.dumps({str(i): [i] * 20 for i in range(100)})\n"
        "\t\tassert len(json.loads(text)) == 100\n"
        "\t\tblock = bytearray(1000)\n"
        "\t\tfor i in range(20): block += bytes(3000)\n"
        "def leak_all(): leak(), leak_small()\n"
        "threads = [threading.Thread(target=work) for work in (leak_all, churn, churn)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "print(len(kept), sum(map(len, kept)))\n")
TRUTH = "3300 1506000\n"


@pytest.fixture(params=ALLOCATORS)
def allocator(request):
    found = list(Path("/usr/lib").glob("*/" + ALLOCATORS[request.param]))
    if not found:
        pytest.skip("%s is not installed" % ALLOCATORS[request.param])
    return found[0]


def live_in_blocks(run, document):
    """An allocator that is not glibc's maps its memory through us, which is charged to whoever happened to need it."""
    owner = document["function"]
    return document["live_bytes"] - sum(m["bytes"] for m in run.snapshot()["maps"] if m["owner"] == owner)


def check_leak(run):
    leak = run.document("leak")
    assert leak["counted"] >= 300 and 300 * 5000 <= live_in_blocks(run, leak) <= 300 * 5200, leak


def libraries_in_order(order, others):
    return {"preload_first" if order == "before" else "preload_also": others}


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_allocator(few_pythons, allocator, order):
    if few_pythons.wrapper:
        pytest.skip("another libc than the allocator's")
    run = profile(few_pythons, LEAK, settings={**EXHAUSTIVE, "DUMP_INTERVAL": 1},
                  **libraries_in_order(order, [allocator])).check()
    assert run.stdout == TRUTH and not run.stderr
    assert 9000 * 0.9 < run.document("leak_small")["live_count"] < 9000 * 1.1  # a string, a number and a tuple each
    if order == "after":
        check_leak(run)
        for churn in run.dump.documents("churn"):
            assert live_in_blocks(run, churn) < 20000


@pytest.mark.parametrize("disable", [0, 1])
def test_glibcs_malloc_debug_behind_us(few_pythons, disable):
    """Its names have a hidden version: it was passed over, and MALLOC_CHECK_ checked nothing."""
    if few_pythons.wrapper:
        pytest.skip("another libc than the library's")
    found = list(Path("/lib").glob("*/libc_malloc_debug.so.0"))
    if not found:
        pytest.skip("libc_malloc_debug.so.0 is not installed (glibc before 2.34 has it inside)")
    overrun = ("import ctypes\n"
               "libc = ctypes.CDLL(None)\n"
               "libc.malloc.restype = ctypes.c_void_p\n"
               "block = ctypes.c_void_p(libc.malloc(10))\n"
               "ctypes.c_ubyte.from_address(block.value + 10).value ^= 0xff\n"  # glibc's mark there is made of the address
               "print('written', flush=True)\n"
               "libc.free(block)\n")
    settings = {**EXHAUSTIVE, "DUMP_INTERVAL": 1, "DISABLE": disable}
    checked = {"env": {"MALLOC_CHECK_": "3"}, "preload_also": found}
    assert profile(few_pythons, LEAK, settings=settings, **checked).check().stdout == TRUTH
    run = profile(few_pythons, overrun, settings=settings, **checked)
    assert (run.stdout, run.status) == ("written\n", -signal.SIGABRT) and "invalid pointer" in run.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_interposer(few_pythons, cc, order):
    """A counting malloc of somebody else's: it and we see the same calls."""
    if few_pythons.wrapper:
        pytest.skip("another libc than the compiler's")
    other = cc("interposer.c", shared=True)
    run = profile(few_pythons, LEAK, settings=SAMPLED, **libraries_in_order(order, [other])).check()
    assert run.stdout == TRUTH
    (said,) = run.stderr.splitlines()
    word, balance, calls = said.split()
    assert word == "interposer:" and int(calls) > 10000 and 0 <= int(balance) < int(calls)
    leak = run.document("leak")
    assert 300 <= leak["counted"] <= 330 and run.row("leak").retention == 100


def test_memray_inside(one_python, packages):
    """Both of us follow: memray patches what is loaded and calls on. (At MIN_SIZE=1 its imports alone fill our functions.)"""
    script = ("import memray, os\n"
              "with memray.Tracker('memray.bin'):\n"
              + "".join("\t" + line + "\n" for line in LEAK.splitlines()) +
              "records = list(memray.FileReader('memray.bin').get_high_watermark_allocation_records())\n"
              "assert sum(r.size for r in records) > 1500000, sum(r.size for r in records)\n")
    run = profile(one_python, script, settings=SAMPLED, timeout=120,
                  env={"PYTHONPATH": packages(one_python, "memray")}).check()
    assert run.stdout == TRUTH
    check_leak(run)


def test_tracemalloc_inside(few_pythons):
    script = ("import tracemalloc\n"
              "tracemalloc.start(5)\n" + LEAK +
              "stats = {s.traceback[0].lineno: s for s in tracemalloc.take_snapshot().statistics('lineno')\n"
              "         if s.traceback[0].filename == __file__}\n"
              "assert 1500000 <= stats[6].size <= 1600000, stats[6]\n")
    run = profile(few_pythons, script, settings=EXHAUSTIVE, timeout=120).check()
    assert run.stdout == TRUTH
    check_leak(run)


def test_coverage_inside(few_pythons, packages):
    script = ("import coverage\n"
              "traced = coverage.Coverage(data_file=None)\n"
              "traced.start()\n" + LEAK +
              "traced.stop()\n"
              "name, lines, missing, _ = traced.analysis(__file__)\n"
              "assert 7 in lines and 7 not in missing  # the loop of leak\n")
    run = profile(few_pythons, script, settings=SAMPLED, timeout=120,
                  env={"PYTHONPATH": packages(few_pythons, "coverage")}).check()
    assert run.stdout == TRUTH
    check_leak(run)


def test_faulthandler_inside(few_pythons):
    """Its tracebacks come while we work; a real crash still ends as one, with its report.

    Not by dump_traceback_later(repeat=True): its thread reads the others' frames while they run, and crashes without us too.
    """
    script = ("import ctypes, faulthandler, sys, threading, time\n"
              "faulthandler.enable()\n"
              "def trace():\n"
              "\twith open('traces', 'w') as file:\n"
              "\t\twhile not done.wait(0.02): faulthandler.dump_traceback(file)\n"
              "done = threading.Event()\n"
              "tracer = threading.Thread(target=trace)\n"
              "tracer.start()\n" + LEAK +
              "time.sleep(0.2)\n"
              "done.set()\n"
              "tracer.join()\n"
              "assert 'Thread' in open('traces').read()\n"
              "sys.stdout.flush()\n"
              "ctypes.string_at(0)\n")
    run = profile(few_pythons, script, settings={**EXHAUSTIVE, "DUMP_INTERVAL": 1}, timeout=120)
    assert run.status == -11 and run.stdout == TRUTH
    assert "Fatal Python error: Segmentation fault" in run.stderr
    assert "trackleak.so" not in run.stderr and not run.banner


def test_a_dump_by_py_spy(one_python, packages):
    """py-spy stops us and reads our memory, as it does without the agent."""
    script = ("import time\n"
              "def wait_here():\n"
              "\twhile True:\n"
              "\t\tkept = [bytes(1000) for _ in range(100)]\n"
              "\t\ttime.sleep(0.001)\n"
              "print('ready', flush=True)\n"
              "wait_here()\n")
    program = Path(packages(one_python, "py-spy")) / "bin" / "py-spy"
    run = start(one_python, script, settings={**EXHAUSTIVE, "DUMP_INTERVAL": 1})
    assert run.process.stdout.readline() == "ready\n"
    for _ in range(5):
        got = subprocess.run([program, "dump", "--pid", str(run.pid)], capture_output=True, text=True, timeout=60)
        if "Permission denied" in got.stderr:
            pytest.skip("py-spy may not trace here: " + got.stderr.strip())
        assert got.returncode == 0 and "wait_here" in got.stdout, got.stderr
    while not any(dump.documents("wait_here") for dump in run.dumps):
        time.sleep(0.1)
    run.process.terminate()
    assert run.finish().status == -15
