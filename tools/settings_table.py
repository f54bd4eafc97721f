#!/usr/bin/env python3
"""settings_table.py [--check]: writes the settings table of README.md, between its two markers, from settings.def.

--check changes nothing and fails if the table is not what settings.def says.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- settings: written by tools/settings_table.py -->", "<!-- end of settings -->"

ROW = re.compile(r"^(NUMBER|OCTAL|OPTIONAL|REAL|SWITCH|NAME|TEXT|SECRET)\((.*)\)$", re.M)
# A quoted string, or all up to the next comma.
ARGUMENT = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,]+)\s*(?:,|$)')


def unquote(word):
    return word[1:-1] if word.startswith('"') else word.strip()


def default_of(kind, words):
    """The default as a user would write it."""
    word = words[3 if kind == "OPTIONAL" else 2]
    if kind == "SWITCH":
        return "1" if word == "true" else "0"
    if word == "UINT64_MAX":
        return "none"
    if word == "":
        return "-"
    return "`%s`" % word if kind in ("NAME", "TEXT", "SECRET") else word


def rows():
    source = (ROOT / "src/process/settings.def").read_text(encoding="utf-8")
    body = source[source.index("*/"):]
    found = ROW.findall(body)
    if len(found) != len(re.findall(r"^[A-Z]+\(", body, re.M)):
        sys.exit("settings_table: a row of settings.def cannot be read")
    for kind, inside in found:
        words = [unquote(word) for word in ARGUMENT.findall(inside)]
        variable = words[2 if kind == "OPTIONAL" else 1]
        yield words[-2], variable, default_of(kind, words), words[-1]


def table():
    lines, group_now = [], None
    for group, variable, default, meaning in rows():
        if group != group_now:
            lines += ["", "| %s | default | meaning |" % group, "|---|---|---|"]
            group_now = group
        lines.append("| `%s` | %s | %s |" % (variable, default, meaning.replace("|", "\\|")))
    return "\n".join(lines[1:])


def main(check):
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit("settings_table: README.md has no settings markers")
    wanted = before + begin + "\n" + table() + "\n" + end + after
    if wanted == text:
        print("settings table: as settings.def has it")
    elif check:
        sys.exit("settings_table: README.md differs from settings.def: run `make settings-table`")
    else:
        readme.write_text(wanted, encoding="utf-8")
        print("settings table: written")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
