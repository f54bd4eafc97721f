"""Healthy: a cache that throws out whom chance picks."""
import random

from pace import turns

cache = []


def put(n):
    value = "value %09d " % n * 80
    if len(cache) < 2000:
        cache.append(value)
    else:
        cache[random.randrange(2000)] = value


for n in turns():
    for i in range(12):
        put(n * 12 + i)
