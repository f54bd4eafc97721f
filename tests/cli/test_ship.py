"""`ship`: what was queued gets there, under its ids, however often and whatever the server says (fake_elastic.py)."""

import base64
import json
import os
import pty
import socket
import subprocess
import sys

import pytest

from snapshots import COMMAND, ROOT

sys.path.insert(0, str(ROOT / "tests" / "whole"))

from fake_elastic import FakeElastic, items, only, slowly, status  # noqa: E402


def lines_of(count, first=0, queued=True):
    return [json.dumps({"n": n, "function": 'say "hi"\\ü', "@timestamp": "2026-11-21T10:00:00Z", "queued": queued,
                        "_id": "%032x" % n, "kind": "function"}, ensure_ascii=False, separators=(",", ":"))
            for n in range(first, first + count)]


@pytest.fixture
def lines(tmp_path):
    """lines(5): the path of a file with 5 queued documents; lines([...]) one with these lines."""

    def write(what, name="profiler.jsonl"):
        path = tmp_path / name
        path.write_text("".join(line + "\n" for line in (lines_of(what) if isinstance(what, int) else what)))
        return path

    return write


@pytest.fixture
def ship(command):
    """ship(server or URL, path, ...) with settings as keywords."""

    def run(server, *paths, timeout=60, **settings):
        clean = {k: "" for k in os.environ if k.startswith("ELASTICSEARCH_")}
        url = server if isinstance(server, str) else server.url
        return command("ship", *paths, timeout=timeout, env={
            **clean, "ELASTICSEARCH_URL": url, **{"ELASTICSEARCH_" + k: str(v) for k, v in settings.items()}})

    return run


def summary(stored, there=0, refused=0, left=0):
    return ("%d documents stored, %d were there already, %d refused, %d not delivered\n"
            % (stored, there, refused, left))


def test_what_was_queued_arrives_as_it_stands_in_the_lines_and_twice_is_once(ship, lines):
    path, other = lines(lines_of(5) + lines_of(3, 50, queued=False)), lines(lines_of(2, 10), "profiler.jsonl.1")
    with FakeElastic() as server:
        first = ship(server, path, other, INDEX="my-index")
        again = ship(server, path, INDEX="my-index")
    wanted = {}
    for line in lines_of(5) + lines_of(2, 10):
        document = json.loads(line)
        name = document.pop("_id")
        wanted[name] = {**document, "_index": "my-index"}
    assert (first.returncode, first.stdout, first.stderr) == (0, summary(7), "")
    assert (again.returncode, again.stdout) == (0, summary(0, there=5))
    assert server.documents == wanted and not server.bad
    assert {r.path for r in server.requests} == {"/_bulk"}


def test_large_files_go_in_many_requests(ship, lines):
    wide = ['{"@timestamp":0,"a":"%s","queued":true,"_id":"%032x"}' % ("x" * 300000, n) for n in range(12)]
    with FakeElastic() as server:
        done = ship(server, lines(lines_of(1200, 100) + wide))
    assert (done.returncode, done.stdout) == (0, summary(1212)) and not server.bad
    assert max(len(r.pairs) for r in server.requests) <= 500 and max(r.size for r in server.requests) <= 1 << 20


def test_each_document_has_its_own_fate(ship, lines):
    tried = set()

    def choose(number, document):
        if document["n"] % 4 == 1 and document["n"] not in tried:
            tried.add(document["n"])
            return 429 if document["n"] % 8 == 1 else 503
        return (400, {"type": "mapper_parsing_exception", "reason": "bad\x1b[31m field"}) if document["n"] % 4 == 2 else 201

    with FakeElastic(always=items(choose)) as server:
        done = ship(server, lines(40))
    assert (done.returncode, done.stdout) == (1, summary(30, refused=10))
    assert len(server.documents) == 30 and len(server.requests) == 2
    assert done.stderr.count("400 mapper_parsing_exception: bad") == 1, "once for each kind"
    assert "\x1b" not in done.stderr and "puts documents off" in done.stderr


def test_a_request_that_is_too_large_is_split_and_a_document_dropped(ship, lines):
    with FakeElastic(always=only(3)) as server:
        done = ship(server, lines(20))
        assert (done.returncode, done.stdout, done.stderr) == (0, summary(20), "")
        server.always = status(413)
        done = ship(server, lines(3))
    assert (done.returncode, done.stdout) == (1, summary(0, refused=3)) and "413" in done.stderr


@pytest.mark.parametrize("answer", [
    status(503), status(429, headers={"Retry-After": "1"}), status(200, "<html>log in</html>"), status(200, "{}"),
    status(200, '{"errors":false,"items":['), status(200, b"x" * (5 << 20)), lambda server, request: None,
], ids=["503", "429", "page", "object", "half", "5 MB", "closed"])
def test_what_is_no_answer_is_not_believed_and_tried_again(ship, lines, answer):
    with FakeElastic() as server:
        server.script = [answer, answer]
        done = ship(server, lines(10))
    assert (done.returncode, done.stdout) == (0, summary(10)), done.stderr
    assert len(server.documents) == 10 and len(server.requests) >= 3
    assert done.stderr.count("\n") <= 1, "one kind of trouble, one line"


def test_a_server_that_is_not_there_ends_it_after_some_tries(ship, lines):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = ship("http://127.0.0.1:%d" % unused.getsockname()[1], lines(1200))
    assert (done.returncode, done.stdout) == (1, summary(0, left=1200))
    assert done.stderr.count("no answer") == 1 and "safe to repeat" in done.stderr


