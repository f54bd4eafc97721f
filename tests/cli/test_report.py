"""`report` and `diff`: golden reports, choices, and sums that agree."""

import json
import os
import re

import pytest

import snapshots

GROUPINGS = ["function", "file", "line", "stack", "type", "module"]


@pytest.mark.parametrize("words", [
    ["function"], ["file"], ["line"], ["stack"], ["type"], ["module"], ["function", "--peak"], ["function", "--leaks"],
    ["function", "--show-allocs"], ["function", "--threshold", "5"], ["line", "--top", "1"],
], ids="_".join)
def test_report_reads_as_it_did(command, snapshot, golden, words):
    done = command("report", snapshot(), "--by", *words)
    assert (done.returncode, done.stderr) == (0, "")
    golden("report_%s.txt" % "_".join(words).replace("--", ""), done.stdout)


def test_the_tree_reads_as_it_did(command, snapshot, golden):
    golden("report_tree.txt", command("report", snapshot(), "--tree", "--threshold", "2").stdout)


@pytest.mark.parametrize("by", GROUPINGS)
def test_every_grouping_adds_up_to_the_live_bytes(command, snapshot, by):
    report = json.loads(command("report", snapshot(), "--by", by, "--json", "--top", "0").stdout)

    assert sum(row["live_bytes"] for row in report["rows"]) == pytest.approx(snapshots.sample_live())
    assert report["rows_bytes"] == pytest.approx(report["live_bytes"])


def rows(command, path, *words):
    return [row["name"] or row["file"]
            for row in json.loads(command("report", path, "--json", *words).stdout)["rows"]]


def test_choices_leave_out_what_they_say(command, snapshot):
    path = snapshot()

    assert rows(command, path, "--include", "leaks[.]py") == ["leak"]
    assert "leak" not in rows(command, path, "--exclude", "^leak ")
    assert rows(command, path, "--older", "50", "--by", "stack").count("Cache.get") == 0
    assert rows(command, path, "--min-size", "4k") == ["Cache.get", "<native libfoo.so.1+0x1234>", snapshots.HOSTILE]
    assert rows(command, path, "--max-size", "1500") == ["leak"]
    assert rows(command, path, "--leaks") == ["leak"]
    assert rows(command, path, "--sort", "count", "--top", "1", "--by", "line") == ["leak"]
    assert rows(command, path, "--sort", "growth", "--top", "1") == ["leak"]


def test_a_hostile_name_cannot_reach_the_terminal(command, snapshot):
    path = snapshot()
    for words in (["--by", "line"], ["--by", "stack"], ["--tree", "--threshold", "0"], ["--by", "module"]):
        text = command("report", path, *words).stdout
        assert "evil" in text
        assert "\x1b" not in text and "\u202e" not in text


def test_source_lines_are_shown_where_they_are_at_hand(command, snapshot, tmp_path):
    source = tmp_path / "app.py"
    source.write_text("first\n    kept.append(x) | 1\n")
    document = snapshots.sample()
    document["functions"] = [snapshots.function("f", str(source), 1, {2: snapshots.figures(100, 1, 100, 1, 1.0)})]
    document["frames"], document["stacks"] = [None], []

    assert "| kept.append(x) | 1\n" in command("report", snapshot(document)).stdout
    assert "kept.append" not in command("report", snapshot(document), "--no-source").stdout


def test_a_fleet_is_one_service(command, snapshot, tmp_path):
    for pid in (1, 2, 3):
        document = snapshots.sample()
        document["process"].update(pid=pid, forked=pid > 1)
        snapshot(document, "snapshot-%d.json" % pid)
    other = snapshots.sample()
    other["process"].update(start=1000.0)
    other["dump"].update(time=2000.0)
    snapshot(other, "snapshot-9.json")

    for by in GROUPINGS:
        report = json.loads(command("report", tmp_path, "--json", "--by", by, "--top", "0").stdout)
        assert report["processes"] == 3
        assert sum(row["live_bytes"] for row in report["rows"]) == pytest.approx(3 * snapshots.sample_live())
    assert "3 processes" in command("report", tmp_path).stdout


