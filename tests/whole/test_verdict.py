"""The verdict in the real library: the leak's line is named, its neighbours are not. `make truth` asks the whole corpus."""

import re

import pytest
from harness import ROOT, profile

CORPUS = ROOT / "tests" / "corpus"
SETTINGS = {"DUMP_INTERVAL": 1, "SEED": 1}


def line_marked(program):
    lines = (CORPUS / program).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith("# LEAK"))


def test_a_leak_is_named_on_its_line_and_the_cache_beside_it_is_not(one_python):
    run = profile(one_python, CORPUS / "dict_cache.py", [12], settings=SETTINGS).check()
    (verdict,) = run.table.verdicts
    assert verdict.startswith("LEAKING  answer ") and "dict_cache.py:%d  +" % line_marked("dict_cache.py") in verdict
    leak, cache = run.document("answer"), run.document("remember")
    assert leak["verdict"] == "leaking" and cache["verdict"] == "plateau"
    truth = 2000 * (40 * 17 + 49) * 3600 / 1048576  # 2,000 strings a second
    assert leak["growth_low"] <= 1.1 * truth and leak["growth_high"] >= 0.9 * truth
    assert leak["growth_low"] < leak["growth_mb_per_hour"] < leak["growth_high"]
    assert run.dump.process["verdict"] == "leaking"


def test_one_library_function_has_two_callers_and_two_verdicts(one_python):
    run = profile(one_python, CORPUS / "json_two_callers.py", [12], settings=SETTINGS).check()
    verdicts = run.table.verdicts
    assert verdicts and all(" load_and_keep " in verdict for verdict in verdicts)
    assert "json_two_callers.py:%d  +" % line_marked("json_two_callers.py") in verdicts[0]
    (context,) = [c for c in run.snapshot()["contexts"] if c["verdict"]["word"] == "leaking"]
    assert context["via_function"] == "load_and_keep"


def test_what_comes_from_a_free_list_is_blamed_on_nobody(one_python):
    run = profile(one_python, CORPUS / "free_list_tuples.py", [12], settings=SETTINGS).check()
    assert not [verdict for verdict in run.table.verdicts if "innocent" in verdict]
    assert [verdict for verdict in run.table.verdicts if re.search(r" MB in [\d,]+ tuples, maker unknown", verdict)]
    assert run.document("innocent")["uncertain_bytes"] > 0


def names_a_growing_line(run, function):
    """In the table of the last three dumps: the word may change while a buffer waits to be extended."""
    return [verdict for table in run.tables[-3:] for verdict in table.verdicts if " %s " % function in verdict]


def test_a_buffer_that_is_extended_for_ever_is_as_old_as_its_parts(python):
    """Also where a realloc does not tell how large the block was (free-threaded)."""
    if not python.free_threaded and python.minor != 15:
        pytest.skip("it was missed on these two only, and takes long")
    run = profile(python, CORPUS / "bytearray_extend.py", [14], settings=SETTINGS).check()
    assert names_a_growing_line(run, "extend"), [table.verdicts for table in run.tables]
    assert run.document("extend")["generations"] >= 6
