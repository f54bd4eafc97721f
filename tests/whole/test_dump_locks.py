"""A dump makes nobody wait: no lock of ours is held for longer than 50 microseconds (the plan's bar)."""

from harness import SAMPLED, profile

LONGEST_US = 50

# 1,000 functions, 100,000 to 200,000 live samples, a dump each second.
SCRIPT = r'''
import time
scope = {}
for n in range(1000):
    exec("def f%d(): return bytes(%d)" % (n, 600 + n % 50), scope)
functions, kept, end = [scope["f%d" % n] for n in range(1000)], [], time.monotonic() + 8
while time.monotonic() < end:
    kept += [function() for function in functions]
    if len(kept) >= 190000:
        del kept[:90000]
'''


def held(python, library, locks, out):
    """Of each place that locks: (times, microseconds of 99 in 100, most)."""
    run = profile(python, SCRIPT, library=library, preload_first=[locks], env={"LOCK_TIMES": str(out)},
                  settings={**SAMPLED, "DUMP_INTERVAL": 1}).check()
    assert len(run.dumps) >= 4 and len(run.snapshot()["functions"]) >= 1000
    places = [tuple(map(int, line.split())) for line in out.read_text().splitlines()]
    print("holds of a lock by place, (times, us of 99 in 100, most):", sorted(places, key=lambda p: -p[1]))
    return places


def test_no_lock_is_held_for_long_while_dumps_are_made(few_pythons, cc, library_of_seen_locks, tmp_path):
    """By the holder's CPU clock. One in a hundred may be longer, and there are three tries: what an interrupt and a
    neighbour on the machine take is in that clock too."""
    locks = cc("lock_times.c", shared=True)
    for _ in range(3):
        often = [p99 for times, p99, _ in held(few_pythons, library_of_seen_locks, locks, tmp_path / "locks") if times >= 100]
        assert len(often) >= 10
        if max(often) <= LONGEST_US:
            return
    assert max(often) <= LONGEST_US
