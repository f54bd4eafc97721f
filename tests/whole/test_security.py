"""What others plant is not followed, what is secret is not told, what is called by an evil name is shown in plain."""

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import harness
import interpreters
import pytest
from harness import LIBRARY, ROOT, SAMPLED, profile, start

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it plants files of other users")
NOBODY = 65534
LEAK = ("kept = []\n"
        "def leak():\n"
        "\tfor _ in range(500): kept.append(bytes(3000))\n"
        "leak()\n")


def said(run, words):
    return [line for line in run.banner if words in line]


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777], ids=oct)
@pytest.mark.parametrize("mode, files, folder", [(None, 0o600, 0o700), ("0644", 0o644, 0o755), ("0660", 0o660, 0o770)])
def test_files_and_folder_have_the_mode_that_is_promised_whatever_the_umask(one_python, umask, mode, files, folder):
    run = profile(one_python, "import os; os.umask(%d)\n" % umask + LEAK,
                  settings={**SAMPLED, "LOG_MODE": mode, "MEMORY_PROFILER_EVENTS": 1}, umask=umask).check()
    assert stat.S_IMODE(run.log_dir.stat().st_mode) == folder
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.log_dir.iterdir()}
    assert len(found) == 4 and set(found.values()) == {files}, found


@pytest.mark.parametrize("name", ["profiler.json", "profiler.jsonl", "events.log", "snapshot-%d.json", "snapshot-%d.json.tmp"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "hard link", "fifo", "folder", "foreign"])
def test_what_is_planted_in_a_shared_folder_is_neither_written_nor_waited_for(one_python, tmp_path, name, kind):
    """Planted while the program runs, by its pid: the folder is one that everybody may write to."""
    if kind == "foreign" and os.getuid() != 0:
        pytest.skip("needs root to make another user's file")
    shared, precious = tmp_path / "shared", tmp_path / "precious"
    shared.mkdir()
    shared.chmod(0o1777)
    precious.write_text("mine")
    script = LEAK + r'''
import os, sys
kind, path, precious = sys.argv[1:]
path = path.replace("%d", str(os.getpid()))
if os.path.exists(path): os.unlink(path)
if kind == "link": os.symlink(precious, path)
elif kind == "link to nothing": os.symlink(precious + ".new", path)
elif kind == "hard link": os.link(precious, path)
elif kind == "fifo": os.mkfifo(path)
elif kind == "folder": os.mkdir(path)
else:
    open(path, "w").write("theirs")
    os.chown(path, 65534, 65534)
print("done")
'''
    run = profile(one_python, script, [kind, shared / name, precious],
                  settings={**SAMPLED, "LOG_DIR": shared, "MEMORY_PROFILER_EVENTS": 1}, timeout=30).check()
    assert run.stdout == "done\n" and precious.read_text() == "mine" and not (tmp_path / "precious.new").exists()
    planted = Path(str(shared / name).replace("%d", str(run.pid)))
    if kind == "foreign":
        assert planted.read_text() == "theirs"
    # A snapshot is a new file with an old name, so what had the name is gone, or stays if it cannot be replaced.
    is_in_the_way = "snapshot" not in name or kind in ("folder", "foreign")
    assert len(run.banner) == is_in_the_way, run.banner
    others = {"profiler.json", "profiler.jsonl", "events.log", "snapshot-%d.json"} - {name.replace(".tmp", "")}
    for other in others:
        assert (shared / other.replace("%d", str(run.pid))).stat().st_size > 0


@AS_ROOT
@pytest.mark.parametrize("plant, goes_to", [
    ("true", "/tmp/trackleak"),
    ("ln -s /tmp/victim /tmp/trackleak", "/tmp/trackleak-65534"),
    ("mkdir -m 777 /tmp/trackleak", "/tmp/trackleak-65534"),
    ("mkdir /tmp/trackleak && chown 65534 /tmp/trackleak && chmod 777 /tmp/trackleak", "/tmp/trackleak-65534"),
    ("mkfifo -m 666 /tmp/trackleak", "/tmp/trackleak-65534"),
    ("ln -s /tmp/victim /tmp/trackleak && ln -s /tmp/victim /tmp/trackleak-65534", None),
    ("ln -s /tmp/victim /tmp/trackleak && mkdir -m 777 /tmp/trackleak-65534", None),
], ids=["nothing", "link", "foreign", "all may write", "fifo", "links", "link and foreign"])
def test_a_fall_back_folder_is_taken_only_when_nobody_else_could_have_planted_it(monkeypatch, plant, goes_to):
    """As another user than root, whose LOG_DIR may not be written, with a /tmp of its own."""
    found = [i for i in interpreters.selected() if i.path.startswith("/usr/") and not i.wrapper]
    if not found or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no python3 that another user may run, or no mount namespaces here")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        os.chmod(base, 0o755)
        monkeypatch.setattr(harness, "base_folder", base)
        library, seen = Path(base, "trackleak.so"), Path(base, "seen")
        shutil.copy(LIBRARY, library)
        steps = ("mount -t tmpfs -o mode=1777 tmpfs /tmp && mkdir -m 777 /tmp/victim && %s && \"$@\"; status=$?;"
                 " cp -r /tmp '%s'; exit $status" % (plant, seen))
        script = Path(base, "program.py")
        script.write_text(LEAK + "print('done')\n")
        run = profile(["unshare", "-m", "sh", "-c", steps, "sh", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                       found[0].path], script, library=library, settings={**SAMPLED, "LOG_DIR": base, "QUIET": None}, cwd="/").check()
        assert run.stdout == "done\n"
        assert not list((seen / "victim").iterdir()), "a planted link was followed"
        if goes_to:
            (line,) = said(run, "cannot write to ")
            assert line.endswith("(permission denied): files go to " + goes_to)
            assert "leak" in (seen / goes_to[5:] / "profiler.json").read_text()
        else:
            (line,) = said(run, "no files are written")
            assert not [path for path in seen.rglob("*") if path.name.startswith(("profiler", "snapshot"))]


