"""What a server of Elastic's own making says of us: mock-es, which their Beats are tested with, keeps its own counts.

It is built by Go, at one version, into the cache; without Go these tests are left out.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_es import finish, folder, queued, start  # noqa: F401

VERSION = "v0.0.0-20250530054253-8c3b6053f9b6"
CACHE = Path.home() / ".cache/trackleak/mock-es"


@pytest.fixture(scope="session")
def program():
    path = CACHE / VERSION / "mock-es"
    if not path.exists():
        if not shutil.which("go"):
            pytest.skip("there is no Go, which builds mock-es")
        # In a module of its own: `go install ...@VERSION` asks for a list of versions, and proxies may have none.
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "go.mod").write_text("module mock\n\ngo 1.22\n\nrequire github.com/elastic/mock-es %s\n" % VERSION)
        done = subprocess.run(["go", "install", "-mod=mod", "github.com/elastic/mock-es/cmd/mock-es"], cwd=path.parent,
                              env={**os.environ, "GOBIN": str(path.parent)}, capture_output=True, text=True)
        if done.returncode:
            pytest.skip("mock-es cannot be built: %s" % done.stderr.strip()[-300:])
    return path


class Mock:
    """mock-es on loopback; the odds are per cent."""

    kind, secure = "mock", False

    def __init__(self, program, folder, **odds):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % unused.getsockname()[1]
        self.url, self.metrics = "http://" + address, folder / "metrics"
        with open(self.metrics, "w") as output:
            self.process = subprocess.Popen(
                [str(program), "-addr", address, "-metrics", "100ms", "-history", "10000",
                 *[word for name, odd in odds.items() for word in ("-" + name, str(odd))]], stdout=output)

    def __enter__(self):
        for _ in range(100):
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError("mock-es does not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def counts(self):
        """What it answered, by its own count: documents, and requests for too_large."""
        time.sleep(0.5)  # it writes them every 100 ms
        last = json.loads(self.metrics.read_text().splitlines()[-1])
        names = ("ok", "duplicate", "too_many", "non_index", "too_large")
        return SimpleNamespace(**{name: last.get("bulk.create." + name, {}).get("count", 0) for name in names})

    def ids(self):
        """The id of each document that it has read, in order: as often as it was sent."""
        with urllib.request.urlopen(self.url + "/_history", timeout=5) as answer:
            bodies = [request["body"] for request in json.load(answer) if request["method"] == "POST"]
        found, decoder = [], json.JSONDecoder()
        for body in bodies:  # without its newlines
            at = 0
            while at < len(body):
                action, at = decoder.raw_decode(body, at)
                _, at = decoder.raw_decode(body, at)
                found.append(action["create"]["_id"])
        return found


def lost(stderr):
    return int(([0] + re.findall(r"documents lost: (\d+) of", stderr))[-1])


def test_documents_that_are_put_off_refused_or_there_already(program, folder):  # noqa: F811
    with Mock(program, folder, dup=10, toomany=20, nonindex=10) as mock:
        stderr = finish(start(mock, folder, 6))
        counts, ids = mock.counts(), mock.ids()
    wanted = queued(folder)
    assert set(ids) == set(wanted) and len(wanted) > 100
    assert counts.duplicate and counts.too_many and counts.non_index
    assert len(ids) == counts.ok + counts.duplicate + counts.too_many + counts.non_index
    assert lost(stderr) == len(wanted) - counts.ok - counts.duplicate
    # Those put off were sent again, but for what the flush at the end had no time for.
    assert len(ids) - len(wanted) == counts.too_many - (lost(stderr) - counts.non_index)
    assert len(re.findall("documents are refused", stderr)) == 1


def test_requests_that_are_too_large(program, folder):  # noqa: F811
    with Mock(program, folder, toolarge=40) as mock:
        stderr = finish(start(mock, folder, 4))
        counts, ids = mock.counts(), mock.ids()
    wanted = queued(folder)
    assert counts.too_large and len(wanted) > 50
    assert len(set(ids)) == len(ids) == counts.ok, "each once"
    assert set(ids) <= set(wanted) and lost(stderr) == len(wanted) - counts.ok
