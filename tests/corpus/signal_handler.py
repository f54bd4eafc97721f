"""A handler that notes each signal, for ever."""
import signal

from pace import turns

notes, rows = [], []


def note(number, frame):
    for i in range(15):
        notes.append("signal %09d " % number * 60)  # LEAK


def work(n):
    rows.append("row %09d " % n * 70)
    del rows[:-100]


signal.signal(signal.SIGALRM, note)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
for n in turns():
    work(n)
signal.setitimer(signal.ITIMER_REAL, 0)
