"""Life: constructors in any order, processes that are left alone, fork handlers of others, threads that fork, interpreters
inside the interpreter."""

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import EXHAUSTIVE, LIBRARY, SAMPLED, environment, profile

LEAK = ("kept = []\n"
        "def leak():\n"
        "\tfor _ in range(500): kept.append(bytes(3000))\n"
        "leak()\n"
        "print('done')\n")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("settings", [SAMPLED, EXHAUSTIVE], ids=["sampled", "exhaustive"])
def test_constructors_and_destructors_of_others_run_before_and_after_ours(few_pythons, cc, order, settings):
    if few_pythons.wrapper:
        pytest.skip("another libc than the compiler's")
    run = profile(few_pythons, LEAK, settings={**settings, "DUMP_INTERVAL": 1},
                  **{"preload_first" if order == "before" else "preload_also": [cc("early.c", shared=True)]}).check()
    assert run.stdout == "done\nlate\n" and run.stderr == ""
    assert run.dumps_of(run.pid)[-1].document("leak")["counted"] >= 500


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a file of another user that runs as that user")
def test_a_process_in_secure_mode_is_left_alone(cc):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        program, log, library = Path(folder, "secure"), Path(folder, "log"), Path(folder, "trackleak.so")
        shutil.copy(LIBRARY, library)
        shutil.copy(cc("secure.c", "-Wl,--no-as-needed", str(library), "-Wl,-rpath," + folder), program)
        settings = environment({"ANY": 1, "STARTUP_DELAY": 0, "DUMP_INTERVAL": 0, "LOG_DIR": log})
        plain = subprocess.run([program], capture_output=True, text=True, env=settings)
        assert plain.stdout == "secure 0\n" and plain.stderr and log.exists(), "it is profiled where nothing forbids it"
        shutil.rmtree(log)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o755 | stat.S_ISUID)
        secure = subprocess.run([program], capture_output=True, text=True, env=settings)
        if secure.stdout == "secure 0\n":
            pytest.skip("the user bit has no effect on this file system")
        assert (secure.returncode, secure.stdout, secure.stderr) == (0, "secure 1\n", "") and not log.exists()


def test_a_process_with_address_sanitizer_is_left_alone(one_python):
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("no libasan.so here")
    run = profile(one_python, LEAK, settings={**SAMPLED, "QUIET": None}, preload_first=[os.path.realpath(asan)],
                  env={"ASAN_OPTIONS": "detect_leaks=0"}).check()
    assert (run.stdout, run.stderr) == ("done\n", "") and not run.log_dir.exists()


@pytest.mark.parametrize("order", ["before", "after"])
def test_fork_handlers_of_others_may_allocate_inside_and_outside_of_ours(few_pythons, cc, order):
    if few_pythons.wrapper:
        pytest.skip("another libc than the compiler's")
    script = LEAK + r'''
import os, threading
stop = []
def churn():
    while not stop: bytes(3000)
threads = [threading.Thread(target=churn) for _ in range(2)]
for t in threads: t.start()
bad = 0
for _ in range(100):
    pid = os.fork()
    if not pid:
        leak()
        os._exit(0)
    bad += os.waitpid(pid, 0)[1] != 0
stop.append(1)
for t in threads: t.join()
print(bad)
'''
    run = profile(few_pythons, script, python_args=["-W", "ignore"], settings={**SAMPLED, "DUMP_INTERVAL": 1, "LOG_KEEP": 200},
                  timeout=90, **{"preload_first" if order == "before" else "preload_also": [cc("fork_handlers.c", shared=True)]})
    run.check()
    assert run.stdout.endswith("\n0\n")
    children = [dump for dump in run.dumps if dump.pid != run.pid]
    assert len({dump.pid for dump in children}) == 100
    assert all(dump.document("leak")["counted"] >= 500 for dump in children)


def test_a_fork_from_a_thread_has_a_profile_and_a_worker_of_its_own(few_pythons):
    script = LEAK + r'''
import os, threading, time
def serve():
    for i in range(24):
        leak()
        time.sleep(0.1)
    until, lines = time.monotonic() + 20, os.environ["TRACKLEAK_LOG_DIR"] + "/profiler.jsonl"
    mine = '"process.pid":%d,' % os.getpid()
    while not (os.path.exists(lines) and mine in open(lines).read()) and time.monotonic() < until:
        time.sleep(0.1)  # its first dump by interval
    print(len(os.listdir("/proc/self/task")), flush=True)
def work():
    pid = os.fork()
    if not pid:
        serve()
        os._exit(0)
    os.waitpid(pid, 0)
thread = threading.Thread(target=work)
thread.start()
thread.join()
'''
    run = profile(few_pythons, script, python_args=["-W", "ignore"], settings={**SAMPLED, "DUMP_INTERVAL": 1}).check()
    (child,) = {dump.pid for dump in run.dumps} - {run.pid}
    assert "\n2\n" in run.stdout, "the forking thread and the worker"
    assert len(run.dumps_of(child)) >= 2 and run.dumps_of(child)[-1].document("leak")["counted"] >= 24 * 500
    assert run.snapshot(child)["process"]["forked"] is True and run.snapshot(child)["dump"]["final"] is True


def test_interpreters_inside_the_interpreter(python):
    script = r'''
import threading
try:
    import _interpreters as inner
except ImportError:
    import _xxsubinterpreters as inner
CODE = """
kept = []
def leak():
    for i in range(300):
        kept.append(bytes(3000))
        kept.append('text %d' % i)
leak()
"""
def work():
    for _ in range(3):
        one = inner.create()
        inner.run_string(one, CODE)
        inner.destroy(one)
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
kept = []
def outer():
    for _ in range(200): kept.append(bytes(4000))
outer()
print("done")
'''
    plain = profile(python, script, library=None)
    if plain.status or plain.stdout != "done\n":
        pytest.skip("this Python cannot do it without us: %r" % plain.stderr[-200:])
    run = profile(python, script, settings={**SAMPLED, "DUMP_INTERVAL": 1}).check()
    assert run.stdout == "done\n" and run.stderr == plain.stderr
    # Below 3.12 libc's layer knows a thread by its first interpreter: the line is that of the call into the inner one.
    where = "leak" if python.minor >= 12 else "work"
    assert sum(d["counted"] for d in run.dump.documents(where)) >= 9 * 300
    assert run.document("outer")["counted"] >= 200 and run.row("outer").retention >= 95


def test_a_loop_of_asyncio_with_its_subprocesses_and_executors(few_pythons):
    if few_pythons.wrapper:
        pytest.skip("its executable does not run by itself")
    script = r'''
import asyncio, sys
kept = []
def leak(n):
    kept.append(bytes(3000))
    return n * n
async def child(n):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(%d)" % n, stdout=asyncio.subprocess.PIPE)
    return int((await process.communicate())[0])
async def main():
    loop = asyncio.get_running_loop()
    print(sum(await asyncio.gather(*[loop.run_in_executor(None, leak, n) for n in range(300)])),
          await asyncio.gather(*[child(n) for n in range(4)]))
asyncio.run(main())
'''
    run = profile(few_pythons, script, settings={**SAMPLED, "DUMP_INTERVAL": 1}).check()
    assert run.stdout == "%d [0, 1, 2, 3]\n" % sum(n * n for n in range(300)) and run.stderr == ""
    assert run.dumps_of(run.pid)[-1].document("leak")["counted"] >= 300
