#!/usr/bin/env python3
"""run_pyperformance.py: the whole default set of pyperformance, without us, with us, and with TRACKLEAK_PYTHON=0.

Benchmark by benchmark, and within one A B C A B C, a worker process each time: what the machine does meanwhile falls on
all three alike. A ratio is of the medians of one round. The library is in pyperf's workers only: they are started
through a script that sets the preload and the settings, since pyperf hands on nothing of its own environment; and each
must leave a profile behind. Resumable: a benchmark that is done (for this interpreter, library and clock) is not run
again.
"""

import argparse
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import peers
import ratios
import variants
from resume import Results, hash_of
from running import Failed, run

VARIANTS = {"none": variants.NONE, "default": variants.ours()(None, None),
            "PYTHON=0": variants.ours(PYTHON="0")(None, None)}
WORKER = Path(__file__).resolve().parent / "worker"
PYPERFORMANCE = "pyperformance==1.14.0"
LONG_VALUE = 0.4  # seconds: of such a benchmark one value a worker is enough


def load_pyperformance():
    """Its default set; the modules of pyperformance and pyperf are there afterwards."""
    here = namedtuple("Here", "name path")("tool", sys.executable)
    sys.path.insert(0, str(peers.from_pypi(here, "pyperformance", [PYPERFORMANCE])))
    from pyperformance import _manifest
    return sorted(_manifest.load_manifest(None).resolve_group("default"), key=lambda bench: bench.name)


def write_starter(path, interpreter, how, more):
    """The script that pyperf takes for its workers' interpreter."""
    command, environment = how.start(interpreter, [])
    words = {**{k: environment[k] for k in environment if k.startswith(variants.SILENT)}, **more}
    path.write_text("#!/bin/sh\nexec env %s \"$@\"\n" % " ".join(
        [shlex.quote("%s=%s" % word) for word in words.items()] + [shlex.quote(str(word)) for word in command]))
    path.chmod(0o755)


class Session:
    def __init__(self, interpreter, options, folder):
        self.interpreter, self.options, self.folder = interpreter, options, folder
        self.pyperf = peers.from_pypi(interpreter, "pyperf", ["pyperf"])

    def once(self, bench, variant, search, known):
        """{name: (median, loops)}; a script may hold several benchmarks. `known`: what pyperf need not find out."""
        import pyperf
        how, options = VARIANTS[variant], self.options
        room = self.folder / "run"
        shutil.rmtree(room, ignore_errors=True)
        (room / "logs").mkdir(parents=True)
        more = {"PYTHONPATH": ":".join([str(WORKER), *search]), "BENCH_CLOCK": options.clock}
        if self.interpreter.wrapper:
            more["BENCH_PYTHON"] = room / "python"
        if how.settings:
            more["TRACKLEAK_LOG_DIR"] = room / "logs"
        write_starter(room / "python", self.interpreter, how, more)
        command, environment = variants.NONE.start(self.interpreter, [
            bench.runscript, *bench.extra_opts, "--python", room / "python", "--processes", options.processes,
            "--values", options.values, "--warmups", 1, "--min-time", options.min_time, "--quiet", *known,
            "--output", room / "out.json"])
        run(command, {**environment, "PYTHONPATH": ":".join(search)}, room, options.limit)
        if how.left and not list((room / "logs").glob(how.left)):
            raise Failed("it leaves no profile behind: nothing was measured")
        return {one.get_name(): (statistics.median(one.get_values()), one.get_loops())
                for one in pyperf.BenchmarkSuite.load(str(room / "out.json")).get_benchmarks()}

    def measure(self, bench):
        """{name of benchmark: {variant: [ratio of each round]}}"""
        if ".".join(map(str, self.interpreter.version)) not in bench.python:
            raise Failed("is for Python %s" % bench.python)
        search = [str(self.pyperf)]
        lock = Path(bench.requirements_lockfile or "/nowhere")
        if lock.exists():
            try:
                search.insert(0, str(peers.from_pypi(self.interpreter, "pyperformance-" + lock.parent.name,
                                                     ["-r", str(lock)])))
            except Failed as why:
                raise Failed("does not install: %s" % why) from None
        found, known, began = {}, [], time.monotonic()
        for number in range(self.options.rounds):
            if number >= 2 and time.monotonic() - began > self.options.budget:
                break
            took = {}
            for variant in VARIANTS:
                try:
                    took[variant] = self.once(bench, variant, search, known)
                except Failed as why:
                    raise Failed("%s: %s" % ("without us" if variant == "none" else "WITH US, " + variant, why)) from None
                if len(took[variant]) == 1 and not known:
                    (median, loops), = took[variant].values()
                    known = ["--loops", loops, *(["--values", 1] if median > LONG_VALUE else [])]
            for name, (plain, _) in took["none"].items():
                ours = found.setdefault(name, {variant: [] for variant in list(VARIANTS)[1:]})
                for variant, figures in ours.items():
                    figures.append(took[variant][name][0] / plain)
        return found


