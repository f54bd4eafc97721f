"""The files: always whole, always valid, whatever the names in them."""

import json
import re
import socket

from harness import DASHES, HEADER, MIB, SAMPLED, profile

FIELDS = {
    "timestamp", "time", "job_name", "hostname", "function", "file", "line", "count", "total_bytes", "total_mb",
    "sample_count", "sample_total_bytes", "sample_total_mb", "sample_free_bytes", "sample_free_mb", "retention_pct",
    "peak_single", "avg_size", "elapsed_seconds", "@timestamp", "process.pid", "process.start", "dump", "service.name",
    "queued", "_id", "counted", "counted_bytes", "verdict", "live_bytes", "live_bytes_se", "live_count", "live_count_se",
    "growth_mb_per_hour", "growth_low", "growth_high", "survival_pct", "survival_seconds", "generations",
    "last_free_seconds", "uncertain_bytes", "types", "via_function", "via_file", "via_line", "sample_rate",
    "sample_bytes", "kind",
}
LEAK = ("kept = []\n"
        "def leak():\n"
        "\tfor _ in range(1000): kept.append(bytes(5000))\n"
        "def churn():\n"
        "\tfor _ in range(1000): bytes(3000)\n"
        "leak(); churn()\n"
        "print(bytes(3000).__sizeof__())\n")


def test_the_table_is_as_it_always_was(python):
    run = profile(python, LEAK, settings=SAMPLED).check()
    lines = run.text("profiler.json").splitlines()
    assert lines[:2] == [HEADER, DASHES]
    (row,) = [line for line in lines if line.startswith("leak ")]
    # 1,000 blocks of 5,033 bytes, and maybe a part of the list.
    assert re.fullmatch(r"leak {26} {5}10\d\d {9}4\.8\d {5}10\d\d {9}4\.8\d {8}3 {6}0\.0\d\((?:100\.0|98\.\d)%\) {3,4}\| \S*program\.py", row), row
    assert re.fullmatch(r"--- dump at \d{10} \(\d+ functions, hash \d+/200000\) ---", lines[-1])


def test_figures_are_cumulative_over_dumps(one_python):
    """Known failure 11: every dump zeroed everything."""
    script = ("import time\nkept = []\n"
              "def leak():\n"
              "\tfor _ in range(100): kept.append(bytes(5000))\n"
              "for _ in range(7): leak(); time.sleep(0.5)\n")
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    counts = [table.row("leak").count for table in run.tables]
    assert len(counts) >= 3 and counts == sorted(counts) and counts[-1] >= 700 > counts[0]


def test_documents_have_the_promised_fields_and_agree_with_each_other(python):
    run = profile(python, LEAK, settings={**SAMPLED, "NOMAD_JOB_NAME": "job-1"}).check()
    for document in run.dump.functions:
        assert FIELDS <= set(document), FIELDS - set(document)
    leak, churn = run.document("leak"), run.document("churn")
    assert (leak["kind"], leak["verdict"], leak["queued"]) == ("function", "unclear", False)
    assert (leak["job_name"], leak["service.name"], leak["hostname"]) == ("job-1", "job-1", socket.gethostname())
    assert leak["process.pid"] == run.pid and leak["dump"] == 1
    assert abs(leak["total_mb"] - leak["total_bytes"] / MIB) < 0.001
    assert leak["retention_pct"] >= 98.0 and churn["retention_pct"] == 0.0
    assert churn["sample_free_bytes"] == churn["sample_total_bytes"] == 1000 * int(run.stdout)
    assert churn["last_free_seconds"] is not None and leak["growth_mb_per_hour"] is None
    assert abs(leak["avg_size"] - leak["total_bytes"] / leak["count"]) < 0.01
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", leak["@timestamp"])
    assert len({d["elapsed_seconds"] for d in (*run.dump.functions, run.dump.process)}) == 1
    ids = [d["_id"] for d in (*run.dump.functions, run.dump.process)]
    assert len(set(ids)) == len(ids)
    assert run.dump.process["kind"] == "process"


def test_the_snapshot_agrees_with_the_documents(python):
    run = profile(python, LEAK, settings=SAMPLED).check()
    snapshot = run.snapshot()
    assert snapshot["format"] == "trackleak-snapshot"
    assert snapshot["process"]["pid"] == run.pid
    functions = {(f["function"], f["file"], f["first_line"]): f for f in snapshot["functions"]}
    assert len(functions) == len(snapshot["functions"]), "one function stands there twice"
    (leak,) = [f for f in snapshot["functions"] if f["function"] == "leak"]
    assert leak["first_line"] == 2 and leak["lines"][0]["line"] == 3
    assert leak["counted"] == run.document("leak")["counted"]
    assert sum(line["counted"] for line in leak["lines"]) == leak["counted"]
    live = sum(stack["live_bytes"][0] for stack in snapshot["stacks"])
    assert abs(live - snapshot["memory"]["live_bytes"][0]) <= 0.01 * live + 1
    assert snapshot["memory"]["rss_bytes"] > 5000 * 1000


NASTY = ['quote"s', "back\\slash", "new\nline", "tab\there", "esc\x1b[31mred", "pipe | pipe", "bidi\u202eesrever",
         "nul-free\x01\x7f", "a" * 4000, "é" * 3000, "end-of-cut" + "𝓐" * 200, "lone\udc80surrogate", "", "-", "=1+1"]


