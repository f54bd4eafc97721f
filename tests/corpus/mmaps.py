"""Maps that are never closed."""
import mmap

from pace import turns

maps = []


def keep(n):
    maps.append(mmap.mmap(-1, 40000))  # LEAK


def use(n):
    with mmap.mmap(-1, 40000) as memory:
        memory[0] = 1


for n in turns():
    keep(n)
    use(n)
