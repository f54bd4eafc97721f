"""running: starts what is measured, one at a time, and does not wait for ever."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass


class Failed(Exception):
    """One line that says why."""


@dataclass(frozen=True)
class Run:
    output: str
    seconds: float
    cpu: float  # user and system, children that were waited for included


def last_line(text, otherwise):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else otherwise


def run(command, environment, folder, limit):
    """The command's Run; Failed when it ends badly, or not within `limit` seconds: then it is ended, and its children."""
    with open(folder / "stdout", "wb") as stdout, open(folder / "stderr", "wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder,
                                   stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seconds = time.perf_counter() - began
        except BaseException:  # Ctrl-C does not reach it: it has a session of its own
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
            timer.join()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)  # Popen need not wait for it
    if process.returncode == -signal.SIGKILL and seconds >= limit:
        raise Failed("does not end within %.0f s" % limit)
    if process.returncode != 0:
        raise Failed("ends with %d: %s" % (process.returncode, last_line(
            (folder / "stderr").read_text(errors="replace"), "it says nothing")))
    return Run((folder / "stdout").read_text(errors="replace"), seconds, usage.ru_utime + usage.ru_stime)
