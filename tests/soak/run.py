"""run.py LIBRARY PYTHON SECONDS: program.py under the agent at rate 1, a dump every second. Ends with 1 unless

- the program gives the same answers to its end,
- after the first minute our own resident memory, the program's descriptors and its threads stay flat,
- every dump is whole and valid: the table, the JSON lines (followed through their rotation), the snapshot.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "whole"))

from harness import environment, parse_documents, parse_tables  # noqa: E402

PROGRAM = Path(__file__).with_name("program.py")
WARM_UP = 60  # seconds; of a short run, half of it
MOST_GROWTH = 256 * 1024  # bytes of our own memory over the rest of the run, whatever its length


class Follower:
    """Reads a log as `tail -F` does: what is renamed away is read to its end first."""

    def __init__(self, path):
        self.path, self.file, self.rotations = path, None, 0

    def read(self):
        text = ""
        while True:
            text += self.file.read() if self.file else ""
            try:
                now = open(self.path, encoding="utf-8")
            except FileNotFoundError:
                return text
            if self.file and os.path.sameopenfile(now.fileno(), self.file.fileno()):
                now.close()
                return text
            if self.file:
                text += self.file.read()  # a line that was written between the two
                self.rotations += 1
                self.file.close()
            self.file = now


def slope(points):
    """Theil and Sen's: the median of the slopes between all pairs, here of at most 400 points."""
    points = points[:: len(points) // 400 + 1]
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:])


def flatness(name, points, begin, most):
    """One line about a figure, and whether it grew by more than `most` over the time behind `begin`."""
    late = [point for point in points if point[0] >= begin]
    if len(late) < 5:
        return "%s: %d values behind the warm-up are too few" % (name, len(late)), False
    growth = slope(late) * (late[-1][0] - late[0][0])
    values = [value for _, value in late]
    line = "%s: %d values, %d to %d, trend over the run %+d" % (name, len(late), min(values), max(values), growth)
    return line, growth <= most


def count_entries(pid, folder):
    return len(os.listdir("/proc/%d/%s" % (pid, folder)))


def watch(process, log_dir, seconds):
    """Follows the run; returns the time lines of its figures, what was read, and what was wrong."""
    begin = time.monotonic()
    lines = {"own bytes": [], "RSS": [], "descriptors": [], "threads": []}
    seen = {"tables": 0, "dumps": 0, "snapshots": 0, "rotations": 0, "processes": set()}
    wrong, rest = [], {"profiler.json": "", "profiler.jsonl": ""}
    followers = {name: Follower(log_dir / name) for name in rest}
    ended = False
    while not ended:
        time.sleep(1)
        ended = process.poll() is not None
        if not ended and time.monotonic() - begin > seconds + 60:
            wrong.append("hung: not done a minute after its time")
            os.killpg(process.pid, signal.SIGABRT)
        now = time.monotonic() - begin
        try:
            lines["descriptors"].append((now, count_entries(process.pid, "fd")))
            lines["threads"].append((now, count_entries(process.pid, "task")))
        except OSError:
            pass
        try:
            with open(log_dir / ("snapshot-%d.json" % process.pid), encoding="utf-8") as file:
                snapshot = json.load(file)
            seen["snapshots"] += snapshot["format"] == "trackleak-snapshot" and bool(snapshot["functions"])
        except FileNotFoundError:
            pass
        except ValueError as error:
            wrong.append("a snapshot that does not parse: %s" % error)

        # Whole dumps only; what has begun is looked at the next time, and at the end nothing may be left.
        text = rest["profiler.json"] + followers["profiler.json"].read()
        cut = text.rfind("--- dump at ")
        cut = text.find("\n", cut) + 1 if cut >= 0 else 0
        rest["profiler.json"] = text[cut:]
        seen["tables"] += len(parse_tables(text[:cut]))
        text = rest["profiler.jsonl"] + followers["profiler.jsonl"].read()
        cut = text.rfind("\n") + 1
        rest["profiler.jsonl"] = text[cut:]
        for dump in parse_documents(text[:cut]):
            if not dump.process:
                continue  # its process document comes with the next read
            seen["dumps"] += 1
            seen["processes"].add(dump.pid)
            if dump.pid == process.pid:
                at = dump.process["elapsed_seconds"]
                lines["own bytes"].append((at, dump.process["agent_bytes"]))
                lines["RSS"].append((at, dump.process["rss_bytes"]))
    for name, text in rest.items():
        if text:
            wrong.append("%s ends in the middle: %r" % (name, text[-200:]))
    seen["rotations"] = followers["profiler.jsonl"].rotations
    seen["processes"] = len(seen["processes"])
    return lines, seen, wrong


def main(library, python, seconds):
    seconds = float(seconds)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        log_dir = Path(folder) / "log"
        settings = {"LOG_DIR": log_dir, "STARTUP_DELAY": 0, "QUIET": 1, "SAMPLE_RATE": 1, "MAX_OVERHEAD": 0,
                    "DUMP_INTERVAL": 1}
        process = subprocess.Popen([python, str(PROGRAM), str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, start_new_session=True, env=environment(settings, {"LD_PRELOAD": library}))
        lines, seen, wrong = watch(process, log_dir, seconds)
        stdout, stderr = process.communicate()
    if (process.returncode, stdout) != (0, "right\n"):
        wrong.append("the program: status %d, %r" % (process.returncode, stdout))
    ours = [line for line in stderr.splitlines() if line.startswith("[trackleak]")]
    if ours:
        wrong.append("said: %s" % ours)
    # A dump may be late on a busy machine, but not missing.
    for what in ("tables", "dumps"):
        if seen[what] < seconds / 2:
            wrong.append("only %d %s in %d s" % (seen[what], what, seconds))
    if not seen["snapshots"]:
        wrong.append("no snapshot")
    print("soak: " + ", ".join("%d %s" % (number, what) for what, number in seen.items()))
    begin = min(WARM_UP, seconds / 2)
    for name, most in (("own bytes", MOST_GROWTH), ("descriptors", 0.5), ("threads", 0.5), ("RSS", float("inf"))):
        line, is_flat = flatness(name, lines[name], begin, most)
        print("soak: " + line)
        if not is_flat:
            wrong.append("not flat: " + line)
    for line in wrong:
        print("soak: WRONG: " + line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
