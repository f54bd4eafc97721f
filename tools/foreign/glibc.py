#!/usr/bin/env python3
"""glibc.py LIBRARY: glibc's own tests of malloc, without the library and with it.

Fetches the source (once, checked), builds each malloc/tst-*.c with glibc's test driver against the libc that is installed,
and runs it in four modes: plain (no preload), dormant (preloaded, but the program is not Python), default and exhaustive
(TRACKLEAK_ANY=1, so that we profile it). Each test runs as it is and, where glibc's Makefile does so too, with
MALLOC_CHECK_=3 and with huge pages. The exit status must be the plain run's: 0 passed, 77 not supported, else failed.

A test that differs is run again up to three times both ways: what was seen in both ways is `flaky`. Ends with 1 when
there is a difference that EXPLAINED does not name. Writes OUT/glibc.json and OUT/glibc.md (the table for docs/RELIABILITY.md).
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
import tarfile
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.path.expanduser("~/.cache/trackleak/foreign/glibc"))
VERSION = "2.41"  # of Debian 13
URL = "http://deb.debian.org/debian/pool/main/g/glibc/glibc_%s.orig.tar.xz" % VERSION
SHA256 = "f24aa441021121a79266f0d75242706cab8843a47901fefe74527491807f1998"
SOURCE = CACHE / ("glibc-" + VERSION)
BUILT = CACHE / "built"

ANY = {"TRACKLEAK_ANY": "1", "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "1", "TRACKLEAK_QUIET": "1"}
MODES = {
    "plain": None,
    "dormant": {},
    "default": ANY,
    "exhaustive": {**ANY, "TRACKLEAK_SAMPLE_RATE": "1", "TRACKLEAK_MIN_SIZE": "1", "TRACKLEAK_MAX_OVERHEAD": "0"},
}
DEBUG = "libc_malloc_debug.so.0"
ALIGNED = str(BUILT / "tst-aligned_alloc-lib.so")
VARIANTS = {
    "": {},
    "-malloc-check": {"MALLOC_CHECK_": "3", "LD_PRELOAD": DEBUG},
    "-malloc-hugetlb1": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "-malloc-hugetlb2": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"},
}
# What glibc's malloc/Makefile gives a test of its own (NAME-ENV).
OWN = {
    "tst-malloc-check": VARIANTS["-malloc-check"],
    "tst-malloc-usable": VARIANTS["-malloc-check"],
    "tst-malloc-usable-tunables": {"GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_PRELOAD": DEBUG},
    "tst-mxfast": {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"},
    "tst-compathooks-on": {"LD_PRELOAD": DEBUG},
    "tst-mallocstate": {"LD_PRELOAD": DEBUG},
    "tst-mtrace": {"LD_PRELOAD": DEBUG, "MALLOC_TRACE": "mtrace.out"},
    "tst-dynarray": {"LD_PRELOAD": DEBUG, "MALLOC_TRACE": "mtrace.out"},
    "tst-dynarray-fail": {"LD_PRELOAD": DEBUG, "MALLOC_TRACE": "mtrace.out"},
    **{name: {"LD_PRELOAD": ALIGNED} for name in (
        "tst-aligned-alloc-random", "tst-aligned-alloc-random-thread", "tst-aligned-alloc-random-thread-cross",
        "tst-malloc-random")},
}
# Their leaks are told by reading MALLOC_TRACE's file with the installed mtrace.
TRACED = [name for name, own in OWN.items() if "MALLOC_TRACE" in own]
# A preload does not reach a static program; the others are parts of tests.
NOT_RUN = {"tst-aligned-alloc-static": "static", "tst-interpose-static-nothread": "static",
           "tst-interpose-static-thread": "static"}
PARTS = ["tst-aligned_alloc-lib", "tst-interpose-aux", "tst-interpose-aux-nothread", "tst-interpose-aux-thread",
         "tst-interpose-skeleton"]
# Differences that are understood and cannot be mended: docs/RELIABILITY.md.
EXPLAINED = {
    "tst-mallocfork2": "forks in a signal handler that interrupts malloc, which glibc allows without threads only",
    "tst-compathooks-on": "counts every call in the process: those that libc makes for our dlsym and our thread, too",
}
AGAIN = 3

# glibc's headers expect its own build; outside of it these stand for what is meant.
PRELUDE = """
#include <limits.h>
#define libc_hidden_proto(...)
#define attribute_hidden
#define __attribute_optimization_barrier__ __attribute__((noinline, noclone))
#define __HAVE_64B_ATOMICS 1
#define TIMEOUTFACTOR 1
"""
STUBS = {
    "config.h": "",
    "libc-symbols.h": "",
    "shlib-compat.h": """
