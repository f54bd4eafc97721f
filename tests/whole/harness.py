"""Runs a program under the agent in a log folder of its own, and reads all that it wrote.

    run = profile(python, "x = bytes(1000)\n", settings={"MIN_SIZE": 100})
    run.status, run.stdout, run.stderr          of the program
    run.row("make"), run.document("make")       of the last dump: the table's row, the JSON line
    run.tables, run.dumps                       every dump: as table, as documents
    run.snapshot(), run.events, run.banner

Settings are given without TRACKLEAK_. Default in tests: no start-up delay, one dump at exit, no banner, every row.
A test that fails shows the files of its runs (conftest.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import watchdog

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ROOT / "tests" / "targets"
LIBRARY = Path(os.environ.get("TRACKLEAK_LIBRARY") or ROOT / "trackleak.so").resolve()
MIB = 1024.0 * 1024.0
EXHAUSTIVE = {"SAMPLE_RATE": 1, "MIN_SIZE": 1}
SAMPLED = {"SAMPLE_RATE": 1, "SAMPLE_BYTES": 1 << 40, "MAX_OVERHEAD": 0}  # every block of MIN_SIZE or more and no smaller one: no chance

# Chance is repeated, so that what fails fails again; tests of chance itself set seeds of their own.
DEFAULTS = {"STARTUP_DELAY": 0, "DUMP_INTERVAL": 0, "QUIET": 1, "TOP": 1000, "SEED": 1}
_OTHER_NAMES = ("TRACKLEAK_", "MEMORY_PROFILER_", "ELASTICSEARCH_", "ENABLE_", "NOMAD_")

HEADER = ("FUNCTION                          COUNT     TOTAL_MB  SAMPLES    SAMPLE_MB     LINE     "
          "FREED_MB(RET%) | FILE")
DASHES = ("------------------------------   --------  ---------- --------  ------------ --------  "
          "---------------- | -----")
_ROW = re.compile(r"(?P<function>.*?) +(?P<count>\d+) +(?P<total_mb>\d+\.\d\d) +(?P<samples>\d+) +"
                  r"(?P<sample_mb>\d+\.\d\d) +(?P<line>\d+|-) +(?P<freed_mb>\d+\.\d\d)"
                  r"\((?P<retention>\d+\.\d%|-)\) *\| (?P<file>.*)")
_TRAILER = re.compile(r"--- dump at (?P<time>\d+) \((?P<functions>\d+) functions, hash (?P<used>\d+)/(?P<capacity>\d+)"
                      r"(, pid (?P<pid>\d+))?(, lost (?P<lost>\d+))?\) ---")

base_folder = None  # set by conftest.py: where runs put their folders
runs = []  # of the test that runs now, for its report


@dataclass(frozen=True)
class Row:
    function: str
    count: int
    total_mb: float
    samples: int
    sample_mb: float
    line: int  # 0: none
    freed_mb: float
    retention: float  # per cent; None: no sample
    file: str


@dataclass(frozen=True)
class Table:
    rows: list
    verdicts: list  # the lines between rows and trailer
    memory: list  # those behind them that say where RSS is
    time: int
    functions: int
    used: int
    capacity: int
    pid: int  # None: not a forked child
    lost: int

    def row(self, function, file=None):
        return _only([r for r in self.rows if _is(r.function, function) and _file_is(r.file, file)], function)


class TableError(AssertionError):
    """What stands in the table is not what CONTRACT 3 promises."""


def _is(name, wanted):
    """Qualified names exist from 3.11 on; before, the plain name is all there is."""
    return name == wanted or name == wanted.rsplit(".", 1)[-1]


def _file_is(name, wanted):
    return wanted is None or name == str(wanted) or os.path.basename(name) == str(wanted)


def _only(found, wanted):
    assert found, "nothing is said of %r" % (wanted,)
    assert len(found) == 1, "%r stands there %d times: %r" % (wanted, len(found), found)
    return found[0]


def parse_tables(text):
    """Every line of profiler.json must belong to a whole dump."""
    tables, state, rows, verdicts, memory = [], "header", [], [], []
    for line in text.splitlines():
        if state == "header":
            if line.rstrip() != HEADER:
                raise TableError("not the header: %r" % line)
            state, rows, verdicts, memory = "dashes", [], [], []
            continue
        if state == "dashes":
            if line.rstrip() != DASHES:
                raise TableError("not the dashed line: %r" % line)
            state = "rows"
            continue
        trailer = _TRAILER.fullmatch(line)
        if trailer:
            t = trailer.groupdict()
            tables.append(Table(rows, verdicts, memory, int(t["time"]), int(t["functions"]), int(t["used"]),
                                int(t["capacity"]), int(t["pid"]) if t["pid"] else None, int(t["lost"] or 0)))
            state = "header"
            continue
        row = _ROW.fullmatch(line)
        if row and not verdicts and not memory:
            r = row.groupdict()
            rows.append(Row(r["function"], int(r["count"]), float(r["total_mb"]), int(r["samples"]),
                            float(r["sample_mb"]), 0 if r["line"] == "-" else int(r["line"]), float(r["freed_mb"]),
                            None if r["retention"] == "-" else float(r["retention"][:-1]), r["file"]))
        elif line.startswith("MEMORY   "):
            memory.append(line)
        elif memory:
            raise TableError("a verdict behind the memory: %r" % line)
        else:
            verdicts.append(line)
    if state != "header":
        raise TableError("the last dump has no trailer")
    return tables


@dataclass
class Dump:
    """The documents of one process at one moment."""

    pid: int
    number: int
    functions: list
    process: dict

    def document(self, function, file=None):
        return _only(self.documents(function, file), function)

    def documents(self, function, file=None):
        return [d for d in self.functions if _is(d["function"], function) and _file_is(d["file"], file)]


def parse_documents(text):
    dumps = {}
    for line in text.split("\n")[:-1]:  # and not splitlines: a name may hold U+2028
        try:
            document = json.loads(line)
        except ValueError as error:
            raise AssertionError("%s in %r" % (error, line[-3000:])) from None
        assert isinstance(document, dict), line
        key = document["process.pid"], document["dump"]
        dump = dumps.setdefault(key, Dump(key[0], key[1], [], {}))
        if document["kind"] == "process":
            assert not dump.process, "two process documents in one dump"
            dump.process = document
        elif document["kind"] == "function":
            dump.functions.append(document)
    return list(dumps.values())


class Run:
    def __init__(self, folder, log_dir, argv, process):
        self.folder, self.log_dir, self.argv, self.process = folder, log_dir, argv, process
        self.pid = process.pid
        self.status = self.stdout = self.stderr = None

    # How it ends

    def finish(self, timeout=60, input=None):
        try:
            self.stdout, self.stderr = self.process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            seen = watchdog.stacks(self.process.pid)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.stdout, self.stderr = self.process.communicate()
            raise AssertionError("hung: not done after %d s: %r\n%s\n%s\n%s"
                                 % (timeout, self.argv, self.stdout[-2000:], self.stderr[-2000:], seen)) from None
        self.status = self.process.returncode
        return self

    def check(self, status=0):
        """The program itself went well."""
        assert self.status == status, "status %r\nstdout: %s\nstderr: %s\n%s" % (
            self.status, self.stdout[-2000:], self.stderr[-4000:],
            watchdog.crash(self.folder, self.argv[0]) if self.status < 0 else "")
        return self

    # What it wrote

    def text(self, name):
        path = self.log_dir / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def banner(self):
        """Lines of ours on stderr."""
        return [line for line in self.stderr.splitlines() if line.startswith("[trackleak]")]

    @property
    def tables(self):
        return parse_tables(self.text("profiler.json"))

    @property
    def dumps(self):
        return parse_documents(self.text("profiler.jsonl"))

    @property
    def table(self):
        tables = self.tables
        assert tables, "no dump: profiler.json is empty"
        return tables[-1]

    @property
    def dump(self):
        dumps = self.dumps
        assert dumps, "no dump: profiler.jsonl is empty"
        return dumps[-1]

    def dumps_of(self, pid):
        return [dump for dump in self.dumps if dump.pid == pid]

    def row(self, function, file=None):
        return self.table.row(function, file)

    def document(self, function, file=None):
        return self.dump.document(function, file)

    def snapshot(self, pid=None):
        with open(self.log_dir / ("snapshot-%d.json" % (pid or self.pid)), encoding="utf-8") as file:
            return json.load(file)

    @property
    def events(self):
        return [json.loads(line) for line in self.text("events.log").splitlines()]

    def report(self):
        """Everything, for a test that failed."""
        parts = ["argv: %r  status: %r  folder: %s" % (self.argv, self.status, self.folder)]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                parts.append("-- %s\n%s" % (name, text[-3000:]))
        if self.log_dir and self.log_dir.is_dir():
            for path in sorted(self.log_dir.iterdir()):
                if path.is_file():
                    text = path.read_text(encoding="utf-8", errors="replace")
                    parts.append("-- %s (%d bytes)\n%s" % (path.name, len(text), text[-3000:]))
        return "\n".join(parts)


def environment(settings, extra=None):
    """The test's own environment without anything that steers Python or us, and with these settings."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("PYTHON", "LD_", "MALLOC_") + _OTHER_NAMES)}
    for name, value in settings.items():
        if value is not None:
            clean[name if name.startswith(_OTHER_NAMES) else "TRACKLEAK_" + name] = str(value)
    clean["PYTHONDONTWRITEBYTECODE"] = "1"
    clean.update({k: str(v) for k, v in (extra or {}).items()})
    return clean


