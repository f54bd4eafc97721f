#!/usr/bin/env python3
"""scale.py: what the cost does as something grows: threads, live samples, sites, the rate, the depth of stacks.

Told is what the library adds to a piece of fixed work, in CPU (user and system of the whole process, its own worker
included), with and without it in turn, round by round. A line that should be flat fails when a later place surely
costs more than the first; one that may rise (more sites, deeper stacks: more to do) fails when it surely bends upward,
that is, lies below the chord between its ends. Surely: with 99 % by a sign test over the rounds, and by more than the
line's slack. With --instructions the same is counted by callgrind too, where that repeats: live samples, sites and
depth. Writes docs/SCALE.md and docs/scale-*.svg, ends with 1 when a line bends.
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import chart
import peers
import ratios
import variants
from running import Failed, run

sys.path.insert(0, str(variants.ROOT / "tools"))

import bench_instructions  # noqa: E402

DOCS = variants.ROOT / "docs"
BEND_SLACK = 0.05  # of the rise of a line: so much may lie between it and the chord
FLAT_SLACK = 1.5  # ns: the bar of an uncounted pair; or instructions, or ms in a second

SITES = """
import sys, time
sites, calls = int(sys.argv[1]), int(sys.argv[2])
names = {}
exec("\\n".join("def f%d(): return bytearray(600)" % n for n in range(sites)), names)
functions = [names["f%d" % n] for n in range(sites)]
for f in functions: f()
rounds = max(1, calls // sites)
began = time.process_time()
for _ in range(rounds):
    for f in functions: f()
print((time.process_time() - began) * 1e9 / (rounds * sites))
"""
DEPTH = """
import sys, time
sys.setrecursionlimit(2000)
def down(depth, calls):
    if depth > 1:
        return down(depth - 1, calls)
    began = time.process_time()
    for _ in range(calls): bytearray(600)
    return (time.process_time() - began) * 1e9 / calls
down(int(sys.argv[1]), 100)
print(down(int(sys.argv[1]), int(sys.argv[2])))
"""
EVERY_ONE = {"SAMPLE_RATE": "1", "MAX_OVERHEAD": "0"}


@dataclass(frozen=True)
class Line:
    name: str
    places: tuple
    command: object  # place, work: the arguments
    work: int
    program: str = ""  # Python; none: scale.c
    settings: dict = field(default_factory=dict)
    is_flat: bool = False
    counted: int = 0  # work under callgrind; 0: instructions would not repeat
    unit: float = 1  # ns to a unit of the picture


@dataclass(frozen=True)
class Picture:
    title: str
    across: str
    up: str
    is_log: bool
    lines: tuple


NS = "ns of CPU added to each"
PICTURES = {
    "threads": Picture("malloc and free beside idle threads", "idle threads", NS, True, tuple(
        Line("%d busy" % busy, (1, 10, 50, 100, 200), lambda idle, work, busy=busy: ("idle", busy, idle, work), 10000000,
             is_flat=True) for busy in (1, 2))),
    "live": Picture("malloc and free of what is not sampled, beside live samples", "live samples", NS, True, (
        Line("", (1000, 5000, 20000, 100000, 200000), lambda blocks, work: ("live", blocks, work), 5000000,
             settings={**EVERY_ONE, "MIN_SIZE": "1000", "SAMPLE_BYTES": str(1 << 40), "TABLE_SIZE": "400000"},
             is_flat=True, counted=100000),)),  # the default of 200,000 is thinned before it is full
    "sites": Picture("bytearray(600) from so many functions in turn", "sites", NS, True, (
        Line("", (10, 100, 1000, 10000, 25000, 50000), lambda sites, work: (sites, work), 1000000, SITES, counted=50000),)),
    "rate": Picture("malloc and free at a rate", "pairs a second", "ms of CPU added to each second", False, (
        Line("", (1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 2e7), lambda rate, work: ("rate", rate, work), 1, unit=1e6),)),
    "depth": Picture("bytearray(600), each a sample, below so many frames", "frames", NS, False, tuple(
        Line(name, (1, 20, 50, 125, 250, 500), lambda depth, work: (depth, work), 20000, DEPTH, {**EVERY_ONE, **more}, counted=400)
        for name, more in (("STACK_DEPTH=32", {}), ("STACK_DEPTH=512", {"STACK_DEPTH": "512"})))),
}


def once(line, place, how, interpreter, folder, share):
    """Nanoseconds of one piece of the line's work at that place."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    (folder / "run").mkdir()
    words = [str(word) for word in line.command(place, max(1, int(line.work * share)))]
    if line.program:
        (folder / "program.py").write_text(line.program)
        command, environment = how.start(interpreter, [str(folder / "program.py"), *words])
    else:
        command, environment = how.start(None, [str(folder / "scale"), *words])
        environment["TRACKLEAK_ANY"] = "1"
    done = run(command, environment, folder / "run", 600)
    if how.left and not list((folder / "run").glob(how.left)):
        raise Failed("it leaves no profile behind: nothing was measured")
    return float(done.output)


def measure(name, line, interpreter, rounds, folder, share):
    """For each round what is added at every place; and the plain cost at each, the median."""
    ours = variants.ours(**line.settings)(None, None)
    added, plain = [], []
    for number in range(rounds):
        pairs = []
        for place in line.places:
            print("\r  %-10s %-16s %d/%d  %-12g" % (name, line.name, number + 1, rounds, place), end="", file=sys.stderr,
                  flush=True)
            order = (variants.NONE, ours) if number % 2 == 0 else (ours, variants.NONE)
            took = [once(line, place, how, interpreter, folder, share) / line.unit for how in order]
            pairs.append(took if number % 2 == 0 else took[::-1])
        added.append([with_us - without for without, with_us in pairs])
        plain.append([without for without, _ in pairs])
    return added, [ratios.summary(costs)["median"] for costs in zip(*plain)]


def count(name, line, interpreter, folder):
    """Instructions added to a piece of the line's work at each place: what 2 n take more than n."""
    shutil.copy(variants.LIBRARY, folder / "trackleak.so")
    (folder / "program.py").write_text(line.program)
    ours = {**bench_instructions.OURS, **{"TRACKLEAK_" + k: v for k, v in line.settings.items()}}
    start, inside = ((interpreter.path, "-S", "program.py"), "PyEval_EvalCode") if line.program else (("./scale",), "main")
    found = []
    for place in line.places:
        print("\r  %-10s %-16s callgrind %-12g" % (name, line.name, place), end="", file=sys.stderr, flush=True)

        def a_unit(settings):
            once, twice = (bench_instructions.count([*start, *map(str, line.command(place, work))], inside, settings, folder)
                           for work in (line.counted, 2 * line.counted))
            return (twice - once) / line.counted
        found.append(a_unit(ours) - a_unit({}))
    return found


def judge(line, rounds):
    """In words, and whether the line passes."""
    if len(rounds) < ratios.FEWEST:
        return "not judged: %d rounds are too few" % len(rounds), True
    if line.is_flat:
        found, verb = ratios.rises(rounds, FLAT_SLACK), "rises"
    else:
        ends = ratios.summary([costs[-1] - costs[0] for costs in rounds])["median"]
        found, verb = ratios.bends(line.places, rounds, max(FLAT_SLACK, BEND_SLACK * abs(ends))), "bends upward"
    if found:
        return "%s at %s" % (verb, ", ".join("{:,g}".format(line.places[at]) for at in found)), False
    return "flat" if line.is_flat else "does not bend upward", True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", action="append", help="as in compare.py, but one")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=float, default=1, help="of the work at each place")
    parser.add_argument("--instructions", action="store_true", help="count them too, with valgrind (Debian's interpreter)")
    parser.add_argument("--only", default="", help="of %s" % ", ".join(PICTURES))
    parser.add_argument("-o", "--output", type=Path, default=DOCS)
    options = parser.parse_args()
    chosen = variants.choose(options.python)
    if len(chosen) != 1:
        parser.error("one interpreter, and not %s" % " ".join(i.name for i in chosen))
    interpreter = chosen[0]
    text = ["# Cost against scale", "", "Written by `make bench-scale`, %s, %d rounds, size %g. docs/PERFORMANCE.md says how it "
            "is measured and judged." % (interpreter.name, options.rounds, options.size)]
    is_good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers.compiled("scale.c", folder / "scale", "-fno-builtin", "-pthread")
        for name, picture in PICTURES.items():
            if options.only not in name:
                continue
            drawn = {}
            text += ["", "## %s" % picture.title.capitalize(), "", "![%s](scale-%s.svg)" % (picture.title, name)]
            for line in picture.lines:
                rounds, plain = measure(name, line, interpreter, options.rounds, folder, options.size)
                words, passes = judge(line, rounds)
                is_good &= passes
                counts = count(name, line, interpreter, folder) if options.instructions and line.counted else None
                if counts:  # they repeat: one round says what seven do
                    said, passes = judge(line, [counts] * ratios.FEWEST)
                    words, is_good = "%s; in instructions: %s" % (words, said), is_good and passes
                costs = [ratios.summary(costs) for costs in zip(*rounds)]
                drawn[line.name] = [(place, c["median"], c["low"], c["high"]) for place, c in zip(line.places, costs)]
                text += ["", "%s%s." % (line.name + ": " if line.name else "", words), "",
                         "| %s | plain | %s | middle half | instructions |" % (picture.across, picture.up),
                         "|---|---|---|---|---|"]
                text += ["| %s | %.4g | %.4g | %.4g to %.4g | %s |" % (
                    "{:,.10g}".format(place), p, c["median"], c["low"], c["high"], "%.1f" % n if counts else "-")
                    for place, p, c, n in zip(line.places, plain, costs, counts or costs)]
                peers.tell("\r  %-10s %-16s %-40s" % (name, line.name, words))
            (options.output / ("scale-%s.svg" % name)).write_text(
                chart.draw(picture.title, picture.across, picture.up, drawn, picture.is_log))
    print("\n".join(text))
    if not options.only:
        (options.output / "SCALE.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    return 0 if is_good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as why:
        sys.exit("bench-scale: %s" % why)
