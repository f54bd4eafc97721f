"""Packages of PyPI for an interpreter of this machine, each set in a folder of the cache. Nothing is installed into the interpreter."""

import fcntl
import os
import subprocess
import sys

import interpreters


class Missing(Exception):
    """They cannot be had; the text says why."""


def folder_with(python, *names):
    """A folder for PYTHONPATH that holds them, by its name one of installed packages. What was made before is taken as it is."""
    folder = interpreters.CACHE / "packages" / ("%s-%s" % (python.name, "-".join(names))) / "site-packages"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            got = subprocess.run(
                [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", "--implementation", "cp",
                 "--python-version", "%d.%d" % python.version[:2],
                 *(["--abi", "cp%d%dt" % python.version[:2]] if python.free_threaded else []),
                 "--target", str(folder) + ".part", *names],
                capture_output=True, text=True, check=False)
            if got.returncode:
                raise Missing("%s cannot be installed for %s: %s"
                              % (" ".join(names), python.name, got.stderr.strip().splitlines()[-1:]))
            os.rename(str(folder) + ".part", folder)
    return str(folder)
