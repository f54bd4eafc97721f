"""Between two allocations of the program nothing is asked of the system."""

import re
import shutil

import pytest
from harness import LIBRARY, profile

# Two marks that strace shows; between them only memory comes and goes, and the process's own second passes.
SCRIPT = r'''
import os, time
kept = [None] * 1000
def mark(name):
    try: os.rmdir("/no-such-folder/" + name)
    except OSError: pass
def work(rounds):
    for i in range(rounds):
        kept[i % 1000] = bytes(700)
        kept[i % 1000] = [i, str(i)]
        kept[(i * 7) % 1000] = bytearray(900)
work(3000)
mark("begin")
work(100000)
mark("end")
'''


def calls_between_the_marks(python, folder, library):
    trace = folder / "trace"
    preload = ["-E", "LD_PRELOAD=%s" % library] if library else []
    run = profile([shutil.which("strace"), "-f", "-o", trace, *preload, python.path], SCRIPT, library=None,
                  settings={name: None for name in ("DUMP_INTERVAL", "TOP", "SEED")}, timeout=120)
    if not trace.exists() or "PTRACE" in run.stderr:
        pytest.skip("strace may not trace here: " + run.stderr[-200:])
    run.check()
    lines = trace.read_text().splitlines()
    begin, end = (next(i for i, line in enumerate(lines) if "/no-such-folder/" + name in line) for name in ("begin", "end"))
    thread = lines[begin].split()[0]
    return [re.sub(r"\W.*", "", line.split(None, 1)[1]) for line in lines[begin + 1:end] if line.split()[0] == thread], run


def test_uncontained_no_system_call_of_ours_between_the_programs_allocations(one_python, tmp_path):
    """300,000 blocks under default settings; the kernel is asked for memory as it is without us, and for nothing else."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    if one_python.wrapper:
        pytest.skip("its executable does not run by itself")
    plain, _ = calls_between_the_marks(one_python, tmp_path, None)
    ours, run = calls_between_the_marks(one_python, tmp_path, LIBRARY)
    assert run.document("work")["counted"] >= 190000, "it was not profiled"
    memory = {"brk", "mmap", "munmap", "madvise", "mremap"}
    assert [call for call in ours if call not in memory | {"futex"}] == [call for call in plain if call not in memory]
    assert abs(len([call for call in ours if call in memory]) - len([call for call in plain if call in memory])) <= 10
    assert ours.count("futex") <= 10, "a lock is waited for only while the worker looks, once a second"
