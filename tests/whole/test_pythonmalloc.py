"""CPython's own allocators, however they are chosen: seen, and counted once."""

import pytest
from harness import EXHAUSTIVE, profile

SCRIPT = r'''
from taken import *
def small(): take(PYMEM_MALLOC, 100, 1000)
def objects(): take(PYOBJECT_MALLOC, 300, 1000)
def large(): take(PYMEM_MALLOC, 3000, 200)
def raw(): take(PYRAW_MALLOC, 100, 1000)
def edge(): take(PYMEM_MALLOC, 500, 100)  # with the fences of a debug allocator it is libc's
def freed(): take_and_free(PYOBJECT_MALLOC, 100, 1000)
small(); objects(); large(); raw(); edge(); freed()
kept = []
def python():
    for i in range(200):
        kept.append(bytes(2000))  # python
python()
'''
WAYS = {"default": ({}, []), "pymalloc": ({"PYTHONMALLOC": "pymalloc"}, []), "malloc": ({"PYTHONMALLOC": "malloc"}, []),
        "debug": ({"PYTHONMALLOC": "debug"}, []), "malloc_debug": ({"PYTHONMALLOC": "malloc_debug"}, []),
        "pymalloc_debug": ({"PYTHONMALLOC": "pymalloc_debug"}, []), "mimalloc": ({"PYTHONMALLOC": "mimalloc"}, []),
        "-X-dev": ({}, ["-X", "dev"]), "-X-tracemalloc": ({}, ["-X", "tracemalloc=3"]),
        "PYTHONDEVMODE": ({"PYTHONDEVMODE": "1"}, [])}


@pytest.mark.parametrize("way", WAYS)
def test_every_block_is_seen_once(python, allocations, way):
    env, options = WAYS[way]
    if way == "mimalloc" and python.minor < 13:
        pytest.skip("mimalloc came with 3.13")
    if python.free_threaded and way in ("malloc", "pymalloc", "debug", "malloc_debug", "pymalloc_debug"):
        pytest.skip("a free-threaded build has mimalloc only")
    run = profile(python, SCRIPT, env={**allocations, **env}, settings={**EXHAUSTIVE, "TABLE_SIZE": 1000000},
                  python_args=options).check()
    # A debug allocator adds its own fences to each block, at or under our layer.
    fences = 0 if way in ("default", "pymalloc", "malloc", "mimalloc") else 64
    for name, count, size in (("small", 1000, 100), ("objects", 1000, 300), ("large", 200, 3000), ("raw", 1000, 100),
                              ("edge", 100, 500)):
        document = run.document(name)
        if way == "-X-tracemalloc":  # it keeps a record of its own of each block
            assert document["live_count"] >= count
            continue
        if way == "mimalloc" and name == "raw" and python.minor >= 15:
            continue  # there the RAW domain is mimalloc's too, and never passes libc
        # A new arena may bring a node of pymalloc's tree of arenas with it.
        assert document["live_count"] in (count, count + 1), name
        node = 131072 * (document["live_count"] - count)
        assert count * size <= document["live_bytes"] <= count * (size + fences) + node, name
    freed = run.document("freed")
    assert 1000 <= freed["counted"] <= (1010 if way != "-X-tracemalloc" else 4000)
    assert freed["live_bytes"] <= (0 if way != "-X-tracemalloc" else 100)
    assert run.document("python")["live_count"] >= 200


def test_settings_by_the_program_do_not_lose_its_small_blocks(python):
    script = ("many, letter, kept = [None] * 100000, chr(233), []\n"
              "def small():\n"
              "\tfor _ in many: kept.append(letter * 40)\n"
              "small()\n")
    for env in ({}, {"PYTHONMALLOC": "debug"}, {"PYTHONDEVMODE": "1"}):
        run = profile(python, script, env=env, settings={"SEED": 2, "MAX_OVERHEAD": 0}).check()
        assert run.row("small").samples >= 20, env
        assert run.row("small").retention > (60 if python.free_threaded else 80)
