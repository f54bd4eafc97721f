"""Cycles, with the collector switched off."""
import gc

from pace import turns

gc.disable()


class Node:
    def __init__(self, n):
        self.itself = self
        self.body = "node %09d " % n * 60  # LEAK


class Leaf:
    def __init__(self, n):
        self.body = "leaf %09d " % n * 60


for n in turns():
    for i in range(20):
        Node(i)  # LEAK
        Leaf(i)
