"""`top` in a pseudo-terminal: what is on the screen, each key, sizes, ends, a fleet."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import snapshots
from snapshots import COMMAND, ROOT
from terminal import Terminal

BLOCKS = set("▁▂▃▄▅▆▇█")
SIZES = [(24, 80), (50, 200), (10, 40), (5, 20), (2, 10), (1, 1)]


@pytest.fixture
def top(command, tmp_path):
    terminals = []

    def start(*words, **more):
        (tmp_path / "here").mkdir(exist_ok=True)
        terminals.append(Terminal([COMMAND, "top", *words], folder=tmp_path / "here", **more))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def grow(document):
    """Two MiB more by `leak`, and a new function."""
    function = document["functions"][0]
    function["live_bytes"] = [8 << 20, 1000.0]
    function["lines"][0]["live_bytes"] = [6 << 20, 1000.0]
    document["memory"]["live_bytes"][0] += 2 << 20
    document["functions"].append(snapshots.function("new", "/srv/new.py", 1, {2: snapshots.figures(300000, 3, 300000, 3, 1.0)}))


def sites(text):
    """The names of the rows, in their order."""
    lines = text.splitlines()
    (start,) = [i for i, line in enumerate(lines) if line.lstrip().startswith("LIVE ")]
    return [line[53:].split("  ")[0].strip() for line in lines[start + 1:-1] if line.strip()]


def test_the_screen_says_who_how_much_and_what_grows(top, profiled):
    process = profiled()
    screen = top(process.path.parent)
    text = screen.wait("q quit")

    assert "app.py, pid %d on " % process.pid in text and "Python 3.12.1" in text
    assert "live 7.19 MiB" in text and "+12.4 MB/h" in text and "dump 1, " in text
    assert "leaking: leak: +12.4 MB/h (10.1 to 14.6), 98 % alive" in text
    assert re.search(r"6\.00 MiB +83\.5% +\+12\.4 \(10\.1 to 14\.6\) leaking +leak  /srv/app/leaks\.py:12\n", text)
    assert BLOCKS & set(text), "no charts"
    assert sites(text)[0] == "leak"
    assert "\x1b" not in text and "\u202e" not in text


def test_without_a_name_it_is_the_service_of_the_usual_folder(top, profiled):
    process = profiled()
    screen = top(TRACKLEAK_LOG_DIR=str(process.path.parent))
    screen.wait("pid %d on " % process.pid, "leaking  leak")
    screen = top(process.pid, TRACKLEAK_LOG_DIR=str(process.path.parent))
    screen.wait("pid %d on " % process.pid, "leaking  leak")


def test_a_newer_dump_is_shown_and_a_pause_keeps_the_old_one(top, profiled):
    process = profiled()
    screen = top(process.path)
    screen.wait("dump 1, ")
    process.dump(grow)
    screen.wait("dump 2, ", "8.00 MiB", "live 9.19 MiB")

    screen.press("p")
    screen.wait("PAUSED")
    process.dump()
    screen.look(2.5)
    assert "dump 2, " in screen.text()
    screen.press("p")
    screen.wait("dump 3, ", without=["PAUSED"])


def test_keys_sort_and_group(top, profiled):
    screen = top(profiled().path)
    assert sites(screen.wait("(by growth)"))[0] == "leak"
    screen.press("n")
    assert sites(screen.wait("(by blocks)"))[:2] == ["leak", "Cache.get"]
    assert sites(screen.text())[2].startswith("evil")
    screen.press("s")
    assert sites(screen.wait("(by size)"))[:3] == ["leak", "Cache.get", "<native libfoo.so.1+0x1234"]
    for name, first in (("FILE", "/srv/app/leaks.py"), ("LINE", "leak"), ("STACK", "leak"), ("TYPE", "bytearray"),
                        ("MODULE", "leaks.py"), ("FUNCTION", "leak")):
        screen.press("v")
        assert sites(screen.wait(" %s  (by" % name))[0] == first
    screen.press("l")
    assert sites(screen.wait(", leaks)", without=["Cache.get"])) == ["leak"]
    screen.press("v", "v", "v", "v")
    screen.wait(" MODULE  (by", without=["TYPE"])
    screen.press("l")
    screen.wait("lru", without=[", leaks)"])


def test_a_filter_is_typed_kept_and_forgotten(top, profiled):
    screen = top(profiled().path)
    screen.wait("Cache.get")
    screen.press("/", "c", "A", "x")
    screen.wait("filter: cAx_", "nothing matches the filter")
    screen.press("backspace")
    screen.wait("filter: cA_", "Cache.get", without=["leaking  leak"])
    screen.press("enter")
    screen.wait("filter: cA   Esc forgets it")
    screen.press("escape")
    screen.wait("leaking  leak", "q quit")
    # A key that is a command elsewhere is a letter here.
    screen.press("/", "q", "ü")
    screen.wait("filter: qü_")
    screen.press("escape")
    screen.wait("q quit", "Cache.get")


def test_a_site_is_opened_with_its_stacks_and_source_and_moving_picks_it(top, profiled, tmp_path):
    source = tmp_path / "app.py"
    source.write_text("\n" * 11 + "    kept.append(bytes(100))\n")

    def at_hand(document):
        document["functions"][0]["file"] = str(source)

    process = profiled()
    process.dump(at_hand)
    screen = top(process.path)
    screen.wait("leaking  leak")
    screen.press("enter")
    text = screen.wait("4.00 MiB in 4,096 blocks", "2.00 MiB in 1,024 blocks")
    assert "| kept.append(bytes(100))" in text and "<module>  /srv/app/main.py:90" in text
    assert "leaking: +12.4 MB/h (10.1 to 14.6)" in text and "5.00 MiB of bytearray" in text
    screen.press("q")
    screen.wait("q quit")
    screen.press("s", "down", "enter")
    screen.wait("Cache.get  ", "plateau: full since 2 min", "1.00 MiB of dict")
    screen.press("escape")
    screen.wait("q quit")
    screen.press("end", "enter")
    screen.wait("The snapshot has no stacks of it.")
    screen.press("escape", "home", "enter")
    screen.wait("4.00 MiB in 4,096 blocks")


def test_long_stacks_are_scrolled(top, profiled):
    def deepen(document):
        document["frames"] = [None] + [[i, -1, i + 1, "f%d" % i, "/srv/deep.py"] for i in range(100)] + [[100, 0, 12]]
        document["stacks"] = [snapshots.stack(101, 4 << 20, 1)]

    process = profiled()
    process.dump(deepen)
    screen = top(process.path)
    screen.wait("leaking  leak")
    screen.press("enter")
    screen.wait("leak  /srv/app/leaks.py:12", "f99  /srv/deep.py:100", without=["f0  "])
    screen.press("page down")
    screen.wait("f80  ", without=["f99  "])
    screen.press("end")
    screen.wait("f0  /srv/deep.py:1")
    screen.press("home")
    screen.wait("f99  ")


def test_a_baseline_shows_what_came_since(top, profiled):
    process = profiled()
    screen = top(process.path)
    screen.wait("leaking  leak")
    screen.press("d")
    screen.wait("no baseline yet")
    screen.press("b")
    screen.wait("baseline taken here only, from dump 1: process %d has no control socket" % process.pid, "SINCE BASE", "+0 B")
    process.dump(grow)
    text = screen.wait("+2.00 MiB", "+293.0 KiB", "by difference")
    assert sites(text)[:2] == ["leak", "new"]
    process.dump(grow)
    screen.wait("dump 3, ", "+2.00 MiB")
    screen.press("B")
    screen.wait("SHARE", without=["SINCE BASE", "+2.00 MiB"])


def test_a_snapshot_is_written_and_never_over_another(top, profiled, tmp_path):
    process = profiled()
    screen = top(process.path)
    screen.wait("q quit")
    screen.press("w")
    screen.wait("written to trackleak-", "-%d.json, as of the last dump" % process.pid)
    (path,) = (tmp_path / "here").glob("trackleak-*-%d.json" % process.pid)
    assert json.loads(path.read_text()) == json.loads(process.path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600


def test_help_names_every_key(top, profiled):
    screen = top(profiled().path)
    screen.wait("q quit")
    screen.press("?")
    text = screen.wait("Enter   open a site")
    for key in ("s  n  g", "d ", "v ", "l ", "/ ", "b  B", "w ", "p ", "h  ?", "q "):
        assert "\n" + key in "\n" + text
    screen.press("escape")
    screen.wait("q quit")


@pytest.mark.parametrize("how", ["q", "ctrl-c", "sigterm"])
def test_it_ends_and_leaves_the_terminal_as_it_was(top, profiled, how):
    screen = top(profiled().path)
    screen.wait("q quit")
    if how == "sigterm":
        os.kill(screen.pid, signal.SIGTERM)
    else:
        screen.press(how)
    assert screen.end() == 0
    assert b"\x1b[?25h" in screen.raw[screen.raw.rindex(b"\x1b[?25l"):], "the cursor stays hidden"


def test_a_terminal_that_goes_away_ends_it(command, profiled):
    screen = Terminal([COMMAND, "top", profiled().path])
    screen.wait("q quit")
    os.close(screen.fd)
    for _ in range(100):
        pid, _status = os.waitpid(screen.pid, os.WNOHANG)
        if pid:
            return
        time.sleep(0.1)
    os.kill(screen.pid, signal.SIGKILL)
    os.waitpid(screen.pid, 0)
    pytest.fail("it went on without a terminal")


def test_every_size_is_drawn_and_a_resize_is_followed(top, profiled):
    screen = top(profiled().path)
    screen.wait("q quit")
    for rows, columns in SIZES:
        screen.resize(rows, columns)
        screen.look(1.5)
        for key in ("enter", "escape", "down", "v"):
            screen.press(key)
            screen.look(0.2)
    screen.resize(30, 130)
    text = screen.wait("q quit", "BLOCKS")
    assert len(text.splitlines()) == 30 and "q quit" in text.splitlines()[29]


@pytest.mark.parametrize("rows, columns", SIZES)
def test_it_starts_at_any_size(top, profiled, rows, columns):
    screen = top(profiled().path, rows=rows, columns=columns)
    screen.look(1.5)
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "vt100"}, {"LC_ALL": "C"}])
def test_without_colour_or_unicode_it_still_says_all(top, profiled, environment):
    screen = top(profiled().path, **environment)
    screen.wait("leaking  leak", "6.00 MiB")
    if "LC_ALL" in environment:
        assert "#" in screen.text() and not BLOCKS & set(screen.text())
    else:
        assert not [c for line in screen.screen.buffer.values() for c in line.values() if c.fg != "default"]


def test_with_colour_a_leak_stands_out(top, profiled):
    screen = top(profiled().path)
    screen.wait("leaking  leak")
    screen.press("down")
    screen.look(1)
    assert [c for line in screen.screen.buffer.values() for c in line.values() if c.fg == "red"]


@pytest.mark.parametrize("environment, says", [({"TERM": "dumb"}, "cannot move its cursor"),
                                              ({"TERM": "no-such"}, "not a terminal that is known")])
def test_a_terminal_that_cannot_show_it_is_told_so(top, profiled, environment, says):
    screen = top(profiled().path, **environment)
    assert screen.end() == 2
    assert says in screen.text()


def test_no_terminal_gets_one_line(refused, snapshot):
    assert "top is for a terminal" in refused("top", snapshot())


@pytest.mark.parametrize("word, says", [("999999999", "no process"), ("/nowhere", "No such file")])
def test_what_is_not_there_gets_one_line(top, word, says):
    screen = top(word)
    assert screen.end() == 2
    assert says in screen.text() and "\x1b[?1049h" not in screen.raw.decode()


def test_a_process_that_ends_is_said_and_its_figures_stay(top, profiled):
    process = profiled()
    screen = top(process.path)
    screen.wait("leaking  leak", without=["ENDED"])
    process.end()
    text = screen.wait("ENDED: the process is gone")
    assert "6.00 MiB" in text and "leaking  leak" in text
    process.path.unlink()
    screen.look(2)
    assert "6.00 MiB" in screen.text()
    screen.press("enter")
    screen.wait("4.00 MiB in 4,096 blocks")


def test_a_fleet_of_32_is_one_service_with_its_worst_worker(top, profiled, tmp_path):
    workers = profiled(32)
    worst = workers[20]
    worst.dump(grow)
    screen = top(worst.path.parent)
    live = 32 * snapshots.sample_live() + (2 << 20)
    text = screen.wait("32 processes", "live %.2f MiB" % (live / 1048576))
    assert "worst process: pid %d, " % worst.pid in text
    assert "194.00 MiB" in text, "leak: 32 times 6 MiB and 2"

    for worker in workers[:2]:
        worker.end()
    screen.wait("2 of 32 processes have ended")
    # With the next dump only those that run count.
    workers[5].dump()
    screen.wait("30 processes", "182.00 MiB")
    screen.press("w")
    screen.wait("written to trackleak-")
    (folder,) = (tmp_path / "here").glob("trackleak-*")
    assert len(list(folder.glob("snapshot-*.json"))) == 30
    for worker in workers:
        worker.end()
    screen.wait("ENDED: all of its processes are gone")
    assert "30 processes" in screen.text()


def test_a_broken_snapshot_does_not_spoil_the_screen(top, profiled):
    process, other = profiled(2)
    screen = top(process.path.parent)
    screen.wait("2 processes")
    other.path.write_text("{")
    screen.wait("pid %d on" % process.pid)
    screen.press("q")
    assert screen.end() == 0
    assert "cut short" in screen.text()


def test_a_real_program_from_its_start_to_its_end(top, tmp_path):
    script = tmp_path / "app.py"
    script.write_text("import time\nkept = []\ndef leak():\n    kept.append(bytearray(100000))\n"
                      "for _ in range(80):\n    leak()\n    time.sleep(0.1)\n")
    library = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
    process = subprocess.Popen([sys.executable, str(script)], env={
        **os.environ, "LD_PRELOAD": library, "TRACKLEAK_LOG_DIR": str(tmp_path / "logs"), "TRACKLEAK_QUIET": "1",
        "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "1", "TRACKLEAK_SAMPLE_RATE": "1"})
    try:
        path = tmp_path / "logs" / ("snapshot-%d.json" % process.pid)
        while not path.exists():
            time.sleep(0.1)
        # By its pid alone: its environment says where it writes.
        screen = top(process.pid)
        screen.wait("pid %d" % process.pid, "leak  ")
        first = screen.screen.display[1]
        screen.wait("ENDED", seconds=60)
        assert first != screen.screen.display[1]
        screen.press("s", "home", "enter")
        screen.wait("kept.append(bytearray(100000))")
    finally:
        process.kill()
        process.wait()


def test_keys_ask_the_process_itself_and_what_they_get_is_of_now(top, command, tmp_path):
    script = tmp_path / "app.py"
    script.write_text("import os, time\nkept = []\ndef early():\n    for _ in range(20): kept.append(bytearray(100000))\n"
                      "def late():\n    for _ in range(20): kept.append(bytearray(100000))\nearly()\n"
                      "open('ready', 'w').close()\nwhile not os.path.exists('more'): time.sleep(0.01)\nlate()\nopen('done', 'w').close()\ntime.sleep(300)\n")
    library = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
    process = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, env={
        **os.environ, "LD_PRELOAD": library, "XDG_RUNTIME_DIR": str(tmp_path), "TRACKLEAK_LOG_DIR": str(tmp_path / "logs"),
        "TRACKLEAK_QUIET": "1", "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "0", "TRACKLEAK_SAMPLE_RATE": "1",
        "TRACKLEAK_MAX_OVERHEAD": "0"})
    try:
        while not ((tmp_path / "trackleak" / ("%d.sock" % process.pid)).exists() and (tmp_path / "ready").exists()):
            time.sleep(0.01)
        screen = top(process.pid)
        screen.wait("unclear  early", without=["late"])
        screen.press("b")
        screen.wait("baseline taken in the process")
        assert "baseline_time: null" not in command("control", process.pid, "status").stdout
        (tmp_path / "more").touch()
        while not (tmp_path / "done").exists():
            time.sleep(0.01)
        screen.press("w")
        screen.wait("written to trackleak-", "-%d.json, as of now" % process.pid)
        (path,) = (tmp_path / "here").glob("trackleak-*.json")
        document = json.loads(path.read_text())
        assert document["dump"]["number"] == 0 and document["dump"]["baseline_time"]
        assert [f for f in document["functions"] if f["function"] == "late"]
        screen.wait("+1.91 MiB", "unclear  late")

        process.send_signal(signal.SIGSTOP)
        screen.press("b")
        screen.wait("baseline taken here only, from dump 0: process %d gave no answer" % process.pid)
    finally:
        process.kill()
        process.wait()
