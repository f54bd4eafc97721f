"""A counter whose keys never repeat."""
from collections import Counter

from pace import turns

seen = Counter()


def count(n):
    seen["visitor %09d " % n * 50] += 1  # LEAK


def count_known(n):
    seen["visitor %d " % (n % 100) * 50] += 1


for n in turns():
    for i in range(20):
        count(n * 20 + i)
        count_known(i)
