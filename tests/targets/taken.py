"""For the programs of the whole tests: allocations.c by ctypes, and what a program expects the profile to say.

Functions that are measured call C only: on 3.8 to 3.10 a call of a Python function may allocate its frame, which is
charged to the caller.
"""

import ctypes
import json
import os
import sys

lib = ctypes.PyDLL(os.environ["ALLOCATIONS"])
_size, _int, _pointer = ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p

for _name, _result, _arguments in (
    ("take", _size, (_int, _size, _size)),
    ("take_one", _pointer, (_int, _size)),
    ("grow_one", _pointer, (_int, _pointer, _size)),
    ("free_one", None, (_int, _pointer)),
    ("usable", _size, (_pointer,)),
    ("usable_kept", _size, (_size, _size)),
    ("give_back", None, (_size, _size, _size)),
    ("take_and_free", None, (_int, _size, _size)),
    ("resize_kept", None, (_size, _size, _size)),
    ("take_in_thread", _size, (_int, _size, _size, _size)),
    ("give_back_in_thread", None, (_size, _size)),
    ("crowd", None, (_int, _int, _size, _size)),
    ("take_without_gil", _size, (_int, _size, _size)),
    ("errno_is_kept", _int, (_size,)),
    ("refusals_are_kept", _int, ()),
    ("map_anonymous", _pointer, (_size,)),
    ("unmap", _int, (_pointer, _size)),
    ("remap", _pointer, (_pointer, _size, _size)),
    ("exit_now", None, (_int,)),
):
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments
    globals()[_name] = _function

KINDS = ("MALLOC", "CALLOC", "REALLOC", "POSIX_MEMALIGN", "ALIGNED_ALLOC", "MEMALIGN", "VALLOC", "PVALLOC",
         "PYMEM_MALLOC", "PYMEM_CALLOC", "PYMEM_REALLOC",
         "PYOBJECT_MALLOC", "PYOBJECT_CALLOC", "PYOBJECT_REALLOC",
         "PYRAW_MALLOC", "PYRAW_CALLOC", "PYRAW_REALLOC")
for _number, _name in enumerate(KINDS):
    globals()[_name] = _number

expected = {}


def expect(function, sizes, **more):
    """`function` made allocations of these sizes, and maybe more facts for the test."""
    sizes = list(sizes)
    expected[function] = dict(more, counted=len(sizes), counted_bytes=sum(sizes))


def say_expected():
    print(json.dumps(expected), flush=True)


def define(name, line, filename="generated.py", globals=None):
    """A function whose first line is 1 and whose only statement, `line`, stands in line 2."""
    scope = {} if globals is None else globals
    exec(compile("def %s(number):\n\treturn %s\n" % (name, line), filename, "exec"), scope)
    return scope[name]


def rss_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
