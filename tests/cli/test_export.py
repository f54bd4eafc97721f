"""`export`: each form says the same sum, and its own viewer or schema takes it."""

import csv
import gzip
import io
import json
import re
import shutil
import subprocess

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
                             text=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
        assert raw.returncode == 0, raw.stderr
        samples = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+): ", raw.stdout, re.M)
        assert sum(int(s[3]) for s in samples) == snapshots.sample_live()
        assert sum(int(s[1]) for s in samples) == sum(f["total_bytes"][0] for f in snapshots.sample()["functions"])


def test_html_is_one_page_that_a_name_cannot_break(command, snapshot):
    page = export(command, snapshot(), "html").decode()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1))

    assert sum(stack[1] for stack in data["stacks"]) == snapshots.sample_live()
    assert snapshots.HOSTILE in [function["name"] for function in data["functions"]]
    assert page.count("<script") == 2  # the data and the program
    assert not re.search(r"(src|href)=|@import|https?://(?!www\.w3\.org/2000/svg)", page)
