"""ratios: what the benchmarks make of their figures. Pure arithmetic.

A ratio is always of two runs that stood side by side. A spread is the middle half of what was seen.
"""

import math
import statistics

CONFIDENCE = 0.99
FEWEST = 7  # values that can say something with it


def summary(values):
    """Median, quartiles and how many."""
    ordered = sorted(values)
    quarter = (len(ordered) - 1) // 4
    return {"median": statistics.median(ordered), "low": ordered[quarter], "high": ordered[-1 - quarter],
            "rounds": len(ordered)}


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def surely_above(values):
    """A figure that the median exceeds with CONFIDENCE, whatever the noise's distribution (a sign test); -infinity
    with fewer than FEWEST."""
    ordered = sorted(values)
    chance, below = 0.0, -math.inf
    for rank, value in enumerate(ordered):
        chance += math.comb(len(ordered), rank) / 2 ** len(ordered)
        if chance > 1 - CONFIDENCE:
            break
        below = value
    return below


def rises(rounds, slack):
    """Of a line that should be flat: the places whose cost lies above the first's by more than the slack, surely.
    rounds: for each round the costs at every place."""
    return [place for place in range(1, len(rounds[0]))
            if surely_above([costs[place] - costs[0] for costs in rounds]) > slack]


def bends(places, rounds, slack):
    """Of a line that may rise, but straight: the inner places where it lies below the chord between its ends by more
    than the slack, surely. There it bends upward."""
    first, last = places[0], places[-1]
    found = []
    for at in range(1, len(places) - 1):
        share = (places[at] - first) / (last - first)
        if surely_above([costs[0] + (costs[-1] - costs[0]) * share - costs[at] for costs in rounds]) > slack:
            found.append(at)
    return found
