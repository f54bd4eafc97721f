"""Healthy: a batch that is sent and emptied every three seconds."""
from pace import turns

batch = []


def collect(n):
    batch.append("row %09d " % n * 80)


for n in turns():
    for i in range(15):
        collect(n * 15 + i)
    if n % 300 == 299:
        batch.clear()
