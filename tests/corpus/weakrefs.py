"""A weak dictionary lets go; the list of its keys does not."""
import weakref

from pace import turns


class Session:
    def __init__(self, n):
        self.body = "session %09d " % n * 60


sessions, names = weakref.WeakValueDictionary(), []


def open_session(n):
    session = sessions[n] = Session(n)
    names.append("key of %09d " % n * 50)  # LEAK
    return session


for n in turns():
    for i in range(15):
        open_session(n * 15 + i)
