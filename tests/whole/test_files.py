"""Files under fire: disks that fill, folders that go, descriptors that are closed, rotation and kills at any moment. The
program never notices; no line is torn or lost but what the disk refused, and that is said once."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from harness import MIB, parse_documents, parse_tables, profile, start

# Allocates, sleeps, and does what the test has asked for between dumps.
STEPS = r'''
import os, sys, time
log = os.environ["TRACKLEAK_LOG_DIR"]
kept = []
def leak():
    for _ in range(200): kept.append(bytes(5000))
def step(action):
    leak()
    action()
    time.sleep(2.2)
'''


@pytest.fixture
def disk(tmp_path):
    """disk(kib) mounts a small file system and gives its folder."""
    folder = tmp_path / "disk"

    def mount(kib):
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("may not mount here: " + done.stderr.decode().strip())
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


def said(run, words):
    return [line for line in run.banner if words in line]


def whole_lines(text):
    """Parses the JSON lines; gives how many were torn."""
    torn = 0
    for line in text.splitlines():
        try:
            json.loads(line)
        except ValueError:
            torn += 1
    return torn


def test_a_disk_that_is_full_and_then_has_room_again(one_python, disk):
    folder = disk(4096)
    script = STEPS + r'''
def fill():
    with open(log + "/filling", "wb", 0) as file:
        try:
            while True: file.write(bytes(4096))
        except OSError: pass
step(lambda: None)
step(fill)
step(lambda: os.unlink(log + "/filling"))
print("done")
'''
    run = profile(one_python, script, settings={"LOG_DIR": folder, "DUMP_INTERVAL": 1, "MEMORY_PROFILER_EVENTS": 1}).check()
    assert run.stdout == "done\n"
    lines = run.text("profiler.jsonl")
    assert whole_lines(lines) <= 1 and whole_lines(run.text("events.log")) <= 1, "more than the one line that was cut"
    numbers = sorted({json.loads(line)["dump"] for line in lines.splitlines() if line.endswith("}")})
    assert numbers[0] == 1 and numbers[-1] >= 5, "dumps before the disk was full, and after"
    assert run.snapshot()["dump"]["final"] is True
    assert said(run, "no space left") and said(run, "is written again; lost bytes: ")
    assert len(run.banner) == len(set(run.banner)), run.banner
    assert all(len(said(run, "cannot write %s/%s (" % (folder, name))) <= 1
               for name in ("profiler.json", "profiler.jsonl", "events.log"))


@pytest.mark.parametrize("error", ["EDQUOT", "EROFS", "EIO"])
def test_a_quota_a_read_only_turn_or_a_broken_medium_is_said_once_and_got_over(one_python, cc, tmp_path, error):
    script = STEPS + r'''
refused = os.environ["REFUSED"]
step(lambda: None)
step(lambda: open(refused, "w").close())
step(lambda: os.unlink(refused))
print("done")
'''
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}, preload_also=[cc("refused_writes.c", shared=True)],
                  env={"REFUSED": tmp_path / "refused", "REFUSED_ERROR": getattr(errno, error)}).check()
    words = {"EDQUOT": "quota used up", "EROFS": "read-only file system", "EIO": "input/output error"}[error]
    assert run.stdout == "done\n"
    for name in ("profiler.json", "profiler.jsonl"):
        assert len(said(run, "%s/%s (%s)" % (run.log_dir, name, words))) == 1
        assert len(said(run, "%s/%s is written again" % (run.log_dir, name))) == 1
    assert len(said(run, "snapshot file (%s)" % words)) == 1 and len(run.banner) == 5
    assert run.tables and run.dump.number >= 6 and run.snapshot()["dump"]["final"] is True


def test_a_folder_on_a_read_only_disk_falls_back(one_python, disk):
    folder = disk(64)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    run = profile(one_python, STEPS + "leak(); print('done')\n",
                  settings={"LOG_DIR": folder, "QUIET": None, "JSON_LOG": "read-only-%p.json"}).check()
    (line,) = said(run, "cannot write to %s (read-only file system): files go to /tmp/trackleak" % folder)
    written = os.path.join(line.rpartition(" ")[2], "read-only-%d.json" % run.pid)
    assert run.stdout == "done\n" and "leak" in open(written).read()
    for path in (written, written + "l", os.path.join(os.path.dirname(written), "snapshot-%d.json" % run.pid)):
        os.unlink(path)


def test_a_log_folder_that_is_deleted_is_made_again(one_python):
    script = STEPS + r'''
import shutil
step(lambda: None)
step(lambda: shutil.rmtree(log))
shutil.rmtree(log)
'''
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1, "MEMORY_PROFILER_EVENTS": 1}).check()
    assert len(run.tables) == 1 and run.dump.number >= 4 and run.snapshot()["dump"]["final"] is True
    assert run.log_dir.stat().st_mode & 0o777 == 0o700 and not run.banner


def test_a_daemon_that_closes_every_descriptor(few_pythons):
    script = STEPS + r'''
out = os.dup(1)
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir("/")
os.dup2(out, 1)
step(lambda: os.closerange(3, 65536))
files = [os.open(log + ".%d" % i, os.O_CREAT | os.O_RDWR) for i in range(30)]
step(lambda: os.closerange(2, 3))
print(os.getpid(), [os.fstat(fd).st_size for fd in files if fd > 2].count(0))
'''
    run = profile(few_pythons, script, settings={"DUMP_INTERVAL": 1, "MEMORY_PROFILER_EVENTS": 1}).check()
    pid, untouched = map(int, run.stdout.split())
    assert untouched == 30, "something of ours was written into the program's files"
    assert len(run.dumps_of(pid)) >= 3 and run.snapshot(pid)["dump"]["final"] is True
    assert run.events and not run.banner


WRITERS = r'''
import os, sys
kept = []
def write(n):
    for i in range(3000):
        kept.append(bytes(20000 + n))
for n in range(4):
    if not os.fork():
        write(n)
        os._exit(0)
for _ in range(4): os.wait()
'''


@pytest.mark.parametrize("rotation", ["none", "ours", "renamed"])
def test_processes_that_share_a_log_lose_and_tear_no_line(one_python, rotation):
    settings = {"MEMORY_PROFILER_EVENTS": 1, "MIN_SIZE": 20000, "LOG_KEEP": 1000, "PYTHON": 0,
                "LOG_MAX_MB": 1 if rotation == "ours" else 1000}
    run = start(one_python, WRITERS, settings=settings)
    moved = 0
    while run.process.poll() is None:
        time.sleep(0.02)
        if rotation == "renamed" and (run.log_dir / "events.log").exists():
            moved += 1
            os.rename(run.log_dir / "events.log", run.log_dir / ("events.log.moved-%d" % moved))
    run.finish().check()
    files = [path for path in run.log_dir.iterdir() if path.name.startswith("events.log")]
    births = {}
    for path in files:
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if 20000 <= event.get("size", 0) < 20100:
                births[event["size"]] = births.get(event["size"], 0) + 1
    assert sorted(births.values()) == [3000] * 4, births
    assert (len(files) > 1) == (rotation != "none")
    assert len([table for table in run.tables if table.pid]) == 4


def test_copytruncate_while_processes_write_tears_no_line(one_python):
    run = start(one_python, WRITERS, settings={"MEMORY_PROFILER_EVENTS": 1, "MIN_SIZE": 20000, "PYTHON": 0})
    copies = []
    while run.process.poll() is None:
        time.sleep(0.03)
        if (run.log_dir / "events.log").exists():
            with open(run.log_dir / "events.log", "r+b") as log:
                copies.append(log.read())
                log.truncate(0)
    run.finish().check()
    for copy in (*copies, (run.log_dir / "events.log").read_bytes()):
        assert copy.count(b"\0") == 0, "a hole: it went on where it had been"
        # Who reads while another writes may see half of that write, at the end: rotation by copy is like that.
        *lines, last = copy.decode().split("\n")
        bad = whole_lines("\n".join(lines))
        assert bad == 0, (bad, [line for line in lines if not line.startswith("{") or not line.endswith("}")][:3])
    assert last == "" and len(copies) > 3


MANY_SITES = r'''
import time
kept = {}
source = "".join("def site_%d(): kept.setdefault(%d, []).append(bytes(3000))\n" % (i, i) for i in range(1500))
exec(source)
sites = [globals()["site_%d" % i] for i in range(1500)]
while True:
    for site in sites: site()
    time.sleep(0.05)
'''


def test_sigkill_at_any_moment_leaves_whole_files(one_python):
    """At random moments, and aimed at those when a snapshot is just being written."""
    chance, caught = random.Random(5), 0
    for round_ in range(8):
        batch = [start(one_python, MANY_SITES, settings={"DUMP_INTERVAL": 1, "MEMORY_PROFILER_EVENTS": 1, "TOP": 2000})
                 for _ in range(3)]
        for run in batch:
            temporary = run.log_dir / ("snapshot-%d.json.tmp" % run.pid)
            end = time.monotonic() + (10 if round_ % 2 else chance.uniform(1.0, 2.5))
            while time.monotonic() < end and not (round_ % 2 and temporary.exists()):
                time.sleep(0.0002)
            time.sleep(chance.uniform(0, 0.004) if round_ % 2 else 0)
            os.kill(run.pid, signal.SIGKILL)
            run.finish().check(-signal.SIGKILL)
            caught += temporary.exists()
            for path in run.log_dir.glob("snapshot-*.json"):
                json.loads(path.read_text())
            for name in ("profiler.jsonl", "events.log"):
                *lines, last = run.text(name).split("\n")
                assert whole_lines("\n".join(lines)) == 0, "a line before the last is cut"
            lines = run.text("profiler.jsonl")
            parse_documents(lines[:lines.rfind("\n") + 1])
            table = run.text("profiler.json")
            parse_tables(table[:table.rfind(" ---\n") + 5] if " ---\n" in table else "")
            shutil.rmtree(run.folder)
    assert caught, "no kill met a snapshot that was being written"


def test_logs_under_rotation_never_pass_their_bound(one_python):
    run = profile(one_python, WRITERS, settings={"MEMORY_PROFILER_EVENTS": 1, "MIN_SIZE": 20000, "PYTHON": 0,
                                                 "LOG_MAX_MB": 1, "LOG_KEEP": 1}).check()
    sizes = {path.name: path.stat().st_size for path in run.log_dir.iterdir() if path.name.startswith("events.log")}
    assert set(sizes) == {"events.log", "events.log.1"}
    # Of two processes that reach the end together, one may append what it had before the other has rotated.
    assert max(sizes.values()) <= MIB + 4 * 65536, sizes
