#!/usr/bin/env python3
"""compare.py: what profiling costs, as ratios to the plain run: we, our settings, the floor, our peers.

A variant is always run beside a plain run of the same work, in turn, and so are all variants of a workload, so that
what else the machine does falls on all of them alike. Told are the ratios of wall clock, CPU (user and system; that is
what to judge by on a busy machine) and peak RSS, as median (middle half); absolute times are no one else's. Prints
Markdown tables and writes build/bench.json.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import peers
import ratios
import variants
import workloads
from running import Failed, run

# name: title, form of a cell
METRICS = {
    "cpu": ("CPU, ratio", "%(median).2f (%(low).2f to %(high).2f)"),
    "seconds": ("wall clock, ratio", "%(median).2f (%(low).2f to %(high).2f)"),
    "rss": ("peak RSS, ratio", "%(median).2f"),
    "rss_added": ("peak RSS, MiB added", "%(median).1f"),
    "ms_added": ("wall clock, ms added", "%(median).1f (%(low).1f to %(high).1f)"),
    "ns_added": ("CPU of a pair, ns added", "%(median).1f (%(low).1f to %(high).1f)"),
}


class Bench:
    def __init__(self, size, folder, limit):
        self.size, self.folder, self.limit = size, folder, limit
        self.missing = {}  # {(interpreter, variant or workload and variant): why}

    def once(self, name, interpreter, how, share):
        """{metric: figure} of one run."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        (self.folder / "run").mkdir()
        size = str(self.size * share)
        if name in workloads.PAIRS:
            command, environment = how.start(None, [self.folder / "pairs", size, *map(str, workloads.PAIRS[name])])
            environment["TRACKLEAK_ANY"] = "1"
        else:
            program = workloads.write_program(name, self.folder)
            command, environment = how.start(interpreter, [str(program), size])
        done = run(command, environment, self.folder / "run", self.limit)
        if how.left and not list((self.folder / "run").glob(how.left)):
            raise Failed("it leaves no profile behind (%s)" % how.left)
        if name == workloads.START_UP:
            return {"seconds": done.seconds, "cpu": done.cpu}
        return dict(zip(("seconds", "cpu", "rss"), workloads.read_figures(done.output)))

    def ready(self, interpreter, names):
        """{variant: How} of those that can be had."""
        found = {}
        for name in names:
            try:
                found[name] = variants.VARIANTS[name](interpreter, self.folder)
            except Failed as why:
                self.missing[interpreter.name if interpreter else "C", name] = str(why)
        return found

    def figures(self, name, its, plain, share):
        """{metric: figure} of two runs; beside ratios, differences where a bar is in ns or ms, or a ratio misleads."""
        found = {metric: its[metric] / max(plain[metric], 1e-9) for metric in plain}
        if "rss" in plain:
            found["rss_added"] = (its["rss"] - plain["rss"]) / 1024
        if name == workloads.START_UP:
            found["ms_added"] = (its["seconds"] - plain["seconds"]) * 1e3
        if name in workloads.PAIRS:
            pairs = workloads.PAIRS_AT_SIZE_1 * self.size * share * workloads.PAIRS[name][1]
            found["ns_added"] = (its["cpu"] - plain["cpu"]) / pairs * 1e9
        return found

    def compare(self, name, interpreter, hows, rounds):
        """{variant: {metric: ratios}}; whoever fails once is out, and is named."""
        found = {variant: [] for variant in hows}
        for number in range(rounds):
            for variant, how in hows.items():
                if variant not in found:
                    continue
                print("\r  %-28s %d/%d %-20s" % (name, number + 1, rounds, variant), end="", file=sys.stderr, flush=True)
                try:
                    # Who goes first changes with the round.
                    pair = [self.once(name, interpreter, which, how.share)
                            for which in ((variants.NONE, how), (how, variants.NONE))[number % 2]]
                except Failed as why:
                    self.missing[interpreter.name if interpreter else "C", "%s, %s" % (variant, name)] = str(why)
                    del found[variant]
                    continue
                plain, its = pair if number % 2 == 0 else pair[::-1]
                found[variant].append(self.figures(name, its, plain, how.share))
        print("\r%-60s\r" % "", end="", file=sys.stderr)
        return {variant: {metric: ratios.summary([r[metric] for r in one]) for metric in one[0]}
                for variant, one in found.items()}


def table(results, metric, shown):
    title, form = METRICS[metric]
    lines = ["| %s | %s |" % (title, " | ".join(shown)), "|---%s|" % ("|---" * len(shown))]
    for name, found in results.items():
        cells = [form % found[v][metric] if metric in found.get(v, {}) else "-" for v in shown]
        lines.append("| %s | %s |" % (name, " | ".join(cells)))
    return "\n".join(lines)


def one_interpreter(bench, interpreter, names, wanted, rounds):
    hows = bench.ready(interpreter, wanted)
    return {name: bench.compare(name, interpreter, hows, rounds) for name in names}


def pairs(bench, names, wanted, rounds):
    try:
        peers.compiled("pairs.c", bench.folder / "pairs", "-fno-builtin", "-pthread")
    except Failed as why:
        bench.missing["C", "pairs"] = str(why)
        return {}
    hows = bench.ready(None, [v for v in wanted if v in variants.SERVES_C])
    return {name: bench.compare(name, None, hows, rounds) for name in names}


def write(options, bench, chosen, results):
    """All that is known so far: hours of measuring are not to be lost with the last of them."""
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({
        "rounds": options.rounds, "size": options.size, "ratios": results,
        "peers": {interpreter.name: peers.versions(interpreter) for interpreter in chosen},
        "missing": [{"where": where, "what": what, "why": why} for (where, what), why in bench.missing.items()],
    }, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", action="append", metavar="NAME", help="path, or part of the name of an interpreter "
                        "that tests/whole/interpreters.py finds (3.11.7-shared); may be given several times")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=float, default=1, help="1: about half a second for each plain run")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--variants", default=",".join(v for v in variants.VARIANTS if v not in variants.ON_REQUEST),
                        help="%%(default)s, by default; there are also %s" % ", ".join(variants.ON_REQUEST))
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a run counts as hung")
    parser.add_argument("-o", "--output", type=Path, default=variants.ROOT / "build/bench.json")
    options = parser.parse_args()
    wanted = variants.wanted(parser, options.variants)
    names = [n for n in workloads.names() if options.only in n]
    chosen = variants.choose(options.python)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.size, Path(folder), options.limit)
        for interpreter in chosen:
            print("  %s" % interpreter.name, file=sys.stderr)
            results[interpreter.name] = one_interpreter(
                bench, interpreter, [n for n in names if n not in workloads.PAIRS], wanted, options.rounds)
            write(options, bench, chosen, results)
        results["C"] = pairs(bench, [n for n in names if n in workloads.PAIRS], wanted, options.rounds)
        write(options, bench, chosen, results)
    for where, found in results.items():
        shown = [v for v in wanted if any(v in one for one in found.values())]
        for metric in METRICS:
            rows = {name: one for name, one in found.items() if any(metric in figures for figures in one.values())}
            if rows:
                print("\n%s\n\n%s" % (where, table(rows, metric, shown)))
    for (where, what), why in bench.missing.items():
        print("\nLeft out, %s: %s: %s" % (where, what, why))


if __name__ == "__main__":
    main()
