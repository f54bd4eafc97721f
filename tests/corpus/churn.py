"""Healthy: requests that are parsed, answered and forgotten."""
import json

from pace import turns


def request(n):
    body = json.loads(json.dumps({"n": n, "rows": ["row %d" % i for i in range(50)]}))
    return json.dumps(body)


for n in turns():
    for i in range(8):
        request(n)
