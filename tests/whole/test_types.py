"""What survives is told by type: instances by their class's name, large blocks, and blocks that are no objects."""

import pytest
from harness import EXHAUSTIVE, profile

SCRIPT = '''
import collections, contextvars, time

class Session:
    def __init__(self):
        self.number = 1

class Outer:
    class Inner:
        __slots__ = ("a", "b", "__weakref__")

class Table(dict):
    pass

class Größe:
    pass

class Meta(type):
    pass

class Made(metaclass=Meta):
    def method(self):
        pass

Late = type("Late", (), {"text": 1, "more": 2})
kept, room = [], [None] * 200000
made = Made()

async def numbers():
    yield 1

def sessions():
    for i in range(600):
        kept.append(Session())

def inners():
    for i in range(600):
        kept.append(Outer.Inner())

def sub_tables():
    for i in range(600):
        kept.append(Table())

def metres():
    for i in range(600):
        kept.append(Größe())

def of_metaclass():
    for i in range(600):
        kept.append(Made())

def late():
    for i in range(600):
        kept.append(Late())

def large_bytes():
    for i in range(200):
        kept.append(b"%d" % i * 800)

def large_str():
    for i in range(200):
        kept.append("é%d" % i * 800)

def list_items():
    for i in range(200):
        kept.append([made] * 200)

def small_items():
    for i in range(600):
        kept.append([made] * 20)

def items_of_classes():
    for i in range(600):
        kept.append([Session, Outer, Table, Made] * 4)

def deques():
    for i in range(60):
        kept.append(collections.deque([made] * 600))

def single_deques():
    for i in range(60):
        kept.append(collections.deque((made,)))

def big_dicts():
    for i in range(60):
        kept.append(dict.fromkeys(range(200)))

def small_dicts():
    for i in range(600):
        kept.append({"a": made, "b": made})

def methods():
    for i in range(600):
        kept.append(made.method)

def builtins():
    for i in range(600):
        kept.append(room.append)

def contexts():
    for i in range(600):
        kept.append(contextvars.copy_context())

def generators():
    for i in range(200):
        kept.append((n for n in ()))

def asends():
    for i in range(200):
        kept.append(numbers().__anext__())

def long_tuples():
    for i in range(600):
        kept.append((made,) * 40)

for make in (sessions, inners, sub_tables, metres, of_metaclass, late, large_bytes, large_str, list_items, small_items,
             items_of_classes, deques, single_deques, big_dicts, small_dicts, methods, builtins, contexts, generators,
             asends, long_tuples):
    make()
time.sleep(4.5)
'''

# Function: the type, the bytes that there must be of it at least, and the minors that have a free list for it.
ALL, NONE = range(8, 16), ()
EXPECTED = {
    "sessions": ("__main__.Session", 600 * 40, NONE),
    "inners": ("__main__.Outer.Inner", 600 * 40, NONE),
    "sub_tables": ("__main__.Table", 600 * 48, NONE),
    "metres": ("__main__.Größe", 600 * 32, NONE),
    "of_metaclass": ("__main__.Made", 600 * 32, NONE),
    "late": ("__main__.Late", 600 * 32, NONE),
    "large_bytes": ("bytes", 200 * 800, NONE),
    "large_str": ("str", 200 * 1600, NONE),
    "list_items": ("list items", 200 * 1600, NONE),
    "small_items": ("list items", 600 * 160, NONE),
    "items_of_classes": ("list items", 600 * 128, NONE),
    "deques": ("deque block", 60 * 9 * 528, (8, 9, 10)),
    "single_deques": ("deque block", 60 * 528, (8, 9, 10)),
    "big_dicts": ("dict keys", 60 * 4096, NONE),
    "small_dicts": ("dict keys", 600 * 104, ALL),
    "methods": ("method", 600 * 48, (8, 14, 15)),
    "builtins": ("builtin_function_or_method", 600 * 48, (8, 14, 15)),
    "contexts": ("Context", 600 * 40, ALL),
    "asends": ("async_generator_asend", 200 * 40, ALL),
    "long_tuples": ("tuple", 600 * 344, NONE),
}


@pytest.fixture(scope="module")
def run_of():
    runs = {}

    def run(python):
        if python not in runs:
            made = profile(python, SCRIPT, settings={**EXHAUSTIVE, "TABLE_SIZE": 2000000}).check()
            runs[python] = made.dump, made.snapshot()
        return runs[python]

    return run


@pytest.mark.parametrize("function", EXPECTED)
def test_survivors_are_told_by_type(few_pythons, run_of, function):
    document = run_of(few_pythons)[0].document(function)
    wanted, least, pooled = EXPECTED[function]
    found = {row["type"]: row["bytes"] for row in document["types"]}
    assert wanted in found, found
    assert found[wanted] >= 0.95 * least, found
    if few_pythons.minor in pooled:
        assert document["uncertain_bytes"] >= 0.95 * least
    elif function not in ("list_items", "small_items", "items_of_classes", "big_dicts", "sub_tables"):  # parts of them are
        assert document["uncertain_bytes"] <= 0.05 * document["live_bytes"]


def test_in_total_too(few_pythons, run_of):
    _, snapshot = run_of(few_pythons)
    total = {row["type"]: (row["bytes"], row["count"]) for row in snapshot["types"]}
    assert 600 <= total["__main__.Session"][1] <= 610
    assert 600 <= total["__main__.Größe"][1] <= 610
    assert total["list items"][0] >= 200 * 1600 + 600 * (160 + 128)
    assert [row["bytes"] for row in snapshot["types"]] == sorted((b for b, _ in total.values()), reverse=True)


def test_without_pymalloc_the_types_are_the_same(one_python):
    """Then all is libc's, and its blocks are read fault-safely."""
    run = profile(one_python, SCRIPT, settings={**EXHAUSTIVE, "TABLE_SIZE": 2000000},
                  env={"PYTHONMALLOC": "malloc"}).check()
    for function in ("sessions", "small_dicts"):
        wanted, least, pooled = EXPECTED[function]
        document = run.document(function)
        found = {row["type"]: row["bytes"] for row in document["types"]}
        assert found[wanted] >= 0.5 * least  # a busy machine has not looked at all of them
        assert (document["uncertain_bytes"] > 0.4 * least) == (pooled != NONE)


def test_a_block_that_the_program_made_unreadable_is_left_alone(one_python):
    """Its first page is a guard: a plain load there would end the process."""
    script = ("import ctypes, time\n"
              "libc = ctypes.CDLL(None)\n"
              "libc.memalign.restype = ctypes.c_void_p\n"
              "blocks = [libc.memalign(4096, 65536) for n in range(50)]\n"
              "assert not any(libc.mprotect(ctypes.c_void_p(b), 4096, 0) for b in blocks)\n"
              "time.sleep(1.5)\n"
              "assert not any(libc.mprotect(ctypes.c_void_p(b), 4096, 3) for b in blocks)\n")
    run = profile(one_python, script, settings={**EXHAUSTIVE, "DUMP_INTERVAL": 1}).check()
    held = [d["live_bytes"] for d in run.dump.functions if d["file"].endswith("program.py")]
    assert sum(held) >= 50 * 65536
