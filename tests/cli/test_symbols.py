"""Native frames are named from the files that they lie in, when those are the files that were profiled."""

import json
import os
import re
import shutil
import subprocess

import pytest
import snapshots

SOURCE = """
#include <stdlib.h>
static inline __attribute__((always_inline)) void *takes(size_t bytes)
{
	return malloc(bytes);
}
static __attribute__((noinline)) char *hidden(size_t bytes)
{
	return (char *)takes(bytes) + 1;
}
char *shown(size_t bytes)
{
	return hidden(bytes) + 1;
}
"""


def tool(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The library, its build id, and where the calls of malloc and of hidden() return to."""
    folder = tmp_path_factory.mktemp("symbols")
    (folder / "leak.c").write_text(SOURCE)
    library = folder / "libleak.so"
    tool("cc", "-O2", "-g", "-fno-builtin", "-shared", "-fPIC", "-Wl,--build-id", "-o", library, folder / "leak.c")
    places = {}
    for function in ("hidden", "shown"):
        code = tool("objdump", "-d", "--no-show-raw-insn", "--disassemble=" + function, library)
        lines = re.findall(r"^ +([0-9a-f]+):\t(.*)$", code, re.M)
        call = next(i for i, (_address, text) in enumerate(lines) if text.startswith("call"))
        places[function] = int(lines[call + 1][0], 16)
    identity = re.search(r"Build ID: ([0-9a-f]+)", tool("readelf", "-n", library)).group(1)
    return library, identity, places


def document(library, identity, places):
    """`leak` of the sample calls shown(), which calls hidden()."""
    changed = snapshots.sample()
    changed["modules"] = [{"path": str(library), "build_id": identity}]
    frames = changed["frames"]
    for place in ("shown", "hidden"):
        parent = 2 if place == "shown" else len(frames) - 1
        name = "<native %s+0x%x>" % (os.path.basename(library), places[place])
        frames.append([parent, -1, 0, name, str(library), 0, places[place]])
    changed["stacks"][0]["frame"] = len(frames) - 1
    return changed


def stack(command, path):
    done = command("report", path, "--by", "stack", "--json", "--top", "1")
    assert done.returncode == 0, done.stderr
    return [(frame["function"], frame["file"], frame["line"]) for frame in json.loads(done.stdout)["rows"][0]["stack"]]


def test_functions_files_lines_and_what_was_inlined(command, snapshot, built):
    library, _identity, _places = built
    frames = stack(command, snapshot(document(*built)))
    source = str(library.parent / "leak.c")
    assert frames == [("takes", source, 5), ("hidden", source, 9), ("shown", source, 13), ("leak", "/srv/app/leaks.py", 12),
                      ("<module>", "/srv/app/main.py", 90)]


def test_who_is_to_blame_is_as_without_native_frames(command, snapshot, built):
    plain, native = snapshot(), snapshot(document(*built), name="native.json")
    for by in ("function", "file", "line", "module"):
        for choice in ((), ("--older", "0.001"), ("--leaks",)):
            words = ("--by", by, "--json", *choice)
            rows = [json.loads(command("report", path, *words).stdout)["rows"] for path in (plain, native)]
            assert rows[0] == rows[1] and rows[0], words


def test_another_file_of_that_name_names_nothing(command, snapshot, built):
    library, _identity, places = built
    unnamed = [("<native libleak.so+0x%x>" % places[place], str(library), 0) for place in ("hidden", "shown")]
    for identity in ("00" * 20, "", "zz"):
        assert stack(command, snapshot(document(library, identity, places)))[:2] == unnamed


def test_a_file_that_is_gone_or_none_is_no_error(command, snapshot, built, tmp_path):
    _library, identity, places = built
    (tmp_path / "text.so").write_text("no library")
    os.mkfifo(tmp_path / "pipe.so")
    for path in (tmp_path / "gone.so", tmp_path / "text.so", tmp_path / "pipe.so", tmp_path, "libleak.so"):
        frames = stack(command, snapshot(document(path, identity, places)))
        assert frames[0] == ("<native %s+0x%x>" % (os.path.basename(path), places["hidden"]), str(path), 0)


def test_a_stripped_file_is_named_by_its_debug_file_or_its_exported_functions(command, snapshot, built, tmp_path):
    library, identity, places = built
    stripped = tmp_path / "libleak.so"
    shutil.copy(library, stripped)
    tool("objcopy", "--only-keep-debug", library, tmp_path / "libleak.debug")
    tool("strip", "--strip-all", stripped)
    names = [name for name, _file, _line in stack(command, snapshot(document(stripped, identity, places)))]
    assert names[:2] == ["<native libleak.so+0x%x>" % places["hidden"], "shown"], "what is not exported has no name"
    tool("objcopy", "--add-gnu-debuglink=" + str(tmp_path / "libleak.debug"), stripped)
    names = [name for name, _file, _line in stack(command, snapshot(document(stripped, identity, places)))]
    assert names[:3] == ["takes", "hidden", "shown"]


@pytest.mark.parametrize("change", [
    lambda d: d["frames"].__setitem__(7, [2, -1, 0, "x", "y", 1, 5]),
    lambda d: d["frames"].__setitem__(7, [2, -1, 0, "x", "y", -1, 5]),
    lambda d: d["frames"].__setitem__(7, [2, -1, 0, "x", "y", 0, -5]),
    lambda d: d["frames"].__setitem__(7, [2, -1, 0, "x", "y", 0, 1 << 40]),
    lambda d: d["frames"].__setitem__(7, [2, -1, 0, "x", "y", 0, "5"]),
    lambda d: d.update(modules={}),
    lambda d: d.update(modules=[5]),
    lambda d: d.update(modules=[{"path": 5, "build_id": ""}]),
])
def test_modules_that_are_none_are_refused(refused, snapshot, built, change):
    hostile = document(*built)
    change(hostile)
    refused("report", snapshot(hostile))
