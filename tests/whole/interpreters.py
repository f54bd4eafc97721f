"""The CPython interpreters of this machine, and how each is started with a library preloaded.

Looked for: python3 and python3.X in every folder of PATH, pyenv's versions, those that `make pythons` unpacked from
Debian's other suites, and the free-threaded one of `make python-freethreaded`. One real executable counts once.
Needs nothing but the standard library; `python3 interpreters.py` prints what it found.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OLDEST, NEWEST = (3, 8), (3, 15)
CACHE = Path(os.path.expanduser("~/.cache/trackleak"))
UNPACKED = Path(os.environ.get("TRACKLEAK_PYTHONS") or CACHE / "pythons")
FREE_THREADED = CACHE / "freethreaded" / "bin" / "python3"

# Debian's static build says Py_ENABLE_SHARED = 1: only the maps tell the truth.
_PROBE = """
import json, sys, sysconfig
maps = open("/proc/self/maps").read()
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "shared": "/libpython" in maps,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "include": sysconfig.get_path("include"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    name: str  # unique among those found: "3.11.7-shared"; also the test's id
    path: str  # what is started: the real executable, or the wrapper script
    version: tuple  # (3, 11, 7)
    shared: bool  # libpython3.X.so; False: CPython is inside the executable
    free_threaded: bool
    wrapper: bool  # brings its own loader and libc, and takes the preload as an option
    include: str  # folder that holds Python.h, if its headers are installed

    @property
    def minor(self):
        return self.version[1]

    @property
    def has_headers(self):
        return os.path.exists(os.path.join(self.include, "Python.h"))

    @property
    def libc_sees_objects(self):
        """Do blocks over 512 bytes reach libc's malloc? Free-threaded builds have mimalloc."""
        return not self.free_threaded

    @property
    def tells_creations(self):
        """Can TRACKLEAK_PRECISE=1 have an effect?"""
        return self.version >= (3, 13) and not self.free_threaded

    def command(self, library, arguments):
        """(argv, extra environment) that runs `arguments` with `library` preloaded; None: without it.

        Several libraries: one string, separated by colons.
        """
        arguments = [str(argument) for argument in arguments]
        if library is None:
            return [self.path, *arguments], {}
        if self.wrapper:  # its shell must not load what is meant for Python
            return [self.path, "--preload", str(library), *arguments], {}
        return [self.path, *arguments], {"LD_PRELOAD": str(library)}


def _candidates():
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if not folder or not os.path.isdir(folder):
            continue
        for entry in sorted(os.listdir(folder)):
            if re.fullmatch(r"python3(\.\d+t?)?", entry):
                yield os.path.join(folder, entry), False
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
        for executable in sorted(Path(root).glob("versions/*/bin/python3")):
            yield str(executable), False
    for executable in sorted(UNPACKED.glob("*/python")):
        yield str(executable), True
    if FREE_THREADED.exists():
        yield str(FREE_THREADED), False


def _probe(executable):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LD_"))}
    try:
        done = subprocess.run([executable, "-I", "-c", _PROBE], capture_output=True, text=True,
                              timeout=60, env=environment, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # a pyenv shim of a version that is not selected, a broken link


@lru_cache(maxsize=None)
def find_all():
    """Every CPython of 3.8 and later, oldest first."""
    found = {}
    for executable, wrapper in _candidates():
        facts = _probe(executable)
        if not facts or facts["implementation"] != "cpython" or tuple(facts["version"]) < OLDEST:
            continue
        real = os.path.realpath(facts["executable"])
        if real in found:
            continue
        version = tuple(facts["version"])
        name = "%d.%d.%d-" % version + ("shared" if facts["shared"] else "static")
        name += "-freethreaded" if facts["free_threaded"] else ""
        if any(name == other.name for other in found.values()):
            name += "-%d" % len(found)
        found[real] = Interpreter(
            name=name, path=executable if wrapper else real, version=version, shared=facts["shared"],
            free_threaded=facts["free_threaded"], wrapper=wrapper, include=facts["include"])
    return tuple(sorted(found.values(), key=lambda i: (i.version, not i.shared, i.name)))


def selected():
    """Those that PYTHON_VERSION (3.12, 3.11.7) leaves, else all."""
    wanted = os.environ.get("PYTHON_VERSION", "").split(".")
    if wanted == [""]:
        return find_all()
    return tuple(i for i in find_all() if [str(part) for part in i.version[: len(wanted)]] == wanted)


def few():
    """One of each kind that differs in what the agent must do: for tests that take long."""
    kept = []

    def keep(accept):
        for interpreter in reversed(selected()):
            if accept(interpreter):
                if interpreter not in kept:
                    kept.append(interpreter)
                return

    keep(lambda i: not i.free_threaded)  # the newest
    keep(lambda i: i.minor == 13 and i.shared and not i.free_threaded)
    keep(lambda i: i.minor == 11 and not i.shared)
    keep(lambda i: i.minor == 11 and i.shared)
    keep(lambda i: i.minor == 8)
    if not kept:
        kept.extend(selected()[:1])
    return tuple(sorted(kept, key=lambda i: (i.version, not i.shared, i.name)))


def one():
    """The interpreter of tests in which the version plays no part: `python3` on PATH if it will do."""
    facts = _probe(shutil.which("python3") or sys.executable)
    real = os.path.realpath(facts["executable"]) if facts else None
    choice = selected()
    for interpreter in choice:
        if interpreter.path == real:
            return interpreter
    return choice[0] if choice else None


def missing_minors():
    there = {i.minor for i in find_all()}
    return ["3.%d" % minor for minor in range(OLDEST[1], NEWEST[1] + 1) if minor not in there]


if __name__ == "__main__":
    for interpreter in find_all():
        print("%-28s %s%s" % (interpreter.name, interpreter.path, " (wrapper)" if interpreter.wrapper else ""))
    print("few:", " ".join(i.name for i in few()))
    print("one:", one().name if one() else "none")
    print("missing:", " ".join(missing_minors()) or "none")
