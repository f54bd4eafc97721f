"""Every kind of place that allocates, and the stack that sys._getframe tells of it, against what py_frame saw.

truth_sites.py [builtin | greenlet | gevent | uvloop]; runs under frame_oracle.so in the mode `record`.

A site makes bytes(T.n). First T.n is an object whose __index__ notes the Python stack from inside that very
instruction, just before the block is allocated. Then T.n is a plain number, so that no frame object is made by our
looking, and the same stack must be seen again. Each for a small block, which only CPython's allocator sees, and for a
large one, which libc's malloc sees too.

Prints a line for each wrong site, and at the end "C checks W wrong".
"""
import asyncio
import contextlib
import ctypes
import dataclasses
import functools
import importlib.util
import os
import re
import signal
import sys
import tempfile
import threading
import weakref
from array import array

HEADER = 33  # bytes of a bytes object besides its contents, on every build but the free-threaded one
SMALL, LARGE = 487, 70001  # odd, so that few others ask for them
DEEPEST = 64  # frames, in frame_oracle.c

libc = ctypes.CDLL(None)
libc.truth_arm.argtypes = [ctypes.c_size_t]
libc.truth_disarm.restype = ctypes.c_char_p
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
CALLBACK = ctypes.CFUNCTYPE(None)
libc.truth_foreign_thread.argtypes = [ctypes.c_size_t, CALLBACK]

IS_FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
if IS_FREE_THREADED:
    HEADER = sys.getsizeof(b"")


class T:
    """What the sites need, reachable from code that is exec'ed too."""

    n = 0
    size = 0


expected = []
failures = []
checks = 0
sites = []
folder = tempfile.TemporaryDirectory()


def site(function):
    sites.append((function.__name__, function, ("OBJ", "LIBC")))
    return function


def site_seen_by(*layers):
    def add(function):
        sites.append((function.__name__, function, layers))
        return function

    return add


def stack_of(frame):
    stack = []
    while frame is not None and len(stack) < DEEPEST:
        code = frame.f_code
        name = str(getattr(code, "co_qualname", code.co_name))
        file = re.sub("[\ud800-\udfff]", "\ufffd", str(code.co_filename))
        stack.append((name, frame.f_lineno or 0, file))
        frame = frame.f_back
    return stack


class Size:
    """The number that is asked for, and who asks."""

    def __init__(self, beside):
        self.beside = beside

    def __index__(self):
        expected.append(stack_of(sys._getframe(1)))
        return T.size - self.beside

    @property
    def _as_parameter_(self):
        expected.append(stack_of(sys._getframe(1)))
        return ctypes.c_size_t(T.size - self.beside)


def events(text):
    seen = {"OBJ": [], "MEM": [], "LIBC": []}
    for event in text.decode("utf-8").split("\x1e")[1:]:
        fields = event.split("\x1f")
        frames = zip(fields[1::3], map(int, fields[2::3]), fields[3::3])
        seen[fields[0]].append(list(frames))
    return seen


def say_if_wrong(name, layer, size, how, want, got):
    global checks
    checks += 1
    want, got = sorted(want), sorted(got)
    if want != got:
        failures.append(name)
        print("WRONG %s at %s, %d bytes, %s: %d stacks expected, %d seen"
              % (name, layer, size, how, len(want), len(got)))
        for one, other in [pair for pair in zip(want, got) if pair[0] != pair[1]][:2]:
            print("  expected %r\n  seen     %r" % (one, other))


def layers_of(layers, size):
    for layer in layers:
        if layer == "LIBC" and (IS_FREE_THREADED or size == SMALL) and layers != ("LIBC",):
            continue
        yield layer


def check(name, function, layers):
    beside = 0 if "OBJ" not in layers else HEADER
    T.n = 1
    function()  # imports what it needs, so that no import is seen among its blocks
    for size in (SMALL, LARGE):
        T.size = size
        for how in ("told", "untold"):
            T.n = Size(beside) if how == "told" else size - beside
            if how == "told":
                expected.clear()
            libc.truth_arm(size)
            function()
            seen = events(libc.truth_disarm())
            want = list(expected)
            assert want, "%s did not allocate" % name
            for layer in layers_of(layers, size):
                say_if_wrong(name, layer, size, how, want, seen[layer])


# ---- Expressions and statements ----


@site
def plain():
    return bytes(T.n)


