"""One buffer that is extended for ever, one that is cut."""
from pace import turns

log, window = bytearray(), bytearray()


def extend():
    log.extend(b"line of the log " * 800)  # LEAK


def slide():
    window.extend(b"line of the log " * 800)
    if len(window) > 300000:
        del window[:]


for n in turns():
    extend()
    slide()
