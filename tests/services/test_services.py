"""Real services under load with the agent preloaded: the same answers as without it, no error, no leak of our own; workers
recycled, killed, reloaded. `make test-services` makes the interpreter with the packages; SECONDS is how long each takes."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "whole"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))

from harness import LIBRARY, environment, parse_documents, parse_tables  # noqa: E402
from run import slope  # noqa: E402
from services import QUESTIONS, work  # noqa: E402

PYTHON = os.environ["SERVICES_PYTHON"]
SECONDS = float(os.environ["SECONDS"])
HERE = Path(__file__).parent
# Bytes that our own memory may grow by in one process, over the second half of its life; ten seconds are all warm-up.
MOST_GROWTH = 256 * 1024 if SECONDS >= 60 else 1024 * 1024
SETTINGS = {"STARTUP_DELAY": 0, "DUMP_INTERVAL": 1, "QUIET": 1}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """One process and its workers, with the agent or without; `folder` is where it runs and logs."""

    def __init__(self, folder, arguments, library=LIBRARY):
        self.folder, self.log_dir = folder, folder / "log"
        for name in ("queue", "results"):  # celery's
            (folder / name).mkdir(exist_ok=True)
        preload = {"LD_PRELOAD": str(library)} if library else {}
        self.output = open(folder / "output", "ab")
        self.process = subprocess.Popen(
            [PYTHON, *map(str, arguments)], cwd=folder, stdout=self.output, stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment({**SETTINGS, "LOG_DIR": self.log_dir}, {"PYTHONPATH": HERE, **preload}))

    def text(self):
        return (self.folder / "output").read_text(errors="replace")

    def workers(self):
        """Those that any of its threads has forked: celery's pool is filled up by a thread."""
        found = []
        for children in Path("/proc/%d/task" % self.process.pid).glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                pass  # the thread has ended meanwhile
        return sorted(found)

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            pytest.fail("hung: it did not end within 60 s\n" + self.text()[-3000:])
        finally:
            self.kill()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()


@pytest.fixture
def start(tmp_path):
    services = []

    def start_one(arguments, **more):
        services.append(Service(tmp_path, arguments, **more))
        return services[-1]

    yield start_one
    for service in services:
        service.kill()