@site
def nested_30_deep():
    def down(depth):
        return down(depth - 1) if depth else bytes(T.n)

    down(30)


@site
def deeper_than_the_limit():
    def down(depth):
        return [down(depth - 1)] if depth else bytes(T.n)

    down(150)


@site
def several_on_one_line():
    return bytes(T.n), [bytes(T.n), {"a": bytes(T.n)}]


@site
def expression_of_many_lines():
    return [
        bytes(T.n),
        1,
        {
            "a": 2,
            "b": bytes(T.n),
        }, bytes(
            T.n
        ),
    ]


@site
def call_of_many_lines():
    def take(*args, **kw):
        return bytes(T.n)

    return take(
        1,
        bytes(
            T.n
        ),
        a=take(
            2
        ),
    )


@site
def loops():
    for i in range(3):
        bytes(T.n)
        while i < 1:
            i += 1
            bytes(T.n)
    else:
        bytes(T.n)


@site
def conditions():
    one = bytes(T.n) if T.n else None
    if not one or (one and
                   bytes(T.n) and
                   not bytes(T.n)):
        pass
    else:
        return "%s" % (
            bytes(T.n),
        )


@site
def errors():
    try:
        try:
            raise ValueError(bytes(T.n))
        except ValueError:
            bytes(T.n)
            raise
        finally:
            bytes(T.n)
    except ValueError:
        return bytes(T.n)
    finally:
        bytes(T.n)


@site
def with_statement():
    class Manager:
        def __enter__(self):
            return bytes(T.n)

        def __exit__(self, *error):
            bytes(T.n)

    with Manager() as one, \
            Manager() as two:
        bytes(T.n)
        return one, two


@site
def context_manager_of_a_generator():
    @contextlib.contextmanager
    def manage():
        bytes(T.n)
        try:
            yield bytes(T.n)
        finally:
            bytes(T.n)

    with manage():
        bytes(T.n)


@site
def format_string():
    class Text:
        def __format__(self, spec):
            return str(len(bytes(T.n)))

    return f"{Text()} {len(bytes(T.n))}"


@site
def star_arguments():
    def take(*args, **kw):
        return bytes(T.n)

    take(*[1, 2], *(3,), **{"a": 1}, **dict(b=2))


@site
def default_argument():
    def take(a, b=bytes(T.n)):
        return a

    take(1)


# ---- Comprehensions and generators ----


@site
def list_comprehension():
    return [bytes(T.n) for _ in range(3)]


@site
def set_comprehension():
    return {
        bytes(T.n)
        for _ in range(2)
        if bytes(T.n)
    }


@site
def dict_comprehension():
    return {i: [bytes(T.n) for _ in range(2)] for i in range(2)}


@site
def generator_expression():
    return list(bytes(T.n) for _ in range(3))


@site
def lambda_function():
    return (lambda: bytes(T.n))()


def _generate():
    got = yield bytes(T.n)
    while got is None:
        got = yield bytes(T.n)
    try:
        yield 1
    finally:
        bytes(T.n)


@site
def generator_started_resumed_closed():
    generator = _generate()
    next(generator)
    next(generator)
    generator.send(1)
    generator.close()


@site
def generator_into_which_is_thrown():
    generator = _generate()
    next(generator)
    generator.send(1)
    with contextlib.suppress(KeyError):
        generator.throw(KeyError(1))


@site
def yield_from():
    def inner():
        yield bytes(T.n)
        yield from (bytes(T.n) for _ in range(2))

    def outer():
        yield from inner()

    list(outer())


# ---- Coroutines ----


