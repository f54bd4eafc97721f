#!/usr/bin/env python3
"""score.py: every program of the corpus under every interpreter found, and what the verdict made of it.

    score.py [--python 3.11] [--seconds 14] [--jobs 4] [--preload libjemalloc.so.2] [PROGRAM...]

The truth stands in each program: lines that end in `# LEAK` leak, nothing else does. A leak is found when a line of
the table names such a line, as its own or as the program's line that called; one that ends in `# UNCERTAIN tuple`,
whose blocks come from a free list, when the type is named. Everything else that is named is a false
alarm: `LEAKING` at any time, `GROWING` in the last third, when every plateau has lasted as long as its growth.
Behind it stands how much of the RSS the last dump cannot explain; that the parts add up to it is asked of each dump.
A program that NEEDS a package of PyPI is left out, and named, where that cannot be installed.
Ends with 1 when a leak is missed, a false alarm is raised, or the parts are off by more than 2 %.
"""

import argparse
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CORPUS = Path(__file__).resolve().parent
sys.path.insert(0, str(CORPUS.parent / "whole"))

import harness  # noqa: E402
import interpreters  # noqa: E402
from packages import Missing, folder_with  # noqa: E402

ALARM = re.compile(r"(?P<word>LEAKING|GROWING)  (?P<function>.*?) (?P<file>\S+):(?P<line>\d+)  (?P<rate>\S+) MB/h")

PARTS = ("python_live", "python_slack", "libc_live", "libc_free", "maps", "files_and_stacks", "agent", "rest")
POOL = re.compile(r"(?P<word>LEAKING|GROWING)  [\d.]+ MB in [\d,]+ (?P<type>[^,]+?)s?, maker unknown")


def uncertain_types(program):
    return {name.rstrip("s") for name in re.findall(r"# UNCERTAIN (.*)$", program.read_text(encoding="utf-8"), re.M)}


def needs(program):
    return re.findall(r"\bNEEDS (\w+)", program.read_text(encoding="utf-8"))


def leaking_lines(program):
    lines = program.read_text(encoding="utf-8").splitlines()
    return {n for n, line in enumerate(lines, 1) if line.endswith("# LEAK") or "# UNCERTAIN" in line}


class Score:
    def __init__(self, program, python, run, seconds):
        self.program, self.python, self.run = program.stem, python, run
        truth, types = leaking_lines(program), uncertain_types(program)
        self.is_leak, self.seconds, self.false, self.is_named_leaking = bool(truth or types), None, set(), False
        tables = run.tables
        self.start = tables[0].time if tables else 0
        for table in tables:
            at = table.time - self.start + 1
            for line in table.verdicts:
                pool = POOL.match(line)
                if pool:
                    if pool["type"] in types:
                        self.seconds = self.seconds or at
                    continue
                alarm = ALARM.match(line)
                assert alarm, line
                is_right = Path(alarm["file"]).stem == program.stem and int(alarm["line"]) in truth
                if is_right:
                    self.seconds = self.seconds or at
                    self.is_named_leaking |= alarm["word"] == "LEAKING"
                elif alarm["word"] == "LEAKING" or at > seconds * 2 / 3:
                    self.false.add("%s %s:%s" % (alarm["word"], Path(alarm["file"]).name, alarm["line"]))
        processes = [dump.process for dump in run.dumps]
        self.off = max((abs(sum(p["rss_%s_bytes" % part] for part in PARTS) / p["rss_bytes"] - 1) for p in processes), default=0)
        self.unknown = processes[-1]["rss_rest_bytes"] / processes[-1]["rss_bytes"] if processes else 0

    @property
    def is_good(self):
        return not self.false and self.is_leak == (self.seconds is not None) and self.run.status == 0 and self.off <= 0.02

    def line(self):
        found = "found after %2d s%s" % (self.seconds, "" if self.is_named_leaking else ", growing") \
            if self.seconds is not None else "MISSED" if self.is_leak else "healthy"
        return "%-4s %-8s %-22s %s; of the RSS unknown %.1f %%%s" % (
            "ok" if self.is_good else "BAD", self.python, self.program, found, 100 * self.unknown,
            "".join("\n       false: " + f for f in sorted(self.false)))


def play(python, program, seconds, preload):
    """Its Score; None: what it needs is not to be had."""
    try:
        env = {"PYTHONPATH": folder_with(python, *needs(program))} if needs(program) else {}
    except Missing as why:
        print("left out: %s: %s" % (program.stem, why), flush=True)
        return None
    run = harness.start(python, program, [seconds], settings={"DUMP_INTERVAL": 1, "TOP": 3}, env=env, preload_also=preload)
    run.finish(timeout=seconds * 4 + 60)
    if run.status != 0:
        print(run.stderr[-2000:], file=sys.stderr)
    return Score(program, python.name, run, seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--python", action="append", help="only this version; may be given more than once")
    parser.add_argument("--seconds", type=int, default=14)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--preload", action="append", default=[], help="one more library, behind ours")
    options = parser.parse_args()

    programs = [p for p in sorted(CORPUS.glob("*.py")) if p.name not in ("pace.py", "score.py")]
    if options.programs:
        programs = [p for p in programs if p.stem in options.programs]
    pythons = [p for p in interpreters.find_all()
               if not options.python or p.name.startswith(tuple(options.python))]
    jobs = [(python, program) for python in pythons for program in programs]
    with ThreadPoolExecutor(options.jobs) as pool:
        scores = []
        for score in pool.map(lambda job: play(*job, options.seconds, options.preload), jobs):
            if score:
                print(score.line(), flush=True)
                scores.append(score)
    leaks = [s for s in scores if s.is_leak]
    found = [s for s in leaks if s.seconds is not None]
    late = sorted(s.seconds for s in found)
    print("truth: %d runs, recall %d of %d, false alarms %d, seconds to verdict: median %s, worst %s"
          % (len(scores), len(found), len(leaks), sum(len(s.false) for s in scores),
             late[len(late) // 2] if late else "-", late[-1] if late else "-"))
    unknown = sorted((s.unknown, s.program) for s in scores)
    if unknown:
        print("RSS: the parts were off by at most %.2f %%; of it unknown: median %.1f %%, worst %.1f %% (%s)"
              % (100 * max(s.off for s in scores), 100 * unknown[len(unknown) // 2][0], 100 * unknown[-1][0], unknown[-1][1]))
    return 0 if scores and all(s.is_good for s in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
