"""Healthy: the last two thousand lines."""
from collections import deque

from pace import turns

lines = deque(maxlen=3000)


def log(n):
    lines.append("line %09d " % n * 80)


for n in turns():
    for i in range(12):
        log(n * 12 + i)
