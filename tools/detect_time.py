#!/usr/bin/env python3
"""detect_time.py: how long until a leak is named, as a table (Markdown, to stdout) and a picture (docs/detect-time.svg).

    detect_time.py build/detect_time [--real PYTHON LIBRARY]

Predicted from T, and measured in fast motion (tests/detect/detect_time.c). With --real a program that leaks 1 MB/min is
run too, under the agent, five times with each T: four minutes.
"""

import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "detect-time.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 70, 50, 20, 20
RATES = (20.0, 2e6)  # bytes/s, the picture's sides
TIMES = (3.0, 3e5)  # s
COLOURS = {131072: "#1f5fa8", 16384: "#b8541a"}
RATE_NAMES = {1e6: "1 MB/s", 200e3: "200 KB/s", 20e3: "20 KB/s", 17476.3: "1 MB/min", 291.3: "1 MB/h", 28.4: "100 KB/h"}
TIME_NAMES = ((5, "5 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36000, "10 h"), (86400, "1 day"))

PROGRAM = """
import sys, time
kept, start = [], time.monotonic()
def leak():
    kept.append(b"%0167d" % len(kept))  # 200 bytes
while time.monotonic() - start < float(sys.argv[1]):
    while len(kept) * 200 < (time.monotonic() - start) * 1048576 / 60:
        leak()
    time.sleep(0.05)
"""
REAL_RATE = 1048576.0 / 60


def duration(seconds):
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return "%.3g %s" % (seconds / unit, name)
    return "%.0f s" % seconds


def run_once(python, library, between, seconds, seed):
    """Seconds from the start of the profile to the dump that names it; None: not in that time."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "leak.py").write_text(PROGRAM)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKLEAK_", "LD_", "PYTHON"))}
        environment.update(TRACKLEAK_LOG_DIR=folder, TRACKLEAK_DUMP_INTERVAL="1", TRACKLEAK_STARTUP_DELAY="0",
                           TRACKLEAK_QUIET="1", TRACKLEAK_SEED=str(seed), TRACKLEAK_SAMPLE_BYTES=str(between))
        begin = time.time()
        subprocess.run([python, "leak.py", str(seconds)], cwd=folder, check=True,
                       env={**environment, "LD_PRELOAD": library})
        for dump in re.findall(r"(.*?)--- dump at (\d+)", (Path(folder) / "profiler.json").read_text(), re.S):
            if re.search(r"^(LEAKING|GROWING)  leak ", dump[0], re.M):
                return int(dump[1]) - begin
    return None


def measure_real(python, library):
    jobs = [(python, library, between, seconds, seed)
            for between, seconds in ((131072, 240), (16384, 40)) for seed in range(1, 6)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: (job[2], run_once(*job)), jobs))
    return {between: [seconds for b, seconds in found if b == between] for between in COLOURS}


def x_of(rate):
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log(rate / RATES[0]) / math.log(RATES[1] / RATES[0])


def y_of(seconds):
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * math.log(seconds / TIMES[0]) / math.log(TIMES[1] / TIMES[0])


def picture(rows, real):
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
             % (WIDTH, HEIGHT), '<rect width="100%" height="100%" fill="#fff"/>']

    def line(x1, y1, x2, y2, colour, more=""):
        parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" %s/>' % (x1, y1, x2, y2, colour, more))

    def text(x, y, words, anchor="middle", colour="#333"):
        parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>' % (x, y, anchor, colour, words))

    for seconds, name in TIME_NAMES:
        line(LEFT, y_of(seconds), WIDTH - RIGHT, y_of(seconds), "#ddd")
        text(LEFT - 6, y_of(seconds) + 4, name, "end")
    for rate, name in RATE_NAMES.items():
        if rate != 20e3:  # beside 1 MB/min
            line(x_of(rate), TOP, x_of(rate), HEIGHT - BOTTOM, "#eee")
            text(x_of(rate), HEIGHT - BOTTOM + 18, name)
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "the leak, in objects of 200 bytes")
    for place, (between, colour) in enumerate(COLOURS.items()):
        mine = sorted(row for row in rows if row[0] == between)
        points = " ".join("%.1f,%.1f" % (x_of(rate), y_of(said)) for _, rate, said, *_ in sorted(mine, key=lambda r: r[1]))
        parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-dasharray="4 3"/>' % (points, colour))
        for _, rate, _, median, low, high, _ in mine:
            line(x_of(rate), y_of(low), x_of(rate), y_of(high), colour, 'stroke-width="2"')
            parts.append('<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>' % (x_of(rate), y_of(median), colour))
        for seconds in (s for s in real.get(between, ()) if s):
            parts.append('<path d="M%.1f %.1fm-4 -4l8 8m0 -8l-8 8" stroke="%s" fill="none"/>'
                         % (x_of(REAL_RATE) - 9, y_of(seconds), colour))
        text(WIDTH - RIGHT - 8, TOP + 18 + 18 * place, "SAMPLE_BYTES = %d KiB" % (between // 1024), "end", colour)
    text(WIDTH - RIGHT - 8, TOP + 54, "dashed: predicted; dots: median and 10 to 90 % of 200 plays", "end")
    if real:
        text(WIDTH - RIGHT - 8, TOP + 72, "crosses: real runs", "end")
    return "\n".join(parts + ["</svg>", ""])


def main():
    rows = [tuple(map(float, row.split()))
            for row in subprocess.run([sys.argv[1]], capture_output=True, text=True, check=True).stdout.splitlines()]
    real = measure_real(*sys.argv[3:5]) if sys.argv[2:3] == ["--real"] else {}
    PICTURE.write_text(picture(rows, real))
    print("| SAMPLE_BYTES | leak | predicted | named: median | 10 to 90 % | `leaking`: median |\n|---|---|---|---|---|---|")
    for between, rate, said, median, low, high, leaking in rows:
        print("| %d KiB | %s | %s | %s | %s to %s | %s |"
              % (between // 1024, RATE_NAMES[rate], duration(said), duration(median), duration(low), duration(high),
                 duration(leaking)))
    for between, found in real.items():
        seen = sorted(s for s in found if s)
        print("\nReal, 1 MB/min, %d KiB: %d of %d named, median %s: %s"
              % (between // 1024, len(seen), len(found), duration(statistics.median(seen)) if seen else "-",
                 ", ".join("%.0f" % s for s in seen)))


if __name__ == "__main__":
    main()
