"""`run` and `ps`: the program is untouched, what it did is reported."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from snapshots import COMMAND, ROOT

LEAK = "kept = [bytearray(5000) for _ in range(2000)]\n"


def test_the_report_names_the_leak_with_its_source_and_the_output_is_the_programs_own(command, tmp_path):
    (tmp_path / "app.py").write_text("import sys\nprint(sys.argv[1:])\n" + LEAK)
    done = command("run", "--sample-rate", "1", sys.executable, tmp_path / "app.py", "--top", "x")

    assert (done.returncode, done.stdout) == (0, "['--top', 'x']\n")
    assert "== trackleak ==" in done.stderr and "kept = [bytearray" in done.stderr
    assert "ended with 0" in done.stderr and "\x1b" not in done.stderr


@pytest.mark.parametrize("script, status", [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_status_is_the_programs(command, script, status):
    assert command("run", sys.executable, "-c", script).returncode == status


def test_a_saved_session_is_read_again_with_its_thresholds(command, tmp_path):
    done = command("run", "-o", tmp_path / "session", "--sample-rate", "1", "--heap-threshold", "1M", sys.executable,
                   "-c", LEAK + "import time; time.sleep(0.7)")
    again = command("report", tmp_path / "session")

    assert done.returncode == 0 and again.returncode == 0, again.stderr
    for text in (done.stderr, again.stdout):
        assert "ALERT  the heap grew by" in text and "more than 1.00 MiB" in text
    assert json.loads((tmp_path / "session" / "session.json").read_text())["status"] == 0
    page = command("export", tmp_path / "session", "--to", "html").stdout
    assert '"rss_over_time":[[' in page


def test_settings_are_options(command, tmp_path):
    done = command("run", "-o", tmp_path / "s", "--min-size", "77", "--no-python", "--job-name", "nightly",
                   sys.executable, "-c", "pass")
    assert done.returncode == 0
    (path,) = (tmp_path / "s").glob("snapshot-*.json")
    document = json.loads(path.read_text())
    assert document["settings"]["min_size"] == 77 and document["process"]["job_name"] == "nightly"


def test_a_duration_ends_the_watching_or_with_kill_the_program(command, tmp_path):
    mark = tmp_path / "mark"
    script = "import time; time.sleep(2); open(%r, 'w').close()" % str(mark)

    started = time.monotonic()
    assert command("run", "--duration", "1", "-o", tmp_path / "s", sys.executable, "-c",
                   "import sys, os; os.close(0); os.close(1); os.close(2)\n" + script).returncode == 0
    assert time.monotonic() - started < 2 and not mark.exists()
    time.sleep(3)
    assert mark.exists()
    mark.unlink()
    assert command("run", "--duration", "1", "--kill", sys.executable, "-c", script).returncode == 0
    time.sleep(1.5)
    assert not mark.exists()


def test_a_signal_that_is_sent_to_us_reaches_the_program(command, tmp_path):
    script = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nprint(1, flush=True)\ntime.sleep(20)"
    process = subprocess.Popen([str(COMMAND), "run", sys.executable, "-c", script], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={"TRACKLEAK_LIBRARY": str(ROOT / "trackleak.so"), **os.environ, "TMPDIR": str(tmp_path)})
    assert process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 9
    assert not list(tmp_path.iterdir()), "a folder was left behind"


def listed(command, pid):
    """The line of `ps` for it: its number may stand in others, in a path or a figure."""
    lines = command("ps").stdout.splitlines()
    return next((line for line in lines if line.split()[0] == str(pid)), None)


def test_ps_names_the_running_process_and_forgets_it(command, tmp_path):
    library = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
    environment = {**os.environ, "LD_PRELOAD": library, "TRACKLEAK_LOG_DIR": str(tmp_path), "TRACKLEAK_QUIET": "1",
                   "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "1"}
    process = subprocess.Popen([sys.executable, "-c", "import time\nkept = bytearray(9000000)\nprint(1, flush=True)\ntime.sleep(300)"],
                               env=environment, stdout=subprocess.PIPE)
    try:
        # The interpreter may take longer to start than the first dump to come.
        assert process.stdout.readline() == b"1\n"
        path, until = tmp_path / ("snapshot-%d.json" % process.pid), time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < until, "no dump"
            time.sleep(0.1)
        assert "-c import time" in listed(command, process.pid)
        assert "still running" in command("report", process.pid).stdout
        watched = command("watch", process.pid, "0.2", "2", "-T", "1", "-o", "0").stdout
        assert watched.count("stacks with outstanding allocations:") == 2
        assert " bytes in " in watched and "<module>  <string>:2" in watched
    finally:
        process.kill()
        process.communicate()
    assert not listed(command, process.pid)


def test_fail_on_leak_ends_with_3_for_a_leak_and_only_for_a_program_that_did_not_fail(command, tmp_path):
    leak = "import sys, time\nkept = []\nfor _ in range(150):\n    kept.append(bytearray(50000))\n    time.sleep(0.1)\n"
    words = ["run", "--fail-on-leak", "--interval", "1", "--sample-rate", "1", sys.executable, "-c"]

    done = command(*words, leak)
    assert "leaking" in done.stderr
    assert done.returncode == 3, done.stderr
    assert command(*words, leak + "sys.exit(5)").returncode == 5
    assert command(*words[:1], *words[2:], leak).returncode == 0, "nobody asked"
    assert command(*words, "kept = [bytearray(50000) for _ in range(150)]").returncode == 0, "what is held is no leak"


def test_a_session_is_saved_though_nobody_reads_its_report_to_the_end(command, tmp_path):
    environment = {**os.environ, "TRACKLEAK_LIBRARY": os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))}
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run([str(COMMAND), "run", "-o", tmp_path / "s", sys.executable, "-c", "pass"], stderr=writer, env=environment)
    os.close(writer)
    assert (tmp_path / "s" / "session.json").exists()
