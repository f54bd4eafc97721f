"""program.py SECONDS: a mixed load that holds no more at its end than after its first second.

Each piece of work must give what it gave the first time. Ends with 1 and says which one if it did not.
"""

import asyncio
import collections
import functools
import gc
import hashlib
import json
import mmap
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
import zlib

WORDS = ["word-%d" % n for n in range(2000)]


def parse():
    text = json.dumps({word: [word] * 5 for word in WORDS})
    return len(json.loads(text)), len(text)


def query():
    db = sqlite3.connect(":memory:")
    db.execute("create table t (a integer, b text)")
    db.executemany("insert into t values (?, ?)", enumerate(WORDS))
    return db.execute("select count(*), max(b) from t where b like '%7'").fetchone()


def compress():
    packed = zlib.compress(" ".join(WORDS).encode(), 6)
    return hashlib.sha256(zlib.decompress(packed)).hexdigest()


def grow_and_shrink():
    grown = []
    for number in range(20000):
        grown.append(number)
    del grown[1000:]
    text = bytearray()
    for number in range(2000):
        text += b"0123456789" * 3
    return sum(grown), len(text)


def make_cycles():
    class Node:
        pass

    for number in range(500):
        one, other = Node(), Node()
        one.other, other.other, one.text = other, one, str(number) * 50
    gc.collect()
    return number


def match():
    return sum(len(re.findall(r"(\w+)-(\d+)", word)) for word in WORDS)


def raise_errors():
    caught = 0
    for number in range(500):
        try:
            {}[number]
        except KeyError as error:
            caught += error.args[0]
    return caught


def map_pages():
    with mmap.mmap(-1, 1 << 20) as pages:
        pages[:11] = b"hello world"
        pages.resize(2 << 20)
        return pages[:5]


def run_tasks():
    async def one(number):
        await asyncio.sleep(0)
        return bytes(number)

    async def main():
        return sum(map(len, await asyncio.gather(*[one(number) for number in range(300)])))

    return asyncio.run(main())


def start_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(len(bytes(3000)))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(results)


def fork_child():
    pid = os.fork()
    if not pid:
        kept = [bytes(600) for _ in range(2000)]
        time.sleep(0.05)  # long enough to be profiled as a process of its own
        os._exit(len(kept) % 251)
    return os.waitpid(pid, 0)[1]


def spawn_child():
    return subprocess.run(["/bin/echo", "hello"], stdout=subprocess.PIPE).stdout


@functools.lru_cache(maxsize=500)
def remember(number):
    return "%d" % number * 40


cache = collections.deque(maxlen=3000)


def turn_over():
    for number in range(3000):
        cache.append(bytes(500 + number % 700))
    return sum(len(remember(number)) for number in range(1000))


COMMON = [parse, query, compress, grow_and_shrink, make_cycles, match, raise_errors, map_pages, run_tasks, start_threads,
          turn_over]
RARE = [fork_child, spawn_child]


def work(seed, until, truth, wrong):
    chance = random.Random(seed)
    while time.monotonic() < until and not wrong:
        piece = chance.choice(COMMON)
        if piece() != truth[piece]:
            wrong.append(piece.__name__)
        time.sleep(0.01)


def main(seconds):
    truth = {piece: piece() for piece in COMMON + RARE}
    until, wrong = time.monotonic() + seconds, []
    threads = [threading.Thread(target=work, args=(seed, until, truth, wrong)) for seed in range(3)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until and not wrong:
        for piece in RARE:
            if piece() != truth[piece]:
                wrong.append(piece.__name__)
        time.sleep(1)
    for thread in threads:
        thread.join()
    print("wrong: %s" % " ".join(wrong) if wrong else "right")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
