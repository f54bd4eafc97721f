"""TRACKLEAK_PRECISE=1: CPython tells of each object that it makes. What it blames: test_free_lists.py."""

from pathlib import Path

import pytest
from harness import EXHAUSTIVE, SAMPLED, profile
from test_embedding import libpython

PRECISE = {**EXHAUSTIVE, "PRECISE": 1, "TABLE_SIZE": 1000000}

HEAD = '''
import os, sys, threading, time, tracemalloc
kept = [None] * 100000

def innocent(n):
    t = (n, n)

def drive(leak, base):
    for n in range(base, base + 1000):
        innocent(n)
        leak(n)
'''
LEAK = '''
def %s(n):
    kept[n] = (n, n)
'''


def leaks(*names):
    return HEAD + "".join(LEAK % name for name in names)


def held(dump, function):
    """Bytes that are certain, and those that are not; 0 where it holds nothing."""
    documents = dump.documents(function, "program.py")
    return (sum(d["live_bytes"] - d["uncertain_bytes"] for d in documents), sum(d["uncertain_bytes"] for d in documents))


def certain_tuples(dump, function):
    """Bytes of tuples that are blamed on it: tracemalloc's own notes are too, for what it traces."""
    documents = dump.documents(function, "program.py")
    tuples = sum(row["bytes"] for d in documents for row in d["types"] if row["type"] == "tuple")
    return tuples - sum(d["uncertain_bytes"] for d in documents)


def tuple_bytes(python):
    return 1000 * (64 if python.minor >= 14 else 56)  # 3.14: with a hash


TRACEMALLOC = leaks("before", "during", "after") + '''
drive(before, 0)
tracemalloc.start()
drive(during, 1000)
line = during.__code__.co_firstlineno + 1
traced = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, __file__, line)])
print(sum(trace.size for trace in traced.traces))
if sys.argv[1] == "stop":
    tracemalloc.stop()
    time.sleep(1.5)  # the worker finds out
    text = [str(n) for n in range(5000)]  # an allocation is the moment to be back at
    drive(after, 2000)
time.sleep(0.7)
'''


def test_tracemalloc_has_the_place_as_long_as_it_wants_it(precise_python):
    """What was made before is uncertain from then on, and its own figures are right."""
    plain = profile(precise_python, TRACEMALLOC, ["go on"], library=None).check()
    run = profile(precise_python, TRACEMALLOC, ["go on"], settings=PRECISE).check()
    assert run.stdout == plain.stdout and int(run.stdout) == tuple_bytes(precise_python)
    certain, uncertain = held(run.dump, "before")
    assert certain == 0 and uncertain == tuple_bytes(precise_python)
    assert certain_tuples(run.dump, "during") <= 200 and certain_tuples(run.dump, "innocent") <= 200


def test_and_is_taken_again_when_tracemalloc_stops(precise_python):
    if precise_python.version < (3, 13, 2):
        pytest.skip("its tracemalloc.stop() leaves tracemalloc's function there (gh-128679)")
    plain = profile(precise_python, TRACEMALLOC, ["stop"], library=None).check()
    run = profile(precise_python, TRACEMALLOC, ["stop"], settings=PRECISE).check()
    assert run.stdout == plain.stdout
    assert held(run.dump, "after") == (tuple_bytes(precise_python), 0)
    assert held(run.dump, "before") == (0, tuple_bytes(precise_python))
    assert held(run.dump, "innocent")[0] <= 200


def test_a_short_visit_of_tracemalloc_makes_what_was_before_uncertain_too(precise_python):
    """Between two looks of the worker."""
    script = leaks("before") + '''
drive(before, 0)
tracemalloc.start()
drive(before, 0)
tracemalloc.stop()
time.sleep(0.7)
'''
    run = profile(precise_python, script, settings=PRECISE).check()
    certain, uncertain = held(run.dump, "before")
    assert certain <= 200 and uncertain > 0 and held(run.dump, "innocent")[0] <= 200


