"""Rows are appended to a list that nobody empties; temporary lists come and go."""
from pace import turns

rows = []


def keep(n):
    rows.append(b"%d" % n * 100)  # LEAK


def sum_up(n):
    return sum([len(b"%d" % i * 100) for i in range(n)])


for n in turns():
    for i in range(25):
        keep(1000000 + n * 25 + i)
    sum_up(200)
