"""Healthy: a cache of a thousand, which is full after some seconds."""
from functools import lru_cache

from pace import turns


@lru_cache(maxsize=3000)
def page(n):
    return "page %09d " % n * 100


for n in turns():
    for i in range(10):
        page(n * 10 + i)
