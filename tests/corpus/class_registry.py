"""Classes made for every request, and never dropped."""
from pace import turns

registry = {}


def make(n):
    registry[n] = type("Model%d" % n, (), {"text": "text %09d " % n * 200})  # LEAK


for n in turns():
    for i in range(4):
        make(n * 4 + i)
