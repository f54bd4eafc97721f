"""Kept exceptions hold frames, and frames hold their locals."""
from pace import turns

errors = []


def handle(n):
    body = bytes(2000 + n % 10)  # LEAK
    raise ValueError(len(body))


def handle_well(n):
    body = bytes(2000 + n % 10)
    raise ValueError(len(body))


for n in turns():
    for i in range(6):
        try:
            handle(i)  # LEAK
        except ValueError as error:
            errors.append(error)
        try:
            handle_well(i)
        except ValueError:
            pass
