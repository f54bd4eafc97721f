"""libpython that comes late, by dlopen, into a program that is not Python; and Py_Initialize more than once."""

import subprocess
from pathlib import Path

import pytest
from harness import EXHAUSTIVE, profile


def libpython(python):
    if not python.shared or python.wrapper:
        pytest.skip("has no libpython of its own")
    name = "libpython%d.%d%s.so.1.0" % (*python.version[:2], "t" if python.free_threaded else "")
    found = subprocess.run(["ldd", python.path], capture_output=True, text=True).stdout
    for line in found.splitlines():
        if name in line:
            return line.split("=>")[1].split("(")[0].strip()
    near = Path(python.path).parents[1] / "lib" / name
    assert near.exists(), near
    return near


@pytest.mark.parametrize("how", ["once", "local", "thread", "cycles"])
def test_a_late_libpython_is_profiled_by_line(python, cc, how):
    library = libpython(python)
    home = Path(library).parents[1]
    run = profile([cc("embed.c"), library, how], None, settings={**EXHAUSTIVE, "ANY": 1, "TABLE_SIZE": 1000000},
                  env={"PYTHONHOME": home} if (home / "bin").exists() else {}).check()
    assert run.stdout.endswith("done\n")
    cycles = 3 if how == "cycles" else 1
    leak = run.document("leak")
    assert leak["counted_bytes"] >= cycles * sum(3000 + i + 33 for i in range(200))
    assert leak["file"] == "<string>" and leak["line"] == 3
    assert run.document("small")["counted"] >= 200, "CPython's own allocators were not hooked"
    natives = [d for d in run.dump.functions if d["function"].startswith("<native embed+")]
    assert sum(d["live_bytes"] for d in natives) >= 100000


def test_without_any_no_plain_process_carries_a_watcher(python, cc):
    library = libpython(python)
    home = Path(library).parents[1]
    run = profile([cc("embed.c"), library, "once"], None, settings={"QUIET": None},
                  env={"PYTHONHOME": home} if (home / "bin").exists() else {}).check()
    assert run.stderr == "" and not run.log_dir.exists()


def test_initialise_and_finalise_many_times_in_a_python_process(few_pythons, cc):
    """Known from 3.12 on: a second Py_Initialize puts the interpreter's own allocators back."""
    library = libpython(few_pythons)
    home = Path(library).parents[1]
    run = profile([cc("embed.c"), library, "cycles"], None, settings={"ANY": 1, "SAMPLE_RATE": 1},
                  env={"PYTHONHOME": home} if (home / "bin").exists() else {}).check()
    assert run.document("leak")["counted"] >= 600
