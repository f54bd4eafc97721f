"""The frame oracle (tests/targets/frame_oracle.c) and how a program is run under it, for test_oracle.py and
test_truth_sites.py."""

from __future__ import annotations

import harness

SOURCES = ["base/hash.c", "process/py_layout.c", "process/py_lines.c", "process/py_frame.c"]


def build(cc):
    return cc("frame_oracle.c", "-DTL_SEAMS", "-O2", *(str(harness.ROOT / "src" / name) for name in SOURCES), shared=True)


def run(cc, python, mode, script, args=(), env=None, timeout=120):
    """Runs a program of tests/targets with the oracle in place of the agent."""
    return harness.profile(python, harness.TARGETS / script, args, library=None, preload_also=[build(cc)],
                           env={"FRAME_ORACLE": mode, **(env or {})}, timeout=timeout)
