"""Trials under the same conditions, and what can be said of several such batches together.

Times are in seconds, from the later start to the connection of the last side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from simopen.measure._statistics import percentile, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Trials under the same conditions.

    Attributes:
        source: The file they are from, as it is shown.
        row: Which part of its file they are: a row of the grid, or ``"measured"``.
        sites: The two ends.
        who: Who connected.
        rtt: Round trip in seconds; None where unknown.
        skew: Seconds from the earlier start to the later; None where unknown.
        loss: Chance of a packet to be lost; None where unknown.
        trials: How many there are.
        succeeded: How many connected.
        times: Of those, where known.
        ratios: The times over the limit that was owed, where both are known.
    """

    source: str
    row: str
    sites: tuple[str, str]
    who: str = "simopen"
    rtt: float | None = None
    skew: float | None = None
    loss: float | None = None
    trials: int
    succeeded: int
    times: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """Batches taken together.

    Attributes:
        trials: How many there are.
        succeeded: How many connected.
        times: Of those, where known.
        ratios: The times over the limit, where both are known.
    """

    trials: int
    succeeded: int
    times: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The share that connected; NaN of no trials."""
        return self.succeeded / self.trials if self.trials else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate (Wilson)."""
        return wilson(self.succeeded, self.trials)

    @property
    def ratio(self) -> float:
        """Median time over limit; NaN where unknown."""
        return percentile(self.ratios, 50)

    def percentile(self, percent: float) -> float:
        """Of the times, in seconds; NaN of none."""
        return percentile(self.times, percent)


def together(batches: Iterable[Batch]) -> Tally:
    """Add batches up."""
    found = list(batches)
    return Tally(
        sum(batch.trials for batch in found),
        sum(batch.succeeded for batch in found),
        tuple(time for batch in found for time in batch.times),
        tuple(ratio for batch in found for ratio in batch.ratios),
    )


def percent(rate: float) -> str:
    """A rate in percent, rounded down: only all is 100 %."""
    return f"{math.floor(round(rate * 1000, 6)) / 10:g} %"


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, of three significant figures; a dash for NaN."""
    if math.isnan(seconds):
        return "–"  # noqa: RUF001  # the dash of tables
    ms = seconds * 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"  # noqa: PLR2004  # three figures
