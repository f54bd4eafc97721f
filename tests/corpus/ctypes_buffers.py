"""Buffers for C that are kept."""
import ctypes

from pace import turns

buffers = []


class Block(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char * 12000)]


def keep():
    buffers.append(Block())  # LEAK


def use():
    Block()


for n in turns():
    keep()
    use()
