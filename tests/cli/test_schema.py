"""docs/schema: what is really written holds to it, field by field, and what is not so does not."""

import copy
import json
import os
import subprocess
import sys

import jsonschema
import pytest

import snapshots
from snapshots import ROOT

PROGRAM = """
import ctypes, json, os, time
kept, cache = [], {}
def leak():
    kept.append(bytearray(30000))
def library(i):
    kept.append(json.loads('{"a": [1, 2, %d]}' % i))
for i in range(240):
    leak()
    for j in range(50):
        library(j)
    cache[i % 5] = "x" * 900
    kept.extend((i, j) for j in range(500))
    time.sleep(0.05)
    if i == 80:
        ctypes.CDLL(None).trackleak_baseline()
pid = os.fork()
leak()
if pid:
    os.wait()
else:
    time.sleep(1.2)
"""


def schema(name):
    return json.loads((ROOT / "docs" / "schema" / (name + ".json")).read_text())


def strict(node):
    """The same, but a field that is not described is an error: nothing may be written that no document tells of."""
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if "properties" in node and isinstance(node["properties"], dict) and node.get("type") == "object":
            node["additionalProperties"] = False
    elif isinstance(node, list):
        node = [strict(value) for value in node]
    return node


def check(name, document):
    validator = jsonschema.Draft202012Validator(strict(schema(name)))
    errors = sorted(validator.iter_errors(document), key=lambda error: error.path)
    assert not errors, "\n".join("%s: %s" % (list(error.absolute_path), error.message[:300]) for error in errors[:5])


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What a run with all outputs leaves behind: a leak, a library's allocations, free lists, a fork."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "app.py").write_text(PROGRAM)
    library = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
    subprocess.run([str(snapshots.COMMAND), "run", "-o", folder / "out", "--interval", "1", "--sample-rate", "2", "--labels",
                    "team=a,zone=b", "--sample-bytes", "4096", "--events", sys.executable, folder / "app.py"],
                   check=True, env={**os.environ, "TRACKLEAK_LIBRARY": library}, capture_output=True)
    return folder / "out"


@pytest.mark.parametrize("name", ["snapshot", "document", "event", "session"])
def test_the_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_real_snapshots_hold_to_the_schema(session):
    found = [json.loads(path.read_text()) for path in session.glob("snapshot-*.json")]
    assert sorted(document["process"]["forked"] for document in found) == [False, True]
    for document in found:
        check("snapshot", document)
    # Else their part of the schema was not looked at.
    whole = max(found, key=lambda document: document["dump"]["elapsed_seconds"])
    for part in ("functions", "frames", "stacks", "contexts", "alarms", "maps"):
        assert whole[part], part
    assert any(frame and frame[1] == -1 for frame in whole["frames"])
    assert any(function["types"] for function in whole["functions"])
    assert whole["types"] and whole["dump"]["baseline_time"]
    assert all("since_bytes" in stack for stack in whole["stacks"])


def test_a_real_snapshot_with_native_stacks_holds_to_the_schema(command, tmp_path):
    program = "import json\ndef keeps():\n    return json.loads('[%s]' % ', '.join(map(str, range(5000))))\nkept = keeps()\n"
    done = command("run", "-o", tmp_path / "out", "--native", "--sample-rate", "1", "--sample-bytes", "1000000", sys.executable,
                   "-c", program)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("snapshot-*.json")
    document = json.loads(path.read_text())
    check("snapshot", document)
    lengths = {len(frame) for frame in document["frames"] if frame}
    assert document["modules"] and lengths == {3, 5, 7}
    assert any(len(frame) == 7 and frame[1] == -1 for frame in document["frames"][1:])
    assert any(len(frame) == 7 and frame[1] >= 0 for frame in document["frames"][1:])


def test_real_lines_of_every_kind_hold_to_the_schema(session):
    kinds = set()
    for line in (session / "profiler.jsonl").read_text().splitlines():
        if line:
            check("document", json.loads(line))
            kinds.add(json.loads(line)["kind"])
    assert kinds == {"function", "context", "process"}
    assert '"labels.team":"a"' in (session / "profiler.jsonl").read_text()


def test_real_dumps_are_compared(command, session):
    (path,) = [path for path in session.glob("snapshot-*.json") if not json.loads(path.read_text())["process"]["forked"]]
    for against in ("start", "previous", "baseline"):
        done = command("diff", "--against", against, "--json", "--top", "0", path)
        assert (done.returncode, done.stderr) == (0, "")
        changes = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
        assert changes["leak"]["change"] in ("grew", "came", "noise", "same")[:4 if against == "previous" else 2]
    lines = session / "profiler.jsonl"
    assert "to   dump " in command("diff", "--against", "start", "--by", "file", lines).stdout


def test_real_events_and_the_session_hold_to_the_schema(session):
    types = set()
    for line in (session / "events.log").read_text().splitlines()[:3000]:
        if line:
            check("event", json.loads(line))
            types.add(json.loads(line)["event_type"])
    assert types == {1, 2}
    check("session", json.loads((session / "session.json").read_text()))


def test_the_schema_of_a_snapshot_refuses_what_is_none(session):
    whole = json.loads(next(iter(session.glob("snapshot-*.json"))).read_text())
    validator = jsonschema.Draft202012Validator(schema("snapshot"))
    assert validator.is_valid(whole)
    assert validator.is_valid({**whole, "new_field": 1}), "a reader must ignore what it does not know"

    def spoil(*path, value):
        document = copy.deepcopy(whole)
        at = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return document

    for bad in (spoil("version", value=2), spoil("format", value="x"), spoil("process", "pid", value="1"),
                spoil("memory", "live_bytes", value=[1]), spoil("frames", 0, value=[0, 0, 1]),
                spoil("frames", 1, value=[0, -1, 1]), spoil("functions", 0, "verdict", "word", value="bad"),
                spoil("stacks", 0, "live_count", value=[-1, 0])):
        assert not validator.is_valid(bad)
    for key in whole:
        assert not validator.is_valid({name: value for name, value in whole.items() if name != key}), key


@pytest.mark.parametrize("version, says", [(2, "use a newer one"), (99, "format 99"), (0, "without a version"),
                                           ("1", "without a version"), (1.0, "without a version")])
def test_another_version_gets_one_line(refused, snapshot, version, says):
    document = snapshots.sample()
    document["version"] = version
    for words in (["report"], ["diff", snapshot()], ["export", "--to", "html"]):
        assert says in refused(*words, snapshot(document, "other.json"))