def _run(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@site
def coroutine():
    async def inner():
        bytes(T.n)
        await asyncio.sleep(0)
        return bytes(T.n)

    async def outer():
        return await inner()

    _run(outer())


@site
def coroutine_by_hand():
    async def inner():
        return bytes(T.n)

    async def outer():
        return [await inner()]

    with contextlib.suppress(StopIteration):
        outer().send(None)


@site
def async_generator_and_comprehension():
    async def ticks():
        for _ in range(2):
            await asyncio.sleep(0)
            yield bytes(T.n)

    async def main():
        async for _ in ticks():
            bytes(T.n)
        return [bytes(T.n) async for _ in ticks()]

    _run(main())


@site
def async_with():
    class Manager:
        async def __aenter__(self):
            return bytes(T.n)

        async def __aexit__(self, *error):
            bytes(T.n)

    async def main():
        async with Manager():
            bytes(T.n)

    _run(main())


@site
def gathered_tasks():
    async def work(n):
        await asyncio.sleep(0)
        return bytes(T.n)

    async def main():
        await asyncio.gather(*(work(i) for i in range(3)))

    _run(main())


@site
def executor_thread_of_asyncio():
    def work():
        return bytes(T.n)

    async def main():
        await asyncio.get_running_loop().run_in_executor(None, work)

    _run(main())


@site
def callback_of_asyncio():
    async def main():
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(lambda: (bytes(T.n), done.set()))
        await done.wait()

    _run(main())


# ---- Classes ----


@site
def class_body():
    class Body:
        value = bytes(T.n)

        class Inner:
            value = [
                1,
                bytes(T.n)]

    return Body


@site
def init_plain_and_specialised():
    class Made:
        def __init__(self, keep):
            self.value = bytes(T.n) if keep else None

    def make(keep):
        return Made(keep)

    for _ in range(200):
        make(False)
    make(True)


@site
def init_of_base():
    class Base:
        def __init__(self):
            self.value = bytes(T.n)

    class Derived(Base):
        def __init__(self):
            super().__init__()

        def __new__(cls):
            bytes(T.n)
            return super().__new__(cls)

    Derived()


@site
def metaclass():
    class Meta(type):
        def __new__(cls, name, bases, space):
            bytes(T.n)
            return super().__new__(cls, name, bases, space)

        def __call__(cls):
            bytes(T.n)
            return super().__call__()

    class Name:
        def __set_name__(self, owner, name):
            bytes(T.n)

    class Base(metaclass=Meta):
        name = Name()

        def __init_subclass__(cls):
            bytes(T.n)

    class Derived(Base):
        pass

    Derived()


@site
def dataclass_made_by_exec():
    @dataclasses.dataclass
    class Point:
        x: object = dataclasses.field(default_factory=lambda: bytes(T.n))

        def __post_init__(self):
            self.y = bytes(T.n)

    Point()


@site
def attributes():
    class Owner:
        @property
        def text(self):
            return bytes(T.n)

        @functools.lru_cache(maxsize=None)
        def cached(self):
            return bytes(T.n)

        @classmethod
        def of_class(cls):
            return bytes(T.n)

        @staticmethod
        def of_none():
            return bytes(T.n)

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return bytes(T.n)

        def __setattr__(self, name, value):
            bytes(T.n)

    owner = Owner()
    for _ in range(20):
        owner.text
    owner.cached()
    owner.of_class()
    owner.of_none()
    owner.other
    owner.other = 1


@site
def operators():
    class Number:
        def __add__(self, other):
            return bytes(T.n)

        __radd__ = __iadd__ = __getitem__ = __contains__ = __add__

        def __lt__(self, other):
            return bool(bytes(T.n))

        def __bool__(self):
            return bool(bytes(T.n))

        def __iter__(self):
            bytes(T.n)
            return iter(())

    number = Number()
    number + 1
    1 + number
    number[1]
    1 in number
    number < number < number
    if number:
        list(number)
    number += 1


@site
def finaliser():
    class Dying:
        def __del__(self):
            bytes(T.n)

    dying = Dying()
    del dying
    [Dying()]


@site
def weak_reference_callback():
    class Dying:
        pass

    dying = Dying()
    reference = weakref.ref(dying, lambda reference: bytes(T.n))
    del dying
    return reference


@site
def garbage_collection():
    import gc

    class Dying:
        def __del__(self):
            bytes(T.n)

    dying = Dying()
    dying.self = dying
    del dying
    gc.collect()


# ---- Called by C ----


@site
def called_by_c():
    sorted([3, 1, 2], key=lambda i: (bytes(T.n), i)[1])
    list(map(lambda i: bytes(T.n), range(2)))
    list(filter(lambda i: bytes(T.n), range(2)))
    functools.reduce(lambda a, b: bytes(T.n), range(3))
    functools.partial(lambda a: bytes(T.n), 1)()
    re.sub("[a-c]", lambda match: str(len(bytes(T.n))), "xaybz")
    max(1, 2, key=lambda i: len(bytes(T.n)))
    iter(lambda: bytes(T.n), None).__next__()


@site
def decorated_function():
    def decorate(function):
        bytes(T.n)

        @functools.wraps(function)
        def wrapper(*args):
            return function(*args), bytes(T.n)

        return wrapper

    @decorate
    @decorate
    def work(a):
        return bytes(T.n)

    work(1)


@site
def closure():
    def outer(a):
        def inner(b):
            nonlocal a
            a = bytes(T.n)
            return a, b

        return inner

    outer(1)(2)


@site
def executed_text():
    exec("x = 1\n\n\nbytes(T.n)\ndef f():\n    y = 1\n    return bytes(T.n)\nf()", {"T": T})
    eval("[1,\n bytes(T.n)]", {"T": T})
    exec(compile("\n" * 100000 + "bytes(T.n)", "<far down>", "exec"), {"T": T})


@site
def imported_module():
    path = os.path.join(folder.name, "made.py")
    with open(path, "w") as file:
        file.write("from __main__ import T\n\nA = bytes(T.n)\n\nclass B:\n    C = bytes(T.n)\n")
    spec = importlib.util.spec_from_file_location("made", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@site
def trace_function_on():
    def tracer(frame, event, argument):
        return tracer

    def work():
        x = 1
        bytes(T.n)
        for _ in range(2):
            bytes(T.n)
        return x

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)


@site
def profile_function_on():
    def work():
        return [bytes(T.n) for _ in range(2)]

    sys.setprofile(lambda frame, event, argument: None)
    try:
        work()
    finally:
        sys.setprofile(None)


@site
def inside_a_trace_function():
    def tracer(frame, event, argument):
        if event == "line":
            bytes(T.n)
        return tracer if frame.f_code.co_name == "work" else None

    def work():
        x = 1
        return x

    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(None)


@site
def signal_handler():
    before = signal.signal(signal.SIGUSR1, lambda number, frame: bytes(T.n))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


@site
def ctypes_callback():
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda i: len(bytes(T.n)))
    callback(1)


