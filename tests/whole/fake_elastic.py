"""A server of the bulk API that keeps what it is given, and misbehaves as it is told.

    with FakeElastic() as server:
        server.url                                  http://127.0.0.1:PORT
        server.script = [answer, answer, ...]       one for each request to come; then the good answer again
        server.requests                             every request: path, query, headers, documents (as pairs)
        server.documents                            {_id: document}: what was stored

An answer is a function of the request, or one of those made below; it returns (status, headers, body); the body may be
a series of pieces.
"""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


class BadBody(AssertionError):
    """What arrived is no bulk request."""


@dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    size: int  # bytes on the wire
    pairs: list  # (action, document)
    time: float = field(default_factory=time.monotonic)


def parse_body(body):
    if not body.endswith(b"\n"):
        raise BadBody("no newline at the end")
    lines = body[:-1].split(b"\n")
    if len(lines) % 2:
        raise BadBody("%d lines" % len(lines))
    pairs = []
    for action, document in zip(lines[::2], lines[1::2]):
        action, document = json.loads(action), json.loads(document)
        if set(action) != {"create"} or set(action["create"]) != {"_index", "_id"}:
            raise BadBody("not a create: %r" % action)
        if "_id" in document or "@timestamp" not in document:
            raise BadBody("not a document: %r" % document)
        pairs.append((action["create"], document))
    return pairs


def status(code, body=b"", headers=None):
    """The whole request is answered with this."""
    return lambda server, request: (code, headers or {}, body if isinstance(body, bytes) else body.encode())


def items(choose):
    """choose(n, document) is the status of the n-th document, or (status, error)."""

    def answer(server, request):
        found, errors = [], False
        for number, (action, document) in enumerate(request.pairs):
            chosen = choose(number, document)
            code, error = chosen if isinstance(chosen, tuple) else (chosen, {"type": "kind_%d" % chosen, "reason": "why"})
            if code < 300:
                code = server.store(action, document)
            item = {"status": code}
            if code >= 300:
                item["error"] = error
                errors = True
            found.append({"create": item})
        body = json.dumps({"errors": errors, "items": found}).encode()
        return 200, {"Content-Type": "application/json"}, body

    return answer


good = items(lambda number, document: 201)


def only(most):
    """413 for more documents than this."""

    def answer(server, request):
        return (413, {}, b"") if len(request.pairs) > most else good(server, request)

    return answer


def slowly(seconds, then=good):
    def answer(server, request):
        server.closing.wait(seconds)
        return then(server, request)

    return answer


class FakeElastic:
    def __init__(self, tls=None, always=good, port=0):
        """tls: (certificate, key) or (certificate, key, authority of the clients)."""
        self.script, self.always = [], always
        self.requests, self.documents, self.bad = [], {}, []
        self.lock, self.closing = threading.Lock(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.handle(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls[:2])
            if len(tls) > 2:
                context.load_verify_locations(tls[2])
                context.verify_mode = ssl.CERT_REQUIRED
            # The handshake belongs into the connection's own thread.
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
            scheme = "https"
        self.url = "%s://127.0.0.1:%d" % (scheme, self.port)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def store(self, action, document):
        with self.lock:
            if action["_id"] in self.documents:
                return 409
            self.documents[action["_id"]] = {**document, "_index": action["_index"]}
            return 201

    def handle(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        size = len(body)
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        url = urlsplit(handler.path)
        try:
            pairs = parse_body(body)
        except (BadBody, ValueError, KeyError) as error:
            self.bad.append("%s in %r" % (error, body[:2000]))
            pairs = []
        request = Request(handler.command, url.path, parse_qs(url.query), dict(handler.headers), size, pairs)
        with self.lock:
            self.requests.append(request)
            answer = self.script.pop(0) if self.script else self.always
        answered = answer(self, request)
        if answered is None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        code, headers, body = answered
        handler.send_response(code)
        if "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for piece in [body] if isinstance(body, bytes) else body:
            handler.wfile.write(piece)
        if "Content-Length" in headers:
            handler.close_connection = True  # it was a lie

    def wait(self, condition, seconds=15):
        """Until the condition holds of this server."""
        end = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < end, "%d requests, %d documents; bad: %r" % (
                len(self.requests), len(self.documents), self.bad)
            time.sleep(0.02)
        return self
