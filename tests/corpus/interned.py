"""Interned strings that a set keeps."""
import sys

from pace import turns

names = set()


def intern(n):
    names.add(sys.intern("name %09d " % n * 50))  # LEAK


def name_for_now(n):  # and not interned: since 3.12 that is for ever
    return "name now %09d " % n * 50


for n in turns():
    for i in range(20):
        intern(n * 20 + i)
        name_for_now(n * 20 + i)
