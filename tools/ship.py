#!/usr/bin/env python3
"""ship.py FILE...: sends the queued documents of JSON lines to Elasticsearch, under the ids they had.

The same ids make it safe to repeat: what is there already is counted and left alone. Where to and as whom comes from
the same variables as for the library: ELASTICSEARCH_URL, _INDEX, _USERNAME, _PASSWORD, _API_KEY, _SSL_VERIFY, _CA_FILE,
_CLIENT_CERT, _CLIENT_KEY; secrets also from *_FILE. Ends with 1 if a document did not get there, with 2 if it cannot begin.
"""

import base64
import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import unquote, urlsplit

MOST_DOCUMENTS, MOST_BYTES, TRIES = 500, 1 << 20, 8


class Unusable(Exception):
    """One line for the user."""


def secret(name):
    path = os.environ.get(name + "_FILE")
    if os.environ.get(name) or not path:
        return os.environ.get(name, "")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable("%s_FILE: %s" % (name, error)) from None


class Target:
    def __init__(self):
        url = urlsplit(os.environ.get("ELASTICSEARCH_URL", ""))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise Unusable("ELASTICSEARCH_URL is no http or https URL")
        path = url.path.rstrip("/")
        self.path = (path if path.endswith("/_bulk") else path + "/_bulk") + ("?" + url.query if url.query else "")
        self.host, self.is_tls = url.hostname, url.scheme == "https"
        try:
            self.port = url.port or (443 if self.is_tls else 80)
        except ValueError:
            raise Unusable("ELASTICSEARCH_URL: the port is no number") from None
        self.index = os.environ.get("ELASTICSEARCH_INDEX") or "trackleak-memory"
        self.headers = {"Content-Type": "application/x-ndjson", "User-Agent": "trackleak-ship"}
        key = secret("ELASTICSEARCH_API_KEY")
        user = os.environ.get("ELASTICSEARCH_USERNAME") or unquote(url.username or "")
        password = secret("ELASTICSEARCH_PASSWORD") or unquote(url.password or "")
        if key:
            self.headers["Authorization"] = "ApiKey " + (base64.b64encode(key.encode()).decode() if ":" in key else key)
        elif user:
            self.headers["Authorization"] = "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
        self.context = self.tls() if self.is_tls else None

    @staticmethod
    def tls():
        try:
            context = ssl.create_default_context(cafile=os.environ.get("ELASTICSEARCH_CA_FILE") or None)
            certificate = os.environ.get("ELASTICSEARCH_CLIENT_CERT")
            if certificate:
                context.load_cert_chain(certificate, os.environ.get("ELASTICSEARCH_CLIENT_KEY") or None)
        except OSError as error:
            raise Unusable("the certificates cannot be read: %s" % error) from None
        if os.environ.get("ELASTICSEARCH_SSL_VERIFY", "1").lower() in ("0", "false", "no", "off"):
            print("warning: ELASTICSEARCH_SSL_VERIFY is off", file=sys.stderr)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def post(self, body):
        """(status, reply)"""
        connection = (http.client.HTTPSConnection(self.host, self.port, timeout=30, context=self.context)
                      if self.is_tls else http.client.HTTPConnection(self.host, self.port, timeout=30))
        try:
            connection.request("POST", self.path, body, self.headers)
            answer = connection.getresponse()
            return answer.status, answer.read(64 << 20)
        finally:
            connection.close()


def queued_documents(paths):
    """(id, document as text) of each queued line; lines that were cut short are left out."""
    for path in paths:
        try:
            file = open(path, encoding="utf-8", errors="replace", newline="\n")
        except OSError as error:
            raise Unusable("%s: %s" % (path, error.strerror)) from None
        with file:
            for line in file:
                try:
                    document = json.loads(line)
                except ValueError:
                    continue
                if isinstance(document, dict) and document.get("queued") is True and "_id" in document:
                    yield document.pop("_id"), json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def batches(documents):
    batch, size = [], 0
    for document in documents:
        if batch and (len(batch) == MOST_DOCUMENTS or size + len(document[1]) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document[1]) + 200
    if batch:
        yield batch


def statuses(reply, count):
    """The items' statuses and errors, or None: this is no bulk reply."""
    try:
        found = [next(iter(item.values())) for item in json.loads(reply)["items"]]
        found = [(int(item["status"]), item.get("error")) for item in found]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    return found if len(found) == count else None


class Shipment:
    def __init__(self, target):
        self.target, self.stored, self.there, self.refused, self.left = target, 0, 0, 0, 0
        self.reasons = set()

    def complain(self, reason):
        if reason not in self.reasons:
            self.reasons.add(reason)
            print("ship: %s" % reason, file=sys.stderr)

    def send(self, batch):
        for attempt in range(TRIES):
            body = "".join('%s\n%s\n' % (json.dumps({"create": {"_index": self.target.index, "_id": name}}), text)
                           for name, text in batch).encode("utf-8", "replace")
            try:
                status, reply = self.target.post(body)
            except (OSError, http.client.HTTPException) as error:
                status, reply = 0, str(error) or type(error).__name__
            if status == 413 and len(batch) > 1:
                self.send(batch[:len(batch) // 2])
                batch = batch[len(batch) // 2:]
                continue
            if 300 <= status < 500 and status not in (408, 429):
                self.complain("HTTP %d: %s" % (status, reply[:300].decode("utf-8", "replace")))
                self.refused += len(batch)
                return
            found = statuses(reply, len(batch)) if 200 <= status < 300 else None
            if found is None:
                self.complain("HTTP %d is no answer to this: trying again" % status if status else reply)
            else:
                batch = self.settle(batch, found)
                if not batch:
                    return
            if attempt + 1 < TRIES:
                time.sleep(min(10, 0.3 * 2 ** attempt))
        self.left += len(batch)

    def settle(self, batch, found):
        again = []
        for document, (status, error) in zip(batch, found):
            if status < 300:
                self.stored += 1
            elif status == 409:
                self.there += 1
            elif status == 429 or status >= 500:
                again.append(document)
            else:
                self.refused += 1
                kind = error.get("type") if isinstance(error, dict) else error
                self.complain("documents are refused: %d %s" % (status, kind))
        return again


def main(paths):
    if not paths:
        raise Unusable("usage: make ship FILE=profiler.jsonl (or tools/ship.py FILE...)")
    shipment = Shipment(Target())
    for batch in batches(queued_documents(paths)):
        shipment.send(batch)
    print("%d documents stored, %d were there already, %d refused, %d not delivered"
          % (shipment.stored, shipment.there, shipment.refused, shipment.left))
    return bool(shipment.refused or shipment.left)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Unusable as error:
        print("ship: %s" % error, file=sys.stderr)
        sys.exit(2)
