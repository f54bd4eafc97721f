"""Works in every way Python has of taking and giving memory back, for the allocator log. Argument: its file."""

import collections
import ctypes
import gc
import json
import re
import sys

oracle = ctypes.PyDLL(None)  # preloaded
gc.disable()  # a collection may run inside any allocation, and free what another function owns, at any time
kept = {}
oracle.oracle_arm()


class Plain:
    def __init__(self, number):
        self.number = number
        self.text = "plain %d" % number


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def method(self):
        return [self.a, self.b, bytes(self.a)]


def lists():
    grown = []
    for i in range(5000):
        grown.append(i * 1000)
    kept["lists"] = grown
    short = [None] * 100
    short.pop()
    return [x for x in range(300, 400)]


def shrinking_list():
    kept["lists2"] = list(range(3000))
    del kept["lists2"][50:]


def dicts():
    mine = {}
    for i in range(3000):
        mine["key %d" % i] = i
    for i in range(0, 3000, 2):
        del mine["key %d" % i]
    kept["dicts"] = mine


def sets():
    kept["sets"] = {str(i) for i in range(1000)}
    kept["sets"].discard("5")


def strings():
    text = ""
    for i in range(500):
        text += "piece %d, " % i
    kept["strings"] = text.split(", "), text.upper(), text.encode(), text.replace("piece", "part")


def buffers():
    buffer = bytearray()
    for i in range(300):
        buffer.extend(b"0123456789" * i)
    kept["buffers"] = buffer
    other = bytearray(100000)
    del other[1000:]
    kept["buffers2"] = other


def grown_by_another():
    kept["buffers"].extend(b"x" * 200000)
    kept["lists"].extend([None] * 3000)


def objects():
    kept["objects"] = [Plain(i) for i in range(500)]
    kept["slotted"] = [Slotted(i, str(i)) for i in range(500)]
    for one in kept["slotted"][::3]:
        one.b = one.method()


def freed_by_another():
    del kept["objects"][100:400]
    kept["strings"] = kept["strings"][0]


def generator(n):
    for i in range(n):
        yield "generated %d" % i, [i] * (i % 50)


def consumes():
    kept["generated"] = list(generator(400))
    kept["suspended"] = generator(10)
    next(kept["suspended"])


def recursive(depth):
    here = bytes(depth + 10)
    if depth:
        return here, recursive(depth - 1)
    return here, None


def closures():
    def make(n):
        text = "closure %d" % n
        return lambda: text

    kept["closures"] = [make(i) for i in range(200)]


def raises():
    for i in range(200):
        try:
            raise ValueError("number %d" % i)
        except ValueError as error:
            kept["error", i % 10] = str(error)


def modules():
    kept["json"] = json.loads(json.dumps([{"n": i, "t": "text %d" % i} for i in range(300)]))
    kept["re"] = re.findall(r"\d+", " ".join(str(i) for i in range(2000)))


def containers():
    queue = collections.deque(maxlen=100)
    for i in range(1000):
        queue.append("item %d" % i)
    kept["queue"] = queue
    kept["counts"] = collections.Counter(str(i % 37) for i in range(1000))
    kept["ordered"] = sorted(({"n": -i} for i in range(200)), key=lambda d: d["n"])


def large():
    kept["large"] = [bytes(10 ** n) for n in range(1, 7)]
    kept["large"].append(bytearray(3000000))
    kept["numbers"] = [2 ** (64 * n) for n in range(100)]


def work():
    lists(), shrinking_list(), dicts(), sets(), strings(), buffers(), grown_by_another(), objects(), freed_by_another()
    consumes(), closures(), raises(), modules(), containers(), large()
    kept["recursive"] = recursive(100)


work()
oracle.oracle_report(sys.argv[1].encode())
