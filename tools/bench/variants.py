"""variants: under what a workload is run: nothing, us, the floor, our peers.

Each is a function that gets it ready for an interpreter and gives a How, or raises Failed with the reason why it cannot
be had here. `left` names what a run must leave behind: a profiler that was silently off is no measurement.
"""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import peers
from running import Failed

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/whole"))

import interpreters  # noqa: E402, F401

LIBRARY = Path(os.environ.get("TRACKLEAK_LIBRARY") or ROOT / "trackleak.so").resolve()
SILENT = ("TRACKLEAK_", "LD_", "PYTHON", "DD_", "MALLOC_", "_RJEM", "MEMORY_PROFILER", "ENABLE_ELASTIC")
# The slow ones do a fifth of the work, and so does the plain run beside each.
SLOW = 0.2


@dataclass(frozen=True)
class How:
    settings: dict = field(default_factory=dict)
    preload: object = None
    module: tuple = ()  # arguments between interpreter and program
    left: str = ""  # glob, in the folder of the run
    share: float = 1  # of the work

    def start(self, interpreter, program):
        """(command, environment); the interpreter None: a C program."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(SILENT)}
        environment.update(self.settings)
        if interpreter is None:
            return [*program], {**environment, **({"LD_PRELOAD": str(self.preload)} if self.preload else {})}
        command, more = interpreter.command(self.preload, [*self.module, *program])
        return command, {**environment, **more}


def ours(share=1, left="snapshot-*.json", **settings):
    words = {"QUIET": "1", "STARTUP_DELAY": "0", "LOG_DIR": ".", **settings}
    return lambda interpreter, folder: How({"TRACKLEAK_" + k: v for k, v in words.items()}, LIBRARY, left=left,
                                           share=share)


def tracemalloc(frames):
    return lambda interpreter, folder: How({"PYTHONTRACEMALLOC": frames}, share=SLOW)


def memray(*options):
    def ready(interpreter, folder):
        path = peers.from_pypi(interpreter, "memray", ["memray"])
        return How({"PYTHONPATH": str(path)}, left="out.memray", share=SLOW,
                   module=("-m", "memray", "run", "-q", "-f", "-o", "out.memray", *options))
    return ready


def scalene(interpreter, folder):
    if interpreter.wrapper:
        raise Failed("it starts the interpreter anew by its own path, which has no libc of its own here")
    path = peers.from_pypi(interpreter, "scalene", ["scalene"])
    return How({"PYTHONPATH": str(path)}, left="scalene.json", share=SLOW,
               module=("-m", "scalene", "run", "--memory", "-o", "scalene.json"))


def ddtrace(interpreter, folder):
    path = peers.from_pypi(interpreter, "ddtrace", ["ddtrace"])
    off = ("TRACE", "INSTRUMENTATION_TELEMETRY", "REMOTE_CONFIGURATION", "CRASHTRACKING", "PROFILING_STACK",
           "PROFILING_LOCK", "RUNTIME_METRICS")
    return How({"PYTHONPATH": "%s:%s" % (path / "ddtrace/bootstrap", path), "DD_PROFILING_ENABLED": "true",
                "DD_PROFILING_HEAP_ENABLED": "true", "DD_PROFILING_OUTPUT_PPROF": "./pprof",
                **{"DD_%s_ENABLED" % name: "false" for name in off}}, left="pprof*")


def jemalloc(profiles):
    def ready(interpreter, folder):
        library = peers.from_debian("libjemalloc2", "usr/lib/*/libjemalloc.so.2")
        options = "prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:jeprof" if profiles else ""
        return How({"MALLOC_CONF": options, "PYTHONMALLOC": "malloc"}, library,
                   left="jeprof*.heap" if profiles else "")
    return ready


def forward(*parts):
    return lambda interpreter, folder: How(preload=peers.forwarder(parts if interpreter else ("LIBC",), folder))


NONE = How()
VARIANTS = {
    "default": ours(),
    "dormant": ours(STARTUP_DELAY="3600", left=""),
    "PYTHON=0": ours(PYTHON="0"),
    "NATIVE=1": ours(NATIVE="1"),
    "forwarder": forward("LIBC", "BIRTHS", "DEATHS"),
    "ddtrace": ddtrace,
    "jemalloc": jemalloc(False),
    "jemalloc prof": jemalloc(True),
    "exhaustive": ours(SLOW, SAMPLE_RATE="1", MIN_SIZE="1"),
    "tracemalloc 1": tracemalloc("1"),
    "tracemalloc 25": tracemalloc("25"),
    "memray": memray(),
    "memray python": memray("--trace-python-allocators"),
    "memray aggregate": memray("--trace-python-allocators", "--aggregate"),
    "scalene": scalene,
    "both": forward("BIRTHS", "DEATHS"),
    "births": forward("BIRTHS"),
    "deaths": forward("DEATHS"),
}
ON_REQUEST = ("both", "births", "deaths")  # parts of the floor: CPython's domains alone, and one side of them
SERVES_C = ("default", "dormant", "NATIVE=1", "exhaustive", "forwarder", "jemalloc", "jemalloc prof")


def wanted(parser, names):
    """The variants that an option names, separated by commas."""
    found = names.split(",")
    unknown = [name for name in found if name not in VARIANTS]
    if unknown:
        parser.error("no variant %s; there are %s" % (unknown[0], ", ".join(VARIANTS)))
    return found


def choose(names):
    """The interpreters of these names on PATH, paths, names or parts of the names that tests/whole/interpreters.py gives."""
    there, found = interpreters.find_all(), []
    for name in names or ["python3"]:
        paths = [name]
        if shutil.which(name):  # which may be a shim of another one
            try:
                paths.append(os.path.realpath(peers.call([name, "-c", "import sys; print(sys.executable)"]).strip()))
            except Failed:
                pass
        fitting = ([i for i in there if i.path in paths] or [i for i in there if i.name == name] or
                   [i for i in there if name in i.name])
        if not fitting:
            sys.exit("bench: no interpreter %s; there are %s" % (name, ", ".join(i.name for i in there)))
        found += [i for i in fitting if i not in found]
    return found
