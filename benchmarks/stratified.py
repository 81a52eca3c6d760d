"""A rate of the whole from rates of its parts: stratified estimates with their intervals.

Theory of operation. A population is cut into strata (pairs of NAT behaviours); the weight of each
is known, its success rate was measured by itself. The rate of the whole is the weighted mean. For
its interval the usual formula, the sum of ``w² p (1 - p) / n``, is no good: where all or none of a
stratum's few trials succeeded it says that nothing is left to doubt. So the distances from each
rate to the ends of its Wilson interval are put together instead, by the method of variance
estimates recovery (Zou and Donner 2008): ``low = p - sqrt(sum of (w (p_i - low_i))²)``, and so
``high``. Of one stratum that is Wilson's interval.

The interval is that of the trials. It does not hold what the weights may be wrong by.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.statistics import wilson


class Stratum(NamedTuple):
    """A part of the whole: its weight, and what came of the trials in it."""

    weight: float
    succeeded: int
    trials: int


class Estimate(NamedTuple):
    """A rate with its 95 % interval."""

    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.1%} ({self.low:.1%} to {self.high:.1%})"


def estimate(strata: Iterable[Stratum]) -> Estimate:
    """The rate of the whole.

    Args:
        strata: All parts; what has no weight is left out.

    Raises:
        ValueError: The weights do not sum to one, or a part with a weight has no trials.
    """
    parts = [each for each in strata if each.weight]
    total = math.fsum(each.weight for each in parts)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the weights sum to {total:.6g}")
    if any(each.trials == 0 for each in parts):
        raise ValueError("a stratum that has a weight was not measured")
    rate = math.fsum(each.weight * each.succeeded / each.trials for each in parts)
    below = above = 0.0
    for weight, succeeded, trials in parts:
        low, high = wilson(succeeded, trials)
        below += (weight * (succeeded / trials - low)) ** 2
        above += (weight * (high - succeeded / trials)) ** 2
    return Estimate(rate, max(0.0, rate - math.sqrt(below)), min(1.0, rate + math.sqrt(above)))