# ---- Long functions, strange names ----


def _long_function(statements, gap):
    lines = ["def long():"]
    for number in range(statements):
        lines += ["    x%d = [%d]" % (number, number)] + [""] * gap
        if number % 97 == 0:
            lines.append("    bytes(T.n)")
    space = {"T": T}
    exec(compile("\n".join(lines), "<long>", "exec"), space)
    return space["long"]


@site
def function_of_400_statements():
    _long_function(400, 0)()
    _long_function(400, 140)()
    _long_function(3, 40000)()


@site
def lines_that_go_backwards():
    source = "def back(): return [(\n" + "\n" * 300 + "T.n), bytes(\nT.n)]\n"
    space = {"T": T}
    exec(compile(source, "<back>", "exec"), space)
    space["back"]()


def _named(name, file):
    space = {"T": T}
    exec(compile("def %s():\n    return bytes(T.n)\n" % name, file, "exec"), space)
    return space[name]


@site
def names_of_every_width():
    for name, file in (("caf\u00e9", "/tmp/\u00e9.py"), ("\u0434\u0430", "/tmp/\u0434\u0430.py"),
                       ("\U00010300", "/tmp/\U0001f40d.py"), ("x", "/tmp/a\u00ff\u0100.py"),
                       ("long_" * 300, "/" + "d/" * 600 + "f.py"), ("e", ""), ("q", "a\"|'\n\t\\.py")):
        _named(name, file)()


@site
def file_name_that_is_not_utf8():
    _named("x", os.fsdecode(b"/tmp/\xff\xfe\x80.py"))()


@site
def names_that_are_a_subclass_of_str():
    class Text(str):
        pass

    def work():
        return bytes(T.n)

    changed = {"co_name": Text("na\u00efve"), "co_filename": Text("/tmp/ascii.py")}
    if sys.version_info >= (3, 11):
        changed["co_qualname"] = Text("\u0434\u0430.na\u00efve")
    work.__code__ = work.__code__.replace(**changed)
    work()


@site
def code_whose_first_line_is_far():
    def work():
        return bytes(T.n)

    work.__code__ = work.__code__.replace(co_firstlineno=2000000)
    work()


# ---- Threads and processes ----


def _in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@site
def thread():
    def work():
        return [bytes(T.n) for _ in range(2)]

    _in_thread(work)


@site
def thread_local_state():
    class Local(threading.local):
        def __init__(self):
            self.value = bytes(T.n)

    _in_thread(lambda: Local().value)


def _malloc():
    libc.free(libc.malloc(T.n if isinstance(T.n, Size) else ctypes.c_size_t(T.n)))


