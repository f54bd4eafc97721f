"""On a terminal: progress, and Ctrl-C once."""

import os
import pty
import re
import sys
import time

from snapshots import COMMAND, ROOT

SCRIPT = """
import sys, time
hits = 0
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        print('ready', flush=True)
        time.sleep(0.1)
    except KeyboardInterrupt:
        hits += 1
        end = time.monotonic() + 1.5
print('interrupted', hits, flush=True)
sys.exit(4)
"""


def test_progress_is_shown_and_ctrl_c_reaches_the_program_once(command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TRACKLEAK_LIBRARY"] = os.environ.get("TRACKLEAK_LIBRARY", str(ROOT / "trackleak.so"))
        os.execv(COMMAND, [str(COMMAND), "run", sys.executable, "-c", SCRIPT])
    seen, pressed, end = b"", False, time.monotonic() + 40
    while time.monotonic() < end:
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not pressed and b"ready" in seen and re.search(rb"RSS [0-9.]+ MiB", seen):
            os.write(terminal, b"\x03")
            pressed = True
    _, status = os.waitpid(pid, 0)

    assert pressed, seen
    assert b"interrupted 1\r\n" in seen
    assert b"== trackleak ==" in seen
    assert os.waitstatus_to_exitcode(status) == 4
