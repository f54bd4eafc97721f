"""Healthy: a large table is loaded once, in the middle."""
from pace import elapsed, turns

tables = []


def load():
    tables.append(["row %09d " % i * 40 for i in range(20000)])


for n in turns():
    if n == 500:
        load()