@site_seen_by("LIBC")
def malloc_without_the_gil():
    _malloc()
    _in_thread(_malloc)


@contextlib.contextmanager
def _contention():
    stop = []

    def spin():
        while not stop:
            [str(i) for i in range(100)]

    spinners = [threading.Thread(target=spin) for _ in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for spinner in spinners:
        spinner.start()
    try:
        yield
    finally:
        stop.append(1)
        sys.setswitchinterval(before)
        for spinner in spinners:
            spinner.join()


@site_seen_by("LIBC")
def malloc_without_the_gil_while_others_hold_it():
    with _contention():
        for _ in range(10):
            _malloc()
        _in_thread(lambda: [_malloc() for _ in range(10)])


@site
def bytes_while_others_hold_the_gil():
    with _contention():
        for _ in range(10):
            bytes(T.n)
        _in_thread(lambda: [bytes(T.n) for _ in range(10)])


@site_seen_by("LIBC")
def raw_memory_with_the_gil():
    ctypes.pythonapi.PyMem_RawMalloc.restype = ctypes.c_void_p
    ctypes.pythonapi.PyMem_RawFree.argtypes = [ctypes.c_void_p]
    ctypes.pythonapi.PyMem_RawFree(ctypes.pythonapi.PyMem_RawMalloc(
        T.n if isinstance(T.n, Size) else ctypes.c_size_t(T.n)))


@site_seen_by("MEM")
def memory_of_an_array():
    return array("B", b"x") * T.n


@site
def foreign_thread_that_calls_python():
    def work():
        return bytes(T.n)

    callback = CALLBACK(lambda: bool(work()) and None)
    libc.truth_foreign_thread(0, callback)


def foreign_thread_without_python():
    for size in (SMALL, LARGE):
        libc.truth_arm(size)
        libc.truth_foreign_thread(size, ctypes.cast(None, CALLBACK))
        seen = events(libc.truth_disarm())
        say_if_wrong("foreign_thread_without_python", "LIBC", size, "untold", [[]], seen["LIBC"])


def in_a_forked_child(name, function):
    """The same checks in a child, whose wrong ones count here."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        failures.clear()
        status = 1
        try:
            check(name + " in a forked child", function, ("OBJ", "LIBC"))
            sys.stdout.flush()
            status = len(failures) > 0
        finally:
            os._exit(status)
    say_if_wrong(name, "fork", 0, "untold", [0], [os.waitpid(child, 0)[1]])


def _run_in_subinterpreter(text):
    if sys.version_info >= (3, 13):
        import _interpreters

        interpreter = _interpreters.create()
        try:
            problem = _interpreters.exec(interpreter, text)
            assert problem is None, problem
        finally:
            _interpreters.destroy(interpreter)
        return
    import _xxsubinterpreters

    interpreter = _xxsubinterpreters.create()
    try:
        _xxsubinterpreters.run_string(interpreter, text)
    finally:
        _xxsubinterpreters.destroy(interpreter)


def subinterpreter():
    try:
        import _xxsubinterpreters  # noqa: F401
    except ImportError:
        try:
            import _interpreters  # noqa: F401
        except ImportError:
            print("no sub-interpreters here")
            return
    for size in (SMALL, LARGE):
        libc.truth_arm(size)
        _run_in_subinterpreter("def inside():\n    return bytes(%d)\n\ninside()\n" % (size - HEADER))
        seen = events(libc.truth_disarm())
        # Up to 3.11 a thread's own state, all that libc's hook has, is the one of the main interpreter.
        layers = ("OBJ", "LIBC") if sys.version_info >= (3, 12) else ("OBJ",)
        for layer in layers_of(layers, size):
            # Its start imports modules, where blocks of our size may be asked for too.
            got = [[frame[:2] for frame in stack] for stack in seen[layer]
                   if not any("importlib" in frame[2] for frame in stack)]
            say_if_wrong("subinterpreter", layer, size, "untold", [[("inside", 2), ("<module>", 4)]], got)


# ---- Newer syntax ----

NEWER = {
    (3, 10): """
def match_statement():
    match [1, bytes(T.n)]:
        case [2, _]:
            pass
        case [1, _] if bytes(T.n):
            bytes(T.n)
""",
    (3, 11): """
def exception_group():
    try:
        raise ExceptionGroup("g", [ValueError(bytes(T.n))])
    except* ValueError:
        bytes(T.n)
    except* KeyError:
        pass
""",
    (3, 12): """
def type_parameters():
    class Box[V]:
        def put[W](self, w: W):
            return [bytes(T.n) for _ in range(2)]
    Box().put(1)
    type Alias = bytes(T.n)
    Alias.__value__
""",
}


# ---- Extensions that switch stacks ----


def greenlet_sites():
    import greenlet

    def greenlets():
        def inner(depth):
            bytes(T.n)
            if depth:
                inner(depth - 1)
            else:
                main.switch()
            bytes(T.n)

        main = greenlet.getcurrent()
        made = [greenlet.greenlet(inner) for _ in range(3)]
        for one in made + made:
            one.switch(5) if not one else one.switch()
            bytes(T.n)

    def nested_greenlets():
        def inner():
            bytes(T.n)
            outer_one.switch()
            bytes(T.n)

        def outer():
            inner_one = greenlet.greenlet(inner)
            inner_one.switch()
            bytes(T.n)
            inner_one.switch()

        outer_one = greenlet.greenlet(outer)
        outer_one.switch()

    def greenlet_into_which_is_thrown():
        def inner():
            try:
                main.switch()
            finally:
                bytes(T.n)

        main = greenlet.getcurrent()
        one = greenlet.greenlet(inner)
        one.switch()
        with contextlib.suppress(KeyError):
            one.throw(KeyError(1))

    def generator_across_greenlets():
        def generate():
            for _ in range(3):
                main.switch()
                yield bytes(T.n)

        main = greenlet.getcurrent()
        one = greenlet.greenlet(lambda: list(generate()))
        for _ in range(4):
            one.switch()
            bytes(T.n)

    return greenlets, nested_greenlets, greenlet_into_which_is_thrown, generator_across_greenlets


def gevent_sites():
    import gevent
    import gevent.pool
    import gevent.queue

    def spawned():
        def work(n):
            bytes(T.n)
            gevent.sleep(0)
            return [bytes(T.n) for _ in range(n)]

        gevent.joinall([gevent.spawn(work, n) for n in range(4)], raise_error=True)
        bytes(T.n)

    def pool_and_queue():
        queue = gevent.queue.Queue()

        def produce():
            for i in range(3):
                queue.put(bytes(T.n))
                gevent.sleep(0)
            queue.put(None)

        def consume():
            while queue.get() is not None:
                bytes(T.n)

        gevent.joinall([gevent.spawn(produce), gevent.spawn(consume)], raise_error=True)
        gevent.pool.Pool(2).map(lambda i: bytes(T.n), range(4))

    def timer():
        def late():
            bytes(T.n)

        gevent.spawn_later(0.001, late).join()

    return spawned, pool_and_queue, timer


def uvloop_sites():
    import uvloop

    def run(coroutine):
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.close()

    def tasks():
        async def work(n):
            await asyncio.sleep(0.001 * n)
            return [bytes(T.n) for _ in range(n)]

        async def main():
            await asyncio.gather(*(work(n) for n in range(4)))
            return bytes(T.n)

        run(main())

    def callbacks():
        async def main():
            loop = asyncio.get_running_loop()
            done = asyncio.Event()
            loop.call_soon(lambda: bytes(T.n))
            loop.call_later(0.001, lambda: (bytes(T.n), done.set()))
            await loop.run_in_executor(None, lambda: bytes(T.n))
            await done.wait()

        run(main())

    def streams():
        async def serve(reader, writer):
            writer.write(await reader.readline())
            bytes(T.n)
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            await reader.readline()
            bytes(T.n)
            writer.close()
            server.close()

        run(main())

    return tasks, callbacks, streams


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "builtin"
    if which != "builtin":
        for function in {"greenlet": greenlet_sites, "gevent": gevent_sites, "uvloop": uvloop_sites}[which]():
            check(function.__name__, function, ("OBJ", "LIBC"))
    else:
        for version, source in NEWER.items():
            if sys.version_info >= version:
                space = {"T": T}
                exec(source, space)
                site([value for name, value in space.items() if callable(value) and value is not T][0])
        for name, function, layers in sites:
            check(name, function, layers)
        foreign_thread_without_python()
        in_a_forked_child("plain", plain)
        in_a_forked_child("thread", thread)
        subinterpreter()
    print("%d checks %d wrong" % (checks, len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