def test_two_programs_of_one_interpreter_are_two_services(command, snapshot, tmp_path):
    for pid, script, time in ((1, "a.py", 0), (2, "a.py", 0), (3, "b.py", -10), (4, None, -20), (5, None, -20)):
        document = snapshots.sample()
        document["process"].update(pid=pid, **({"script": script} if script else {}))
        document["dump"]["time"] += time
        snapshot(document, "snapshot-%d.json" % pid)

    assert "python3 a.py, 2 processes" in command("report", tmp_path).stdout
    for pid in (1, 2):
        (tmp_path / ("snapshot-%d.json" % pid)).unlink()
    assert "python3 b.py, pid 3, " in command("report", tmp_path).stdout
    (tmp_path / "snapshot-3.json").unlink()
    assert "python3, 2 processes" in command("report", tmp_path).stdout, "of an agent that did not write it"


def test_diff_reads_as_it_did(command, snapshot, golden, tmp_path):
    done = command("diff", snapshot(), snapshot(snapshots.grown(), "later.json"))
    golden("diff.txt", done.stdout.replace(str(tmp_path), "DIR"))


def test_diff_tells_growth_from_noise(command, snapshot):
    done = command("diff", snapshot(), snapshot(snapshots.grown(), "later.json"), "--json")
    change = {row["name"]: row["change"] for row in json.loads(done.stdout)["rows"]}

    assert change["leak"] == "grew" and change["new"] == "came" and change["Cache.get"] == "noise"
    assert change["churn"] == "same"
    back = command("diff", snapshot(snapshots.grown(), "later.json"), snapshot(), "--json", "--by", "file")
    assert {row["change"] for row in json.loads(back.stdout)["rows"]} == {"shrank", "went", "noise", "same"}


DUMPS = [{"leak": 1 << 20, "cache": 1 << 20, "gone": 400000}, {"leak": 3 << 20, "cache": 1 << 20},
         {"leak": 4 << 20, "cache": (1 << 20) + 500, "late": 300000}]


@pytest.fixture
def history(snapshot, tmp_path):
    """A folder with a snapshot and the lines of its process, rotated in the middle, and of others of the same pid."""
    document = snapshots.sample()
    document["process"]["start"] = 1795251000.123
    snapshot(document)
    former, mine, lame = DUMPS[:1], list(snapshots.lines_of(DUMPS)), snapshots.lines_of(DUMPS[:1], first=4, whole=False)
    snapshots.write_lines(tmp_path / "profiler.jsonl.1", snapshots.lines_of(former, began=1795240000.0), mine[:6])
    snapshots.write_lines(tmp_path / "profiler.jsonl", mine[6:], snapshots.lines_of(DUMPS[:2], pid=99), lame)
    with open(tmp_path / "profiler.jsonl", "a") as file:
        file.write('\n{"kind":"function","process.pid":4711,"process.st')
    return tmp_path


@pytest.mark.parametrize("against", ["start", "previous"])
def test_diff_against_an_earlier_dump_reads_as_it_did(command, history, golden, against):
    done = command("diff", "--against", against, history)
    assert (done.returncode, done.stderr) == (0, "")
    golden("diff_against_%s.txt" % against, done.stdout)
    assert command("diff", "--against", against, history / "snapshot-4711.json").stdout == done.stdout


@pytest.mark.parametrize("by, biggest", [("file", "/srv/leak.py"), ("module", "leak.py"), ("type", "dict")])
def test_diff_against_the_start_groups_what_the_lines_have(command, history, by, biggest):
    row = json.loads(command("diff", "--against", "start", "--by", by, "--json", history).stdout)["rows"][0]
    assert (row["name"] or row["file"]) == biggest and row["difference_bytes"] > 2 << 20


def test_diff_against_a_dump_of_a_fleet_is_of_all_its_processes(command, snapshot, tmp_path):
    for pid in (1, 2, 3, 4):
        document = snapshots.sample()
        document["process"].update(pid=pid)
        snapshot(document, "snapshot-%d.json" % pid)
    snapshots.write_lines(tmp_path / "app.jsonl", *(snapshots.lines_of(DUMPS[:1] if pid == 4 else DUMPS, pid=pid, began=document["process"]["start"])
                                          for pid in (1, 2, 3, 4)))
    done = command("diff", "--against", "previous", tmp_path, "--json")
    rows = {row["name"]: row["difference_bytes"] for row in json.loads(done.stdout)["rows"]}
    assert rows == {"leak": 3 << 20, "cache": 1500, "late": 900000}
    assert done.stderr == "trackleak: 1 of 4 processes are left out: they have fewer than two dumps\n"
    assert "from dump 2: 3 processes, " in command("diff", "--against", "previous", tmp_path).stdout


