"""What asks a running process: `snapshot`, `control`, and those verbs that prefer a fresh snapshot to the last dump's."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from snapshots import ROOT

PROGRAM = r'''
import sys, time
kept = [None] * 2000
def leak():
    for i in range(500): kept[i] = bytes(8000)
def more():
    for i in range(700): kept[1000 + i] = bytes(9000)
leak()
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
'''


@pytest.fixture
def running(tmp_path):
    """running(**settings) starts a program that waits; the pid, and do(line)."""
    processes = []

    def run(argv=(sys.executable, "-c", PROGRAM), cwd=None, **settings):
        (tmp_path / "run").mkdir(exist_ok=True)
        library = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
        environment = {**os.environ, "LD_PRELOAD": library, "XDG_RUNTIME_DIR": str(tmp_path / "run"),
                       **{"TRACKLEAK_" + k: str(v) for k, v in {
                           "LOG_DIR": tmp_path / "log", "QUIET": 1, "STARTUP_DELAY": 0, "DUMP_INTERVAL": 0,
                           "SAMPLE_RATE": 1, "MAX_OVERHEAD": 0, **settings}.items()}}
        process = subprocess.Popen(argv, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd)
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        path, until = tmp_path / "run" / "trackleak" / ("%d.sock" % process.pid), time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < until
            time.sleep(0.01)

        def do(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        process.do = do
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def row(command, *words):
    rows = json.loads(command("report", *words, "--json").stdout)["rows"]
    return {row["name"]: row for row in rows}


def test_two_snapshots_of_a_running_process_are_compared(command, running, tmp_path):
    process = running()
    done = command("snapshot", process.pid, "-o", tmp_path / "before.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    process.do("more()")
    assert command("snapshot", process.pid, "-o", tmp_path / "after.json").returncode == 0
    assert row(command, tmp_path / "before.json")["leak"]["live_bytes"] == pytest.approx(500 * 8000, rel=0.02)
    difference = json.loads(command("diff", tmp_path / "before.json", tmp_path / "after.json", "--json").stdout)
    changes = {r["name"]: r["change"] for r in difference["rows"]}
    assert changes["more"] == "came" and changes.get("leak", "same") == "same"
    live = json.loads(command("diff", tmp_path / "before.json", process.pid, "--json").stdout)
    assert {r["name"]: r["change"] for r in live["rows"]}["more"] == "came"


def test_without_a_name_it_makes_one_and_says_it_and_a_dash_is_stdout(command, running, tmp_path):
    process = running()
    done = subprocess.run([str(ROOT / "trackleak"), "snapshot", str(process.pid)], capture_output=True, text=True,
                          cwd=tmp_path, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 0 and done.stdout.startswith("snapshot-%d-" % process.pid), done.stderr
    assert json.loads((tmp_path / done.stdout.strip()).read_text())["process"]["pid"] == process.pid
    assert json.loads(command("snapshot", process.pid, "-o", "-").stdout)["process"]["pid"] == process.pid


def test_report_watch_and_ps_show_what_is_now_though_nothing_was_dumped(command, running, tmp_path):
    process = running()
    process.do("more()")
    assert row(command, process.pid)["more"]["live_bytes"] == pytest.approx(700 * 9000, rel=0.02)
    watched = command("watch", process.pid, "0.1", "2", "-o", "0").stdout
    assert watched.count("outstanding allocations:") == 2 and "more" in watched
    listed = command("ps", env={"XDG_RUNTIME_DIR": str(tmp_path / "run")}).stdout
    assert [line for line in listed.splitlines() if line.split()[0] == str(process.pid) and "import sys, time" in line]
    late = running(STARTUP_DELAY=3600)
    listed = command("ps", env={"XDG_RUNTIME_DIR": str(tmp_path / "run")}).stdout
    assert [line for line in listed.splitlines() if line.split()[0] == str(late.pid) and "has not begun" in line]


def test_a_baseline_is_taken_and_reported_against(command, refused, running, tmp_path):
    process = running()
    assert "no baseline was taken" in refused("report", process.pid, "--since-baseline")
    assert command("control", process.pid, "baseline").stdout.startswith("baseline_time: ")
    process.do("more()")
    rows = row(command, process.pid, "--since-baseline")
    assert rows["more"]["live_bytes"] == pytest.approx(700 * 9000, rel=0.02)
    assert "leak" not in rows or rows["leak"]["live_bytes"] == 0
    whole = row(command, process.pid)
    assert whole["leak"]["live_bytes"] == pytest.approx(500 * 8000, rel=0.02)
    for by in ("line", "stack", "file", "module"):
        document = json.loads(command("report", process.pid, "--since-baseline", "--by", by, "--json", "--top", "0").stdout)
        assert document["rows_bytes"] == pytest.approx(document["live_bytes"], rel=1e-6)
    folded = command("export", process.pid, "--to", "folded", "--since-baseline").stdout
    assert "more" in folded and ";leak " not in folded


def test_control_says_the_state_and_changes_settings(command, refused, running):
    process = running()
    assert "state: running\n" in command("control", process.pid, "status").stdout
    assert command("control", process.pid, "pause").returncode == 0
    assert "state: paused\n" in command("control", process.pid, "status").stdout
    assert command("control", process.pid, "resume").returncode == 0
    assert "settings.sample_rate: 7\n" in command("control", process.pid, "set", "sample_rate=7", "dump_interval=9").stdout
    assert "no such request" in refused("control", process.pid, "stop")
    assert "not a whole number" in refused("control", process.pid, "set", "sample_rate=x")
    assert "when the program is started" in refused("control", process.pid, "set", "precise=1")
    assert "one line" in refused("control", process.pid, "a\nb")
    assert "one line" in refused("control", process.pid, "x" * 300)


@pytest.mark.parametrize("words, says", [
    (["snapshot"], "usage"), (["snapshot", "x"], "not a process number"), (["snapshot", "0"], "not a process number"),
    (["snapshot", "-5"], "unknown option"), (["snapshot", "999999999"], "no process 999999999"),
    (["snapshot", "99999999999"], "not a process number"), (["control", "1"], "usage"),
    (["control", "999999999", "status"], "no process"), (["snapshot", "1", "2"], "one word too many"),
], ids=lambda value: "_".join(value) if isinstance(value, list) else None)
def test_bad_words_get_one_line(refused, words, says):
    assert says in refused(*words)


def test_a_process_that_is_not_profiled_or_gone_gets_one_line(refused, running, tmp_path):
    assert "no control socket: is it profiled?" in refused("snapshot", os.getpid())
    process = running()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "run" / "trackleak" / ("%d.sock" % process.pid)).exists()
    assert "no process %d" % process.pid in refused("snapshot", process.pid, env={"XDG_RUNTIME_DIR": str(tmp_path / "run")})


ASKING = [["report"], ["watch"], ["export", "--to", "csv"], ["snapshot"], ["control"], ["diff"]]


def asking(verb, pid):
    """The words that ask this process; `top` asks in a terminal (test_top.py)."""
    return [*verb, str(pid), *{"control": ["status"], "diff": [str(pid)]}.get(verb[0], [])]


@pytest.mark.parametrize("verb", ASKING, ids=lambda verb: verb[0])
def test_who_cannot_be_asked_gets_one_line_by_each_verb(refused, running, tmp_path, verb):
    process = running()
    process.kill()
    process.wait()
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    sockets = tmp_path / "run" / "trackleak"
    assert (sockets / ("%d.sock" % process.pid)).exists()
    assert "no process %d" % process.pid in refused(*asking(verb, process.pid), env=environment)
    assert "no process 999999999" in refused(*asking(verb, 999999999), env=environment)
    # A socket that nobody listens on, of a process that lives.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(sockets / ("%d.sock" % os.getpid())))
    stale.close()
    assert "process %d has no control socket" % os.getpid() in refused(*asking(verb, os.getpid()), env=environment)


def test_what_cannot_be_written_gets_one_line(refused, running, tmp_path):
    process = running()
    assert "No such file" in refused("snapshot", process.pid, "-o", "/nowhere/x.json")
    assert "not be written" in refused("snapshot", process.pid, "-o", "/dev/full")


@pytest.mark.parametrize("answer, says", [
    (b"", "gave no answer"), (b"{}\n", "none"), (b"garbage\n", "no answer"), (b"[1]\n", "none"), (b'{"ok":true}\n', "without a path"),
    (b'{"ok":true,"path":"/etc/passwd"}\n', "not a snapshot"), (b'{"ok":false,"error":"\\u001b[31mno\\n"}\n', "no"),
    (b"x" * 100000, "no answer"), (b'{"ok":false,"error":7}\n', "none"),
])
def test_a_strange_answer_gets_one_line(refused, tmp_path, answer, says):
    """This process itself listens, as an agent gone mad would."""
    folder = tmp_path / "trackleak"
    folder.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / ("%d.sock" % os.getpid())))
    listener.listen(8)

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
                peer.recv(100)
                peer.sendall(answer)
                peer.close()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    line = refused("snapshot", os.getpid(), env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert says in line and "\x1b" not in line
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_socket_that_another_process_listens_on_is_not_believed(refused, running, tmp_path):
    process = running()
    liar = tmp_path / "trackleak"
    liar.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(liar / ("%d.sock" % os.getppid())))
    listener.listen(1)
    assert "no control socket" in refused("snapshot", os.getppid(), env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_another_users_process_gets_one_line(running, tmp_path):
    process = running()
    folder = "/tmp/trackleak-test-%d" % os.getpid()
    os.mkdir(folder, 0o755)
    try:
        shutil.copy(ROOT / "trackleak", folder)
        for verb in ASKING:
            done = subprocess.run(["setpriv", "--reuid=54324", "--clear-groups", folder + "/trackleak", *asking(verb, process.pid)],
                                  capture_output=True, text=True, cwd="/")
            assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, (verb, done)
            assert done.stderr.startswith("trackleak: process %d belongs to another user" % process.pid)
    finally:
        shutil.rmtree(folder)