@pytest.mark.parametrize("code", [302, 400, 401, 403, 404])
def test_a_server_that_refuses_everything_ends_it_at_once(ship, lines, code):
    with FakeElastic() as other, FakeElastic(always=status(code, "why not", {"Location": other.url})) as server:
        done = ship(server, lines(1200), USERNAME="u", PASSWORD="s3cret")
    assert (done.returncode, done.stdout) == (1, summary(0, left=1200)) and len(server.requests) == 1
    assert "HTTP %d: why not" % code in done.stderr and "s3cret" not in done.stderr and not other.requests


@pytest.mark.parametrize("settings, header", [
    ({"API_KEY": "id:s3cret"}, "ApiKey " + base64.b64encode(b"id:s3cret").decode()),
    ({"API_KEY": "aWQ6czNjcmV0", "USERNAME": "u", "PASSWORD": "x"}, "ApiKey aWQ6czNjcmV0"),
    ({"USERNAME": "u", "PASSWORD": "s3cret"}, "Basic " + base64.b64encode(b"u:s3cret").decode()),
], ids=["raw key", "encoded key before basic", "basic"])
def test_credentials_are_the_agents(ship, lines, tmp_path, settings, header):
    with FakeElastic() as server:
        done = ship(server, lines(3), **settings)
        assert done.returncode == 0 and "s3cret" not in done.stderr + done.stdout
        name, value = list(settings.items())[-1 if "PASSWORD" in settings and "API_KEY" not in settings else 0]
        (tmp_path / "secret").write_text(value + "\n")
        rest = {k: v for k, v in settings.items() if k != name}
        assert ship(server, lines(3), **rest, **{name + "_FILE": tmp_path / "secret"}).returncode == 0
        assert ship(server.url.replace("//", "//bob:p%40w@"), lines(3)).returncode == 0
    *ours, of_url = [r.headers["Authorization"] for r in server.requests]
    assert ours == [header] * 2 and of_url == "Basic " + base64.b64encode(b"bob:p@w").decode()


def test_tls_is_verified_unless_switched_off(ship, lines, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here",
                    "-keyout", "key", "-out", "crt", "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True,
                   capture_output=True)
    with FakeElastic(tls=(str(tmp_path / "crt"), str(tmp_path / "key"))) as server:
        assert ship(server, lines(3), CA_FILE=tmp_path / "crt").stdout == summary(3)
        off = ship(server, lines(3), SSL_VERIFY="off")
        assert off.stdout == summary(0, there=3) and "warning: ELASTICSEARCH_SSL_VERIFY" in off.stderr
        unknown = ship(server, lines(3), SSL_VERIFY="nope")
    assert unknown.returncode == 1 and "certificate" in unknown.stderr and unknown.stdout == summary(0, left=3)


@pytest.mark.parametrize("settings, words", [
    ({"ELASTICSEARCH_URL": ""}, "ELASTICSEARCH_URL is not set"), ({"ELASTICSEARCH_URL": "h:9200"}, "no http"),
    ({"ELASTICSEARCH_INDEX": "No Index"}, "No Index is no index name"),
    ({"ELASTICSEARCH_API_KEY_FILE": "/nowhere"}, "ELASTICSEARCH_API_KEY_FILE: /nowhere: No such file"),
    ({"ELASTICSEARCH_API_KEY": "a\nb"}, "control character"),
])
def test_bad_settings_get_one_line(refused, lines, settings, words):
    assert words in refused("ship", lines(3), env={"ELASTICSEARCH_URL": "http://127.0.0.1:1", **settings})


def test_bad_files_get_one_line(refused, lines, tmp_path):
    good = lines(3)
    assert "usage" in refused("ship")
    assert "No such file" in refused("ship", good, tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused("ship", tmp_path / "pipe")


def test_a_file_of_something_else_is_said_and_the_others_are_shipped(ship, lines):
    with FakeElastic() as server:
        done = ship(server, lines(["FUNCTION  COUNT", "------"], "profiler.json"), lines(3))
    assert (done.returncode, done.stdout) == (2, summary(3))
    assert "2 of 2 lines are no documents of ours: is it the .jsonl file?" in done.stderr


def test_a_line_that_was_cut_is_left_out_and_said(ship, lines):
    hostile = ['{"queued":true,"_id":"short"}', '{"queued":true,"_id":7}', "[]", '{"queued":true']
    with FakeElastic() as server:
        done = ship(server, lines(lines_of(3) + hostile))
    assert (done.returncode, done.stdout) == (0, summary(3))
    assert "4 of 7 lines are no documents of ours\n" in done.stderr


def test_an_empty_file_is_nothing_to_do(ship, lines):
    with FakeElastic() as server:
        done = ship(server, lines([]))
    assert done.stdout == summary(0) and not server.requests


def test_progress_is_for_a_terminal(command, lines):
    ours, theirs = pty.openpty()
    with FakeElastic(always=slowly(0.2)) as server:
        done = subprocess.run([str(COMMAND), "ship", str(lines(1200))], stdout=subprocess.PIPE, stderr=theirs, text=True,
                              env={**os.environ, "ELASTICSEARCH_URL": server.url}, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout == summary(1200)
    assert "500 stored" in shown and " %" in shown and shown.endswith("\r\x1b[K"), "and it goes away"
