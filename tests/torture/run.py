"""run.py LIBRARY PYTHON [MOST]: fails the 1st, 2nd, ... of the agent's own calls of each kind, until none is left to fail
(or MOST are done). Output, status and end of tests/torture/program.py must be as without the agent; a dump that is not
there must have been told of, and nothing may be told twice."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")
# The clock is read at every sample: after the first ones all its readers have failed once.
KINDS = {"mmap": 1000, "open": 1000, "fcntl": 1000, "write": 1000, "rename": 1000, "thread": 1000, "dlsym": 1000, "atfork": 1000,
         "clock": 60}
AT_ONCE = 4  # the program sleeps most of the time
DUMPS = 4  # two at the interval, the child's, the last


def run(python, settings):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKLEAK", "LD_", "TORTURE_", "PYTHON"))}
    process = subprocess.run([python, str(PROGRAM)], env={**environment, **settings}, capture_output=True, text=True,
                             timeout=60)
    ours = [line for line in process.stderr.splitlines() if line.startswith("[trackleak] ")]
    others = [line for line in process.stderr.splitlines() if line not in ours]
    return (process.returncode, process.stdout, others), ours


def dumps_in(log):
    """How many are whole in each of the two logs; the snapshots that parse."""
    texts = [path.read_text() if path.exists() else "" for path in (log / "profiler.json", log / "profiler.jsonl")]
    lines = [json.loads(line) for line in texts[1].splitlines()]
    return (texts[0].count("--- dump at"), sum(line["kind"] == "process" for line in lines),
            len([json.loads(path.read_text()) for path in log.glob("snapshot-*.json")]))


def fail_one(library, python, kind, nth, truth):
    """(was a call failed, what is wrong)."""
    with tempfile.TemporaryDirectory() as folder:
        hit, log = os.path.join(folder, "hit"), Path(folder, "log")
        try:
            seen, ours = run(python, {
                "LD_PRELOAD": library, "TORTURE_KIND": kind, "TORTURE_NTH": str(nth), "TORTURE_HIT": hit,
                "TRACKLEAK_LOG_DIR": str(log), "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "1",
                "TRACKLEAK_QUIET": "1", "TRACKLEAK_SAMPLE_RATE": "5", "MEMORY_PROFILER_EVENTS": "1"})
        except subprocess.TimeoutExpired:
            return True, ["hung: not done after 60 s"]
        wrong = [] if seen == truth else ["%r and not %r" % (seen, truth)]
        if len(ours) != len(set(ours)):
            wrong.append("said twice: %r" % ours)
        try:
            tables, documents, snapshots = dumps_in(log)
        except ValueError as error:
            wrong.append("not JSON: %s" % error)
        else:
            # Without Py_GetVersion a process is no Python: it is left alone, in silence.
            may_be_silent = kind == "clock" or kind == "dlsym" and not log.exists()
            if not may_be_silent and not ours and (min(tables, documents) < DUMPS or snapshots < 2):
                wrong.append("lost in silence: %d tables, %d dumps in the lines, %d snapshots"
                             % (tables, documents, snapshots))
        return os.path.exists(hit), wrong


def main(library, python, most=1000):
    # And not a wrapper script around it, whose calls would fail in its stead.
    python = subprocess.run([python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True,
                            check=True).stdout.strip()
    truth, _ = run(python, {})
    bad = 0
    for kind, limit in KINDS.items():
        limit = min(int(most), limit)
        done, is_over = 0, False
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(1, limit + 1, AT_ONCE):
                numbers = range(first, min(first + AT_ONCE, limit + 1))
                results = pool.map(lambda nth: fail_one(library, python, kind, nth, truth), numbers)
                for nth, (was_hit, wrong) in zip(numbers, results):
                    bad += len(wrong)
                    done += was_hit
                    is_over |= not was_hit
                    for text in wrong:
                        print("%s %d: %s" % (kind, nth, text))
                if is_over:
                    break
        if not done:
            bad += 1
            print("%s: not one call failed" % kind)
        print("torture: %-6s %d failed calls" % (kind, done), flush=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
