"""Snapshots of known contents, as docs/FORMAT.md has them, and where the command is."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("TRACKLEAK_COMMAND") or ROOT / "trackleak")

HOSTILE = 'evil\n\x1b[31m|"<script>\u202e;'


def iso(seconds):
    """As the JSON lines have a time."""
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)), round(seconds % 1 * 1000))


def figures(live, blocks, total, count, retention, se=0.0):
    return {"counted": 0, "counted_bytes": 0, "count": [count, 0], "total_bytes": [total, 0], "largest": 4096,
            "sample_count": 10, "sample_bytes": 1000, "freed_samples": 1, "freed_sample_bytes": 100,
            "retention": retention, "live_bytes": [live, se], "live_count": [blocks, se / 100]}


def function(name, file, first_line, lines, **more):
    """lines: {line: figures}; the function's own are their sum."""
    values = list(lines.values())
    total = {key: ([sum(v[key][0] for v in values), sum(v[key][1] ** 2 for v in values) ** 0.5]
                   if isinstance(values[0][key], list) else sum(v[key] for v in values))
             for key in values[0] if key != "retention"}
    return {"function": name, "file": file, "kind": "python", "first_line": first_line, "line": next(iter(lines)),
            **total, "retention": values[0]["retention"], "peak_live_bytes": total["live_bytes"][0] * 1.5,
            "generations": 2, "last_free_seconds": None, "lifetimes": [0] * 24,
            "lines": [{"line": line, **value} for line, value in lines.items()], **more}


def verdict(word, sentence, *growth):
    """growth: MiB an hour, low, high."""
    rates = [rate * 1048576 / 3600 for rate in growth] or [None] * 3
    return {"word": word, "sentence": sentence, "bytes_per_second": rates[0], "low": rates[1], "high": rates[2],
            "survival": 0.98, "survival_low": 0.9, "survival_high": 1.0, "survival_seconds": 240.0}


def stack(frame, live, blocks, se=0.0, oldest=100.0, youngest=1.0):
    return {"frame": frame, "live_bytes": [live, se], "live_count": [blocks, se / 100], "live_samples": 5,
            "oldest_seconds": oldest, "youngest_seconds": youngest}


def sample():
    """A leak of 6 MiB at two lines, a cache, churn, a hostile name, a native place."""
    functions = [
        function("leak", "/srv/app/leaks.py", 10, {12: figures(4 << 20, 4096, 5 << 20, 5000, 0.9, 40000.0),
                                                   14: figures(2 << 20, 1024, 2 << 20, 1024, 1.0, 30000.0)},
                 verdict=verdict("leaking", "+12.4 MB/h (10.1 to 14.6), 98 % alive after 4 min", 12.4, 10.1, 14.6),
                 types=[{"type": "bytearray", "bytes": 5 << 20}, {"type": "dict", "bytes": 1 << 20}]),
        function("Cache.get", "/usr/lib/python3/dist-packages/lru/core.py", 40,
                 {44: figures(1 << 20, 256, 9 << 20, 3000, 0.1)}, verdict=verdict("plateau", "full since 2 min"),
                 types=[{"type": "dict", "bytes": 1 << 20}]),
        function("churn", "/srv/app/work.py", 3, {5: figures(0, 0, 50 << 20, 90000, 0.0)}, verdict=verdict("churn", "")),
        function(HOSTILE, HOSTILE, 1, {1: figures(65536, 16, 65536, 16, 1.0)}),
        function("<native libfoo.so.1+0x1234>", "libfoo.so.1", 0, {0: figures(131072, 2, 131072, 2, None)}, kind="native"),
    ]
    live = sum(f["live_bytes"][0] for f in functions)
    return {
        "format": "trackleak-snapshot", "version": 1, "trackleak": "0.1.0",
        "process": {"pid": 4711, "forked": False, "start": 1795251000.0, "hostname": "box", "job_name": "unknown",
                    "labels": "", "program": "python3", "python_version": "3.12.1 (main) [GCC]"},
        "dump": {"number": 7, "time": 1795251300.0, "elapsed_seconds": 290.0, "final": False},
        "settings": {"sample_rate": 50, "sample_bytes": 131072, "min_size": 500},
        "table": {"live_samples": 123, "live_capacity": 200000, "lost_samples": 0, "thinned": 0, "other_functions": 0},
        "memory": {"rss_bytes": 50 << 20, "peak_rss_bytes": 60 << 20, "live_bytes": [live, 50000.0],
                   "live_count": [sum(f["live_count"][0] for f in functions), 500.0],
                   "peak_live_bytes": 12 << 20, "peak_live_time": 1795251200.0, "agent_bytes": 1 << 20,
                   "agent_cpu_seconds": 0.1, "sampling_cpu_seconds": 0.2},
        "functions": functions,
        "frames": [None, [0, -1, 90, "<module>", "/srv/app/main.py"], [1, 0, 12], [1, 0, 14], [1, 1, 44], [4, 3, 1],
                   [0, 4, 0]],
        "stacks": [stack(2, 4 << 20, 4096, 40000.0, youngest=20.0), stack(3, 2 << 20, 1024, 30000.0),
                   stack(4, 1 << 20, 256, oldest=5.0), stack(6, 131072, 2), stack(5, 65536, 16)],
        "maps": [{"owner": "pymalloc arenas", "bytes": 1 << 20, "count": 1}],
    }


def sample_live():
    return sample()["memory"]["live_bytes"][0]


def grown():
    """The same service later: `leak` has 2 MiB more, the cache moved within its noise, one function came."""
    later = copy.deepcopy(sample())
    later["dump"].update(number=8, time=1795251600.0)
    later["functions"][0]["live_bytes"][0] += 2 << 20
    later["functions"][0]["lines"][0]["live_bytes"][0] += 2 << 20
    later["functions"][1]["live_bytes"] = [(1 << 20) + 1000, 5000.0]
    later["functions"][1]["lines"][0]["live_bytes"] = [(1 << 20) + 1000, 5000.0]
    later["functions"].append(function("new", "/srv/app/new.py", 1, {2: figures(300000, 3, 300000, 3, 1.0)}))
    later["memory"]["live_bytes"][0] = sum(f["live_bytes"][0] for f in later["functions"])
    return later


def lines_of(dumps, first=1, pid=4711, began=1795251000.123, whole=True, rss=lambda number: 50 << 20):
    """profiler.jsonl of a process, a dump each minute."""
    for number, functions in enumerate(dumps, first):
        at = {"process.pid": pid, "process.start": iso(began), "dump": number, "hostname": "box",
              "@timestamp": iso(began + 60 * number)}
        for name, live in functions.items():
            yield {**at, "kind": "function", "function": name, "file": "/srv/%s.py" % name, "line": 7, "live_bytes": live,
                   "live_bytes_se": 1000, "live_count": live / 1000, "live_count_se": 1, "types": [{"type": "dict", "bytes": live}]}
        yield {**at, "kind": "context", "function": "leak", "file": "/srv/leak.py", "line": 7, "live_bytes": 1}
        yield {**at, "kind": "process", "functions": len(functions) + (not whole), "live_bytes": sum(functions.values()),
               "live_bytes_se": 1500, "live_count": 10, "live_count_se": 1, "rss_bytes": rss(number)}


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for some in lines for line in some))
