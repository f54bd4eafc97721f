"""A vfork child runs in its parent's memory: its _exit and exec are nobody's end."""

from harness import SAMPLED, profile


def test_a_program_that_is_not_there_changes_nothing_in_the_parent(python):
    script = r'''
import subprocess, time
kept = []
def leak():
    for _ in range(100): kept.append(bytes(5000))
leak()
for _ in range(50):
    try:
        subprocess.run(["/nonexistent"])
    except FileNotFoundError:
        pass
leak()
time.sleep(2.3)
leak()
'''
    run = profile(python, script, settings={**SAMPLED, "DUMP_INTERVAL": 1}).check()
    assert {dump.pid for dump in run.dumps} == {run.pid}, "a child that never was has dumped"
    assert len(run.tables) >= 3, "the dumps have ended"
    assert 300 <= run.document("leak")["counted"] <= 330
    assert run.row("leak").retention >= 99
    assert run.snapshot()["dump"]["final"] is True


def test_thousands_of_posix_spawns_change_nothing(one_python):
    script = r'''
import os
kept = []
def leak():
    for _ in range(100): kept.append(bytes(5000))
leak()
for i in range(2000):
    pid = os.posix_spawn("/bin/true", ["true"], {}) if i % 10 == 0 else None
    if pid:
        os.waitpid(pid, 0)
    else:
        try:
            os.posix_spawn("/nonexistent", ["x"], {})
        except FileNotFoundError:
            pass
leak()
'''
    run = profile(one_python, script, settings=SAMPLED, timeout=120).check()
    assert [dump.pid for dump in run.dumps] == [run.pid]
    assert 200 <= run.document("leak")["counted"] <= 210


def test_a_shell_and_its_pipeline_are_left_alone(python):
    script = ("import subprocess\n"
              "print(subprocess.run('printf \"b\\\\na\\\\n\" | sort | tr a-z A-Z', shell=True,"
              " capture_output=True, text=True))\n")
    run = profile(python, script).check()
    assert "stdout='A\\nB\\n', stderr=''" in run.stdout
    assert {dump.pid for dump in run.dumps} == {run.pid}
