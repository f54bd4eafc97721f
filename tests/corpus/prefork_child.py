"""A child of fork leaks, its parent does not."""
import os

from pace import turns

rows, now = [], []


def keep(n):
    rows.append("row %09d " % n * 70)  # LEAK


def use(n):
    now.append("row %09d " % n * 70)
    if len(now) > 100:
        now.clear()


child = os.fork()
for n in turns():
    for i in range(15):
        keep(i) if child == 0 else use(i)
if child != 0:
    os.waitpid(child, 0)
