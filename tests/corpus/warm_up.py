"""Healthy: a table that is loaded in the first seconds, and then used."""
from pace import elapsed, turns

table = {}


def load(n):
    table[n] = "entry %09d " % n * 60


for n in turns():
    if elapsed() < 4:
        for i in range(30):
            load(n * 30 + i)
