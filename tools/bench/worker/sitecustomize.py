"""For pyperf's workers: on PYTHONPATH of the measured interpreter, so it is there before pyperf is.

With BENCH_CLOCK=cpu pyperf's clock becomes the CPU time of the process and of the children that it has waited for.
BENCH_PYTHON is what a benchmark starts that starts its interpreter anew: one that brings its own libc does not run by
its own path.
"""

import os
import resource
import sys
import time


def cpu_seconds():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if os.environ.get("BENCH_CLOCK") == "cpu":
    time.perf_counter = cpu_seconds
sys.executable = os.environ.get("BENCH_PYTHON", sys.executable)
