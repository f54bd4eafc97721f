"""TRACKLEAK_NATIVE=1: the C frames of each sample, in the right order with the Python frames, and named by the command."""

import json
import subprocess
from collections import Counter

import pytest
from harness import EXHAUSTIVE, ROOT, SAMPLED, TARGETS, profile

from test_exhaustive import BIG, by_function, in_program

COMMAND = ROOT / "trackleak"
NATIVE = {**SAMPLED, "MIN_SIZE": 4000, "NATIVE": 1}
CHAIN = ["innermost", "int* shop::five<int>(unsigned long)", "shop::four(unsigned long)", "shop::three(unsigned long)",
         "shop::two(unsigned long)", "one"]
LIBRARY = """
import ctypes, os
lib = ctypes.CDLL(os.environ["CHAIN"])
lib.one.restype = ctypes.c_void_p
lib.one.argtypes = [ctypes.c_size_t]
BACK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
lib.middle.argtypes = [BACK, ctypes.c_size_t]
"""


@pytest.fixture(scope="module")
def chain(cc):
    return {"CHAIN": str(cc("native_chain.cpp", "-O2", "-finline", shared=True))}


def frames_of(snapshot, stack):
    """[(name, is it native?)], innermost first."""
    frames, at = [], stack["frame"]
    while at:
        frame = snapshot["frames"][at]
        name = frame[3] if len(frame) > 3 else snapshot["functions"][frame[1]]["function"]
        native = name.startswith("<native ")
        assert native or len(frame) <= 5
        frames.append((name if native else "%s:%d" % (name, frame[2]), native))
        at = frame[0]
    return frames


