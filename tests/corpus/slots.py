"""Instances with slots, of a registry that forgets nobody."""
from pace import turns


class Point:
    __slots__ = ("x", "y", "name")

    def __init__(self, n):
        self.x, self.y = n, n
        self.name = "point %09d " % n * 50  # LEAK


class Dot(Point):
    __slots__ = ()

    def __init__(self, n):
        self.name = "dot %09d " % n * 50


points = []
for n in turns():
    for i in range(20):
        points.append(Point(n))  # LEAK
        Dot(n)
