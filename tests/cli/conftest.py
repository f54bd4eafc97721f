"""Fixtures of the command's tests: the command, snapshots of known contents, golden reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import snapshots  # noqa: E402
from snapshots import COMMAND, ROOT  # noqa: E402
from terminal import Profiled  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"


def pytest_addoption(parser):
    parser.addoption("--rewrite-golden", action="store_true", help="make what the command prints now the golden output")


@pytest.fixture(scope="session")
def command():
    """command("report", path) runs it and gives the finished process; its stdin is empty, its stdout a pipe."""
    if not COMMAND.exists():
        pytest.skip("./trackleak is not built: its libraries are missing (make deps)")

    def run(*words, env=None, text=True, timeout=60):
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("TRACKLEAK_", "LD_PRELOAD", "PYTHON", "COLUMNS", "MEMORY_PROFILER_", "NOMAD_"))}
        clean.update({"TRACKLEAK_LIBRARY": os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))})
        clean.update(env or {})
        return subprocess.run([str(COMMAND), *map(str, words)], capture_output=True, text=text, timeout=timeout,
                              stdin=subprocess.DEVNULL, env=clean)

    return run


@pytest.fixture
def refused(command):
    """refused(words...) must end with 2 after one line on stderr, which is returned."""

    def run(*words, **more):
        done = command(*words, **more)
        assert done.returncode == 2, (done.returncode, done.stdout[-500:], done.stderr[-500:])
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("trackleak: "), done.stderr
        assert done.stdout == ""
        return done.stderr

    return run


@pytest.fixture
def snapshot(tmp_path):
    """snapshot(document, name=...) writes it and gives its path; without a document, the sample of snapshots.py."""

    def write(document=None, name="snapshot-4711.json"):
        path = tmp_path / name
        path.write_text(json.dumps(document or snapshots.sample()), encoding="utf-8")
        return path

    return write


@pytest.fixture
def golden(request):
    """golden("name.txt", text): is it what stands in tests/golden?"""

    def compare(name, text):
        path = GOLDEN / name
        if request.config.getoption("--rewrite-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return compare


@pytest.fixture
def profiled(tmp_path):
    """profiled(n) starts n processes that seem to be profiled."""
    processes = []

    def start(count=1):
        folder = tmp_path / "logs"
        folder.mkdir(exist_ok=True)
        processes.extend(Profiled(folder) for _ in range(count))
        return processes[-count:] if count > 1 else processes[-1]

    yield start
    for process in processes:
        process.end()
