"""Patterns of a bounded cache, and a dictionary of matches that is none."""
import re

from pace import turns

matches = {}


def subject(n):
    return "text %09d %d " % (n, n % 50) * 80  # LEAK


def search(n):
    matches[n] = re.compile("(%d)" % (n % 50)).search(subject(n))  # LEAK


for n in turns():
    for i in range(12):
        search(n * 12 + i)  # LEAK