def test_tracemalloc_that_was_there_first_stays(precise_python):
    script = leaks("leak") + "drive(leak, 0)\nprint(tracemalloc.is_tracing())\ntime.sleep(0.7)\n"
    run = profile(precise_python, script, settings=PRECISE, env={"PYTHONTRACEMALLOC": 1}).check()
    assert run.stdout == "True\n"
    assert certain_tuples(run.dump, "leak") <= 200 and certain_tuples(run.dump, "innocent") <= 200


def test_a_forked_child_is_told_too(precise_python):
    script = leaks("parent", "child") + '''
drive(parent, 0)
pid = os.fork()
if not pid:
    drive(child, 1000)
    time.sleep(0.7)
    os._exit(0)
os.waitpid(pid, 0)
drive(parent, 2000)
time.sleep(0.7)
'''
    run = profile(precise_python, script, settings=PRECISE, python_args=["-W", "ignore"]).check()
    child, = [dump for dump in run.dumps if dump.pid != run.pid]
    # What innocent() found in the parent's free list is nobody's sample in the child.
    assert tuple_bytes(precise_python) * 0.9 <= held(child, "child")[0] <= tuple_bytes(precise_python)
    assert held(child, "child")[1] == 0 and held(child, "innocent")[0] <= 200
    assert held(run.dumps_of(run.pid)[-1], "parent") == (2 * tuple_bytes(precise_python), 0)


def test_eight_threads_at_once(precise_python):
    """At rate 1, with a dump every second and garbage collections: the program's results are its own."""
    script = HEAD + '''
import collections, gc, json
end, kept = time.time() + 3, []

def work(number):
    recent, rounds, wrong = collections.deque(maxlen=100), 0, 0
    while time.time() < end:
        for i in range(100):
            recent.append((i, [i, float(i)], {"a": i}))
            wrong += json.loads('{"a": [1.5, 2.5, {"b": []}]}') != {"a": [1.5, 2.5, {"b": []}]}
        kept.append((number, rounds))
        rounds += 1
        if rounds % 10 == 0: gc.collect()
    done.append((rounds, wrong))

done = []
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(kept) == sum(rounds for rounds, _ in done), sum(wrong for _, wrong in done), len(done))
time.sleep(0.7)
'''
    run = profile(precise_python, script, settings={**PRECISE, "DUMP_INTERVAL": 1}, timeout=120).check()
    assert run.stdout == "True 0 8\n" and not run.banner
    assert run.dump.process["lost_samples"] == 0
    assert run.document("work")["count"] >= 10000


def test_the_next_interpreter_is_asked_too(precise_python, cc):
    """Py_Initialize, a program, Py_Finalize, three times: what the last one has made is certain, but tables of small dicts."""
    library = libpython(precise_python)
    home = Path(library).parents[1]

    def uncertain(precise):
        run = profile([cc("embed.c"), library, "cycles"], None, settings={**PRECISE, "ANY": 1, "PRECISE": precise},
                      env={"PYTHONHOME": home} if (home / "bin").exists() else {}).check()
        return {row["type"] for row in run.snapshot()["uncertain"] if row["bytes"] > 1000}

    assert {"tuple", "dict"} < uncertain(0)
    assert uncertain(1) == {"dict keys"}


def test_sub_interpreters_have_free_lists_of_their_own(precise_python):
    script = '''
import threading
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
code = """
kept = [None] * 20000
def innocent_below(n):
    t = (n, n)
def leak_below(n):
    kept[n] = (n, n)
for n in range(20000):
    innocent_below(n)
    leak_below(n)
import time
time.sleep(2)
"""
def run():
    i = interpreters.create()
    interpreters.exec(i, code)
    interpreters.destroy(i)
threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done")
'''
    run = profile(precise_python, script, settings={**PRECISE, "DUMP_INTERVAL": 1}, timeout=120).check()
    assert run.stdout == "done\n"
    size = max(sum(d["live_bytes"] - d["uncertain_bytes"] for d in dump.documents("leak_below")) for dump in run.dumps)
    assert size >= 20 * tuple_bytes(precise_python), "one of the four, at least, was seen whole"
    assert all(d["live_bytes"] <= 1000 for dump in run.dumps for d in dump.documents("innocent_below"))


