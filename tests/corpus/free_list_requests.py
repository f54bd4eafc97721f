"""Requests are parsed, scored and rendered; one cached session for each is what leaks.

Its strings are certain; its dicts and tuples pass through free lists, and nobody innocent may get them.
"""

import json

from pace import turns

sessions = {}


class Session:
    def __init__(self, user, rows):
        self.user = "user %09d " % user * 25  # LEAK
        self.scores = rows


def score(rows):
    return [(row["n"], row["n"] * 0.5, {"of": row["n"]}) for row in rows]


def render(rows):
    return json.dumps([{"n": n, "half": half} for n, half, _of in rows])


def handle(n):
    rows = json.loads('[{"n": %d}, {"n": %d}]' % (n, n + 1))
    scores = score(rows)
    sessions[n] = Session(n, [(n, n * 0.5), {"last": n}])  # LEAK
    return render(scores)


for n in turns():
    for i in range(25):
        handle(n * 25 + i)  # LEAK
