"""Interned strings that a set keeps."""
import sys

from pace import turns

names = set()


def intern(n):
    names.add(sys.intern("name %09d " % n * 50))  # LEAK


def intern_for_now(n):
    return sys.intern("name now %09d " % n * 50)


for n in turns():
    for i in range(20):
        intern(n * 20 + i)
        intern_for_now(n * 20 + i)
