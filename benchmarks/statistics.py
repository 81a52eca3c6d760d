"""Figures that say how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959964
"""Standard normal quantile of a 95 % interval."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927): right also for none and for all."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = rate * (1 - rate) / trials + z2 / (4 * trials**2)
    margin = Z_95 * math.sqrt(spread) / (1 + z2 / trials)
    return max(0.0, centre - margin), min(1.0, centre + margin)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, between the two nearest; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def around_median(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the least and the greatest value: an interval for the true median.

    Each of n independent values is as likely above it as below, so all of them miss it on one side
    with a chance of 2 / 2^n: of six values, one time in 32. Nothing is assumed of how they spread.
    """
    return percentile(values, 50), min(values), max(values)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second figure grows for each unit of the first, by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    products = sum((x - mean_x) * (y - mean_y) for x, y in points)
    squares = sum((x - mean_x) * (x - mean_x) for x, _ in points)
    return products / squares
