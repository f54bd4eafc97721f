#!/usr/bin/env python3
"""hot_paths.py: how many instructions each hook costs a call that is not sampled, read off the built library.

The path is what falls through: the compiler puts what is rare out of line. It ends with the jump into the real function,
or, where there is none, with the return.
A hook that has grown past its limit is an error (--check); a limit that is lowered on purpose is changed here.
"""

import re
import subprocess
import sys

# Most instructions, the final jump included, as gcc 12 at -O2 makes them.
LIMITS = {"malloc": 6, "calloc": 9, "realloc": 19, "free": 7, "posix_memalign": 6, "aligned_alloc": 6,
          "hook_obj_malloc": 7, "hook_obj_calloc": 12, "hook_obj_realloc": 16, "hook_obj_free": 7,
          "hook_mem_malloc": 7, "hook_mem_calloc": 12, "hook_mem_realloc": 16, "hook_mem_free": 7,
          "hook_create_event": 16}
RETURN = {"hook_create_event"}  # has no real function to jump into


def length_of(library, function):
    """From the function's first instruction to the one that leaves it for good; None: it is laid out otherwise."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "--disassemble=" + function, library],
                          check=True, capture_output=True, text=True).stdout
    lines = text.partition("<%s>:" % function)[2].splitlines()[1:]
    codes = [code for code in (line.partition("\t")[2].strip() for line in lines) if not code.startswith("nop")]
    for length, code in enumerate(codes, 1):
        if code == "ret" if function in RETURN else re.match(r"(notrack )?jmp\s+\*", code):
            return length
        if code.startswith(("jmp", "call", "ret")):
            return None
    return None


def main(library, is_check):
    lengths = {function: length_of(library, function) for function in LIMITS}
    grown = [f for f, length in lengths.items() if length is None or length > LIMITS[f]]
    print("instructions of a call that is not sampled (limit; clang lays them out so that they cannot be read here)")
    for function, length in lengths.items():
        print("  %-18s %2s (%d)%s" % (function, length or "?", LIMITS[function], " <--" if function in grown else ""))
    return 1 if is_check and grown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--check" in sys.argv))
