"""Healthy: of what was loaded at the start every 8th block stays, and holds the memory of all; then only traffic."""
from pace import turns

blocks = [bytes(3000) for n in range(32000)][::8]
objects = [b"%080d" % n for n in range(400000)][::40]


def work(n):
    return len(b"x" * (n % 3000 + 1000))


for n in turns():
    for i in range(15):
        work(n + i)