SECRET = "s3cret"


@pytest.mark.parametrize("settings", [
    {"ELASTICSEARCH_PASSWORD": SECRET, "ELASTICSEARCH_API_KEY": SECRET},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_PASSWORD": SECRET},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "http://u:%s@127.0.0.1:1/x" % SECRET},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "http//u:%s@:x:y" % SECRET},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "ftp://u:%s@host" % SECRET},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "http://127.0.0.1:1", "ELASTICSEARCH_API_KEY": SECRET + "\n: x"},
    {"ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "http://127.0.0.1:1", "ELASTICSEARCH_USERNAME": "u:v",
     "ELASTICSEARCH_PASSWORD": SECRET},
], ids=["off", "no url", "url", "bad url", "ftp", "key of two lines", "user with a colon"])
def test_a_secret_is_nowhere(one_python, settings):
    script = LEAK + "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'bytes(5000)'])\n"
    run = profile(one_python, script, settings={**SAMPLED, "QUIET": None, "MEMORY_PROFILER_EVENTS": 1, **settings}).check()
    shown = run.stdout + run.stderr + "".join(path.read_text() for path in run.log_dir.iterdir())
    assert "leak" in shown and SECRET not in shown


EVIL = 'evil"\'\\\n\t\x1b[31m|\u202e\x7f'
EVIL_FILE = EVIL + "\udcff"  # a byte that is not UTF-8
NOT_PLAIN = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_an_evil_name_in_any_setting_is_one_plain_line(one_python):
    settings = {"LOG_DIR": "/proc/" + EVIL_FILE, "JSON_LOG": EVIL_FILE, "EVENT_LOG": EVIL_FILE + "2", "SAMPLE_RATE": EVIL_FILE,
                "QUIET": EVIL_FILE, "LABELS": EVIL_FILE, "LOG_MODE": EVIL_FILE, "APP": EVIL_FILE, "NOMAD_JOB_NAME": EVIL_FILE,
                "ENABLE_ELASTICSEARCH": 1, "ELASTICSEARCH_URL": "http://" + EVIL_FILE, "ELASTICSEARCH_INDEX": EVIL_FILE,
                "ELASTICSEARCH_CA_FILE": EVIL_FILE}
    run = profile(one_python, LEAK, settings=settings).check()
    lines = run.stderr.split("\n")[:-1]
    assert len(lines) > 10 and all(line.startswith("[trackleak] ") for line in lines), lines
    assert not NOT_PLAIN.search(run.stderr) and "\ufffd" not in run.stderr, run.stderr
    for name in ("TRACKLEAK_SAMPLE_RATE", "TRACKLEAK_QUIET", "cannot write to /proc/evil", "job_name=evil"):
        assert len(said(run, name)) == 1, name
    for folder in (Path("/tmp/trackleak"), Path("/tmp/trackleak-%d" % os.getuid())):
        for path in folder.glob("evil*") if folder.exists() else ():
            path.unlink()


EVIL_PROGRAM = r'''
import ctypes, os, shutil, sys, time
evil = %s
kept = []
scope = {}
exec(compile("def leak(): return bytes(3000)", os.fsdecode(evil), "exec"), scope)
leak = scope["leak"]
leak.__code__ = leak.__code__.replace(co_name=%s, **({"co_qualname": %s} if hasattr(leak.__code__, "co_qualname") else {}))
def fill():
    for _ in range(500): kept.append(leak())
native = os.path.join(os.getcwd(), evil + ".so")
shutil.copy(os.environ["ALLOCATIONS"], native)
os.environ["ALLOCATIONS"] = native
from taken import *
take_in_thread(MALLOC, 3000, 500, 65536)
def wait(): time.sleep(float(sys.argv[1]))
fill()
wait()
'''


