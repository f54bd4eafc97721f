"""A program in a pseudo-terminal, its screen as a person sees it (pyte), and snapshots of processes that run."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import zlib

import pyte
import snapshots

KEYS = {"enter": "\r", "escape": "\x1b", "up": "\x1b[A", "down": "\x1b[B", "page down": "\x1b[6~", "end": "\x1b[4~",
        "home": "\x1b[1~", "backspace": "\x7f", "ctrl-c": "\x03"}


class Terminal:
    def __init__(self, words, rows=24, columns=80, folder=None, **environment):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            if folder:
                os.chdir(folder)
            clean = {name: value for name, value in os.environ.items()
                     if name not in ("TRACKLEAK_LOG_DIR", "LINES", "COLUMNS", "NO_COLOR")}
            # pyte speaks the language of this one. Not execv: readline, which pytest imports, may have put LINES and
            # COLUMNS where os.environ does not see them.
            os.execve(words[0], [str(word) for word in words], {**clean, "TERM": "linux", "LC_ALL": "C.UTF-8", **environment})

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def look(self, seconds):
        """Takes in what is written within that time; False when the program has closed the terminal."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                return True
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            self.raw += data
            self.stream.feed(data)
        return True

    def wait(self, *wanted, without=(), seconds=30):
        """Until all of these, and none of those, are on the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look(0.1)
            text = self.text()
            if all(word in text for word in wanted) and not any(word in text for word in without):
                return text
        raise AssertionError("no %s without %s on this screen:\n%s" % (wanted, without, self.text()))

    def press(self, *keys):
        for key in keys:
            os.write(self.fd, KEYS.get(key, key).encode())

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, seconds=20):
        """Its status, once it has ended by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            open_ = self.look(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            if not open_:
                time.sleep(0.05)
        raise AssertionError("it does not end:\n" + self.text())

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Profiled:
    """A process that runs, and snapshots as if it were profiled."""

    def __init__(self, folder):
        # By the command line `ps` tells services apart, those of other tests too.
        words = ["sleep", "1000.%d" % zlib.crc32(str(folder).encode())]
        self.command = " ".join(words)
        self.process = subprocess.Popen(words, env={**os.environ, "TRACKLEAK_LOG_DIR": str(folder)})
        self.pid = self.process.pid
        self.path = folder / ("snapshot-%d.json" % self.pid)
        self.dumps = 0
        self.started = time.time() - 60
        self.dump()

    def dump(self, change=lambda document: None):
        self.dumps += 1
        document = snapshots.sample()
        document["process"].update(pid=self.pid, hostname=socket.gethostname(), start=self.started, program="app.py")
        document["dump"].update(number=self.dumps, time=time.time())
        change(document)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(document))
        temporary.rename(self.path)

    def end(self):
        self.process.kill()
        self.process.wait()
