"""Healthy: cycles that wait for the collector."""
import gc

from pace import turns

gc.disable()


class Node:
    def __init__(self, n):
        self.itself = self
        self.body = "node %09d " % n * 80


for n in turns():
    for i in range(10):
        Node(n)
    if n % 150 == 149:
        gc.collect()
