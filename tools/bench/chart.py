"""chart: lines with their spread, as an SVG that needs nothing."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 360, 70, 50, 40, 20
COLOURS = ("#1f5fa8", "#b8541a", "#3a7d44")


def ticks(high):
    """Some four round steps from 0 up."""
    step = 10 ** math.floor(math.log10(high / 4))
    step *= next((k for k in (1, 2, 5) if high / (step * k) <= 5), 10)
    return [n * step for n in range(int(high / step) + 1)]


def draw(title, across, up, lines, is_log):
    """lines: {name: [(x, median, low, high)]}. The upward scale begins at 0, or below it where there are such figures."""
    points = [point for line in lines.values() for point in line]
    places = sorted({point[0] for point in points})
    high = max(max(p[3] for p in points) * 1.05, 1e-9)
    low = min(0.0, *(p[2] for p in points))

    def x_of(x):
        first, last = places[0], places[-1]
        share = math.log(x / first) / math.log(last / first) if is_log else (x - first) / (last - first)
        return LEFT + 20 + (WIDTH - LEFT - RIGHT - 40) * share

    def y_of(y):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (y - low) / (high - low)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
             % (WIDTH, HEIGHT), '<rect width="100%" height="100%" fill="#fff"/>']

    def text(x, y, words, anchor="middle", colour="#333"):
        parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>'
                     % (x, y, anchor, colour, escape(words)))

    def stroke(x1, y1, x2, y2, colour):
        parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (x1, y1, x2, y2, colour))

    text(WIDTH / 2, 18, title)
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across)
    text(6, TOP - 8, up, "start")
    for y in ticks(high):
        stroke(LEFT, y_of(y), WIDTH - RIGHT, y_of(y), "#ddd")
        text(LEFT - 6, y_of(y) + 4, "{:,.6g}".format(y), "end")
    room_until = math.inf
    for x in reversed(places if is_log else ticks(places[-1])):
        if places[0] <= x and x_of(x) < room_until:
            text(x_of(x), HEIGHT - BOTTOM + 18, "{:,.10g}".format(x))
            room_until = x_of(x) - 55
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append('<polyline points="%s" fill="none" stroke="%s"/>' % (
            " ".join("%.1f,%.1f" % (x_of(p[0]), y_of(p[1])) for p in line), colour))
        for x, median, least, most in line:
            stroke(x_of(x), y_of(least), x_of(x), y_of(most), colour)
            parts.append('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x_of(x), y_of(median), colour))
        if len(lines) > 1:
            text(LEFT + 10, TOP + 14 + 16 * number, name, "start", colour)
    return "\n".join([*parts, "</svg>", ""])
