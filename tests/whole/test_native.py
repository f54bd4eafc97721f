"""Programs that are not Python, with TRACKLEAK_ANY=1: exhaustive mode is exact for them too."""

import pytest
from harness import EXHAUSTIVE, profile

ANY = {**EXHAUSTIVE, "ANY": 1}


def live(run):
    return sum(d["live_bytes"] for d in run.dump.functions)


def of_module(run, module):
    return [d for d in run.dump.functions if d["function"].startswith("<native %s+0x" % module)]


@pytest.mark.parametrize("allocator", ["malloc", "calloc", "realloc", "posix_memalign", "valloc", "memalign", "pvalloc",
                                       "aligned_alloc", "none"])
def test_nine_leakers_of_one_allocator_each(cc, allocator):
    run = profile([cc("leaker.c"), allocator], None, settings=ANY).check()
    sites = of_module(run, "leaker")
    leaked = 0 if allocator == "none" else 30 * 4096 if allocator == "pvalloc" else 30000
    assert sum(d["live_bytes"] for d in sites) in {leaked, 30000 if leaked else 0}
    assert sum(d["live_count"] for d in sites) == (30 if leaked else 0)
    calling_places = [d for d in sites if d["live_bytes"]]
    # realloc(malloc(16), 1000) has two calling places: where it was born, and where it grew.
    assert len(calling_places) == (0 if not leaked else 2 if allocator == "realloc" else 1)


def test_the_parts_of_a_cpp_program_sum_to_73513_bytes(cc):
    program = cc("cpp_parts.cpp")
    everything = profile([program], None, settings=ANY).check()
    nothing = profile([program, "nothing"], None, settings=ANY).check()
    assert live(everything) - live(nothing) == 73513


def test_native_sites_are_named_by_module_and_calling_place(cc):
    run = profile([cc("leaker.c"), "malloc"], None, settings=ANY).check()
    (site,) = [d for d in of_module(run, "leaker") if d["live_bytes"]]
    assert site["count"] == 30 and site["retention_pct"] == 100.0 and site["peak_single"] == 1000


def test_a_program_that_is_not_python_is_left_alone_without_any(cc):
    run = profile([cc("leaker.c"), "malloc"], None, settings={**EXHAUSTIVE, "QUIET": None}).check()
    assert run.stderr == "" and not run.log_dir.exists()


def test_the_first_thread_is_sampled_by_bytes_though_nothing_of_it_is_counted(cc):
    """What it had allocated before the agent was up had sent it off for good, until its first counted allocation."""
    settings = {"ANY": 1, "MIN_SIZE": 1 << 30, "SAMPLE_BYTES": 1, "MAX_OVERHEAD": 0}
    run = profile([cc("leaker.c"), "malloc"], None, settings=settings).check()
    assert sum(d["live_bytes"] for d in of_module(run, "leaker")) == 30000