def test_diff_in_a_file_of_lines_is_of_who_dumped_last_and_says_which_dump_is_first(command, history, tmp_path):
    alone = tmp_path / "kept.jsonl"
    snapshots.write_lines(alone, snapshots.lines_of(DUMPS, pid=99), snapshots.lines_of(DUMPS, first=5))
    text = command("diff", "--against", "start", alone).stdout
    assert text.startswith("from dump 5, the first that is kept: pid 4711, ") and "\nto   dump 7: pid 4711, " in text


def test_diff_after_an_exec_is_of_the_new_program(command, history, tmp_path):
    alone = tmp_path / "kept.jsonl"
    again = [{**line, "@timestamp": line["@timestamp"].replace("2026-11-21", "2026-11-22")} for line in snapshots.lines_of(DUMPS[1:])]
    snapshots.write_lines(alone, snapshots.lines_of(DUMPS), again)
    assert "from dump 1: pid 4711, 2026-11-22 " in command("diff", "--against", "start", alone).stdout


def test_diff_against_a_baseline_is_of_what_came_since(command, refused, snapshot, golden, tmp_path):
    document = snapshots.sample()
    document["dump"]["baseline_time"] = 1795251200.0
    for place in (*document["functions"], *document["functions"][0]["lines"], *document["stacks"]):
        place.update(since_bytes=[0, 0], since_count=[0, 0])
    for place in (document["functions"][0], document["functions"][0]["lines"][0], document["stacks"][0]):
        place.update(since_bytes=[1 << 20, 20000.0], since_count=[1024, 20.0])
    path = snapshot(document)

    done = command("diff", "--against", "baseline", path)
    golden("diff_against_baseline.txt", done.stdout.replace(str(tmp_path), "DIR"))
    for by in ("line", "stack", "file", "module"):
        done = command("diff", "--against", "baseline", "--by", by, "--json", path)
        assert json.loads(done.stdout)["difference_bytes"] == 1 << 20
    assert "no baseline was taken" in refused("diff", "--against", "baseline", snapshot(name="other.json"))
    assert "without --by type" in refused("diff", "--against", "baseline", "--by", "type", path)


@pytest.mark.parametrize("words, says", [
    (["--against", "now", "FILE"], "one of start, previous, baseline"), (["--against", "start", "FILE", "FILE"], "one word too many"),
    (["--against", "start", "--by", "stack", "FILE"], "without their lines and stacks"),
    (["--against", "start", "--include", "x", "FILE"], "without their lines and stacks"),
    (["--against", "previous", "FILE"], "fewer than two dumps of process 4711"), (["--against", "start", "empty.jsonl"], "no dump"),
    (["--against", "start", "none.jsonl"], "No such file"), (["--against", "start", "broken.jsonl"], "no JSON"),
])
def test_what_cannot_be_compared_gets_one_line(refused, snapshot, tmp_path, words, says):
    (tmp_path / "empty.jsonl").write_text('{"kind":"function"}\nx\n')
    snapshots.write_lines(tmp_path / "broken.jsonl", snapshots.lines_of(DUMPS))
    text = (tmp_path / "broken.jsonl").read_text()
    (tmp_path / "broken.jsonl").write_text(text.replace('"file":"/srv/late.py"', '"file":oops'))
    (tmp_path / "alone").mkdir()
    names = {"FILE": snapshot(name="alone/snapshot-4711.json"), **{p.name: p for p in tmp_path.glob("*.jsonl")},
             "none.jsonl": tmp_path / "none.jsonl"}
    assert says in refused("diff", *(names.get(word, word) for word in words))


def test_a_function_is_as_bad_as_the_worst_of_its_callers(command, snapshot):
    document = snapshots.sample()
    document["contexts"] = [{"function": 1, "line": 44, "stack": 2, "via_function": "load", "via_file": "/srv/app/x.py",
                             "via_line": 9, "live_bytes": [5, 0], "live_count": [1, 0],
                             "verdict": snapshots.verdict("leaking", "+1.0 MB/h", 1.0, 0.5, 1.5)}]
    assert rows(command, snapshot(document), "--leaks") == ["leak", "Cache.get"]
    assert "leaking: for load, /srv/app/x.py:9: +1.0 MB/h" in command("report", snapshot(document)).stdout


