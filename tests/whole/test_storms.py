"""Storms: much at once, at rate 1, with a dump every second. No hang, no crash, and the program's answers are its own.

In short here; `make storms` (--long) runs them in full length. On one interpreter of each kind, and the free-threaded one.
"""

from concurrent.futures import ThreadPoolExecutor

import interpreters
import pytest
from harness import EXHAUSTIVE, profile

STORM = {**EXHAUSTIVE, "DUMP_INTERVAL": 1}
_HOSTS = interpreters.few() + tuple(i for i in interpreters.selected() if i.free_threaded)

hosts = pytest.mark.parametrize("host", _HOSTS, ids=[i.name for i in _HOSTS])


def ride_out(host, script, args, **more):
    """The script's output, after all that the storm must leave behind has been looked at."""
    run = profile(host, script, args=args, settings=STORM, timeout=500, python_args=["-W", "ignore"], **more).check()
    assert not run.banner, "the agent had something to say"
    assert run.dumps_of(run.pid)[-1].process["final"] and run.tables and run.snapshot()["functions"]
    return run.stdout


@pytest.fixture
def length(request):
    """length(short, full): which of the two it is to be."""
    return lambda short, full: full if request.config.getoption("--long") else short


@hosts
def test_forks_from_eight_threads_that_allocate(host, length):
    script = r'''
import os, sys, threading
each, bad = int(sys.argv[1]) // 8, []
running = True
def churn():
    kept = []
    while running:
        kept.append(bytes(700))
        if len(kept) > 500: kept.clear()
def fork_often():
    kept = []
    for number in range(each):
        kept += [bytes(300 + n) for n in range(100)]
        pid = os.fork()
        if not pid:
            os._exit(len([bytes(600) for _ in range(50)] + kept) % 256)
        status = os.waitpid(pid, 0)[1]
        if status != ((50 + len(kept)) % 256) << 8: bad.append(status)
churners = [threading.Thread(target=churn) for _ in range(2)]
forkers = [threading.Thread(target=fork_often) for _ in range(8)]
for t in churners + forkers: t.start()
for t in forkers: t.join()
running = False
for t in churners: t.join()
print(bad)
'''
    assert ride_out(host, script, [length(80, 1000)]) == "[]\n"


@hosts
def test_a_library_that_comes_and_goes_while_its_blocks_live(host, length, cc):
    """Blocks outlive the code that allocated them; the next library may lie at the same address, or elsewhere."""
    script = r'''
import _ctypes, ctypes, os, shutil, sys, threading
library, times = sys.argv[1], int(sys.argv[2])
running = True
def churn():
    while running: [bytes(600 + n) for n in range(200)]
threads = [threading.Thread(target=churn) for _ in range(3)]
for t in threads: t.start()
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]
blocks, wrong = [], 0
for number in range(times):
    copy = "copy-%d.so" % (number % 7)
    if not os.path.exists(copy): shutil.copy(library, copy)
    lib = ctypes.PyDLL(os.path.abspath(copy))
    lib.take_one.restype, lib.take_one.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_size_t)
    made = [lib.take_one(0, 900) for _ in range(100)]
    for block in made: ctypes.memset(block, number % 256, 900)
    blocks.append((number % 256, made))
    handle = lib._handle
    del lib
    _ctypes.dlclose(handle)
    if len(blocks) > 5:
        mark, made = blocks.pop(0)
        for block in made:
            wrong += ctypes.string_at(block, 900) != bytes([mark]) * 900
            libc.free(block)
running = False
for t in threads: t.join()
print(wrong)
'''
    assert ride_out(host, script, [cc("allocations.c", shared=True), length(20, 200)]) == "0\n"


@hosts
def test_short_threads(host, length):
    script = r'''
import sys, threading
total, done = int(sys.argv[1]), []
def work(number):
    kept = [bytes(500 + number % 500) for _ in range(10)]
    done.append(sum(map(len, kept)))
for first in range(0, total, 20):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(first, first + 20)]
    for t in threads: t.start()
    for t in threads: t.join()
print(sum(done) == sum(10 * (500 + number % 500) for number in range(total)))
'''
    assert ride_out(host, script, [length(1000, 10000)]) == "True\n"


@hosts
def test_signals_every_millisecond(host, length):
    script = r'''
import json, os, signal, subprocess, sys, threading, time
seconds, hits, kept = float(sys.argv[1]), [0], []
def handler(*_):
    hits[0] += 1
    kept.append(bytes(800))
    if len(kept) > 1000: kept.clear()
timers = (signal.ITIMER_REAL, signal.SIGALRM), (signal.ITIMER_PROF, signal.SIGPROF), (signal.ITIMER_VIRTUAL, signal.SIGVTALRM)
for timer, number in timers:
    signal.signal(number, handler)
    signal.setitimer(timer, 0.001, 0.001)
page = {str(n): [n] * 20 for n in range(200)}
until, wrong, rounds = time.monotonic() + seconds, 0, 0
def churn():
    while time.monotonic() < until: [bytes(600 + n) for n in range(200)]
threads = [threading.Thread(target=churn) for _ in range(2)]
for t in threads: t.start()
reader, writer = os.pipe()
while time.monotonic() < until:
    rounds += 1
    wrong += json.loads(json.dumps(page)) != page
    os.write(writer, b"x" * 4000)
    wrong += os.read(reader, 4000) != b"x" * 4000
    time.sleep(0.002)
    if rounds % 20 == 0: wrong += subprocess.run(["/bin/echo", "hello"], stdout=subprocess.PIPE).stdout != b"hello\n"
for timer, _ in timers: signal.setitimer(timer, 0)
for t in threads: t.join()
print(wrong, hits[0] > 10 * seconds)
'''
    assert ride_out(host, script, [length(1.5, 20)]) == "0 True\n"


@hosts
def test_exits_while_daemon_threads_are_in_malloc(host, length):
    script = r'''
import sys, threading, time
def churn():
    while True: [bytes(600 + n) for n in range(100)]
for _ in range(4): threading.Thread(target=churn, daemon=True).start()
time.sleep(int(sys.argv[1]) % 10 * 0.003)
print("the end", flush=True)
sys.exit(3)
'''

    def exit_once(number):
        run = profile(host, script, args=[number], settings=STORM, timeout=60)
        return run.status, run.stdout, run.stderr

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(exit_once, range(length(10, 500))))
    assert set(ends) == {(3, "the end\n", "")}