def line_of(script, mark):
    """The number of the one line of the script that ends in `# mark`."""
    found = [n for n, line in enumerate(script.splitlines(), 1) if line.endswith("# " + mark)]
    assert len(found) == 1, "%d lines are marked %r" % (len(found), mark)
    return found[0]


def new_folder():
    return Path(tempfile.mkdtemp(prefix="run-", dir=base_folder))


def start(python, script, args=(), settings=None, env=None, name="program.py", python_args=(), files=None,
          library=LIBRARY, preload_first=(), preload_also=(), **popen):
    """Starts the script (a Path, or its text) and returns a Run that is still going.

    python: an Interpreter, or a list that is the start of an argv (a program that is not Python).
    settings: a value of None takes a default setting away. files: {name: text} to lay beside the script.
    library: None runs without the agent. preload_first, preload_also: more libraries, preloaded before and after it.
    """
    folder = new_folder()
    settings = {**DEFAULTS, **(settings or {})}
    log_dir = Path(settings.setdefault("LOG_DIR", folder / "log") or folder / "log")
    for file, text in (files or {}).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    arguments = list(python_args)
    if isinstance(script, str):
        (folder / name).write_text(script, encoding="utf-8")
        arguments.append(name)
    elif script is not None:
        arguments.append(str(script))
    arguments += [str(argument) for argument in args]
    preload = [*preload_first, *([library] if library else []), *preload_also]
    preload = ":".join(str(path) for path in preload) or None
    if isinstance(python, (list, tuple)):
        argv, extra = [str(p) for p in python] + arguments, {"LD_PRELOAD": preload} if preload else {}
    else:
        argv, extra = python.command(preload, arguments)
    popen.setdefault("stdin", subprocess.DEVNULL)
    popen.setdefault("cwd", folder)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                               env=environment(settings, {**(env or {}), **extra}), start_new_session=True, **popen)
    run = Run(folder, log_dir, argv, process)
    runs.append(run)
    return run


def profile(python, script, args=(), settings=None, timeout=60, input=None, **more):
    """Runs to the end; see start(). The status is the program's: check it where it matters (`.check()`)."""
    if input is not None:
        more["stdin"] = subprocess.PIPE
    return start(python, script, args, settings, **more).finish(timeout, input)


def stacks_of(snapshot, leaf):
    """The live stacks that end in this function, as names, innermost first."""
    found = []
    for stack in snapshot["stacks"]:
        names, at = [], stack["frame"]
        while at:
            parent, site, _line, *named = snapshot["frames"][at]
            names.append(named[0] if named else snapshot["functions"][site]["function"])
            at = parent
        if names and _is(names[0], leaf):
            found.append(names)
    return found


def forget_runs():
    """Before each test; what a passed test wrote is not kept."""
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.communicate()
        shutil.rmtree(run.folder, ignore_errors=True)
    runs.clear()
