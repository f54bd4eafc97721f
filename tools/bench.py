#!/usr/bin/env python3
"""bench.py: what profiling costs, as ratios to the plain run.

All variants of a workload are run in turn, A B C A B C, in one session, so that what else the machine does falls on all
of them alike. Told are the ratios of each round, as median and spread; absolute times are no one else's. Prints the
table of docs/PERFORMANCE.md and writes build/bench.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = {"LD_PRELOAD": str(ROOT / "trackleak.so"), "TRACKLEAK_QUIET": "1", "TRACKLEAK_STARTUP_DELAY": "0"}
VARIANTS = {
    "none": {},
    "default": OURS,
    "PYTHON=0": {**OURS, "TRACKLEAK_PYTHON": "0"},
    "exhaustive": {**OURS, "TRACKLEAK_SAMPLE_RATE": "1", "TRACKLEAK_MIN_SIZE": "1"},
    "tracemalloc": {"PYTHONTRACEMALLOC": "1"},
}
# Each does its work and prints the seconds that it took.
TIMED = "import sys, time\nsize = float(sys.argv[1])\nbegan = time.perf_counter()\n%s\nprint(time.perf_counter() - began)\n"
WORKLOADS = {
    "JSON service": """
import json
page = {"rows": [{"id": i, "name": "name %d" % i, "tags": ["a", "b", str(i)]} for i in range(100)]}
for _ in range(int(2000 * size)):
    text = json.dumps(page)
    json.loads(text)""",
    "churn": """
for _ in range(int(1500000 * size)):
    bytearray(2000)""",
    "object loops": """
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
for n in range(int(700000 * size)):
    p = Point(n, [n, n + 1.5])
    q = (p.x, str(n))""",
    "threads": """
import threading
def work():
    for n in range(int(150000 * size)):
        {"n": n, "text": "x" * 600}
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()""",
}
# A C program under the profiler only where it profiles: TRACKLEAK_ANY=1.
PAIRS = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long pairs;
static size_t bytes;
static void *work(void *unused)
{
	for (long n = 0; n < pairs; n++) {
		void *volatile block = malloc(bytes);
		free(block);
	}
	return unused;
}
int main(int argc, char **argv)
{
	pthread_t threads[8];
	struct timespec from, to;
	int count = atoi(argv[argc - 1]);
	pairs = (long)(1e7 * atof(argv[1]));
	bytes = (size_t)atol(argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int n = 0; n < count; n++)
		pthread_create(&threads[n], NULL, work, NULL);
	for (int n = 0; n < count; n++)
		pthread_join(threads[n], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%f\n", (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
}
"""


def commands(python, size, folder):
    """{workload: (command, is it Python)}; the start-up has no time of its own to print."""
    found = {name: ([python, "-c", TIMED % code, str(size)], True) for name, code in WORKLOADS.items()}
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler):
        pairs = folder / "pairs"
        subprocess.run([compiler, "-O1", "-x", "c", "-", "-o", pairs, "-pthread"], input=PAIRS, text=True, check=True)
        for block, what in (("100", "small"), ("2000", "counted")):
            for threads in ("1", "2"):
                found["C pairs, %s, %s thread%s" % (what, threads, "s"[threads == "1":])] = (
                    [str(pairs), str(size), block, threads], False)
    else:
        print("bench: no C pairs: no compiler (%s)" % compiler, file=sys.stderr)
    found["start-up"] = [python, "-c", "pass"], True
    return found


def seconds(name, command, variant, folder):
    env = {**os.environ, **VARIANTS[variant], "TRACKLEAK_LOG_DIR": str(folder)}
    if name.startswith("C pairs"):
        env["TRACKLEAK_ANY"] = "1"
    began = time.perf_counter()
    run = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began if name == "start-up" else float(run.stdout)


def measure(name, command, is_python, rounds, folder):
    """{variant: {median, low, high}}, ratios to the plain run of the same round."""
    variants = [v for v in VARIANTS if is_python or v in ("none", "default")]
    ratios = {v: [] for v in variants[1:]}
    for number in range(rounds):
        print("\r  %-24s %d/%d " % (name, number + 1, rounds), end="", file=sys.stderr, flush=True)
        took = {v: seconds(name, command, v, folder) for v in variants}
        for variant, found in ratios.items():
            found.append(took[variant] / took["none"])
    return {v: {"median": statistics.median(r), "low": min(r), "high": max(r)} for v, r in ratios.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=float, default=1, help="1: about half a second for each plain run")
    parser.add_argument("--only", help="workloads whose name contains this")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build/bench.json")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, is_python) in commands(options.python, options.size, Path(folder)).items():
            if options.only is None or options.only in name:
                results[name] = measure(name, command, is_python, options.rounds, folder)
    print(file=sys.stderr)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({"python": options.python, "rounds": options.rounds, "size": options.size,
                                          "ratios": results}, indent=1) + "\n", encoding="utf-8")
    shown = list(VARIANTS)[1:]
    print("| workload | %s |\n|---%s|" % (" | ".join(shown), "|---" * len(shown)))
    for name, found in results.items():
        cells = ["%(median).2f (%(low).2f to %(high).2f)" % found[v] if v in found else "-" for v in shown]
        print("| %s | %s |" % (name, " | ".join(cells)))


if __name__ == "__main__":
    main()
