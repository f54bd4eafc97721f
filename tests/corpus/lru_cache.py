"""lru_cache without a limit, and with one."""
from functools import lru_cache

from pace import turns


@lru_cache(maxsize=None)
def render(n):
    return "page %09d " % n * 50  # LEAK


@lru_cache(maxsize=1000)
def thumbnail(n):
    return bytes(600 + n % 7)


for n in turns():
    for i in range(20):
        render(n * 20 + i)  # LEAK
        thumbnail(n * 20 + i)
