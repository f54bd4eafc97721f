"""peers: gets what we are compared with, into the cache, and says in one line what cannot be had.

A package of PyPI gets a folder of its own for each interpreter, by pip's --target: so peers cannot disturb one
another, and an interpreter without ensurepip will do (pip is the one that runs the benchmarks).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from running import Failed, last_line

CACHE = Path(os.path.expanduser("~/.cache/trackleak"))
HERE = Path(__file__).resolve().parent


def tell(line):
    print(line, file=sys.stderr, flush=True)


def call(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed(last_line(done.stderr or done.stdout, "%s ends with %d" % (command[0], done.returncode)))
    return done.stdout


def from_pypi(interpreter, name, requirements):
    """The folder for PYTHONPATH that holds the requirements; made once."""
    folder = CACHE / ("bench-" + interpreter.name) / name
    ready = folder / ("ready-" + hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12])
    if not ready.exists():
        tell("  pip     %s, for %s" % (name, interpreter.name))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        call([sys.executable, "-m", "pip", "--python", interpreter.path, "install", "--quiet",
              "--disable-pip-version-check", "--no-compile", "--no-warn-script-location", "--root-user-action=ignore",
              "--target", folder, *requirements])
        ready.touch()
    return folder


def versions(interpreter):
    """{package: version} of what compare.py has from PyPI for this interpreter."""
    found = (CACHE / ("bench-" + interpreter.name)).glob("*/*.dist-info")
    return dict(sorted(path.stem.split("-")[:2] for path in found if path.name.startswith(path.parent.name + "-")))


def from_debian(package, pattern):
    """A file of a Debian package: the system's own, else of the package unpacked into the cache, without root."""
    for root in (Path("/"), CACHE / "bench-debian" / package):
        for found in sorted(root.glob(pattern)):
            return found
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Failed("%s is not installed, and there is no apt-get to fetch it with" % package)
    root.mkdir(parents=True, exist_ok=True)
    tell("  apt     %s" % package)
    call(["apt-get", "download", "-qq", package], cwd=root)
    for archive in root.glob("*.deb"):
        call(["dpkg-deb", "-x", archive, root])
        archive.unlink()
    for found in sorted(root.glob(pattern)):
        return found
    raise Failed("%s has no %s" % (package, pattern))


def compiled(source, output, *flags):
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        raise Failed("no compiler (%s)" % compiler)
    call([compiler, "-O2", *flags, "-o", output, HERE / source])
    return output


def forwarder(parts, folder):
    """A library that only hands calls on: the floor. `parts`: the FORWARD_ macros of forward.c."""
    return compiled("forward.c", folder / ("forward-%s.so" % "-".join(parts)), "-shared", "-fPIC", "-fvisibility=hidden",
                    "-Wl,-z,now", *["-fno-builtin-" + f for f in ("malloc", "calloc", "realloc", "free")],
                    *["-DFORWARD_" + part for part in parts], "-ldl")
