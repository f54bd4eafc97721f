#!/usr/bin/env python3
"""cpython.py LIBRARY: CPython's own test suite without the library and with it, test case by test case.

Each module of `python -m test` runs in a process of its own, in three modes: plain (no preload), default (the settings'
defaults) and exhaustive (every allocation sampled, no governor). With the preload profiling starts at once, a dump is due
every 5 seconds, the logs go to a temporary folder. No optional resource (-u network, cpu, largefile ...) is on.

A module whose outcome or cases differ from the plain run is run again alone, both ways, up to three times. What was seen
in both ways at least once is `flaky`; what never was, a difference. Results are kept in the cache, by interpreter, mode
and library: a second call does only what is missing. Ends with 1 when there is a difference.

Writes OUT/cpython.json (everything) and OUT/cpython.md (the table for docs/RELIABILITY.md).
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "whole"))

import interpreters  # noqa: E402

CACHE = Path(os.path.expanduser("~/.cache/trackleak/foreign/cpython"))
PRELOADED = {"TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "5", "TRACKLEAK_QUIET": "1"}
MODES = {
    "plain": None,
    "default": PRELOADED,
    "exhaustive": {**PRELOADED, "TRACKLEAK_SAMPLE_RATE": "1", "TRACKLEAK_MIN_SIZE": "1", "TRACKLEAK_MAX_OVERHEAD": "0"},
}
# What a profiler is likeliest to break; a name stands for the package's modules too.
MUST = """test_gc test_capi test_embed test_threading test_thread test_fork1 test_subprocess test_multiprocessing_fork
    test_multiprocessing_forkserver test_multiprocessing_spawn test_multiprocessing_main_handling test_asyncio test_faulthandler
    test_tracemalloc test_mmap test_ctypes ctypes.test test_sqlite3 test_sqlite test_io test_os test_signal""".split()
AGAIN = 3
STATUS = {0: "passed", 2: "failed", 3: "environment changed", 4: "no tests ran"}


class Subject(NamedTuple):
    library: Path
    fingerprint: str  # of its bytes
    patience: int  # seconds for a module


def suite_of(python):
    """The names of its test modules; few or none where the suite is not installed."""
    done = subprocess.run([python.path, "-m", "test", "--list-tests"], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    return done.stdout.split() if done.returncode == 0 else []


def chosen(names, wanted):
    if wanted == ["all"]:
        return names
    wanted = MUST if wanted == ["must"] else wanted
    short = {name: re.sub(r"^test\.(?=test_)", "", name) for name in names}
    return [name for name in names if any(short[name] == w or short[name].startswith(w + ".") for w in wanted)]


def cases_of(report):
    """{case: passed, failed or skipped}; of a name that stands there twice, the worst."""
    cases = {}
    for case in xml.parse(report).iter("testcase"):
        name = re.sub(r"0x[0-9a-f]+", "0x", case.get("name") or "(nameless)")
        parts = {part.tag for part in case}
        status = "failed" if parts & {"error", "failure"} else "skipped" if "skipped" in parts else "passed"
        cases[name] = min(status, cases.get(name, "skipped"), key=["failed", "passed", "skipped"].index)
    return cases


def run_module(python, module, mode, subject):
    """One module in one process: its outcome, its cases, what it printed, and how many dumps we wrote meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    try:
        (folder / "tmp").mkdir()
        report, logs = folder / "report.xml", folder / "logs"
        argv, extra = python.command(None if mode == "plain" else subject.library, [
            "-m", "test", "--junit-xml", report, "--fail-env-changed", "--timeout", subject.patience, "-W", module])
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKLEAK", "LD_", "PYTHON", "MAKE"))}
        environment.update(TMPDIR=str(folder / "tmp"), **extra)
        if MODES[mode]:
            environment.update(MODES[mode], TRACKLEAK_LOG_DIR=str(logs))
        start = time.monotonic()
        with open(folder / "output", "w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True, cwd=folder)
            try:
                code = process.wait(subject.patience + 60)
            except subprocess.TimeoutExpired:
                code = None
            try:
                os.killpg(process.pid, signal.SIGKILL)  # what the module left behind, or the hung module itself
            except ProcessLookupError:
                pass
            process.wait()
            output.seek(0)
            printed = output.read()
        outcome = "hung" if code is None else STATUS.get(code, "ended with %d" % code)
        if outcome == "passed" and re.search(r"^1 test skipped|^%s skipped" % re.escape(module), printed, re.M):
            outcome = "skipped"
        tables = [p.read_text(encoding="utf-8", errors="replace") for p in logs.glob("profiler.json*") if p.is_file()]
        return {"outcome": outcome, "cases": cases_of(report) if report.exists() and report.stat().st_size else {},
                "seconds": round(time.monotonic() - start, 1), "output": printed[-20000:],
                "dumps": sum(len(re.findall(r"^--- dump at ", t, re.M)) for t in tables)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cached(python, module, mode, subject):
    place = CACHE / python.name / (mode if mode == "plain" else "%s-%s" % (mode, subject.fingerprint)) / (module + ".json")
    if place.exists():
        return json.loads(place.read_text())
    result = run_module(python, module, mode, subject)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(".new").write_text(json.dumps(result))
    place.with_suffix(".new").rename(place)
    print("%s %-10s %-12s %5.0f s  %s" % (time.strftime("%H:%M:%S"), python.name, mode, result["seconds"],
                                          module + ("" if result["outcome"] == "passed" else "  " + result["outcome"])),
          flush=True)
    return result


def seen(results):
    """{case or `(module)`: {status: how often}} over some runs of a module."""
    counts = {}
    for result in results:
        for name, status in [("(module)", result["outcome"]), *result["cases"].items()]:
            counts.setdefault(name, {}).setdefault(status, 0)
            counts[name][status] += 1
    return counts


def compare(plain, loaded):
    """What differs: ({case: (plain's counts, loaded's counts)} that never agreed, the same of those that once did)."""
    ours, theirs = seen(loaded), seen(plain)
    apart, flaky = {}, {}
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = theirs.get(name, {"absent": len(plain)}), ours.get(name, {"absent": len(loaded)})
        if not a.keys() & b.keys():
            apart[name] = (a, b)
        elif a.keys() | b.keys() != a.keys() & b.keys():
            flaky[name] = (a, b)
    return apart, flaky


def judge(python, module, mode, subject, results):
    """The verdict on one module in one mode, run again alone where it differs."""
    plain, loaded = [results[module, "plain"]], [results[module, mode]]
    apart, flaky = compare(plain, loaded)
    for turn in range(1, AGAIN + 1):
        if not apart:
            break
        plain.append(cached_again(python, module, "plain", subject, turn))
        loaded.append(cached_again(python, module, mode, subject, turn))
        apart, flaky = compare(plain, loaded)
    return {"apart": apart, "flaky": flaky, "runs": len(plain)}


def cached_again(python, module, mode, subject, turn):
    place = CACHE / python.name / "again" / ("again%d-%s" % (turn, subject.fingerprint)) / mode / (module + ".json")
    if not place.exists():
        result = run_module(python, module, mode, subject)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(result))
        print("%s %-10s %-12s again     %s  %s" % (time.strftime("%H:%M:%S"), python.name, mode, module, result["outcome"]),
              flush=True)
    return json.loads(place.read_text())


def row(python, mode, modules, results, verdicts):
    cases = [status for m in modules for status in results[m, mode]["cases"].values()]
    apart = sum(bool(v["apart"]) for v in verdicts.values())
    flaky = sum(bool(v["flaky"] and not v["apart"]) for v in verdicts.values())
    return "| %s | %s | %d | %d | %d | %d | %s | %s | %s |" % (
        python.name, mode, len(modules), len(cases), cases.count("failed"), cases.count("skipped"),
        "-" if mode == "plain" else len(modules) - apart - flaky, "-" if mode == "plain" else flaky,
        "-" if mode == "plain" else apart)


def main():
    parser = argparse.ArgumentParser(description="CPython's own suite, with the library and without.")
    parser.add_argument("library", type=Path)
    parser.add_argument("--versions", default="3.8 3.11 3.13")
    parser.add_argument("--modules", default="all", help="all, must, or names")
    parser.add_argument("--modes", default="default exhaustive")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--patience", type=int, default=900, help="seconds for a module, after which it hangs")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "foreign")
    options = parser.parse_args()
    library = options.library.resolve(strict=True)
    subject = Subject(library, hashlib.sha256(library.read_bytes()).hexdigest()[:12], options.patience)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is ignored, and test_signal's with it
    suites = {}
    for wanted in options.versions.split():
        for python in interpreters.find_all():
            if ".".join(map(str, python.version)).startswith(wanted + ".") or python.name == wanted:
                names = suite_of(python)
                if "test_gc" in names:
                    suites[python] = chosen(names, options.modules.split())
                    break
        else:
            sys.exit("cpython.py: no Python %s with its test suite (a distribution's often has none)" % wanted)

    modes = ["plain", *options.modes.split()]
    tasks = [(python, module, mode) for mode in modes for python, modules in suites.items() for module in modules]
    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(lambda task: cached(*task, subject), tasks))
    record, rows, is_same = {}, [], True
    for python, modules in suites.items():
        results = {(task[1], task[2]): result for task, result in zip(tasks, done) if task[0] == python}
        for mode in modes:
            verdicts = {} if mode == "plain" else {
                m: judge(python, m, mode, subject, results) for m in modules}
            is_same &= not any(v["apart"] for v in verdicts.values())
            rows.append(row(python, mode, modules, results, verdicts))
            record.setdefault(python.name, {})[mode] = {
                m: {k: v for k, v in {**results[m, mode], **verdicts.get(m, {})}.items() if k != "output"} for m in modules}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cpython.json").write_text(json.dumps({"library": subject.fingerprint, "results": record}, indent=1))
    table = "\n".join(["| interpreter | mode | modules | cases | failed | skipped | the same | flaky | different |",
                       "|---|---|---|---|---|---|---|---|---|", *rows])
    (options.out / "cpython.md").write_text(table + "\n")
    print(table)
    for name, by_mode in record.items():
        for mode, modules in by_mode.items():
            for module, verdict in modules.items():
                for kind in "apart", "flaky":
                    for case, (plain, loaded) in verdict.get(kind, {}).items():
                        print("%s %s %s: %s %s: plain %s, with us %s" % (
                            "DIFFERENT" if kind == "apart" else "flaky", name, mode, module, case, plain, loaded))
    return not is_same


if __name__ == "__main__":
    sys.exit(main())
