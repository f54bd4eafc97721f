"""Processes that are not Python, and those that must not be profiled: not a word, not a file, not a difference."""

import os
import shutil
import subprocess

import pytest
from harness import LIBRARY, environment, profile


def plain(command, input=None, settings=None):
    log = settings["LOG_DIR"]
    done = subprocess.run(command, input=input, capture_output=True, timeout=60,
                          env=environment(settings, {"LD_PRELOAD": LIBRARY}))
    assert not os.path.exists(log), os.listdir(log)
    return done


FILTERS = [["xz", "-T2", "-c", "-0"], ["sort", "--parallel=4", "-S", "50M"], ["cat"], ["gzip", "-c"],
           ["perl", "-e", "print <STDIN>"], ["awk", "{print}"]]


@pytest.mark.parametrize("command", FILTERS, ids=lambda c: c[0])
def test_children_that_are_not_python_are_silent_and_do_their_work(tmp_path, command):
    """Known failure 3: undefined Python symbols killed `xz -T2` and `sort` with 127; banners in every stderr."""
    if not shutil.which(command[0]):
        pytest.skip("no " + command[0])
    text = b"".join(b"line %d of a text\n" % (i * 7919 % 100003) for i in range(100000))
    expected = subprocess.run(command, input=text, capture_output=True)
    done = plain(command, text, {"LOG_DIR": tmp_path / "log"})
    assert (done.returncode, done.stdout, done.stderr) == (0, expected.stdout, expected.stderr)


def test_the_banner_is_printed_once_whatever_the_process_starts(python):
    script = ("import os, subprocess\n"
              "subprocess.run('true; /bin/echo hello | cat', shell=True)\n"
              "if not os.fork(): os._exit(0)\n"
              "os.wait()\n"
              "subprocess.run(['sort'], input=b'b')\n")
    run = profile(python, script, settings={"QUIET": None}).check()
    assert len([line for line in run.banner if "Configuration loaded" in line]) == 1
    assert len(run.banner) == 7 and len(run.stderr.splitlines()) == 7


def test_python_that_becomes_another_python_by_exec(python):
    if python.wrapper:
        pytest.skip("its executable does not run by itself")
    script = ("import os, sys\n"
              "if len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, __file__, 'again'])\n"
              "print('again')\n")
    run = profile(python, script, settings={"QUIET": None}).check()
    assert run.stdout == "again\n"
    assert len([line for line in run.banner if "Configuration loaded" in line]) == 1


def test_statically_linked_programs_do_not_care(tmp_path):
    if not shutil.which("busybox"):
        pytest.skip("no busybox")
    done = plain(["busybox", "echo", "hello"], settings={"LOG_DIR": tmp_path / "log"})
    assert (done.stdout, done.stderr) == (b"hello\n", b"")


def test_a_python_by_another_name_is_a_python(one_python, tmp_path):
    link = tmp_path / "my-service"
    link.symlink_to(one_python.path)
    run = profile([link], "kept = [bytes(5000) for _ in range(100)]\n", settings={"QUIET": None},
                  env={"PYTHONHOME": os.path.dirname(os.path.dirname(one_python.path))}).check()
    assert run.tables and run.banner
