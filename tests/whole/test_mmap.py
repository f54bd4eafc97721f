"""Anonymous memory by owner: arenas are nobody's leak, mmap.mmap is its line's."""

from harness import SAMPLED, line_of, profile

PAGE = 4096


def maps(run):
    owners = {}
    for one in run.snapshot()["maps"]:
        owners[one["owner"]] = owners.get(one["owner"], 0) + one["bytes"]
    return owners


def test_mmap_mmap_is_charged_to_its_line_exactly(python):
    script = r'''
import mmap
kept = []
def maps():
    for i in range(20):
        kept.append(mmap.mmap(-1, 100 * 4096 + i))  # maps
def closed():
    for i in range(20):
        mmap.mmap(-1, 300 * 4096).close()
maps(); closed()
'''
    run = profile(python, script).check()
    document = run.document("maps")
    assert (document["counted"], document["counted_bytes"]) == (20, sum(100 * PAGE + i for i in range(20)))
    assert (document["line"], document["retention_pct"]) == (line_of(script, "maps"), 100.0)
    assert run.document("closed")["counted"] == 20 and run.document("closed")["retention_pct"] == 0.0


def test_arenas_are_counted_as_arenas_and_never_as_a_leak(python):
    script = ("kept = [None] * 300000\n"
              "def fill():\n"
              "\tfor i in range(300000): kept[i] = 'text %d' % i\n"
              "fill()\n")
    run = profile(python, script).check()
    owners = maps(run)
    if not python.free_threaded:
        assert owners["pymalloc arenas"] >= 300000 * 60
    # From 3.10 on CPython notes its arenas in a tree, which gets another node of 128 KiB where they reach over a multiple
    # of 16 GiB: as chance places them, once in a thousand runs.
    assert run.document("fill")["counted_bytes"] < 100000 + 131072
    live = run.document("fill")["live_bytes"]
    assert live < 1.6 * 300000 * 64, "blocks and the arenas they lie in were both counted"


def test_another_modules_maps_are_charged_to_the_module(python, allocations):
    script = ("from taken import *\n"
              "import threading\n"
              "def by_c():\n"
              "\tfor _ in range(10): map_anonymous(1 << 20)\n"
              "by_c()\n")
    run = profile(python, script, env=allocations).check()
    found = {name: size for name, size in maps(run).items() if size == 10 << 20}
    assert len(found) == 1, maps(run)
    assert "by_c" in list(found)[0] or "allocations.so" in list(found)[0]


def test_maps_that_are_cut_moved_and_unmapped_leave_the_right_rest(python, allocations):
    script = r'''
from taken import *
def maps():
    a = map_anonymous(100 << 12)
    unmap(a + (10 << 12), 20 << 12)          # a hole of 20 pages
    b = map_anonymous(50 << 12)
    b = remap(b, 50 << 12, 500 << 12)        # grown
    c = map_anonymous(64 << 12)
    c = remap(c, 64 << 12, 16 << 12)         # shrunk
    unmap(map_anonymous(77 << 12), 77 << 12)
maps()
'''
    before = profile(python, script.replace("\nmaps()\n", "\n"), env=allocations).check()
    run = profile(python, script, env=allocations).check()
    ours = {name: size - maps(before).get(name, 0) for name, size in maps(run).items()
            if "maps" in name or "allocations.so" in name}
    assert sum(ours.values()) == (80 + 500 + 16) << 12


def test_free_by_munmap_reads_zero(python):
    script = ("import mmap\n"
              "def healthy():\n"
              "\tfor _ in range(50): mmap.mmap(-1, 1 << 20).close()\n"
              "healthy()\n")
    run = profile(python, script, settings=SAMPLED).check()
    assert run.row("healthy").retention == 0.0


def test_stacks_of_threads_are_no_leak_of_the_line_that_starts_them(python):
    script = ("import threading\n"
              "def starts():\n"
              "\tfor _ in range(20):\n"
              "\t\tt = threading.Thread(target=int)\n"
              "\t\tt.start()\n"
              "\t\tt.join()\n"
              "starts()\n")
    run = profile(python, script).check()
    for document in run.dump.documents("starts") + run.dump.documents("Thread.start"):
        assert document["live_bytes"] < 1 << 20