def test_of_a_fleet_that_runs_only_those_count_that_do_and_the_worst_is_named(command, profiled):
    workers = profiled(32)
    workers[7].dump(lambda document: document["memory"].update(live_bytes=[99 << 20, 0]))
    workers[0].end()
    workers[1].end()
    folder = workers[0].path.parent

    report = json.loads(command("report", folder, "--json", "--by", "line", "--top", "0").stdout)
    assert (report["processes"], report["ended"]) == (30, 2)
    assert sum(row["live_bytes"] for row in report["rows"]) == pytest.approx(30 * snapshots.sample_live())
    text = command("report", folder).stdout
    assert "30 processes (2 more have ended)" in text
    assert "worst process: pid %d," % workers[7].pid in text
    # Each of them says where it writes: it is looked at once all the same.
    lines = command("ps").stdout.splitlines()
    (total,) = [line for line in lines if "30 processes" in line]
    assert re.search(r"^ +=  30 processes .* \+372\.0 MB/h  leaking   worst: pid %d$" % workers[7].pid, total)
    assert len([line for line in lines if workers[0].command in line and " leaking " in line]) == 30

    for worker in workers[2:]:
        worker.end()
    assert json.loads(command("report", folder, "--json").stdout)["processes"] == 32


def test_workers_of_another_machine_do_not_run_here(command, profiled):
    process = profiled()
    process.dump(lambda document: document["process"].update(hostname="elsewhere"))
    assert str(process.pid) not in command("ps", env={"TRACKLEAK_LOG_DIR": str(process.path.parent)}).stdout


def test_what_comes_from_free_lists_is_shown(command, snapshot):
    document = snapshots.sample()
    document["uncertain"] = [{"type": "tuple", "bytes": 3 << 20, "count": 4000,
                              "verdict": snapshots.verdict("growing", "+5.0 MB/h (4.0 to 6.0)", 5.0, 4.0, 6.0)}]
    path = snapshot(document)

    assert "   3.00 MiB in 4,000 tuples, maker unknown on this Python  growing: +5.0 MB/h (4.0 to 6.0)\n" in command("report", path).stdout
    (pool,) = json.loads(command("report", path, "--json").stdout)["uncertain"]
    assert pool == {"type": "tuple", "bytes": 3 << 20, "count": 4000, "sentence": "+5.0 MB/h (4.0 to 6.0)", "verdict": "growing"}
    assert "free lists" not in command("report", snapshot(name="other.json")).stdout


def test_bytes_whose_maker_is_unknown_rank_below_certain_ones(command, snapshot):
    document = snapshots.sample()
    document["functions"][0]["uncertain_bytes"] = 5.5 * (1 << 20)  # of 6 MiB; Cache.get has 1 MiB of its own

    certain, path = snapshot(), snapshot(document, "uncertain.json")

    def first(path, *words):
        row = json.loads(command("report", path, "--json", *words).stdout)["rows"][0]
        return row["name"] or row["file"]

    assert (first(certain), first(path)) == ("leak", "Cache.get")
    assert (first(certain, "--by", "file"), first(path, "--by", "file")) == ("/srv/app/leaks.py", document["functions"][1]["file"])
    assert first(path, "--sort", "count") == "leak"
    text = command("report", path).stdout
    assert "    5.50 MiB of it from CPython's free lists, maker unknown\n" in text and "6.00 MiB" in text
    assert "maker unknown" not in command("report", certain).stdout


def cpu_seconds(work):
    before = os.times()
    work()
    return sum(os.times()[:4]) - sum(before[:4])


def test_200000_stacks_take_not_much_longer_than_their_json(command, snapshot):
    document = snapshots.sample()
    document["frames"] = [None] + [[i // 3, i % 5, i] for i in range(1, 200001)]
    document["stacks"] = [snapshots.stack(i, 1000.125, 10.25) for i in range(1, 200001)]
    path = snapshot(document)
    text = path.read_bytes()
    least = cpu_seconds(lambda: json.loads(text))

    for words, times in ((["report", path], 3), (["report", path, "--by", "stack"], 4),
                         (["diff", path, path, "--by", "stack"], 8)):
        assert cpu_seconds(lambda: command(*words)) < times * least, (words, least)
