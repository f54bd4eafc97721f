"""Six ways to use memory: four that leak, one that is healthy, one that grows. A sample for TrackLeak.

    make run SCRIPT=test_leaks.py                 15 seconds: the profile starts after 10
    make run SCRIPT=test_leaks.py ARGS="60"       the same leaks, spread over a minute

What is leaked does not depend on the length: 150 rounds, spread evenly over it. At the end it says how many bytes
each pattern still holds, to compare with the profile's table.
"""

import itertools
import sys
import time
import warnings

ROUNDS = 150
SECONDS = 15.0

leaked_list = []
leaked_cache = {}
leaked_strings = []
leaked_buffer = bytearray()
new_keys = itertools.count()
SIZES = list(range(1000, 1100))
PAYLOAD = "".join(chr(97 + n % 26) for n in range(1950))
EXCERPT = PAYLOAD[:300]
CHUNK = bytes(range(256)) * 2


def leaky_list(number):
    """Appends to a list that nobody ever clears."""
    for size in SIZES:
        leaked_list.append(bytearray(size))


def leaky_cache(number):
    """A cache without a bound: every key is new."""
    for key in itertools.islice(new_keys, 40):
        leaked_cache[key] = bytearray(4000)


def healthy_temp(number):
    """Takes memory and gives it back."""
    for n in range(200):
        scratch = bytearray(2000 + 10 * n)
        scratch[0] = 1


def warn_on_write(number):
    """A warning with a new text at every write: Python remembers each text, so as not to show it twice."""
    for n in range(100):
        warnings.warn(f"write {number * 100 + n}: {EXCERPT}")


def kept_strings(number):
    """Log lines of 2 KB that are formatted and then kept."""
    stamp = time_stamp()
    for n in range(100):
        leaked_strings.append(f"{stamp} request {number * 100 + n} {PAYLOAD}")


def time_stamp():
    """Apart, because strftime takes 4 KiB of scratch memory."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def growing_buffer(number):
    """A buffer that is only ever extended."""
    for _ in range(64):
        leaked_buffer.extend(CHUNK)


def say_nothing(*args, **kwargs):
    """In place of the warning on the terminal."""


def registry_bytes():
    registry = globals().get("__warningregistry__", {})
    size = sys.getsizeof(registry)
    for key in registry:
        if isinstance(key, tuple):
            size += sys.getsizeof(key) + sys.getsizeof(key[0])
    return size


def total_size(container, items):
    return sys.getsizeof(container) + sum(map(sys.getsizeof, items))


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    warnings.simplefilter("default")
    warnings.showwarning = say_nothing
    print("six patterns, %d rounds over %g seconds" % (ROUNDS, seconds), flush=True)

    start = time.monotonic()
    for number in range(ROUNDS):
        for pattern in (leaky_list, leaky_cache, healthy_temp, warn_on_write, kept_strings, growing_buffer):
            pattern(number)
        time.sleep(max(0.0, start + seconds * (number + 1) / ROUNDS - time.monotonic()))

    print("bytes that each pattern still holds:")
    for name, size in (
        ("leaky_list", total_size(leaked_list, leaked_list)),
        ("leaky_cache", total_size(leaked_cache, leaked_cache.values())),
        ("healthy_temp", 0),
        ("warn_on_write", registry_bytes()),
        ("kept_strings", total_size(leaked_strings, leaked_strings)),
        ("growing_buffer", sys.getsizeof(leaked_buffer)),
    ):
        print("%-16s %12d" % (name, size), flush=True)


if __name__ == "__main__":
    main()
