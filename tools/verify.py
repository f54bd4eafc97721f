#!/usr/bin/env python3
"""verify.py: holds the built library to its promises, by readelf.

It links libc and nothing else; it exports only what tools/exports.map lists; all it takes from outside is libc's, and
of a glibc no newer than printed. Both ./trackleak.so and what the plain command line gives are looked at.
"""

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBC = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
# What a linker leaves undefined and weak in every shared object; nobody needs to have them.
HARMLESS = {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__cxa_finalize"}
PLAIN = "-shared -fPIC -O2 -o build/plain.so trackleak.c -ldl -pthread"


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def allowed_exports():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "tools/exports.map").read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"[\w*]+(?=;)", text[text.index("global:"):text.index("local:")])


def symbols(library):
    """(name, version or None, is_defined, is_weak)"""
    for line in readelf("--dyn-syms", library).splitlines():
        words = line.split()
        if len(words) < 8 or not words[0].rstrip(":").isdigit() or words[4] not in ("GLOBAL", "WEAK"):
            continue
        name, _, version = words[7].partition("@")
        yield name, version.lstrip("@") or None, words[6] != "UND", words[4] == "WEAK"


def look(library, problems):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", library))
    exported, newest = [], (0,)
    for name, version, is_defined, is_weak in symbols(library):
        if is_defined:
            exported.append(name)
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_exports()):
                problems.append("%s exports %s, which is not in tools/exports.map" % (library, name))
        elif version and version.startswith("GLIBC_"):
            number = version[len("GLIBC_"):]
            if not re.fullmatch(r"[\d.]+", number):
                problems.append("%s needs %s of %s" % (library, name, version))
                continue
            newest = max(newest, tuple(int(part) for part in number.split(".")))
        elif not (is_weak and name in HARMLESS):
            problems.append("%s needs %s, which is not libc's" % (library, name))
    problems += ["%s is linked with %s" % (library, name) for name in needed if name not in LIBC]
    print("%s" % library)
    print("  linked with   %s" % (" ".join(needed) or "nothing"))
    print("  exports       %s" % " ".join(sorted(exported)))
    print("  needs         glibc %s or newer" % ".".join(map(str, newest)))


def main():
    os.chdir(ROOT)
    problems = []
    os.makedirs("build", exist_ok=True)
    subprocess.run([os.environ.get("CC", "cc"), *PLAIN.split()], check=True)
    for library in ("trackleak.so", "build/plain.so"):
        look(library, problems)
    if "NOW" not in readelf("-d", "trackleak.so"):
        problems.append("trackleak.so is bound lazily")
    if re.search(r"GNU_STACK.*RWE", readelf("-l", "trackleak.so")):
        problems.append("trackleak.so wants an executable stack")
    for problem in problems:
        print("verify: %s" % problem, file=sys.stderr)
    print("verify: %s" % ("%d problems" % len(problems) if problems else "all as promised"))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
