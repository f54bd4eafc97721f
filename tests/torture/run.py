"""run.py LIBRARY PYTHON [MOST]: fails the 1st, 2nd, ... of the agent's own calls of each kind, until none is left to fail
(or MOST are done); output, status and end of tests/torture/program.py must be as without the agent."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")
# The clock is read at every sample: after the first ones all its readers have failed once.
KINDS = {"mmap": 1000, "open": 1000, "write": 1000, "rename": 1000, "thread": 1000, "clock": 60}


def run(python, settings):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKLEAK", "LD_", "TORTURE_", "PYTHON"))}
    process = subprocess.run([python, str(PROGRAM)], env={**environment, **settings}, capture_output=True, text=True,
                             timeout=60)
    ours = [line for line in process.stderr.splitlines() if line.startswith("[trackleak] ")]
    others = [line for line in process.stderr.splitlines() if line not in ours]
    return (process.returncode, process.stdout, others), ours


def main(library, python, most=1000):
    truth, _ = run(python, {})
    bad = 0
    for kind, limit in KINDS.items():
        done = 0
        for nth in range(1, min(int(most), limit) + 1):
            with tempfile.TemporaryDirectory() as folder:
                hit = os.path.join(folder, "hit")
                try:
                    seen, ours = run(python, {
                        "LD_PRELOAD": library, "TORTURE_KIND": kind, "TORTURE_NTH": str(nth), "TORTURE_HIT": hit,
                        "TRACKLEAK_LOG_DIR": os.path.join(folder, "log"), "TRACKLEAK_STARTUP_DELAY": "0",
                        "TRACKLEAK_DUMP_INTERVAL": "1", "TRACKLEAK_QUIET": "1", "TRACKLEAK_SAMPLE_RATE": "5"})
                except subprocess.TimeoutExpired:
                    seen, ours = "hung: not done after 60 s", []
                was_hit = os.path.exists(hit)
            if seen != truth:
                bad += 1
                print("%s %d: %r and not %r" % (kind, nth, seen, truth))
            if len(ours) != len(set(ours)):
                bad += 1
                print("%s %d: said twice: %r" % (kind, nth, ours))
            if not was_hit:
                break
            done += 1
        if not done:
            bad += 1
            print("%s: not one call failed" % kind)
        print("torture: %-6s %d failed calls" % (kind, done), flush=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