def report(interpreter, results, options):
    """Markdown: the means, the worst, all of them, and what is missing."""
    ours, rows = list(VARIANTS)[1:], {}
    for one in results:
        rows.update(one.get("ratios", {}))
    lines = ["", "%s, %s clock, %d benchmarks" % (interpreter.name, options.clock, len(rows)), ""]
    if rows:
        rounds = min(len(figures[ours[0]]) for figures in rows.values())
        lines += ["| | geometric mean | of each round | worst |", "|---|---|---|---|"]
        for variant in ours:
            medians = {name: statistics.median(figures[variant]) for name, figures in rows.items()}
            worst = max(medians, key=medians.get)
            lines.append("| %s | %.3f | %s | %s %.2f |" % (
                variant, ratios.geometric_mean(medians.values()),
                ", ".join("%.3f" % ratios.geometric_mean([figures[variant][k] for figures in rows.values()])
                          for k in range(rounds)), worst, medians[worst]))
        lines += ["", "| benchmark | %s |" % " | ".join(ours), "|---%s|" % ("|---" * len(ours))]
        for name in sorted(rows, key=lambda name: -statistics.median(rows[name][ours[0]])):
            lines.append("| %s | %s |" % (name, " | ".join(
                "%.3f (%.3f to %.3f)" % (statistics.median(f), min(f), max(f)) for f in map(rows[name].get, ours))))
    lines += ["", *("Left out: %s: %s" % (one["name"], one["why"]) for one in results if "why" in one)]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", action="append", help="as in compare.py; may be given several times")
    parser.add_argument("--only", default="", help="benchmarks whose name contains one of these, separated by commas")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu",
                        help="cpu: user and system, of the worker and its children; for machines that do other things")
    parser.add_argument("--rounds", type=int, default=3, help="at most; at least 2")
    parser.add_argument("--budget", type=float, default=20, help="seconds after which a benchmark gets no third round")
    parser.add_argument("--processes", type=int, default=1, help="workers of each round")
    parser.add_argument("--values", type=int, default=3)
    parser.add_argument("--min-time", type=float, default=0.05, help="seconds of each value")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which one counts as hung")
    parser.add_argument("--results", type=Path, default=variants.ROOT / "build/bench-pyperformance.jsonl")
    options = parser.parse_args()
    only = options.only.split(",")
    benchmarks = [b for b in load_pyperformance() if any(part in b.name for part in only)]
    results, library = Results(options.results), hash_of(variants.LIBRARY)
    for interpreter in variants.choose(options.python):
        done = []
        with tempfile.TemporaryDirectory() as folder:
            session, began = Session(interpreter, options, Path(folder)), time.monotonic()
            for number, bench in enumerate(benchmarks, 1):
                key = (interpreter.name, library, options.clock, bench.name)
                if key not in results:
                    try:
                        results.put(key, {"name": bench.name, "ratios": session.measure(bench)})
                    except Failed as why:
                        results.put(key, {"name": bench.name, "why": str(why)})
                done.append(results[key])
                medians = ["%s %s" % (name, " ".join("%.3f" % statistics.median(f) for f in one.values()))
                           for name, one in done[-1].get("ratios", {}).items()]
                peers.tell("  %3d/%d %4.0f s  %s" % (number, len(benchmarks), time.monotonic() - began,
                                                    ", ".join(medians) or "%(name)s: %(why)s" % done[-1]))
        print(report(interpreter, done, options))
        if any("WITH US" in one.get("why", "") for one in done):
            sys.exit("bench-pyperformance: a benchmark fails with us that does not fail without")


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit("bench-pyperformance: %s" % why)
