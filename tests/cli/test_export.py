"""`export`: each form says the same sum, and its own viewer or schema takes it."""

import csv
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys

import jsonschema
import pytest

import snapshots


def export(command, path, form):
    done = command("export", path, "--to", form, text=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_folded_adds_up(command, snapshot):
    lines = export(command, snapshot(), "folded").decode().splitlines()

    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == snapshots.sample_live()
    assert "<module> (/srv/app/main.py:90);leak (/srv/app/leaks.py:12) %d" % (4 << 20) in lines


def test_speedscope_adds_up_and_its_indexes_lead_somewhere(command, snapshot):
    document = json.loads(export(command, snapshot(), "speedscope"))
    profile, frames = document["profiles"][0], document["shared"]["frames"]

    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert sum(profile["weights"]) == profile["endValue"] == snapshots.sample_live()
    assert len(profile["samples"]) == len(profile["weights"])
    assert [frames[i]["name"] for i in profile["samples"][0]] == ["<module>", "leak"]


def test_gprof2dot_adds_up_and_has_the_callee_first(command, snapshot):
    document = json.loads(export(command, snapshot(), "gprof2dot"))

    assert sum(event["cost"][0] for event in document["events"]) == snapshots.sample_live()
    first = [document["functions"][i]["name"] for i in document["events"][0]["callchain"]]
    assert first == ["leak:12", "<module>:90"]


def test_csv_adds_up_and_keeps_names_whole(command, snapshot):
    rows = list(csv.DictReader(io.StringIO(export(command, snapshot(), "csv").decode(), newline="")))

    assert sum(int(row["live_bytes"]) for row in rows) == snapshots.sample_live()
    assert snapshots.HOSTILE in [row["function"] for row in rows]


def test_pprof_is_read_by_go(command, snapshot, tmp_path):
    path = tmp_path / "profile.pb.gz"
    assert command("export", snapshot(), "--to", "pprof", "-o", path).returncode == 0
    assert gzip.decompress(path.read_bytes())
    go = shutil.which("go")
    if not go:
        pytest.skip("no go here")
    for index, expected in (("inuse_space", snapshots.sample_live()), ("alloc_space", None)):
        raw = subprocess.run([go, "tool", "pprof", "-raw", "-sample_index=" + index, str(path)], capture_output=True,
                             text=True, env={**os.environ, "PPROF_TMPDIR": str(tmp_path)})
        assert raw.returncode == 0, raw.stderr
        samples = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+): ", raw.stdout, re.M)
        assert sum(int(s[3]) for s in samples) == snapshots.sample_live()
        assert sum(int(s[1]) for s in samples) == sum(f["total_bytes"][0] for f in snapshots.sample()["functions"])


def test_go_tool_pprof_top_names_the_leak(command, snapshot, tmp_path):
    path, go = tmp_path / "profile.pb.gz", shutil.which("go")
    assert command("export", snapshot(), "--to", "pprof", "-o", path).returncode == 0
    if not go:
        pytest.skip("no go here")
    top = subprocess.run([go, "tool", "pprof", "-top", "-unit=MB", str(path)], capture_output=True, text=True,
                         env={**os.environ, "PPROF_TMPDIR": str(tmp_path)})

    assert top.returncode == 0, top.stderr
    assert "Type: inuse_space" in top.stdout and "of 7.19MB total" in top.stdout
    first = [line.split() for line in top.stdout.splitlines() if line.endswith("  leak")][0]
    assert first == ["6MB", "83.48%", "83.48%", "6MB", "83.48%", "leak"]


def test_gprof2dot_makes_a_graph_of_it_that_dot_draws(command, snapshot, tmp_path):
    path = tmp_path / "profile.json"
    path.write_bytes(export(command, snapshot(), "gprof2dot"))
    graph = subprocess.run([sys.executable, "-m", "gprof2dot", "-f", "json", str(path)], capture_output=True, text=True)
    assert graph.returncode == 0, graph.stderr
    assert re.search(r'leak:12\\n55\.65%', graph.stdout), "4 of 7.19 MiB"
    dot = shutil.which("dot")
    if not dot:
        pytest.skip("no dot (graphviz) here")
    picture = subprocess.run([dot, "-Tsvg"], input=graph.stdout, capture_output=True, text=True)
    assert (picture.returncode, picture.stderr) == (0, "")
    assert "leak:12" in picture.stdout


def test_speedscope_takes_its_file(command, snapshot):
    """Its own schema, from its npm package: SPEEDSCOPE_SCHEMA=.../dist/release/file-format-schema.json"""
    path = os.environ.get("SPEEDSCOPE_SCHEMA")
    if not path:
        pytest.skip("SPEEDSCOPE_SCHEMA does not say where speedscope's file-format-schema.json is (npm pack speedscope)")
    with open(path, encoding="utf-8") as file:
        jsonschema.validate(json.loads(export(command, snapshot(), "speedscope")), json.load(file))


def test_the_man_page_has_no_warnings_and_names_every_verb(command):
    man = shutil.which("man")
    if not man:
        pytest.skip("no man here")
    page = subprocess.run([man, "--warnings", "-l", str(snapshots.ROOT / "docs" / "trackleak.1")], capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""})
    assert (page.returncode, page.stderr) == (0, "")
    verbs = re.findall(r"^  (\w+) +\S", command("help").stdout, re.M)
    assert len(verbs) >= 7
    for verb in verbs:
        assert re.search(r"^ +%s( |$)" % verb, page.stdout, re.M), verb


def test_html_is_one_page_that_a_name_cannot_break(command, snapshot):
    page = export(command, snapshot(), "html").decode()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1))

    assert sum(stack[1] for stack in data["stacks"]) == snapshots.sample_live()
    assert snapshots.HOSTILE in [function["name"] for function in data["functions"]]
    assert page.count("<script") == 2  # the data and the program
    assert not re.search(r"(src|href)=|@import|https?://(?!www\.w3\.org/2000/svg)", page)
