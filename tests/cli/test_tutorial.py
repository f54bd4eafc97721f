"""docs/TUTORIAL.md: its commands are run as they stand, and show what the document says that they show.

--rewrite-golden puts the output of this run into the document.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from snapshots import COMMAND, ROOT

DOCUMENT = ROOT / "docs" / "TUTORIAL.md"
LIBRARY = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
PROGRAM = re.compile(r"`(\w+\.py)`:\n\n```python\n(.*?)```\n", re.S)
BLOCK = re.compile(r"```console\n(.*?)```\n<!-- shows: (.*?) -->\n", re.S)


def run(commands, folder):
    """The commands of one block in one shell, each with its own output below it."""
    script = "".join("was=$?; printf '%%s\\n' %s; (exit $was)\n%s\n" % (quoted("$ " + line), line) for line in commands)
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("TRACKLEAK_", "LD_PRELOAD", "PYTHON", "COLUMNS"))}
    environment.update(PATH="%s:%s" % (folder / "bin", os.environ["PATH"]), TRACKLEAK_LIBRARY=LIBRARY, LC_ALL="C.UTF-8",
                       COLUMNS="120")
    done = subprocess.run(["bash", "-c", script.replace("/usr/local/lib/trackleak.so", LIBRARY)], cwd=folder / "shop",
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    text = done.stdout.replace(LIBRARY, "/usr/local/lib/trackleak.so").replace(str(folder / "shop"), "/srv/shop")
    text = text.replace(" on %s\n" % socket.gethostname(), " on shop-1\n")
    return re.sub(r" +$", "", text, flags=re.M).strip("\n") + "\n"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture
def short_folder():
    """A long path would be cut in the tables."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def test_the_tutorial_shows_what_it_says(command, request, short_folder):
    document = DOCUMENT.read_text(encoding="utf-8")
    (short_folder / "shop").mkdir()
    (short_folder / "bin").mkdir()
    (short_folder / "bin" / "trackleak").symlink_to(COMMAND)
    (short_folder / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    programs = PROGRAM.findall(document)
    assert [name for name, _ in programs] == ["shop.py", "sessions.py"]
    for name, text in programs:
        (short_folder / "shop" / name).write_text(text)
    blocks = BLOCK.findall(document)
    assert len(blocks) == document.count("```console") >= 7

    for block, shows in blocks:
        output = run(re.findall(r"^\$ (.*)$", block, re.M), short_folder)
        for words in shows.split("|"):
            assert words in output, (words, output)
            assert words in block or request.config.getoption("--rewrite-golden"), "the document does not show %r" % words
        document = document.replace(block, output)
    if request.config.getoption("--rewrite-golden"):
        DOCUMENT.write_text(document, encoding="utf-8")
