"""A leak of 300 KB/s in 60 MB/s of the same function's traffic."""
from pace import turns

kept = []


def handle(n):
    body = bytearray(3000)  # LEAK
    if n % 200 == 0:
        kept.append(body)


for n in turns():
    for i in range(200):
        handle(i)
