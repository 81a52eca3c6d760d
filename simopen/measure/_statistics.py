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
