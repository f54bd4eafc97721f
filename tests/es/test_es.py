"""make test-es: what arrives at a real server: of each kind, started here, or the one at ELASTICSEARCH_URL.

OpenSearch plain, then with TLS and basic authentication; Elasticsearch with TLS, basic authentication and API keys. The
oldest and newest majors are asked for by name, or all of them by TEST_SERVERS=all (make test-es SERVERS=all).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from node import Given, Node, Unavailable  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import kibana  # noqa: E402

PYTHON = os.environ.get("TEST_PYTHON", "python3")
SERVERS = {"opensearch": ("opensearch", "2.19.4", False), "opensearch-tls": ("opensearch", "2.19.4", True),
           "elasticsearch-tls": ("elasticsearch", "8.19.21", True),
           "opensearch-1": ("opensearch", "1.3.20", False), "opensearch-3": ("opensearch", "3.6.0", False),
           "elasticsearch-7": ("elasticsearch", "7.17.29", False), "elasticsearch-9": ("elasticsearch", "9.5.3", True)}
DEFAULT = "opensearch opensearch-tls elasticsearch-tls"

PROGRAM = r'''
import os, sys, time
kept = []
def leak():
    for _ in range(40): kept.append(bytes(3000))
def healthy():
    for _ in range(40): bytes(3000)
end = time.monotonic() + float(sys.argv[1])
if "fork" in sys.argv:
    os.fork()
while time.monotonic() < end and not os.path.exists("stop"):
    leak(); healthy()
    time.sleep(0.1)
'''


def chosen():
    if os.environ.get("ELASTICSEARCH_URL"):
        return ["given"]
    names = os.environ.get("TEST_SERVERS") or DEFAULT
    return list(SERVERS) if names == "all" else names.split()


@pytest.fixture(scope="module", params=chosen())
def node(request):
    if request.param == "given":
        node = Given()
        node.install = kibana_install(node)
        yield node
        node.remove("trackleak-test-*")
        return
    assert request.param in SERVERS, "SERVERS is one or more of: %s" % " ".join(SERVERS)
    try:
        with Node(*SERVERS[request.param]) as node:
            node.install = kibana_install(node)
            yield node
    except Unavailable as error:
        pytest.fail(str(error), pytrace=False)


def settings_of(node):
    found = {"ENABLE_ELASTICSEARCH": "1", "ELASTICSEARCH_URL": node.url}
    if node.kind == "given":
        return {**found, **node.settings}
    if node.secure:
        found.update(ELASTICSEARCH_CA_FILE=str(node.ca), ELASTICSEARCH_USERNAME=node.user,
                     ELASTICSEARCH_PASSWORD=node.password)
    return found


def kibana_install(node):
    body = kibana.template()
    # One node has no place for a replica; what is given has its own ways.
    body["template"]["settings"]["number_of_replicas"] = 0
    if not node.has_streams:
        del body["data_stream"]
        assert node.call("PUT", "/_index_template/trackleak", body)[0] == 200
        return ""
    done = subprocess.run([sys.executable, str(ROOT / "tools/kibana.py"), "install"], capture_output=True, text=True,
                          env={**os.environ, **settings_of(node)})
    assert done.returncode == 0, done.stdout + done.stderr
    if node.kind == "given":
        return done.stdout
    assert node.call("PUT", "/_index_template/trackleak", body)[0] == 200
    return done.stdout


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="trackleak-es-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def start(node, folder, *arguments, **settings):
    program = folder / "program.py"
    program.write_text(PROGRAM)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKLEAK_", "ELASTICSEARCH_"))}
    return subprocess.Popen(
        [PYTHON, str(program), *map(str, arguments)], stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**clean, "LD_PRELOAD": os.environ.get("TRACKLEAK_LIBRARY") or str(ROOT / "trackleak.so"),
             "TRACKLEAK_LOG_DIR": str(folder / "log"), "TRACKLEAK_STARTUP_DELAY": "0", "TRACKLEAK_DUMP_INTERVAL": "1",
             "TRACKLEAK_QUIET": "1", "TRACKLEAK_LOG_MAX_MB": "10000", "PYTHONDONTWRITEBYTECODE": "1",
             **settings_of(node), **settings})


def finish(process, seconds=120):
    _, stderr = process.communicate(timeout=seconds)
    assert process.returncode == 0, stderr
    return stderr


def queued(folder):
    lines = [json.loads(line) for line in (folder / "log/profiler.jsonl").read_text().splitlines()]
    return {line["_id"]: line for line in lines if line["queued"]}


def stored(node, index):
    """Every document of the index, by id; each id once."""
    assert node.call("POST", "/%s/_refresh" % index)[0] == 200
    found, body = {}, {"size": 1000, "query": {"match_all": {}}}
    status, page = node.call("POST", "/%s/_search?scroll=1m" % index, body)
    while status == 200 and page["hits"]["hits"]:
        for hit in page["hits"]["hits"]:
            assert hit["_id"] not in found, "twice"
            found[hit["_id"]] = hit["_source"]
        status, page = node.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
    assert status == 200, page
    return found


def test_what_was_queued_is_what_is_stored(node, folder):
    index = "trackleak-test-once"
    stderr = finish(start(node, folder, 3.5, ELASTICSEARCH_INDEX=index))
    wanted, found = queued(folder), stored(node, index)
    assert not stderr and len(wanted) > 20
    assert found == {name: {k: v for k, v in line.items() if k != "_id"} for name, line in wanted.items()}


def test_the_template_maps_every_field(node, folder):
    index = "trackleak-test-mapped"
    finish(start(node, folder, 1, ELASTICSEARCH_INDEX=index, TRACKLEAK_LABELS="team=core"))
    status, mappings = node.call("GET", "/%s/_mapping" % index)
    assert status == 200
    (mapping,) = [m["mappings"] for m in mappings.values()]
    leaves = {}

    def walk(properties, prefix=""):
        for name, inside in properties.items():
            if "properties" in inside:
                walk(inside["properties"], prefix + name + ".")
            else:
                leaves[prefix + name] = inside["type"]

    walk(mapping["properties"])
    wanted = {field: {"epoch": "date"}.get(kind, kind) for field, kind in kibana.types().items()}
    wanted.update({"types.type": "keyword", "types.bytes": "long", "labels.team": "keyword"})
    assert leaves == wanted, "nothing is left to the server to guess but labels, which are keywords"
    assert set().union(*queued(folder).values()) - {"_id", "types"} <= set(wanted)
    assert list(mappings)[0].startswith(".ds-") == node.has_streams


def test_the_query_of_the_manual(node, folder):
    """A range on retention_pct >= 80, sorted by total_mb descending."""
    index = "trackleak-test-query" if node.kind == "given" else "trackleak-memory"
    finish(start(node, folder, 2.5, TRACKLEAK_SAMPLE_RATE="1", ELASTICSEARCH_INDEX=index))
    node.call("POST", "/%s/_refresh" % index)
    status, answer = node.call("POST", "/%s/_search" % index, {
        "query": {"range": {"retention_pct": {"gte": 80}}}, "sort": [{"total_mb": "desc"}], "size": 100})
    assert status == 200
    rows = [hit["_source"] for hit in answer["hits"]["hits"]]
    assert rows and all(row["retention_pct"] >= 80 for row in rows)
    assert [row["total_mb"] for row in rows] == sorted((row["total_mb"] for row in rows), reverse=True)
    assert "leak" in [row["function"] for row in rows] and "healthy" not in [row["function"] for row in rows]


def test_the_panels_have_data(node, folder):
    """Every aggregation that the dashboards ask for is one that the server can do."""
    index = "trackleak-test-panels"
    finish(start(node, folder, 2.5, ELASTICSEARCH_INDEX=index))
    node.call("POST", "/%s/_refresh" % index)
    for name, _title, form, query, rows, columns in kibana.PANELS:
        kind = "process" if "process" in query else "function"
        inner = {"c%d" % n: {{"average": "avg"}.get(calculation, calculation): {"field": field}}
                 for n, (calculation, field, _) in enumerate(columns)}
        for field in reversed(rows):
            inner = {"rows": {"terms": {"field": field, "size": 50}, "aggs": inner}}
        if form == "line":
            inner = {"time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1s"}, "aggs": inner}}
        status, answer = node.call("POST", "/%s/_search?size=0" % index,
                                   {"query": {"term": {"kind": kind}}, "aggs": inner})
        assert status == 200, (name, answer)
        assert list(answer["aggregations"].values())[0]["buckets"], name


def waiting(node, folder, index):
    """How many documents are queued and not there yet."""
    node.call("POST", "/%s/_refresh" % index)
    return len(queued(folder)) - node.call("GET", "/%s/_count" % index)[1].get("count", 0)


def test_nothing_is_lost_or_doubled_when_the_server_dies_in_the_middle(node, folder):
    """Three processes and a fork; the server is killed and comes back."""
    if node.kind == "given":
        pytest.skip("not ours to kill")
    index = "trackleak-test-killed"
    before = time.monotonic()
    processes = [start(node, folder, 600, *(["fork"] if n == 0 else []), ELASTICSEARCH_INDEX=index) for n in range(3)]
    time.sleep(6)
    killed = time.monotonic()
    node.kill()
    time.sleep(3)
    node.start()
    away = time.monotonic() - killed
    while time.monotonic() < before + 55 or waiting(node, folder, index) > 20 * 21:
        assert time.monotonic() < before + 240, "what has waited does not arrive"
        time.sleep(2)
    (folder / "stop").touch()
    errors = "".join(finish(process) for process in processes)
    time.sleep(2)  # the forked child is nobody's to wait for
    wanted, found = queued(folder), stored(node, index)
    assert len({line["process.pid"] for line in wanted.values()}) == 4
    assert len({(line["process.pid"], line["dump"]) for line in wanted.values()}) >= 200
    assert away < 40, "100 dumps are what the queue holds, and a try comes each minute: the server took too long"
    assert set(found) == set(wanted), errors
    assert "lost" not in errors and "arrive again" in errors


def test_bad_credentials_are_said(node, folder):
    if not node.secure or node.kind == "given":
        pytest.skip("a server without security, or not ours")
    stderr = finish(start(node, folder, 1.5, ELASTICSEARCH_INDEX="trackleak-test-none", ELASTICSEARCH_PASSWORD="wrong"))
    assert "credentials are not accepted" in stderr and "wrong" not in stderr and "documents lost" in stderr


def test_an_api_key_with_the_least_rights(node, folder):
    if node.kind != "elasticsearch" or not node.secure:
        pytest.skip("OpenSearch has no API keys, nor a server without security; of a given server we make none")
    index = "trackleak-test-keyed"
    rights = {"names": ["trackleak-*"], "privileges": ["create_doc", "auto_configure"]}
    status, key = node.call("POST", "/_security/api_key", {
        "name": "trackleak", "role_descriptors": {"writer": {"indices": [rights]}}})
    assert status == 200, key
    for form in ("%s:%s" % (key["id"], key["api_key"]), key["encoded"]):
        stderr = finish(start(node, folder, 1.5, ELASTICSEARCH_INDEX=index, ELASTICSEARCH_API_KEY=form))
        assert not stderr and set(queued(folder)) == set(stored(node, index))
    stderr = finish(start(node, folder, 1.5, ELASTICSEARCH_INDEX="elsewhere", ELASTICSEARCH_API_KEY=key["encoded"]))
    assert "403 security_exception" in stderr and key["api_key"] not in stderr


def test_lines_are_replayed_without_doubles(node, folder):
    index = "trackleak-test-replay"
    settings = {**settings_of(node), "ELASTICSEARCH_INDEX": index}
    finish(start(node, folder, 1.5, ELASTICSEARCH_INDEX=index, ELASTICSEARCH_URL="http://127.0.0.1:1"))
    for _ in range(2):
        done = subprocess.run([str(ROOT / "trackleak"), "ship", str(folder / "log/profiler.jsonl")],
                              env={**os.environ, **settings}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert set(stored(node, index)) == set(queued(folder))
    assert "0 refused, 0 not delivered" in done.stdout
