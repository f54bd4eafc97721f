"""Callbacks that are registered for ever hold what they close over."""
from pace import turns

callbacks = []


def subscribe(n):
    message = "payload %09d " % n * 60  # LEAK

    def callback():
        return message

    callbacks.append(callback)


def call_once(n):
    message = "payload %09d " % n * 60
    return (lambda: message)()


for n in turns():
    for i in range(20):
        subscribe(n * 20 + i)  # its cell is made before its first line, # LEAK
        call_once(i)