def evil_program():
    return EVIL_PROGRAM % (ascii(EVIL_FILE), ascii(EVIL), ascii(EVIL))


def test_an_evil_name_breaks_none_of_the_files(python, allocations):
    run = profile(python, evil_program(), [0], env=allocations, name=EVIL_FILE + ".py",
                  settings={**SAMPLED, "MEMORY_PROFILER_EVENTS": 1, "LABELS": "k=" + EVIL_FILE, "NOMAD_JOB_NAME": EVIL_FILE}).check()
    document = run.document(EVIL)
    assert document["counted"] == 500 and document["file"] == EVIL + "\ufffd" and document["job_name"] == EVIL + "\ufffd"
    natives = [d for d in run.dump.functions if d["function"].startswith("<native evil") and d["counted"] >= 500]
    assert natives, "nothing is said of the library of an evil name"
    assert run.table.rows and not NOT_PLAIN.search(run.text("profiler.json"))
    assert {e["function"] for e in run.events if e.get("size") == document["peak_single"]} == {EVIL}
    snapshot = run.snapshot()
    assert EVIL in {f["function"] for f in snapshot["functions"]} and snapshot["process"]["labels"].endswith("\ufffd")
    for name in ("profiler.jsonl", "events.log"):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", run.text(name))


def test_an_evil_name_breaks_none_of_the_commands_outputs(one_python, allocations, tmp_path):
    command = Path(os.environ.get("TRACKLEAK_COMMAND") or ROOT / "trackleak")
    if not command.exists():
        pytest.skip("./trackleak is not built: its libraries are missing")
    run = start(one_python, evil_program(), [60], env=allocations, name=EVIL_FILE + "é" * 60 + ".py",
                settings={**SAMPLED, "DUMP_INTERVAL": 1, "NOMAD_JOB_NAME": EVIL_FILE})
    path = run.log_dir / ("snapshot-%d.json" % run.pid)
    for _ in range(200):
        if path.exists() and "evil" in path.read_text():
            break
        time.sleep(0.1)

    def tell(*words):
        done = subprocess.run([command, *map(str, words)], capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                              env={**harness.environment({}), "TMPDIR": str(tmp_path)})
        return done, (done.stdout + done.stderr).decode("utf-8")  # and nothing that is not

    first = tmp_path / EVIL_FILE
    shutil.copy(path, first)
    texts = [["report", path, "--by", by] for by in ("function", "file", "line", "stack", "type", "module")]
    texts += [["report", path, *more] for more in (["--tree"], ["--leaks"], ["--peak"], ["--show-allocs"])]
    texts += [["diff", first, path], ["report", first], ["ps"], ["watch", run.pid, "0.1", "1"], ["export", path, "--to", "folded"]]
    for words in texts:
        done, text = tell(*words)
        assert done.returncode == 0, (words, text)
        text = re.sub("^\t+", "", text, flags=re.M)  # watch indents by tabs
        assert not NOT_PLAIN.search(text), (words, NOT_PLAIN.search(text), text)
        assert "evil" in text or words[0] == "diff" or "--leaks" in words, words
    for words in (["report", EVIL_FILE], [EVIL_FILE], ["report", path, "--by", EVIL_FILE], ["report", path, "--include", "(" + EVIL_FILE],
                  ["run", EVIL_FILE], ["diff", path, EVIL_FILE], ["export", path, "--to", EVIL_FILE], ["report", "--" + EVIL_FILE]):
        done, text = tell(*words)
        assert done.returncode == 2 and not NOT_PLAIN.search(text) and text.count("\n") == 1, (words, text)
    for form in ("speedscope", "gprof2dot", "html", "csv", "pprof"):
        done = subprocess.run([command, "export", path, "--to", form], capture_output=True)
        assert done.returncode == 0, (form, done.stderr)
        if form in ("speedscope", "gprof2dot"):
            assert EVIL in done.stdout.decode() or "evil" in json.dumps(json.loads(done.stdout))
    run.process.kill()
    run.finish()
    script = tmp_path / (EVIL_FILE + ".py")
    script.write_text(evil_program())
    done = subprocess.run([command, "run", "--sample-rate", "1", one_python.path, script, "0"], capture_output=True, timeout=60,
                          cwd=tmp_path, env={**harness.environment({}, allocations), "TRACKLEAK_LIBRARY": str(LIBRARY)})
    assert done.returncode == 0 and b"evil" in done.stderr
    assert not NOT_PLAIN.search(done.stderr.decode()), done.stderr
