"""Decompressors that are kept; compression that is not."""
import zlib

from pace import turns

streams = []
packed = zlib.compress(b"some text " * 2000)


def unpack():
    stream = zlib.decompressobj()
    stream.decompress(packed, 100)  # LEAK
    streams.append(stream)


def pack():
    return zlib.compress(b"some text " * 2000)


for n in turns():
    unpack()
    if n % 20 == 0:
        pack()
