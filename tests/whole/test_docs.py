"""What the documentation says of the tests."""

import re

from harness import ROOT


def test_every_test_that_the_documentation_names_is_there():
    there = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    for path in (ROOT / "docs").glob("*.md"):
        named = set(re.findall(r"`(test_\w+)`", path.read_text()))
        assert named <= there, (path.name, named - there)
