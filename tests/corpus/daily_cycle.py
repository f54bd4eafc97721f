"""Healthy: sessions that rise and fall like days in fast motion."""
import math

from pace import elapsed, turns

sessions = []


def open_session(n):
    sessions.append("session %09d " % n * 80)


def close_oldest():
    del sessions[0]


for n in turns():
    wanted = 2000 + 1500 * math.sin(elapsed() * 2 * math.pi / 4)
    while len(sessions) < wanted:
        open_session(n)
    while len(sessions) > wanted:
        close_oldest()
