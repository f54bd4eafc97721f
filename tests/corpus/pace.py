"""What the programs of the corpus share: a turn every 10 ms, for as many seconds as the first argument says."""

import sys
import time

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 14.0
_start = time.monotonic()


def elapsed():
    return time.monotonic() - _start


def turns(wait=True):
    """0, 1, 2, ... By the clock, so that a slow machine does not do more or less of anything."""
    for n in range(int(SECONDS * 100)):
        late = elapsed() - n * 0.01
        if wait and late < 0:
            time.sleep(-late)
        yield n
