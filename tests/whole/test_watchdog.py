"""The watchdog itself: a program that hangs or crashes is shown with the stack of each of its threads."""

import re
import shutil
from pathlib import Path

import pytest
from harness import profile

HANG = ("import os, threading, time\n"
        "lock = threading.Lock(); lock.acquire()\n"
        "threading.Thread(target=lock.acquire).start()\n"
        "if not os.fork(): time.sleep(100)\n"
        "print('hangs', flush=True)\n"
        "lock.acquire()\n")


@pytest.mark.parametrize("debugger", ["gdb", None])
def test_a_hang_is_reported_with_every_threads_stack(one_python, monkeypatch, debugger):
    if debugger and not shutil.which(debugger):
        pytest.skip("no gdb: stacks are the kernel's view only")
    if not debugger:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AssertionError, match="hung: not done after 3 s") as error:
        profile(one_python, HANG, timeout=3)
    report = str(error.value)
    assert report.count("-- process ") == 2, "the program and its child"
    if debugger:
        assert report.count("Thread ") >= 4, "three threads and the child's"
        assert "worker_main" in report and ("sem_" in report or "futex" in report)
    else:
        assert report.count("\nthread ") >= 4 and " trackleak state S " in report and "only what the kernel knows" in report


def test_a_crash_is_reported_with_the_stack_of_the_thread(one_python):
    if not shutil.which("gdb") or re.search("^[|/]", Path("/proc/sys/kernel/core_pattern").read_text()):
        pytest.skip("no gdb, or cores do not go to the current folder")
    with pytest.raises(AssertionError, match="status -11") as error:
        profile(one_python, "import ctypes\nctypes.string_at(1)\n").check()
    assert re.search(r"#0 .*str", str(error.value)) and "main" in str(error.value)
