"""The control socket: asked by anybody who may, in a program at work, and by those who mean it ill."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from harness import LIBRARY, ROOT, SAMPLED, environment, new_folder, profile, start

# Does what it is told, a line at a time.
OBEYING = r'''
import os, sys, time
kept = [None] * 2000
def early():
    for i in range(200): kept[i] = bytes(5000)
def late():
    for i in range(300): kept[1000 + i] = bytes(6000)
def churn():
    for i in range(400): bytes(7000)
def forget():
    for i in range(200): kept[i] = None
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
'''


def obeying(python, script=OBEYING, **more):
    """A running program; .do(line) has it do that, .ask(request) asks its agent."""
    runtime = new_folder()
    more["env"] = {"XDG_RUNTIME_DIR": runtime, **more.pop("env", {})}
    run = start(python, script, stdin=subprocess.PIPE, **more)
    run.runtime = runtime

    def do(line):
        run.process.stdin.write(line + "\n")
        run.process.stdin.flush()
        assert run.process.stdout.readline() == "done\n", run.process.stderr.read()

    def ask(request, pid=None, timeout=30):
        return talk(socket_of(run, pid), request, timeout)

    run.do, run.ask = do, ask
    return run


def socket_of(run, pid=None, timeout=30):
    path = run.runtime / "trackleak" / ("%d.sock" % (pid or run.pid))
    until = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < until, "no socket %s" % path
        time.sleep(0.01)
    return path


def connect(path, timeout=30):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(timeout)
    until = time.monotonic() + timeout
    while True:
        try:
            peer.connect(str(path))
            return peer
        except (ConnectionRefusedError, FileNotFoundError):  # bound but not yet listening, or just made anew
            assert time.monotonic() < until
            time.sleep(0.01)


def talk(path, request, timeout=30):
    with connect(path, timeout) as peer:
        peer.sendall(request.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = peer.recv(65536)
            assert part, "hung up after %r" % answer
            answer += part
        return json.loads(answer)


def function(snapshot, name):
    return next(f for f in snapshot["functions"] if f["function"] == name)


def snapshot_of(run, pid=None):
    answer = run.ask("snapshot", pid)
    assert answer["ok"], answer
    with open(answer["path"], encoding="utf-8") as file:
        return json.load(file)


def test_a_program_at_work_says_what_it_is_and_writes_a_snapshot(python):
    run = obeying(python, settings=SAMPLED)
    run.do("early()")
    status, snapshot = run.ask("status"), snapshot_of(run)
    assert (status["ok"], status["pid"], status["state"], status["dumps"]) == (True, run.pid, "running", 0)
    assert status["settings"]["sample_rate"] == 1 and status["baseline_time"] is None
    assert status["python_version"].startswith("%d.%d" % python.version[:2])
    assert function(snapshot, "early")["counted"] == 200 and snapshot["dump"]["number"] == 0
    assert snapshot["dump"]["baseline_time"] is None and not snapshot["dump"]["final"]
    run.do("late()")
    assert function(snapshot_of(run), "late")["counted"] == 300
    assert not run.dumps, "a snapshot that was asked for is no dump"
    run.finish().check()
    assert run.dump.number == 1 and not list((run.runtime / "trackleak").iterdir())


def test_in_a_pause_nothing_is_counted_and_what_dies_is_seen(python):
    run = obeying(python, settings=SAMPLED)
    run.do("early()")
    assert run.ask("pause") == {"ok": True} and run.ask("status")["state"] == "paused"
    run.do("late()")
    run.do("forget()")
    assert run.ask("resume") == {"ok": True}
    run.do("churn()")
    run.finish().check()
    assert run.document("early")["counted"] == 200 and run.document("early")["retention_pct"] == 0
    assert not run.dump.documents("late") and run.document("churn")["counted"] == 400


def test_a_baseline_tells_what_came_since(python):
    run = obeying(python, settings=SAMPLED)
    run.do("early()")
    before = time.time()
    answer = run.ask("baseline")
    assert before - 1 < answer["baseline_time"] < time.time() + 1
    run.do("late()")
    run.do("early()")
    snapshot = snapshot_of(run)
    assert function(snapshot, "early")["live_bytes"] == function(snapshot, "early")["since_bytes"]
    assert function(snapshot, "early")["since_count"][0] == 200 and function(snapshot, "early")["counted"] == 400
    assert function(snapshot, "late")["since_count"][0] == 300
    assert snapshot["dump"]["baseline_time"] == pytest.approx(answer["baseline_time"])
    stacks = {s["frame"]: s["since_count"][0] for s in snapshot["stacks"]}
    assert sum(stacks.values()) == pytest.approx(sum(f["since_count"][0] for f in snapshot["functions"]))
    run.ask("baseline")
    run.do("late()")
    assert function(snapshot_of(run), "early")["since_count"][0] == 0
    assert function(snapshot_of(run), "late")["since_count"][0] == 300
    run.finish().check()


def test_the_verdict_after_a_baseline_is_of_the_time_since(one_python):
    """A leak that stopped before the baseline is none any more; one that began after it is named, and has no past."""
    script = r'''
import sys, time
kept, phase = [], sys.argv[1]
def first(): kept.append(bytes(20000))
def second(): kept.append(bytes(20000))
def run(what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        what()
        time.sleep(0.005)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
'''
    run = obeying(one_python, script, args=["x"], settings={**SAMPLED, "OLDER": 0.2})
    run.do("run(first, 9)")
    assert function(snapshot_of(run), "first")["verdict"]["word"] in ("leaking", "growing")
    run.ask("baseline")
    run.do("run(second, 9)")
    snapshot = snapshot_of(run)
    assert function(snapshot, "second")["verdict"]["word"] in ("leaking", "growing")
    assert function(snapshot, "first")["verdict"]["word"] not in ("leaking", "growing")
    run.finish().check()


def test_settings_change_at_work_and_estimates_stay_right(few_pythons):
    run = obeying(few_pythons, settings={"SAMPLE_RATE": 1000, "SAMPLE_BYTES": 1 << 30, "MAX_OVERHEAD": 0, "MIN_SIZE": 1})
    run.do("early()")
    answer = run.ask("set sample_rate=1 sample_bytes=1000 dump_interval=1 max_overhead=0")
    assert answer["settings"] == {"dump_interval": 1, "max_overhead": 0, "sample_rate": 1, "sample_bytes": 1000, "min_size": 1}
    run.do("late()")
    late = function(snapshot_of(run), "late")
    assert late["live_bytes"][0] == pytest.approx(late["counted_bytes"], rel=0.01)
    until = time.monotonic() + 20
    while len(run.dumps) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not run.ask("set precise=1")["ok"] and "when the program is started" in run.ask("set precise=1")["error"]
    assert run.ask("set sample_rate=0")["ok"] is False
    for rate in range(2, 8):
        assert run.ask("set sample_rate=%d" % rate)["ok"], rate
    assert "too often" in run.ask("set sample_rate=99")["error"]
    assert run.ask("set sample_rate=1")["ok"]
    run.finish().check()


def test_before_profiling_begins_it_answers_and_says_when(one_python):
    run = obeying(one_python, settings={"STARTUP_DELAY": 3600})
    status = run.ask("status")
    assert status["state"] == "starting" and 3500 < status["begins_in_seconds"] <= 3600
    for request in ("snapshot", "baseline"):
        assert "has not begun" in run.ask(request)["error"]
    assert run.ask("pause")["ok"] and run.ask("status")["state"] == "paused" and run.ask("resume")["ok"]
    run.finish().check()


def test_the_folder_and_the_socket_are_for_one_user(one_python):
    run = obeying(one_python)
    path = socket_of(run)
    run.ask("status")  # it is made by now, and not half
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700 and stat.S_IMODE(path.stat().st_mode) == 0o600
    run.finish().check()


def test_without_a_runtime_folder_it_stands_in_tmp(one_python):
    run = obeying(one_python, env={"XDG_RUNTIME_DIR": "/nowhere/at/all"})
    path = "/tmp/trackleak-%d/%d.sock" % (os.geteuid(), run.pid)
    run.do("early()")
    until = time.monotonic() + 20
    while not os.path.exists(path):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert talk(path, "status")["pid"] == run.pid
    run.finish().check()
    assert not os.path.exists(path)


@pytest.mark.parametrize("settings", [{"DISABLE": 1}, {"ANY": None}])
def test_a_dormant_process_has_no_socket(one_python, settings):
    runtime = new_folder()
    python = one_python if "DISABLE" in settings else ["/bin/sh", "-c", "exec sleep 1.5"]
    run = start(python, "import time; time.sleep(1.5)" if python is one_python else None, settings=settings,
                env={"XDG_RUNTIME_DIR": runtime})
    time.sleep(1)
    assert not (runtime / "trackleak").exists()
    run.finish().check()


def test_a_planted_folder_costs_one_line_and_profiling_goes_on(one_python):
    runtime, elsewhere = new_folder(), new_folder()
    (runtime / "trackleak").symlink_to(elsewhere)
    uid, script = 54321, "kept = [bytes(5000) for _ in range(100)]; import time; time.sleep(1.3)"
    if os.geteuid() == 0:  # a user whose fall-back folder is somebody else's
        os.makedirs("/tmp/trackleak-%d" % uid, exist_ok=True)
        os.chown("/tmp/trackleak-%d" % uid, 12345, 12345)
        script = "import os; os.setuid(%d)\n" % uid + script
    try:
        run = profile(one_python, script, env={"XDG_RUNTIME_DIR": runtime}, settings=SAMPLED).check()
        assert not list(elsewhere.iterdir())
        if os.geteuid() == 0:
            assert run.stderr.count("no control socket in") == 1, run.stderr
    finally:
        if os.geteuid() == 0:
            os.rmdir("/tmp/trackleak-%d" % uid)


def test_a_killed_process_leaves_a_socket_that_the_next_one_removes(one_python):
    run = obeying(one_python)
    path = socket_of(run)
    run.process.kill()
    run.process.wait()
    assert path.exists()
    with pytest.raises(OSError):
        socket.socket(socket.AF_UNIX).connect(str(path))
    again = obeying(one_python, env={"XDG_RUNTIME_DIR": run.runtime})
    again.runtime = run.runtime
    assert again.ask("status")["pid"] == again.pid and not path.exists()
    again.finish().check()


def test_closed_descriptors_are_not_used_and_the_socket_is_made_anew(few_pythons):
    run = obeying(few_pythons)
    run.ask("status")
    silent = connect(socket_of(run))
    time.sleep(0.2)
    run.do("os.closerange(3, 65536)")
    run.do("files = [os.open('file-%d' % i, os.O_CREAT | os.O_RDWR) for i in range(1000)]")
    until = time.monotonic() + 20
    while True:
        try:
            assert run.ask("status")["ok"]
            break
        except (OSError, AssertionError):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert run.ask("snapshot")["ok"]
    run.do("[os.fstat(f) for f in files]")  # all still its own
    silent.close()
    run.finish().check()
    assert all((run.folder / ("file-%d" % i)).read_bytes() == b"" for i in range(1000))


def test_forked_workers_have_sockets_of_their_own(few_pythons):
    script = r'''
import os, sys, time
kept = []
def serve():
    end = time.monotonic() + 30
    while not os.path.exists("stop") and time.monotonic() < end:
        kept.append([bytes(3000), str(end)])
        time.sleep(0.005)
children = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        serve()
        sys.exit()
    children.append(pid)
print(*children, flush=True)
serve()
for pid in children: os.waitpid(pid, 0)
'''
    run = obeying(few_pythons, script, settings=SAMPLED)
    children = [int(pid) for pid in run.process.stdout.readline().split()]
    for pid in [run.pid, *children]:
        status = run.ask("status", pid)
        assert (status["ok"], status["pid"]) == (True, pid)
        assert snapshot_of(run, pid)["process"]["pid"] == pid
    assert run.ask("pause", children[0])["ok"]
    assert [run.ask("status", pid)["state"] for pid in children[:2]] == ["paused", "running"]
    (run.folder / "stop").touch()
    run.finish().check()
    assert not list((run.runtime / "trackleak").iterdir())


def test_requests_during_a_storm_of_forks_are_answered(few_pythons):
    script = r'''
import os, time
kept = []
while not os.path.exists(os.environ["TRACKLEAK_LOG_DIR"] + "/stop"):
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
    kept.append([bytes(2000), str(pid)])
    time.sleep(0.03)
'''
    run = obeying(few_pythons, script, settings=SAMPLED)
    for _ in range(5):
        assert run.ask("status")["pid"] == run.pid
        assert run.ask("snapshot")["ok"]
    (run.log_dir / "stop").touch()
    run.finish().check()


def test_requests_while_the_program_ends_neither_hang_nor_hurt(few_pythons):
    for _ in range(2):
        run = obeying(few_pythons, settings=SAMPLED)
        run.do("early()")
        path, stop = socket_of(run), threading.Event()

        def pester():
            while not stop.is_set():
                try:
                    talk(path, "snapshot", timeout=1)
                except (OSError, AssertionError):
                    time.sleep(0.001)

        threads = [threading.Thread(target=pester) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        run.finish(timeout=20)
        stop.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        run.check()
        assert run.snapshot()["dump"]["final"] and run.document("early")["counted"] == 200


def test_the_last_snapshot_is_the_final_one_though_a_thread_has_asked_for_another(one_python, cc):
    """It had asked before the end, and wrote over the last one, while the exit waited for Elasticsearch."""
    script = r'''
import ctypes, os, threading, time
kept = [bytes(3000) for _ in range(2000)]
threading.Thread(target=ctypes.CDLL(None).trackleak_snapshot, daemon=True).start()
time.sleep(0.2)
os._exit(0)
'''
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        run = profile(one_python, script, settings=SAMPLED, preload_also=[cc("slow_threads.c", shared=True)], env={
            "ENABLE_ELASTICSEARCH": "1", "ELASTICSEARCH_URL": "http://127.0.0.1:%d" % silent.getsockname()[1]}).check()
    assert run.dump.process["final"] and run.snapshot()["dump"]["final"]


def test_after_a_failed_exec_snapshots_are_written_again(one_python):
    run = obeying(one_python, settings=SAMPLED)
    run.do("exec('try: os.execv(\\'/no/such/program\\', [\\'x\\'])\\nexcept OSError: early()')")
    run.do("import ctypes; early(); time.sleep(0.1); assert ctypes.CDLL(None).trackleak_snapshot() == 0")
    assert not run.snapshot()["dump"]["final"]
    run.finish().check()
    assert run.snapshot()["dump"]["final"]


def test_exec_takes_the_socket_away_and_a_failed_one_brings_it_back(few_pythons):
    run = obeying(few_pythons)
    assert run.ask("status")["ok"]
    run.do("""
