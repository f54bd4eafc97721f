"""A cache by request id that nothing evicts, beside one that is bounded."""
from collections import OrderedDict

from pace import turns

answers, recent = {}, OrderedDict()


def answer(n):
    answers[n] = "answer %09d " % n * 40  # LEAK


def remember(n):
    recent[n] = "recent %09d " % n * 40
    if len(recent) > 1500:
        recent.popitem(last=False)


for n in turns():
    for i in range(20):
        answer(n * 20 + i)  # the number stays as the key, # LEAK
        remember(n * 20 + i)
