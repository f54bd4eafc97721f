"""Frames of a camera, of which one in ten is kept. NEEDS numpy"""
import numpy

from pace import turns

kept, ring = [], []


def keep(n):
    kept.append(numpy.full((50, 50), n, dtype=float))  # LEAK


def show(n):
    ring.append(numpy.full((50, 50), n, dtype=float))
    del ring[:-100]
    return (ring[-1] @ ring[0]).sum()


for n in turns():
    show(n)
    if n % 10 == 0:
        for i in range(3):
            keep(n)
