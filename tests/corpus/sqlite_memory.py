"""A database in memory that only grows."""
import sqlite3

from pace import turns

base = sqlite3.connect(":memory:")
base.execute("create table t (n integer, body text)")


def insert(n):
    base.execute("insert into t values (?, ?)", (n, "row %09d " % n * 800))  # LEAK


def select(n):
    return base.execute("select ?", ("row %09d " % n * 800,)).fetchone()


for n in turns():
    insert(n)
    insert(n)
    select(n)
