"""__del__ puts what should die back into a list."""
from pace import turns

graveyard = []


class Undead:
    def __init__(self, n):
        self.body = "body %09d " % n * 60  # LEAK

    def __del__(self):
        graveyard.append(self)


class Mortal:
    def __init__(self, n):
        self.body = "body %09d " % n * 60


for n in turns():
    for i in range(18):
        Undead(n)  # LEAK
        Mortal(n)