def test_names_full_of_escapes_never_break_a_line_or_a_document(python):
    """Known failure 18: a quote in a name made invalid documents, and names were cut inside a character."""
    script = r'''
kept = []
for number, name in enumerate(%s):
    scope = {}
    code = compile("def nasty_%%d():\n\treturn bytes(%%d)\n" %% (number, 5000 + number), name, "exec")
    exec(code, scope)
    function = scope["nasty_%%d" %% number]
    if hasattr(function.__code__, "replace"):
        try:
            function.__code__ = function.__code__.replace(co_name=name + str(number))
            if hasattr(function.__code__, "co_qualname"):
                function.__code__ = function.__code__.replace(co_qualname=name + str(number))
        except UnicodeEncodeError:
            pass
    for _ in range(20): kept.append(function())
print(kept[0].__sizeof__() - 5000)
''' % ascii(NASTY)
    run = profile(python, script, settings={**SAMPLED, "TOP": 100, "NOMAD_JOB_NAME": 'a"b\\c\nd',
                                            "MEMORY_PROFILER_EVENTS": 1}).check()
    sizes = {d["peak_single"]: d for d in run.dump.functions}
    for number, name in enumerate(NASTY):
        document = sizes[5000 + number + int(run.stdout)]
        assert document["counted"] == 20
        for text in (document["function"], document["file"]):
            assert len(text.encode()) <= 255
        shown = name.replace("\udc80", "\ufffd")
        assert shown.startswith(document["file"][:60]) and document["function"][:60] in (shown + str(number))[:60]
        assert document["job_name"] == 'a"b\\c\nd'
    assert run.table.rows  # parses: no line of it was broken
    text = run.text("profiler.json")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    run.snapshot()
    assert run.events


def test_the_event_log_has_each_allocation_and_its_free_and_nothing_twice(python, allocations):
    """Known failure 20: frees of every pointer, some twice."""
    script = ("from taken import *\n"
              "def kept(): take(MALLOC, 1000, 50)\n"
              "def freed(): take_and_free(PYMEM_MALLOC, 2000, 50)\n"
              "def small(): take(MALLOC, 499, 50)\n"
              "def large(): take(MALLOC, 9000, 50)\n"
              "def moved(): resize_kept(0, 10, 4000)\n"
              "kept(); freed(); small(); large(); moved()\n")
    run = profile(python, script, env=allocations, settings={"MEMORY_PROFILER_EVENTS": 1, "MAX_SIZE": 5000}).check()
    events = run.events
    births = [e for e in events if e["event_type"] == 1]
    assert {(e["function"], e["size"]) for e in births if e["function"] in ("kept", "freed", "small", "large", "moved")} == {
        ("kept", 1000), ("freed", 2000), ("moved", 4000)}
    for name, number, line in (("kept", 50, 2), ("freed", 50, 3), ("moved", 10, 6)):
        mine = [e for e in births if e["function"] == name]
        assert len(mine) == number and {e["line"] for e in mine} == {line}
        assert all(e["file"].endswith("program.py") and re.fullmatch(r"\d{10}", e["timestamp"]) for e in mine)
    alive = set()
    for event in events:
        assert re.fullmatch("0x[0-9a-f]+", event["ptr"])
        if event["event_type"] == 1:
            assert 500 <= event["size"] <= 5000 and event["ptr"] not in alive, event
            alive.add(event["ptr"])
        else:
            assert set(event) == {"event_type", "ptr", "timestamp"}
            assert event["ptr"] in alive, "freed twice, or never taken: %r" % event
            alive.remove(event["ptr"])


def test_events_of_a_forked_child_are_written_once(one_python):
    """Known failure 20: what stdio had buffered was flushed by parent and child."""
    script = ("import os\n"
              "kept = []\n"
              "def before():\n"
              "\tfor i in range(30): kept.append(bytes(5000 + i))\n"
              "before()\n"
              "if not os.fork(): os._exit(0)\n"
              "os.wait()\n")
    run = profile(one_python, script, settings={"MEMORY_PROFILER_EVENTS": 1}).check()
    sizes = [e["size"] for e in run.events if e.get("function") == "before" and 5033 <= e["size"] < 5063]
    assert sorted(sizes) == list(range(5033, 5063))


def test_logs_are_rotated_and_only_so_many_are_kept(one_python):
    """Known failure 20: never rotated."""
    script = "for i in range(60000): bytes(600)\n"
    run = profile(one_python, script, settings={"MEMORY_PROFILER_EVENTS": 1, "LOG_MAX_MB": 1, "LOG_KEEP": 3}).check()
    names = {path.name for path in run.log_dir.iterdir() if path.name.startswith("events.log")}
    assert {"events.log", "events.log.1", "events.log.2", "events.log.3"} == names
    for name in names:
        assert (run.log_dir / name).stat().st_size <= 1.2 * MIB
        for line in run.text(name).splitlines():
            json.loads(line)


def test_logs_that_are_renamed_or_cut_by_logrotate_go_on(one_python):
    script = r'''
import os, time
log = os.path.join(os.environ["TRACKLEAK_LOG_DIR"], "profiler.json")
kept = [bytes(5000) for _ in range(100)]
time.sleep(1.5)
os.rename(log, log + ".renamed")
time.sleep(1.0)
open(log, "r+").truncate(0)
time.sleep(1.2)
'''
    run = profile(one_python, script, settings={"DUMP_INTERVAL": 1}).check()
    assert "--- dump at" in run.text("profiler.json.renamed")
    assert run.tables and not run.text("profiler.json").startswith("\0")


def test_old_snapshots_of_dead_processes_are_cleared_away(one_python, tmp_path):
    folder = tmp_path / "logs"
    for _ in range(6):
        last = profile(one_python, LEAK, settings={"LOG_DIR": folder, "LOG_KEEP": 2}).check()
    left = sorted(path.name for path in folder.glob("snapshot-*.json"))
    assert "snapshot-%d.json" % last.pid in left and len(left) <= 3