def check_profile(service):
    """What the agent left behind is whole, says nothing but figures, and its own memory was flat in every process."""
    assert "[trackleak]" not in service.text(), service.text()[-3000:]
    assert parse_tables((service.log_dir / "profiler.json").read_text())
    sizes = {}
    for path in service.log_dir.glob("profiler.jsonl*"):
        for dump in parse_documents(path.read_text()):
            if not dump.process:
                continue  # it ends in the next file, or its process was killed in the middle of it
            sizes.setdefault(dump.pid, []).append((dump.process["elapsed_seconds"], dump.process["agent_bytes"]))
    for path in service.log_dir.glob("snapshot-*.json"):
        assert json.loads(path.read_text())["format"] == "trackleak-snapshot"
    for pid, points in sizes.items():
        points = sorted(points)[len(points) // 2:]
        if len(points) >= 8:
            growth = slope(points) * (points[-1][0] - points[0][0])
            assert growth < MOST_GROWTH, "process %d: our own memory grew by %d: %r" % (pid, growth, points)
    return set(sizes)


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until_up(service, port):
    for _ in range(300):
        assert service.process.poll() is None, service.text()[-3000:]
        try:
            return ask(port, "/pid")
        except OSError:
            time.sleep(0.2)
    pytest.fail("it does not answer\n" + service.text()[-3000:])


class Load:
    """Threads that ask until they are told to stop. A connection may break where a worker is being killed; no answer may
    be wrong."""

    def __init__(self, port, truth):
        self.port, self.truth, self.running = port, truth, True
        self.asked, self.broken, self.wrong = 0, 0, []
        self.threads = [threading.Thread(target=self.work, args=(first,)) for first in range(4)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        while self.running:
            number = (number + 1) % QUESTIONS
            try:
                answer = ask(self.port, "/answer/%d" % number)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                time.sleep(0.05)
                continue
            self.asked += 1
            if answer != self.truth[number]:
                self.wrong.append((number, answer))

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()


def count_ours(service):
    """Descriptors of the master that lead into our folder, and its threads. (uvicorn's master keeps pipes of workers that
    are gone, so all descriptors together say nothing.)"""
    folder, ours = "/proc/%d/" % service.process.pid, 0
    for descriptor in os.listdir(folder + "fd"):
        try:
            ours += os.readlink(folder + "fd/" + descriptor).startswith(str(service.log_dir))
        except OSError:
            pass  # closed meanwhile
    return ours, len(os.listdir(folder + "task"))


def gunicorn(port, worker_class):
    more = ["--threads", "4"] if worker_class == "gthread" else []
    return ["-m", "gunicorn", "-b", "127.0.0.1:%d" % port, "-w", "2", "-k", worker_class, *more, "--max-requests", "150",
            "--max-requests-jitter", "20", "--graceful-timeout", "10", "services:flask_app"]


def uvicorn(port, _):
    return ["-m", "uvicorn", "--port", str(port), "--log-level", "warning", "--limit-max-requests", "400",
            "--workers", "2", "services:fastapi_app"]


WEB = {"gunicorn-sync": (gunicorn, "sync"), "gunicorn-gthread": (gunicorn, "gthread"),
       "gunicorn-gevent": (gunicorn, "gevent"), "uvicorn": (uvicorn, None)}


@pytest.mark.parametrize("name", WEB)
def test_web(start, name):
    make, kind = WEB[name]
    port = free_port()
    plain = start(make(port, kind), library=None)
    wait_until_up(plain, port)
    truth = [ask(port, "/answer/%d" % number) for number in range(QUESTIONS)]
    assert [json.loads(body) for _, body in truth] == [work(number) for number in range(QUESTIONS)]
    plain_status = plain.end()

    port = free_port()
    service = start(make(port, kind))
    wait_until_up(service, port)
    load = Load(port, truth)
    begin, flat, seen = time.monotonic(), [], set()
    events = {0.3: lambda: os.kill(service.workers()[-1], signal.SIGKILL),
              0.5: lambda: os.kill(service.process.pid, signal.SIGHUP),
              0.7: lambda: os.kill(service.workers()[-1], signal.SIGTERM)}
    while time.monotonic() < begin + SECONDS:
        time.sleep(0.2)
        assert service.process.poll() is None, service.text()[-3000:]
        for share in [share for share in events if time.monotonic() >= begin + share * SECONDS]:
            events.pop(share)()
        flat.append(count_ours(service))
        seen.update(service.workers())
    load.stop()
    assert service.end() == plain_status
    profiled = check_profile(service)

    assert not load.wrong, load.wrong[:3]
    assert load.asked > 5 * SECONDS and load.broken < 0.1 * load.asked
    assert len(seen) > 4, "no worker was recycled"
    assert service.process.pid in profiled and len(profiled & seen) > 2
    early, late = flat[len(flat) // 4: len(flat) // 2], flat[-len(flat) // 4:]
    assert min(late)[0] == 0, "a descriptor of ours stays open"
    assert min(entry[1] for entry in late) <= max(entry[1] for entry in early), "threads grow in number"
    print("\n%s: %d answers right, %d connections broken, %d workers, %d processes profiled"
          % (name, load.asked, load.broken, len(seen), len(profiled)))


def test_celery(start, tmp_path):
    worker = start(["-m", "celery", "-A", "services:celery_app", "worker", "--pool", "prefork", "--concurrency", "2",
                    "--max-tasks-per-child", "20", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"])
    client = subprocess.Popen([PYTHON, HERE / "services.py", "tasks", str(SECONDS)], cwd=tmp_path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment({**SETTINGS, "LOG_DIR": tmp_path / "log"}, {"LD_PRELOAD": LIBRARY}))
    try:
        stdout, stderr = client.communicate(timeout=SECONDS + 120)
    finally:
        client.kill()
    assert (client.returncode, stderr) == (0, ""), (stdout, stderr, worker.text()[-3000:])
    before, after = map(int, re.fullmatch(r"right; tasks before and after the kill: (\d+) (\d+)\n", stdout).groups())
    assert before > SECONDS / 4 and after > SECONDS / 4, stdout
    worker.kill()  # its own shutdown waits for ever for the process that was killed; so it does without us
    unexpected = [line for line in worker.text().splitlines() if re.search("Error|Traceback", line)
                  and not re.search(r"WorkerLostError|Traceback \(most recent call last\)|ExceptionWithTraceback", line)]
    assert not unexpected, worker.text()[-3000:]
    profiled = check_profile(worker)
    assert {worker.process.pid, client.pid} <= profiled and len(profiled) > 4


def test_pool_of_numpy_pandas_lxml_and_pillow(start):
    plain = start([HERE / "services.py", "pool", "0"], library=None)
    assert plain.process.wait(120) == 0, plain.text()
    service = start([HERE / "services.py", "pool", SECONDS])
    assert service.process.wait(SECONDS + 120) == 0, service.text()
    first, second = service.text().splitlines()
    assert first == second and len(first) == 64
    assert len(check_profile(service)) > 4