#define TEST_COMPAT(library, from, to) 1
#define GLIBC_2_0 "GLIBC_2.2.5"
#define GLIBC_2_24 "GLIBC_2.24"
#define GLIBC_2_25 "GLIBC_2.25"
#define compat_symbol_reference(library, local, name, version) __asm__(".symver " #local "," #name "@" version)
""",
}
FLAGS = ["-std=gnu11", "-O2", "-g", "-w", "-D_GNU_SOURCE", "-D_ISOMAC", "-DTEST_NO_MALLOPT", "-include", BUILT / "prelude.h",
         "-I", BUILT, "-I", SOURCE / "malloc",
         *(part for below in ("", "support", "include", "sysdeps/generic") for part in ("-idirafter", SOURCE / below))]


def fetch():
    if SOURCE.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / URL.rsplit("/", 1)[1]
    with urllib.request.urlopen(URL, timeout=60) as answer:
        archive.write_bytes(answer.read())
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        sys.exit("glibc.py: %s has another checksum than ours" % archive)
    with tarfile.open(archive) as tar:
        tar.extractall(CACHE / "unpacking")
    (CACHE / "unpacking" / SOURCE.name).rename(SOURCE)
    archive.unlink()


def compile_to(target, *arguments):
    done = subprocess.run([os.environ.get("CC", "cc"), *map(str, FLAGS), *map(str, arguments), "-o", str(target)],
                          capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else next((line for line in done.stderr.splitlines() if "error" in line or
                                                 "undefined" in line), done.stderr)


def build(jobs):
    """({test: program}, {test: why not built}): the support library first, as far as it compiles outside of glibc."""
    (BUILT / "support").mkdir(parents=True, exist_ok=True)
    (BUILT / "prelude.h").write_text(PRELUDE)
    for name, text in STUBS.items():
        (BUILT / name).write_text(text)
    paths = ["-D%s=\"/nowhere\"" % name for name in re.findall(
        r"please -D(\w+)=", (SOURCE / "support" / "support_paths.c").read_text())]
    sources = [s for s in sorted((SOURCE / "support").glob("*.c")) if not s.name.startswith(("test-", "tst-"))]
    archive = BUILT / "libsupport.a"

    def support(source):
        compile_to(BUILT / "support" / (source.stem + ".o"), "-c", source, *paths)

    def test(source):
        extra = [BUILT / "tst-interpose-aux-{}.o".format(source.stem.rsplit("-", 1)[1])] \
            if source.stem in ("tst-interpose-thread", "tst-interpose-nothread") else []
        extra += ["-l:" + DEBUG] if source.stem == "tst-mallocstate" else []
        return compile_to(BUILT / source.stem, source, *extra, archive, "-pthread", "-ldl")

    malloc = SOURCE / "malloc"
    with ThreadPoolExecutor(jobs) as pool:
        if not archive.exists():
            list(pool.map(support, sources))
            subprocess.run(["ar", "rcs", archive, *(BUILT / "support").glob("*.o")], check=True)
        for part in "thread", "nothread":
            compile_to(BUILT / ("tst-interpose-aux-%s.o" % part), "-c", malloc / ("tst-interpose-aux-%s.c" % part))
        compile_to(ALIGNED, "-shared", "-fPIC", malloc / "tst-aligned_alloc-lib.c")
        tests = [s for s in [malloc / "mallocbug.c", *sorted(malloc.glob("tst-*.c"))]
                 if s.stem not in PARTS and s.stem not in NOT_RUN]
        errors = list(pool.map(test, tests))
    return {s.stem: BUILT / s.stem for s, e in zip(tests, errors) if not e}, {s.stem: e for s, e in zip(tests, errors) if e}


def excluded(variant):
    """The tests that glibc's own Makefile leaves out of a variant."""
    makefile = (SOURCE / "malloc" / "Makefile").read_text().replace("\\\n", " ")

    def words(name):
        found = re.search(r"^%s = (.*)$" % name, makefile, re.M).group(1).split("#")[0]
        return {w for part in found.split() for w in (words(part[2:-1]) if part.startswith("$(") else {part})}

    listed = words({"-malloc-check": "tests-exclude-malloc-check", "-malloc-hugetlb1": "tests-exclude-hugetlb1",
                    "-malloc-hugetlb2": "tests-exclude-hugetlb2"}[variant])
    return listed | {"tst-scratch_buffer", "tst-dynarray", "tst-dynarray-at-fail", "tst-dynarray-fail", "tst-mtrace"}


