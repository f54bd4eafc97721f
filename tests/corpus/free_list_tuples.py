"""Tuples that leak, in turn with another function's temporary ones: their blocks come from a free list.

Nobody may be blamed for them but their type.
"""

from pace import turns

kept = []


def keep(n):
    kept.append((n, n, n, n))  # UNCERTAIN tuple


def innocent(n):
    return len(((n, n, n, n), 1))


for n in turns():
    for i in range(150):
        innocent(i)
        keep(i)
