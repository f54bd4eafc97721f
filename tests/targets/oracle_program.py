"""Allocates in as many ways as Python has frames, over and over, until the oracle has seen enough.

oracle_program.py SAMPLES
"""
import ctypes
import gc
import importlib
import sys
import threading

oracle_samples = ctypes.CDLL(None).oracle_samples
oracle_samples.restype = ctypes.c_ulonglong

MODULES = ["json", "asyncio", "dataclasses", "unittest", "inspect", "argparse", "email", "http", "html", "xml", "csv",
           "textwrap", "string", "statistics", "fractions", "_pydecimal", "difflib", "tokenize", "ast", "dis",
           "concurrent", "pprint", "configparser", "zipfile", "tarfile", "optparse", "shlex", "cmd", "calendar"]


def imports(round_number):
    """The modules anew: compiled from source each second time, so that the compiler's own callers are seen too."""
    sys.dont_write_bytecode = True
    names = MODULES[round_number % 4::4]
    saved = {}
    for name in list(sys.modules):
        if name.split(".")[0] in names:
            saved[name] = sys.modules.pop(name)
    for name in names:
        importlib.import_module(name)
    sys.modules.update(saved)


def compile_sources():
    for name in ("json.decoder", "textwrap", "dataclasses"):
        module = importlib.import_module(name)
        with open(module.__file__, encoding="utf-8") as file:
            compile(file.read(), module.__file__, "exec")


def templates():
    for number in range(40):
        lines = ["def render_%d(a, b=%d, *args, **kw):" % (number, number)]
        lines += ["    x%d = [a, b, str(a) * %d]" % (i, i) for i in range(number)]
        lines += ["    return {", "        'a': a,", "", "", "        'b': [str(i) for i in range(3)],", "    }"]
        space = {}
        exec(compile("\n" * (number * 97) + "\n".join(lines), "<template %d>" % number, "exec"), space)
        space["render_%d" % number](1)
        eval("[str(i) + 'x' for i in range(5)]", {})


def dataclass_work():
    import dataclasses

    for number in range(3):
        @dataclasses.dataclass(order=True)
        class Point:
            x: int
            y: float = 1.5
            tags: list = dataclasses.field(default_factory=list)

        points = sorted(Point(i % 7, float(i)) for i in range(20))
        [dataclasses.asdict(p) for p in points]


def generators():
    def count(n):
        for i in range(n):
            yield str(i) * 2

    def delegate(n):
        got = yield from count(n)
        yield [got]
        yield from (x + "y" for x in count(n))

    list(delegate(20))
    pipeline = (s for s in (t.upper() for t in count(30)) if s)
    return dict(zip(pipeline, delegate(10)))


def coroutines():
    import asyncio

    class Resource:
        async def __aenter__(self):
            await asyncio.sleep(0)
            return [1]

        async def __aexit__(self, *error):
            await asyncio.sleep(0)

    async def ticks(n):
        for i in range(n):
            yield str(i)
            await asyncio.sleep(0)

    async def worker(n):
        async with Resource() as resource:
            return [t + str(resource) async for t in ticks(n)]

    async def main():
        return await asyncio.gather(*(worker(i) for i in range(6)), return_exceptions=True)

    asyncio.run(main())


class Base:
    made = 0

    def __init__(self, value):
        self.value = [value] * 3
        self.__class__.made += 1

    @property
    def text(self):
        return "%s" % self.value

    def __getattr__(self, name):
        if name.startswith("auto_"):
            return name.upper()
        raise AttributeError(name)

    def __add__(self, other):
        return type(self)(self.value[0] + other.value[0])

    def __lt__(self, other):
        return str(self.value) < str(other.value)

    def __enter__(self):
        return str(self.value)

    def __exit__(self, *error):
        self.value = list(self.value)

    def __del__(self):
        str(self.value)


class Derived(Base):
    def __init__(self, value):
        super().__init__(value)
        self.extra = {"v": value}


def objects():
    total = Derived(0)
    for i in range(30):
        total = total + Derived(i)
        total.text, total.auto_name, getattr(total, "none", None)
        with total as entered:
            entered += "x"
    return sorted(Derived(i) for i in (3, 1, 2))


def errors():
    def fail(depth):
        if depth:
            return fail(depth - 1)
        raise ValueError("at the bottom %s" % depth)

    for depth in range(12):
        try:
            fail(depth)
        except ValueError as error:
            str(error)
        finally:
            [depth] * 5


def recursion(depth):
    return [depth] + recursion(depth - 1) if depth else []


def threads():
    def work(n):
        for i in range(50):
            str(i) * n

    made = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()


def callbacks():
    import functools
    import re

    re.sub(r"\d+", lambda match: str(int(match.group()) + 1), "1 22 333 4444" * 5)
    functools.reduce(lambda a, b: a + [b], range(20), [])
    list(map(lambda i: [i] * 3, range(20)))
    sorted(range(50), key=lambda i: str(-i))
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda i: len(str(i)))
    compare(12345)


def traced():
    seen = []

    def tracer(frame, event, argument):
        seen.append((event, frame.f_lineno))
        return tracer

    sys.settrace(tracer)
    try:
        generators()
    finally:
        sys.settrace(None)
    sys.setprofile(lambda frame, event, argument: str(event))
    try:
        objects()
    finally:
        sys.setprofile(None)


def decimals():
    import decimal
    import _pydecimal

    for module in (decimal, _pydecimal):
        str(module.Decimal(2).sqrt() ** 5 + sum(module.Decimal(i) / 7 for i in range(20)))


def documents():
    import json

    text = json.dumps({"a": [1, 2, {"b": "c" * 50}], "d": {str(i): [i] for i in range(50)}}, indent=2)
    json.loads(text, object_hook=lambda d: dict(d, extra=len(d)))
    json.JSONEncoder(default=str, indent=1).encode([object()])


def main():
    wanted = int(sys.argv[1])
    round_number = 0
    while oracle_samples() < wanted:
        imports(round_number)
        for work in (compile_sources, templates, dataclass_work, generators, coroutines, objects, errors, threads,
                     callbacks, traced, decimals, documents):
            work()
        recursion(30 + round_number % 100)
        gc.collect()
        round_number += 1


if __name__ == "__main__":
    main()
