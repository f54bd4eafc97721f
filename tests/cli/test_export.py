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
import tempfile
from pathlib import Path

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


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


def dumps_of(page):
    """{number: (time, RSS, live, {function: live})}"""
    history = data_of(page)["history"]
    return {number: (time, rss, live, {history["names"][row[0]][0]: row[2] for row in rows})
            for number, time, rss, live, rows in history["dumps"]}


def test_the_page_holds_the_earlier_dumps(command, snapshot, tmp_path):
    document = snapshots.sample()
    document["process"]["start"] = 1795251000.123
    path, elsewhere = snapshot(document), tmp_path / "elsewhere"
    dumps = [{"leak": 1 << 20, snapshots.HOSTILE: 5}, {"leak": 3 << 20}]
    snapshots.write_lines(tmp_path / "profiler.jsonl", snapshots.lines_of(dumps[:1], rss=lambda number: 7 << 20),
                          snapshots.lines_of(dumps, pid=99))
    snapshots.write_lines(tmp_path / "profiler.jsonl.1", snapshots.lines_of(dumps[1:], first=2))
    wanted = {1: (1795251060.123, 7 << 20, (1 << 20) + 5, dumps[0]), 2: (1795251120.123, 50 << 20, 3 << 20, dumps[1])}
    page = export(command, path, "html").decode()

    assert dumps_of(page) == wanted and page.count("<script") == 2
    assert data_of(page)["history"]["pid"] == 4711 and data_of(page)["history"]["kept"] == 2
    elsewhere.mkdir()
    path.rename(elsewhere / path.name)
    assert "history" not in data_of(export(command, elsewhere / path.name, "html").decode())
    done = command("export", elsewhere / path.name, "--to", "html", "--history", tmp_path)
    assert dumps_of(done.stdout) == wanted, done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_log_of_somebody_else_does_not_keep_the_page_from_being_made(snapshot):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for path in (snapshots.COMMAND, snapshot()):
            shutil.copy(path, folder)
        snapshots.write_lines(Path(folder, "mine.jsonl"), snapshots.lines_of([{"leak": 1}], began=1795251000.0))
        Path(folder, "other.jsonl").touch(mode=0o600)
        os.chown(os.path.join(folder, "mine.jsonl"), 54324, -1)
        done = subprocess.run(["setpriv", "--reuid=54324", "--clear-groups", "./" + snapshots.COMMAND.name, "export", "snapshot-4711.json", "--to", "html"],
                              capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "") and dumps_of(done.stdout)[1][3] == {"leak": 1}


def test_of_a_fleet_the_page_holds_the_dumps_of_the_worst_process(command, snapshot, tmp_path):
    for pid in (1, 2):
        document = snapshots.sample()
        document["process"].update(pid=pid)
        document["functions"][0]["verdict"]["word"] = "leaking" if pid == 2 else "plateau"
        snapshot(document, "snapshot-%d.json" % pid)
    snapshots.write_lines(tmp_path / "app.jsonl", *(snapshots.lines_of([{"leak": pid}], pid=pid, began=1795251000.0) for pid in (1, 2)))
    page = export(command, tmp_path, "html").decode()
    assert data_of(page)["processes"] == 2 and data_of(page)["history"]["pid"] == 2
    assert dumps_of(page)[1][3] == {"leak": 2}


def test_a_long_history_is_thinned_out_evenly_and_keeps_its_ends_and_peaks(command, snapshot, tmp_path):
    document, count = snapshots.sample(), 700
    document["process"]["start"] = 1795251000.123
    names = ["%s function number %d" % ("long " * 20, i) for i in range(120)]
    dumps = [{name: 1000 * (1 + i) + (10 ** 6 if number == 333 else 0) for i, name in enumerate(names)} for number in range(1, count + 1)]
    snapshots.write_lines(tmp_path / "profiler.jsonl",
                          snapshots.lines_of(dumps, rss=lambda number: (90 if number == 77 else 50) << 20))
    page = export(command, snapshot(document), "html").decode()
    found, numbers = dumps_of(page), sorted(dumps_of(page))

    assert data_of(page)["history"]["kept"] == count and 198 <= len(numbers) <= 200
    assert {1, 77, 333, count} <= set(numbers)
    assert max(after - before for before, after in zip(numbers, numbers[1:])) <= 4
    assert found[77][1] == 90 << 20 and found[333][2] == max(dump[2] for dump in found.values())
    for _, _, live, rows in found.values():
        assert sorted(rows) == sorted(names[20:]), "the 100 that held most"
        assert live - sum(rows.values()) == 1000 * sum(range(1, 21)) + (20 * 10 ** 6 if live > 10 ** 8 else 0)
    assert len(page) < 2 << 20


def test_a_history_that_cannot_be_gets_one_line(refused, snapshot, tmp_path):
    path, lines = snapshot(), tmp_path / "lines" / "other.jsonl"
    lines.parent.mkdir()
    snapshots.write_lines(lines, snapshots.lines_of([{"leak": 1}], pid=99))
    assert "no whole dump of process 4711" in refused("export", path, "--to", "html", "--history", lines)
    assert "No such file" in refused("export", path, "--to", "html", "--history", tmp_path / "none")
    assert "--history goes with --to html" in refused("export", path, "--to", "csv", "--history", lines)


def test_html_is_one_page_that_a_name_cannot_break(command, snapshot):
    page = export(command, snapshot(), "html").decode()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1))

    assert sum(stack[1] for stack in data["stacks"]) == snapshots.sample_live()
    assert snapshots.HOSTILE in [function["name"] for function in data["functions"]]
    assert page.count("<script") == 2  # the data and the program
    assert not re.search(r"(src|href)=|@import|https?://(?!www\.w3\.org/2000/svg)", page)