try: os.execv('/no/such/program', ['x'])
except OSError: early()
""".replace("\n", "\\n").join(["exec('''", "''')"]))
    path, until = run.runtime / "trackleak" / ("%d.sock" % run.pid), time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until
        run.do("early()")
        time.sleep(0.03)
    assert run.ask("status")["ok"]
    run.process.stdin.write("os.execv('/bin/sleep', ['sleep', '1'])\n")
    run.process.stdin.flush()
    run.finish().check()
    assert not list((run.runtime / "trackleak").iterdir())


def test_hostile_peers_keep_neither_the_program_nor_the_dumps_nor_others(one_python):
    run = obeying(one_python, settings={**SAMPLED, "DUMP_INTERVAL": 1})
    path = socket_of(run)
    peers = []
    for words in (b"", b"stat", b"\0\xff\xfe" * 20, b"x" * 5000, b"\n" * 100, b"snapshot", b"status\nstatus\n"):
        for _ in range(3):
            peer = connect(path)
            try:
                peer.sendall(words)
            except OSError:
                pass
            peers.append(peer)
    begin = time.monotonic()
    assert run.ask("status")["ok"]
    assert time.monotonic() - begin < 15
    run.do("early()")
    before = len(run.dumps)
    time.sleep(2.5)
    assert len(run.dumps) > before
    for peer in peers:
        peer.close()
    assert {run.ask(words)["ok"] for words in ("\xff", "\x1b[31m", "nope\t\t", '"', "set a")} == {False}
    run.finish(timeout=20).check()
    assert run.stderr == ""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_root_is_heard_and_another_user_is_not(one_python):
    """The worker of a server that has given up its rights."""
    folder = new_folder()
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.geteuid() and above != above.parent:
            above.chmod(above.stat().st_mode | 0o711)
    folder.chmod(0o777)
    log_dir = folder / "log"
    log_dir.mkdir(mode=0o777)
    log_dir.chmod(0o777)
    library = folder / "trackleak.so"
    shutil.copy(LIBRARY, library)
    library.chmod(0o755)
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        pytest.skip("no interpreter that another user may run")
    argv = ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups"]
    process = subprocess.Popen(
        [*argv, python, "-c", "import time; time.sleep(30)"], stderr=subprocess.DEVNULL,
        env={**environment({"STARTUP_DELAY": 0, "QUIET": 1, "LOG_DIR": log_dir}), "LD_PRELOAD": str(library)}, cwd=folder)
    path = "/tmp/trackleak-54322/%d.sock" % process.pid
    try:
        until = time.monotonic() + 20
        while not os.path.exists(path):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.01)
        assert talk(path, "status")["pid"] == process.pid
        ask = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(%r); s.sendall(b'status\\n'); print(s.recv(9))" % path
        other = subprocess.run(["setpriv", "--reuid=54323", "--clear-groups", python, "-c", ask], capture_output=True, text=True,
                               cwd="/")
        assert other.returncode != 0 and "PermissionError" in other.stderr
        os.chmod("/tmp/trackleak-54322", 0o755)  # even where folder and socket let it in
        os.chmod(path, 0o666)
        other = subprocess.run(["setpriv", "--reuid=54323", "--clear-groups", python, "-c", ask], capture_output=True, text=True,
                               cwd="/")
        assert other.stdout in ("b''\n", "") and "ok" not in other.stdout
    finally:
        process.kill()
        process.wait()
        shutil.rmtree("/tmp/trackleak-54322", ignore_errors=True)


API = r'''
import ctypes, sys, time
def trackleak(verb):
    call = getattr(ctypes.CDLL(None), "trackleak_" + verb, None)
    return call() if call else -1
kept = [None] * 2000
def early():
    for i in range(200): kept[i] = bytes(5000)
def late():
    for i in range(300): kept[1000 + i] = bytes(6000)
def hidden():
    for i in range(400): kept[1500 + i] = bytes(7000)
early()
print(trackleak("baseline"))
late()
print(trackleak("pause"))
hidden()
print(trackleak("resume"), trackleak("snapshot"))
sys.stdout.flush()
time.sleep(float(sys.argv[1]))
'''


def test_a_program_asks_for_itself_by_ctypes(python):
    run = start(python, API, [20], settings=SAMPLED)
    assert [run.process.stdout.readline() for _ in range(3)] == ["0\n", "0\n", "0 0\n"]
    snapshot = run.snapshot()
    assert function(snapshot, "late")["since_count"][0] == 300 and function(snapshot, "early")["since_count"][0] == 0
    assert not [f for f in snapshot["functions"] if f["function"] == "hidden"]
    os.killpg(run.pid, signal.SIGKILL)


def test_without_the_library_or_before_it_begins_the_calls_do_nothing(one_python):
    assert profile(one_python, API, [0], library=None).check().stdout == "-1\n-1\n-1 -1\n"
    assert profile(one_python, API, [0], settings={"DISABLE": 1}).check().stdout == "-1\n-1\n-1 -1\n"
    assert profile(one_python, API, [0], settings={"STARTUP_DELAY": 60}).check().stdout == "-1\n0\n0 -1\n"


@pytest.mark.parametrize("flags", [["-O2"], ["-no-pie"], ["-O2", "-fno-plt"], ["-x", "c++"]], ids="_".join)
def test_the_header_needs_no_library(tmp_path, flags):
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text('#include "trackleak.h"\n#include <stdio.h>\nint main(void)\n{\n\tprintf("%d %d %d %d\\n", '
                      "trackleak_baseline(), trackleak_pause(), trackleak_resume(), trackleak_snapshot());\n\treturn 0;\n}\n")
    subprocess.run(["cc", *flags, "-Wall", "-Wextra", "-Werror", "-I", str(ROOT), "-o", program, source], check=True)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "-1 -1 -1 -1\n"
    run = profile([str(program)], None, settings={"ANY": 1}).check()
    assert run.stdout == "0 0 0 0\n" and run.snapshot()["dump"]["baseline_time"]


def test_a_full_table_is_written_on_request(one_python, allocations):
    script = r'''
import sys
from taken import *
for i in range(400):
    scope = {"take": take, "MALLOC": MALLOC}
    exec(compile("def f%d(): take(MALLOC, 600, 500)\n" % i, "many%d.py" % i, "exec"), scope)
    scope["f%d" % i]()
print("ready", flush=True)
sys.stdin.read()
'''
    run = obeying(one_python, script, env=allocations, settings={**SAMPLED, "TABLE_SIZE": 400000})
    assert run.process.stdout.readline() == "ready\n", run.process.stderr.read()
    begin = time.monotonic()
    snapshot = snapshot_of(run)
    took = time.monotonic() - begin
    assert snapshot["table"]["live_samples"] >= 200000 and len(snapshot["functions"]) >= 400
    assert took < 5
    run.finish().check()
