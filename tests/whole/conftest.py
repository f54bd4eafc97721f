"""Fixtures of the whole tests: the library, the interpreters, the compiled targets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import harness  # noqa: E402
import interpreters  # noqa: E402
import watchdog  # noqa: E402
from packages import Missing, folder_with  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_configure(config):
    watchdog.keep_cores()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    if not harness.LIBRARY.exists() and not hasattr(config, "workerinput"):
        subprocess.run(["make", "-C", str(harness.ROOT), "build"], check=True)


def pytest_report_header(config):
    found = " ".join(i.name for i in interpreters.selected()) or "none"
    missing = " ".join(interpreters.missing_minors()) or "none"
    return ["interpreters: %s; minors missing on this machine: %s" % (found, missing),
            "library: %s" % harness.LIBRARY]


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long") or "long" in (config.getoption("-m") or ""):
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long: run with --long"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for number, run in enumerate(harness.runs[-4:]):
            report.sections.append(("run %d" % number, run.report()))


@pytest.fixture(autouse=True, scope="session")
def _folder_of_runs(tmp_path_factory):
    harness.base_folder = tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def _runs():
    yield
    harness.forget_runs()


def _params(found):
    return [pytest.param(i, id=i.name) for i in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason="no CPython 3.8 or later was found"))]


def pytest_generate_tests(metafunc):
    """python: every interpreter. few_pythons: one of each kind, for what takes long; TRACKLEAK_TEST_PYTHONS=all makes
    it every one, =few makes `python` few too. precise_python: every one that TRACKLEAK_PRECISE=1 has an effect on.
    one_python: the one on PATH, where the version plays no part."""
    ask = os.environ.get("TRACKLEAK_TEST_PYTHONS", "")
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", _params(interpreters.few() if ask == "few" else interpreters.selected()))
    if "few_pythons" in metafunc.fixturenames:
        metafunc.parametrize("few_pythons", _params(interpreters.selected() if ask == "all" else interpreters.few()))
    if "precise_python" in metafunc.fixturenames:
        metafunc.parametrize("precise_python", _params([i for i in interpreters.selected() if i.tells_creations]))
    if "one_python" in metafunc.fixturenames:
        metafunc.parametrize("one_python", _params([interpreters.one()] if interpreters.one() else []))


@pytest.fixture(scope="session")
def library_of_seen_locks():
    """The library with pthread's mutexes, which a preloaded one sees (tests/targets/pthread_lock.h)."""
    library = harness.ROOT / "build/locks/trackleak.so"
    if not library.exists():  # make whole has made it
        subprocess.run(["make", "-s", "-C", str(harness.ROOT), str(library.relative_to(harness.ROOT))], check=True)
    return library


@pytest.fixture(scope="session")
def cc(tmp_path_factory):
    """cc("leaker.c") compiles tests/targets/leaker.c into a program; shared=True into a shared object."""
    folder = tmp_path_factory.mktemp("targets")
    done = {}

    def compile_target(source, *flags, shared=False, name=None):
        key = source, flags, shared, name
        if key not in done:
            output = folder / (name or Path(source).stem + (".so" if shared else ""))
            compiler = "g++" if source.endswith(".cpp") else "cc"
            standard = [] if source.endswith(".cpp") else ["-std=gnu11"]
            # -O1 without tail calls and inlining: the calling places stay what the source shows.
            command = [compiler, *standard, "-O1", "-g", "-fno-builtin", "-fno-optimize-sibling-calls", "-fno-inline",
                       "-Wall", *(["-shared", "-fPIC"] if shared else []), "-o", str(output),
                       str(harness.TARGETS / source), *flags, "-pthread", "-ldl"]
            built = subprocess.run(command, capture_output=True, text=True)
            assert built.returncode == 0, "%s\n%s" % (" ".join(command), built.stderr)
            done[key] = output
        return done[key]

    return compile_target


@pytest.fixture(scope="session")
def packages():
    """packages(python, "numpy") is a folder for PYTHONPATH that holds it, or the test is skipped. Kept in the cache."""

    def install(python, *names):
        try:
            return folder_with(python, *names)
        except Missing as why:
            pytest.skip(str(why))

    return install


@pytest.fixture(scope="session")
def allocations(cc):
    """Environment of a program that imports tests/targets/taken.py."""
    return {"PYTHONPATH": str(harness.TARGETS), "ALLOCATIONS": str(cc("allocations.c", shared=True))}
