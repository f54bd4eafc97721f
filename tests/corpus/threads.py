"""A thread per request leaves its result in a list; another's is fetched."""
import threading

from pace import turns

results, fetched = [], []


def leave(n):
    results.append(bytearray(9000 + n % 10))  # LEAK


def fetch(n):
    fetched.append(bytearray(9000 + n % 10))


for n in turns():
    for target in (leave, fetch):
        thread = threading.Thread(target=target, args=(n,))
        thread.start()
        thread.join()
    fetched.clear()
