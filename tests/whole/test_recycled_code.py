"""Code objects are freed and others come to their addresses, under every allocator that CPython may have."""

import pytest
from harness import profile

SCRIPT = r'''
kept = [None] * 4500
for i in range(300):
    scope = {"kept": kept}
    source = "def template_%03d(first):\n\tfor k in range(first, first + 3):\n\t\tkept[k] = bytes(2000)\n" % i
    exec(compile(source, "t%03d.html" % i, "exec"), scope)
    for call in range(5):
        scope["template_%03d" % i](i * 15 + call * 3)
    scope.clear()
'''


@pytest.mark.parametrize("allocator", ["malloc", "malloc_debug", "pymalloc", "pymalloc_debug", "unseen"])
def test_each_function_has_its_own_figures_and_not_those_of_one_that_is_gone(few_pythons, allocator):
    unseen = allocator == "unseen"  # pymalloc's frees of code objects, with CPython's layer off
    run = profile(few_pythons, SCRIPT, settings={"PYTHON": 0} if unseen else None,
                  env=None if unseen else {"PYTHONMALLOC": allocator}).check()
    found = [d for d in run.dump.functions if d["function"].startswith("template_")]
    assert len(found) == 300
    assert all(d["counted"] == 15 and d["function"][9:] == d["file"][1:4] for d in found)
