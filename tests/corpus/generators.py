"""Generators that are never finished keep their frames."""
from pace import turns

readers = []


def read(n):
    buffer = bytes(2500 + n % 10)  # LEAK
    for byte in buffer:
        yield byte


def read_all(n):
    buffer = bytes(2500 + n % 10)
    yield len(buffer)


for n in turns():
    for i in range(5):
        reader = read(i)  # LEAK
        next(reader)
        readers.append(reader)
        list(read_all(i))
