"""Rows that were fetched are kept; others are only counted."""
import sqlite3

from pace import turns

kept = []
base = sqlite3.connect(":memory:")
base.execute("create table t (n integer, body text)")
base.executemany("insert into t values (?, ?)", [(n, "row %09d " % n * 80) for n in range(100)])


def fetch(n):
    kept.append(base.execute("select body from t limit 12").fetchall())  # LEAK


def count(n):
    return len(base.execute("select body from t limit 40").fetchall())


for n in turns():
    fetch(n)
    count(n)
