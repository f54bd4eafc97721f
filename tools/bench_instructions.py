#!/usr/bin/env python3
"""bench_instructions.py: instructions that the library adds to fixed work, counted by callgrind, against written limits.

Counts repeat where times do not: chance is seeded, the governor is off, and what is told is the difference of a run of
2 n and one of n, so start and end fall out, and of both with the library and without. Limits: tools/instructions.json,
for the compiler and libc that it names; with others the counts are shown and not judged.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = ROOT / "tools/instructions.json"
# Byte samples out of reach, so that only what a row is about is counted.
OURS = {"LD_PRELOAD": "./trackleak.so", "TRACKLEAK_ANY": "1", "TRACKLEAK_QUIET": "1", "TRACKLEAK_SEED": "1",
        "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_MAX_OVERHEAD": "0", "TRACKLEAK_DUMP_INTERVAL": "0",
        "TRACKLEAK_SAMPLE_BYTES": str(1 << 40), "TRACKLEAK_SAMPLE_RATE": "1000000000"}
PAIRS = r"""
#include <stdlib.h>
#include <string.h>
__attribute__((noinline)) void work(const char *what, long pairs, size_t bytes)
{
	for (long n = 0; n < pairs; n++) {
		void *volatile block = strcmp(what, "calloc") == 0 ? calloc(1, bytes) : malloc(bytes);
		if (strcmp(what, "realloc") == 0)
			block = realloc(block, bytes + 16);
		free(block);
	}
}
int main(int argc, char **argv)
{
	(void)argc;
	work(argv[1], atol(argv[3]), (size_t)atol(argv[2]));
}
"""
JSON = """
import json, sys
page = {"rows": [{"id": i, "name": "name %d" % i, "tags": ["a", "b", str(i)]} for i in range(100)]}
for _ in range(int(sys.argv[1])):
    json.loads(json.dumps(page))"""
# name: (what the C program does, or None: JSON), bytes, n, settings
ROWS = {
    "malloc, free": ("malloc", 100, 20000, {}),
    "calloc, free": ("calloc", 100, 20000, {}),
    "malloc, realloc, free": ("realloc", 100, 20000, {}),
    "counted malloc, free": ("malloc", 2000, 20000, {}),
    "counted calloc, free": ("calloc", 2000, 20000, {}),
    "one in 100 sampled": ("malloc", 100, 20000, {"TRACKLEAK_SAMPLE_BYTES": "10000"}),
    "a JSON round, no samples": (None, 0, 30, {}),
    "a JSON round, defaults": (None, 0, 30, {"TRACKLEAK_SAMPLE_BYTES": "131072", "TRACKLEAK_SAMPLE_RATE": "50"}),
    "a JSON round, PYTHON=0": (None, 0, 30, {"TRACKLEAK_PYTHON": "0"}),
}


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def count(command, inside, settings, folder):
    """Instructions inside that function, in all threads. The same addresses each time: -R, and no word of the
    environment or command that is another one elsewhere: one letter more in a path moves the heap, and realloc copies
    10,000 instructions' worth more, or less, in a JSON round."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "TRACKLEAK_LOG_DIR": ".", **settings}
    # Valgrind hands LD_PRELOAD on to the program and is not profiled itself.
    run = subprocess.run(["setarch", "-R", shutil.which("valgrind"), "--tool=callgrind", "--toggle-collect=" + inside,
                          "--callgrind-out-file=/dev/null", *command], env=env, cwd=folder, capture_output=True,
                         text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found or int(found[1]) == 0:
        sys.exit("bench-instructions: nothing was counted in %s\n%s" % (" ".join(command), run.stderr[-2000:]))
    return int(found[1])


def measure(row, python, folder):
    """Instructions of one unit: without the library, and what it adds."""
    what, size, n, settings = row
    command, inside = (["./pairs", what, str(size)], "work") if what else (
        [python, "-S", "-c", JSON], "PyEval_EvalCode")

    def a_unit(more):
        once, twice = (count([*command, str(k)], inside, more, folder) for k in (n, 2 * n))
        return (twice - once) / n

    without = a_unit({})
    return without, a_unit({**OURS, **settings}) - without


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", default="/usr/bin/python3.11", help="an interpreter with its own symbols: Debian's")
    parser.add_argument("--write", action="store_true", help="make what is measured now the limits")
    options = parser.parse_args()
    compiler = os.environ.get("CC", "cc")
    for needed in ("valgrind", "setarch", compiler):
        if not shutil.which(needed):
            sys.exit("bench-instructions: %s is missing, nothing can be counted; tools/deps install instructions" % needed)
    limits = json.loads(LIMITS.read_text())
    made_by = [first_line(compiler, "--version").partition(" ")[2], first_line("getconf", "GNU_LIBC_VERSION")]
    is_judged = made_by == limits["made_by"] or options.write
    if not is_judged:
        print("not judged: the limits are for %s, and this is %s" % (limits["made_by"], made_by))
    rows = {name: row for name, row in ROWS.items() if row[0] or shutil.which(options.python)}
    if len(rows) < len(ROWS):
        print("no JSON rounds: no %s" % options.python)

    print("%-26s %12s %12s %12s %10s" % ("instructions", "without", "added", "limit", "tolerance"))
    grown = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "trackleak.so", folder)
        subprocess.run([compiler, "-O1", "-fno-builtin", "-x", "c", "-", "-o", folder / "pairs"], input=PAIRS,
                       text=True, check=True)
        for name, row in rows.items():
            without, added = measure(row, options.python, folder)
            limit = limits["rows"].setdefault(name, {"added": 0, "tolerance": 0.5 if row[0] else 50})
            if options.write:
                limit["added"] = round(added, 1)
            is_over = is_judged and added > limit["added"] + limit["tolerance"]
            grown |= is_over
            print("%-26s %12.1f %12.1f %12.1f %10.1f%s" % (
                name, without, added, limit["added"], limit["tolerance"], "  <-- grown" if is_over else ""), flush=True)
    if options.write:
        LIMITS.write_text(json.dumps({"made_by": made_by, "rows": limits["rows"]}, indent=1) + "\n")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
