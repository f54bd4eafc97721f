"""workloads: the programs that are measured. Each times its own work, so start and end are in the start-up row only.

The last line that it prints: seconds by the clock, seconds of CPU (all threads, user and system), peak RSS in KiB.
"""

HEAD = """
import sys, time
size = float(sys.argv[1])
"""
TAIL = """
def measure():
    began, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("\\n%f %f %s" % (seconds, cpu, peak), flush=True)
measure()
"""
# A piece of work for each line that is read; told is its CPU (steady.py).
STEPS = """
for _ in sys.stdin:
    cpu = time.process_time()
    work()
    print(time.process_time() - cpu, flush=True)
"""

# About half a second each, size 1.
PYTHON = {
    "JSON service": """
import json
page = {"rows": [{"id": i, "name": "name %d" % i, "tags": ["a", "b", str(i)]} for i in range(100)]}
def work():
    for _ in range(int(3000 * size)):
        json.loads(json.dumps(page))
""",
    "churn": """
def work():
    for _ in range(int(4000000 * size)):
        bytearray(2000)
""",
    "object loops": """
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
def work():
    kept = [None] * 100
    for n in range(int(1500000 * size)):
        p = Point(n, [n, n + 1.5])
        kept[n % 100] = (p.x, str(n), p)
""",
    "numeric": """
def work():
    total = 0.0
    for row in range(int(1500 * size)):
        for column in range(100):
            z, c = 0j, complex(column / 50 - 1.5, row / 60 - 1)
            for _ in range(50):
                z = z * z + c
                if z.real > 2:
                    break
            total += abs(z)
""",
    "threads": """
import threading
def one():
    for n in range(int(300000 * size)):
        {"n": n, "text": "x" * (600 + n % 8)}
def work():
    threads = [threading.Thread(target=one) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
""",
    "sqlite threads": """
import sqlite3, threading
def one():
    db = sqlite3.connect(":memory:")
    db.execute("create table t (id integer primary key, name text, body blob)")
    for n in range(int(30000 * size)):
        db.execute("insert into t (name, body) values (?, ?)", ("name %d" % n, bytes(200)))
        if n % 100 == 0:
            db.execute("select name, body from t order by id desc limit 50").fetchall()
    db.close()
def work():
    threads = [threading.Thread(target=one) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
""",
    # recv's buffers of 256 KiB are mappings until the first larger block has been freed; in a process of some age that has
    # happened, and in the peers' (0.6 of the plain run's CPU was the system calls that they were spared).
    "asyncio service": """
import asyncio, json, os, tempfile
bytes(1 << 20)
page = {"rows": [{"id": i, "name": "name %d" % i} for i in range(10)]}
async def serve(reader, writer):
    while True:
        line = await reader.readline()
        if not line:
            break
        writer.write(json.dumps({"echo": json.loads(line), "page": page}).encode() + b"\\n")
        await writer.drain()
    writer.close()
async def ask(path, count):
    reader, writer = await asyncio.open_unix_connection(path)
    for n in range(count):
        writer.write(json.dumps({"n": n, "text": "x" * 100}).encode() + b"\\n")
        json.loads(await reader.readline())
    writer.close()
async def serve_and_ask():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await asyncio.start_unix_server(serve, path)
        await asyncio.gather(*[ask(path, int(700 * size)) for _ in range(8)])
        server.close()
def work():
    asyncio.run(serve_and_ask())
""",
}
START_UP = "start-up"

PAIRS_AT_SIZE_1 = 2e7  # in pairs.c
# name: bytes, threads
PAIRS = {
    "C pairs, small, 1 thread": (100, 1),
    "C pairs, small, 2 threads": (100, 2),
    "C pairs, counted, 1 thread": (2000, 1),
    "C pairs, counted, 2 threads": (2000, 2),
}


def names():
    return [*PYTHON, *PAIRS, START_UP]


def write_program(name, folder, tail=TAIL):
    """The file of a Python workload."""
    path = folder / (name.replace(" ", "_").replace("-", "_") + ".py")
    path.write_text("pass\n" if name == START_UP else HEAD + PYTHON[name] + tail)
    return path


def read_figures(output):
    """(seconds, CPU seconds, KiB) that a workload has printed."""
    seconds, cpu, peak = output.strip().splitlines()[-1].split()
    return float(seconds), float(cpu), int(peak)
