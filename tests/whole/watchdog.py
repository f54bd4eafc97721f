"""What every thread of a program that hangs, or has crashed, is doing, for the report of the test that found it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path


MOST = 12  # processes that are looked at


def session(leader):
    """The pids of the session that `leader` began: the program and what it has forked."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return sorted(found)


def _threads(pid):
    """Without a debugger: each thread's name, state, and where the kernel has it wait."""
    for task in sorted(Path("/proc/%d/task" % pid).iterdir(), key=lambda path: int(path.name)):
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        yield "thread %s %s state %s in %s, syscall %s" % (
            task.name, (task / "comm").read_text().strip(), state, (task / "wchan").read_text() or "?",
            (task / "syscall").read_text().strip())


def _debugger(*arguments):
    """What gdb says of every thread."""
    done = subprocess.run(["gdb", "-batch", "-nx", *arguments, "-ex", "thread apply all backtrace 40"],
                          capture_output=True, text=True, errors="replace", timeout=60, stdin=subprocess.DEVNULL)
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith(("#", "Thread"))) or done.stderr


def keep_cores():
    """From now on what crashes leaves a core in its current folder, where the system lets it."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def crash(folder, executable):
    """Text: the stacks in the core that a program left in this folder."""
    found = sorted(folder.glob("core*"))
    if not found or not shutil.which("gdb"):
        return "no stacks: %s" % ("no gdb here" if found else "it left no core")
    return _debugger(executable, str(found[-1]))


def stacks(leader):
    """Text: the stack of every thread of every process of the session."""
    parts = []
    pids = session(leader)
    if len(pids) > MOST:
        parts.append("%d processes, of which the first %d are shown" % (len(pids), MOST))
    for pid in pids[:MOST]:
        try:
            parts.append("-- process %d: %s" % (
                pid, Path("/proc/%d/cmdline" % pid).read_bytes().replace(b"\0", b" ").decode(errors="replace")))
            if shutil.which("gdb"):
                parts.append(_debugger("-p", str(pid)))
            else:
                parts.append("no gdb here: no stacks, only what the kernel knows")
                parts.extend(_threads(pid))
        except (OSError, subprocess.TimeoutExpired) as error:
            parts.append("cannot look at it: %s" % error)
    return "\n".join(parts)
