"""For pyperformance on a busy machine: pyperf's clock becomes the CPU time of the process and of the children that it
has waited for. On PYTHONPATH of the measured interpreter, so it is there before pyperf is."""

import resource
import time


def cpu_seconds():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


time.perf_counter = cpu_seconds
