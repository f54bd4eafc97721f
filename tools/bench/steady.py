#!/usr/bin/env python3
"""steady.py: what profiling costs a process that has been running for a while, on a machine that is not quiet.

compare.py starts a process for each figure, and its runs stand half a second apart: what else the machine does changes
within that. Here a plain process and one of each variant live side by side, and take turns: a tenth of a second of work
each, who goes first changing from round to round. The first rounds count for nothing: the governor settles in them. Told
is the median of the ratios of CPU (user and system, all threads) within a round, over several such sets, with the lowest
and the highest set's.

MAX_OVERHEAD is a share of a core's time, and a process that waits for its turn most of the time could spend all of it
in its turns. So each has as much less of it as it has of the core: the figures are those of a process that is busy.
"""

import argparse
import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import variants
import workloads
from running import Failed

SETTLING = 10  # rounds: a second of work


class Worker:
    """A process that works when it is told to."""

    def __init__(self, how, interpreter, program, step, folder):
        command, environment = how.start(interpreter, [str(program), str(step)])
        folder.mkdir()
        self.process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def step(self):
        """CPU seconds of one piece of work."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            raise Failed("it ended with %d" % self.process.wait())
        return float(said)

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def in_turns(how, processes):
    """With its part of the default MAX_OVERHEAD."""
    return dataclasses.replace(how, settings={"TRACKLEAK_MAX_OVERHEAD": "%g" % (1 / processes), **how.settings})


def one_set(hows, interpreter, program, options, folder):
    """{variant: median ratio} of processes that live side by side."""
    workers = {name: Worker(how, interpreter, program, options.step, folder / name.replace(" ", "_"))
               for name, how in {"none": variants.NONE, **hows}.items()}
    order, rounds = list(workers), []
    try:
        for number in range(SETTLING + options.rounds):
            turn = order[number % len(order):] + order[:number % len(order)]
            took = {name: workers[name].step() for name in turn}
            if number >= SETTLING:
                rounds.append({name: took[name] / took["none"] for name in hows})
    finally:
        for worker in workers.values():
            worker.end()
    for name, how in hows.items():
        if how.left and not list((folder / name.replace(" ", "_")).glob(how.left)):
            raise Failed("%s leaves no profile behind (%s)" % (name, how.left))
    return {name: statistics.median(r[name] for r in rounds) for name in hows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", action="append", metavar="NAME", help="as in compare.py")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--variants", default="default,PYTHON=0,dormant,forwarder", help="%(default)s, by default; the others "
                        "of compare.py that cost little too")
    parser.add_argument("--sets", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20, help="of a set, after %d to settle" % SETTLING)
    parser.add_argument("--step", type=float, default=0.2, help="size of a piece of work; 1: about half a second")
    parser.add_argument("-o", "--output", type=Path, default=variants.ROOT / "build/bench-steady.json")
    options = parser.parse_args()
    wanted, results = variants.wanted(parser, options.variants), {}
    for interpreter in variants.choose(options.python):
        found = results[interpreter.name] = {}
        print("\n%s, CPU to plain\n\n| | %s |\n|---%s|" % (interpreter.name, " | ".join(wanted), "|---" * len(wanted)))
        for name in (n for n in workloads.PYTHON if options.only in n):
            with tempfile.TemporaryDirectory() as folder:
                folder = Path(folder)
                hows = {v: in_turns(variants.VARIANTS[v](interpreter, folder), len(wanted) + 1) for v in wanted}
                program = workloads.write_program(name, folder, workloads.STEPS)
                sets = []
                for number in range(options.sets):
                    (folder / str(number)).mkdir()
                    sets.append(one_set(hows, interpreter, program, options, folder / str(number)))
            found[name] = {v: [one[v] for one in sets] for v in wanted}
            print("| %s | %s |" % (name, " | ".join("%.2f (%.2f to %.2f)" % (
                statistics.median(found[name][v]), min(found[name][v]), max(found[name][v])) for v in wanted)), flush=True)
            options.output.parent.mkdir(exist_ok=True)
            options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit("bench: %s" % why)
