"""Arrays of measurements, kept and dropped."""
from array import array

from pace import turns

series = []


def measure(n):
    series.append(array("d", range(n % 10 + 1000)))  # LEAK


def average(n):
    values = array("d", range(n % 10 + 1000))
    return sum(values) / len(values)


for n in turns():
    measure(n)
    average(n)