def run(name, program, variant, mode, library):
    """(exit status or what happened instead, output)"""
    folder = tempfile.mkdtemp(prefix="tl-")
    try:
        own = {**OWN.get(name, {}), **VARIANTS[variant]}
        preload = ":".join(filter(None, [None if mode == "plain" else str(library), own.get("LD_PRELOAD")]))
        environment = {"PATH": os.environ["PATH"], "TMPDIR": folder, "TIMEOUTFACTOR": "6", **own, "LD_PRELOAD": preload,
                       **(MODES[mode] or {}), "TRACKLEAK_LOG_DIR": folder + "/logs"}
        if not preload:
            del environment["LD_PRELOAD"]
        try:
            with open(folder + "/output", "w+b") as file:
                process = subprocess.Popen([program], env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file,
                                           stderr=subprocess.STDOUT, start_new_session=True)
                status = process.wait(400)
                file.seek(0)
                output = file.read().decode(errors="replace")
        except subprocess.TimeoutExpired:
            return "hung", ""
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        if status == 0 and name in TRACED and shutil.which("mtrace"):
            told = subprocess.run(["mtrace", "mtrace.out"], cwd=folder, capture_output=True, text=True, check=False)
            if told.returncode != 0:
                return "leaks, says mtrace", told.stdout
        return status, output
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description="glibc's own tests of malloc, with the library and without.")
    parser.add_argument("library", type=Path)
    parser.add_argument("--tests", default="", help="only these (default: all)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "foreign")
    options = parser.parse_args()
    library = options.library.resolve(strict=True)
    fetch()
    programs, broken = build(options.jobs)
    wanted = options.tests.split() or list(programs)
    runs = [(name, programs[name], variant) for variant in VARIANTS for name in programs
            if name in wanted and not (variant and name in excluded(variant))]

    def all_modes(task):
        seen = {mode: [run(*task, mode, library)] for mode in MODES}
        for mode in MODES:
            for _ in range(0 if task[0] in EXPLAINED else AGAIN):
                if {status for status, _ in seen[mode]} & {status for status, _ in seen["plain"]}:
                    break
                seen["plain"].append(run(*task, "plain", library))
                seen[mode].append(run(*task, mode, library))
        return seen

    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(((name + variant) for name, _, variant in runs), pool.map(all_modes, runs)))

    record, counts, is_same = {}, {mode: {"passed": 0, "unsupported": 0, "failed": 0, "flaky": 0, "explained": 0, "different": 0}
                                   for mode in MODES}, True
    for name, seen in results.items():
        plain = [status for status, _ in seen["plain"]]
        for mode, outcomes in seen.items():
            statuses = [status for status, _ in outcomes]
            kind = {0: "passed", 77: "unsupported"}.get(statuses[0], "failed")
            counts[mode][kind] += 1
            if not set(statuses) & set(plain):
                is_known = name in EXPLAINED
                counts[mode]["explained" if is_known else "different"] += 1
                is_same &= is_known
                print("different %s %s: plain %s, with us %s\n%s" % (name, mode, plain, statuses, outcomes[-1][1][-500:]))
            elif statuses[0] != plain[0]:
                counts[mode]["flaky"] += 1
                print("flaky %s %s: plain %s, with us %s" % (name, mode, plain, statuses))
            elif kind == "failed" and mode == "plain":
                print("fails without us %s: %s\n%s" % (name, plain, outcomes[0][1][-500:]))
        record[name] = {mode: [status for status, _ in outcomes] for mode, outcomes in seen.items()}
    for name, why in broken.items():
        print("not built %s: %s" % (name, why))
    table = "\n".join(["| mode | runs | passed | unsupported | failed | flaky | explained | different |", "|---|---|---|---|---|---|---|---|",
                       *("| %s | %d | %s |" % (mode, len(results), " | ".join(map(str, c.values())))
                         for mode, c in counts.items())])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "glibc.json").write_text(json.dumps(
        {"version": VERSION, "results": record, "not built": broken, "not run": NOT_RUN}, indent=1))
    (options.out / "glibc.md").write_text(table + "\n")
    print(table)
    return not is_same


if __name__ == "__main__":
    sys.exit(main())