def named_stacks(run):
    """What the command makes of them: [(bytes, [name, ...])], innermost first."""
    if not COMMAND.exists():
        pytest.skip("./trackleak is not built: its libraries are missing (make deps)")
    (path,) = run.log_dir.glob("snapshot-*.json")
    done = subprocess.run([COMMAND, "report", path, "--by", "stack", "--json", "--top", "0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [(row["live_bytes"], [frame["function"] for frame in row["stack"]])
            for row in json.loads(done.stdout)["rows"]]


def stacks_of_chain(run, holds):
    """CPython calls in another way when it has seen a call some times: several stacks hold it in sum."""
    found = [(size, names) for size, names in named_stacks(run) if names[0] == CHAIN[0]]
    assert sum(size for size, _names in found) == holds
    assert all(names[:6] == CHAIN for _size, names in found)
    return [names[6:] for _size, names in found]


def is_native(name):
    """Names of C functions in the files that stand between: ctypes and libffi, with symbols or without."""
    return name.startswith(("<native ", "ffi_", "_call_function_pointer", "_ctypes_callproc", "PyCFuncPtr", "closure_fcn",
                            "_CallPythonObject", "_Py", "Py", "type_call", "call_function", "do_call"))


def test_five_c_frames_deep_in_a_section_that_has_released_the_gil(python, chain):
    script = LIBRARY + "def released():\n    for i in range(30): lib.one(5000)\nreleased()\n"
    run = profile(python, script, env=chain, settings=NATIVE).check()
    for names in stacks_of_chain(run, 30 * 5000):
        assert names[-2:] == ["released", "<module>"]
        assert len(names) > 3 and all(map(is_native, names[:-2])), names
    assert run.document("released")["live_bytes"] == 30 * 5000  # the blame is as ever


def test_a_python_function_that_is_called_back_stands_in_the_middle(python, chain):
    script = LIBRARY + """
def inner(n):
    return lib.one(n)
def back(n):
    return inner(n)
kept = BACK(back)
def outer():
    for i in range(20): lib.middle(kept, 7000)
def start():
    outer()
start()
"""
    run = profile(python, script, env=chain, settings=NATIVE).check()
    for names in stacks_of_chain(run, 20 * 7000):
        assert [n for n in names if not is_native(n)] == ["inner", "back", "middle", "outer", "start", "<module>"]
        inner, back, middle, outer = map(names.index, ("inner", "back", "middle", "outer"))
        assert inner > 1 and back == inner + 1 and middle > back + 1 and outer > middle + 1, "C frames stand where they belong"


def test_threads_have_their_own(python, chain):
    script = LIBRARY + """
import threading
def released():
    for i in range(10): lib.one(6000)
threading.stack_size(65536)
threads = [threading.Thread(target=released) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    run = profile(python, script, env=chain, settings=NATIVE).check()
    for names in stacks_of_chain(run, 80 * 6000):
        assert "released" in names and names[-1].endswith("_bootstrap")


MANY_WAYS = """
import collections, functools, json, re
kept = []
class Item:
    def __init__(self, n): self.data = bytearray(n)
    def __lt__(self, other): kept.append(bytearray(4100)); return len(self.data) < len(other.data)
    def __repr__(self): kept.append(bytearray(4200)); return "item"
    def __del__(self): kept.append(bytearray(4300))
def generator(n):
    for i in range(n):
        kept.append(bytearray(4400))
        yield i
def chained(n):
    yield from generator(n)
def deep(n):
    return kept.append(bytearray(4500)) if n == 0 else deep(n - 1)
async def wait(n):
    kept.append(bytearray(4600))
def adds(a, b):
    deep(2)
    return a + b
def replace(match):
    deep(1)
    return ""
def fails():
    try:
        try:
            raise KeyError(bytearray(4700))
        finally:
            deep(3)
    except KeyError as error:
        kept.append(error)
def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration:
        pass
for i in range(5):
    items = sorted(Item(5000) for i in range(4))
    kept.append(str(items))
    del items
    list(map(lambda x: deep(x), [1, 2]))
    sum(chained(3))
    functools.reduce(adds, [1, 2, 3])
    re.sub("a", replace, "banana")
    json.dumps({"a": 1}, default=repr)
    collections.defaultdict(lambda: Item(6000))[1]
    exec("deep(4)")
    eval("deep(5)")
    run(wait(1))
    fails()
"""


def python_stacks(snapshot):
    """Of each stack its Python frames alone, with what it holds; but for imports, which differ from run to run."""
    sums = Counter()
    for stack in snapshot["stacks"]:
        python = tuple(name for name, native in frames_of(snapshot, stack) if not native)
        if not any(name.startswith("_find_and_load") for name in python):
            sums[python] += round(stack["live_bytes"][0])
    return sums


def test_no_python_frame_is_lost_or_moved(python):
    with_c, without = (profile(python, MANY_WAYS, settings={**NATIVE, "NATIVE": n}, env={"PYTHONHASHSEED": "0"}).check().snapshot()
                       for n in (1, 0))
    assert with_c["modules"] and not without["modules"] and all(len(frame or ()) <= 5 for frame in without["frames"])
    ours, truth = python_stacks(with_c), python_stacks(without)
    assert len(truth) > 12
    assert ours == truth
    calls_back = [frames_of(with_c, s) for s in with_c["stacks"]]
    assert all(not frames[-1][1] or all(native for _n, native in frames[:-1]) for frames in calls_back), (
        "outside of the outermost Python frame nothing stands")


def test_exhaustive_mode_is_as_exact_as_without(few_pythons, cc, tmp_path):
    oracle = cc("allocation_oracle.c", shared=True)
    report = tmp_path / "oracle"
    run = profile(few_pythons, TARGETS / "exhaustive_program.py", [report], settings={**BIG, "NATIVE": 1},
                  preload_first=[oracle], timeout=120).check()
    truth = by_function(in_program(json.loads(line) for line in report.read_text().splitlines()))
    assert by_function(in_program(run.dump.functions)) == truth
    assert run.table.lost == 0


def test_a_program_that_is_not_python_is_told_by_c_function(cc):
    settings = {**EXHAUSTIVE, "ANY": 1, "NATIVE": 1}
    run = profile([cc("native_leaker.c")], None, settings=settings).check()
    stacks = dict((size, names) for size, names in named_stacks(run))
    assert stacks[31 * 10000][:3] == ["inner", "outer", "main"]
    assert stacks[10000][:3] == ["inner", "outer", "in_thread"]
    assert stacks[31 * 100][:2] == ["outer", "main"]
    (path,) = run.log_dir.glob("snapshot-*.json")
    done = subprocess.run([COMMAND, "report", path, "--json", "--top", "0"], capture_output=True, text=True, check=True)
    rows = {row["name"]: row["live_bytes"] for row in json.loads(done.stdout)["rows"]}
    assert rows["inner"] == 32 * 10000 and rows["outer"] == 32 * 100


def test_numpy_names_its_own_frames(few_pythons, packages):
    script = """
import numpy
def arrays():
    return [numpy.ones(2000) for i in range(20)]
kept = arrays()
"""
    run = profile(few_pythons, script, settings=NATIVE, env={"PYTHONPATH": packages(few_pythons, "numpy")}).check()
    snapshot, held = run.snapshot(), 0
    for stack in snapshot["stacks"]:
        frames = frames_of(snapshot, stack)
        if any(name.startswith("arrays") for name, _native in frames):
            held += stack["live_bytes"][0]
            inner = [name for name, _native in frames[:next(i for i, (_n, native) in enumerate(frames) if not native)]]
            assert any("_multiarray_umath" in name for name in inner), frames
    assert held >= 20 * 16000


def test_greenlets_live_and_have_the_right_python_frames(few_pythons, packages, chain):
    script = LIBRARY + """
import greenlet
def work(name, n):
    for i in range(n):
        lib.one(5000)
        main.switch()
def step(g, depth):
    return step(g, depth - 1) if depth else g.switch(g, 50)
main = greenlet.getcurrent()
greenlets = [greenlet.greenlet(work) for i in range(20)]
for i in range(50):
    for j, g in enumerate(greenlets):
        if not g.dead:
            step(g, (i + j) % 30)
"""
    run = profile(few_pythons, script, env={**chain, "PYTHONPATH": packages(few_pythons, "greenlet")},
                  settings=NATIVE).check()
    assert run.document("work")["live_bytes"] == 20 * 50 * 5000
    assert all(names[-1] == "work" for names in stacks_of_chain(run, 20 * 50 * 5000)), "it ends with its first function"


def test_libraries_that_come_and_go_do_no_harm(few_pythons, chain, tmp_path):
    script = LIBRARY + """
import _ctypes, shutil, sys, threading, time
copies = []
for i in range(4):
    path = os.path.join(sys.argv[1], "copy%d.so" % i)
    shutil.copy(os.environ["CHAIN"], path)
    copies.append(path)
end = time.monotonic() + 3
def come_and_go(path):
    while time.monotonic() < end:
        one = ctypes.CDLL(path)
        one.one.argtypes = [ctypes.c_size_t]
        for i in range(20):
            one.one(5000)
        _ctypes.dlclose(one._handle)
def stays():
    while time.monotonic() < end:
        lib.one(4000)
threads = [threading.Thread(target=come_and_go, args=(path,)) for path in copies] + [threading.Thread(target=stays)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    run = profile(few_pythons, script, [tmp_path], env=chain, settings=NATIVE).check()
    assert run.document("come_and_go")["live_bytes"] > 0
    assert all(names[:6] == CHAIN for size, names in named_stacks(run) if names[-1:] and "stays" in names)


def test_a_forked_child_has_them_too(few_pythons, chain):
    script = LIBRARY + """
def forked():
    for i in range(10): lib.one(8000)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
else:
    forked()
"""
    run = profile(few_pythons, script, env=chain, settings=NATIVE).check()
    snapshots = [json.loads(path.read_text()) for path in run.log_dir.glob("snapshot-*.json")]
    (child,) = [s for s in snapshots if s["process"]["forked"]]
    frames = [frames_of(child, s) for s in child["stacks"] if s["live_bytes"][0] % 8000 == 0]
    frames = [found for found in frames if ("forked:10", False) in found]
    assert frames
    for found in frames:
        assert [native for _name, native in found[:5]] == [True] * 5
        assert [name for name, native in found if not native] == ["forked:10", "<module>:15"]


def test_where_it_cannot_work_one_line_says_so(few_pythons, cc):
    """A kernel that refuses process_vm_readv, as a seccomp filter makes it."""
    run = profile(few_pythons, "def keeps():\n    return list(map(bytearray, [5000] * 20))\nkept = keeps()\n", settings={**NATIVE, "QUIET": None},
                  preload_first=[cc("refused_copies.c", shared=True)]).check()
    assert run.stderr.count("TRACKLEAK_NATIVE has no effect") == 1
    assert run.document("keeps")["live_bytes"] >= 20 * 5000
    assert not run.snapshot()["modules"]