HOT = '''
import sys
def hot():
    for n in range(int(sys.argv[1])):
        t = (n, n)
hot()
'''


def test_the_governor_lets_go_of_what_a_hot_loop_recycles(precise_python):
    """Each time costs a walk of the stack."""
    def samples(rounds, overhead):
        settings = {"PRECISE": 1, "SAMPLE_BYTES": 1, "MAX_OVERHEAD": overhead}
        return profile(precise_python, HOT, [rounds], settings=settings, timeout=300).check().document("hot")["sample_count"]

    assert samples(100000, 0) >= 190000  # numbers and tuples
    assert samples(5000000, 1) <= 2000000  # of ten million; 0.3 to 0.7 per cent, mostly


def test_count_is_objects_made(precise_python):
    """Every one of them at rate 1; those that no allocator was asked for are not `counted`."""
    hot = profile(precise_python, HOT, [400000], settings=PRECISE).check().document("hot")
    assert hot["count"] >= 400000 > 1000 > hot["live_count"]
    if precise_python.minor == 13:  # later ones recycle the numbers too
        assert hot["counted"] >= 390000
    else:
        assert hot["counted"] < 10000


def test_nothing_is_told_without_the_setting(precise_python):
    script = '''
import ctypes
get = ctypes.pythonapi.PyRefTracer_GetTracer
get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
print(get(None))
'''
    assert profile(precise_python, script, settings=EXHAUSTIVE).check().stdout == "None\n"
    assert profile(precise_python, script, settings=PRECISE).check().stdout != "None\n"


def test_is_refused_in_one_line_where_cpython_does_not_tell(python):
    run = profile(python, "print('here')\n", settings={**SAMPLED, "PRECISE": 1, "QUIET": None}).check()
    lines = [line for line in run.banner if "PRECISE" in line]
    assert run.stdout == "here\n" and run.tables
    if python.tells_creations:
        assert not lines
    else:
        why = "without the GIL" if python.free_threaded and python.minor >= 13 else "from 3.13 on"
        assert len(lines) == 1 and why in lines[0] and "has no effect" in lines[0]


@pytest.mark.parametrize("how", [{"env": {"PYTHONMALLOC": "malloc"}}, {"settings": {"PYTHON": 0}}], ids=["malloc", "PYTHON=0"])
def test_is_refused_where_the_allocators_are_not_watched(precise_python, how):
    settings = {**EXHAUSTIVE, "PRECISE": 1, "QUIET": None, **how.get("settings", {})}
    run = profile(precise_python, "print('here')\n", settings=settings, env=how.get("env")).check()
    assert run.stdout == "here\n"
    assert len([line for line in run.banner if "PRECISE has no effect" in line]) == 1


@pytest.mark.parametrize("allocator", ["debug", "mimalloc"])
def test_under_other_allocators_no_innocent_is_blamed(precise_python, allocator):
    if allocator == "mimalloc" and precise_python.minor >= 15:
        pytest.skip("so short a program asks libc for nothing, and that our wrappers are gone is seen there")
    script = leaks("leak") + "drive(leak, 0)\ntime.sleep(0.7)\n"
    run = profile(precise_python, script, settings=PRECISE, env={"PYTHONMALLOC": allocator}).check()
    certain, uncertain = held(run.dump, "leak")
    assert uncertain == 0 and held(run.dump, "innocent")[0] <= 200
    assert certain >= 0.9 * tuple_bytes(precise_python)  # the free list had some from before the start
