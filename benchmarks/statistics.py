"""Figures that say how sure they are: the instrument's, and what only benchmarks ask for."""

from __future__ import annotations

from collections.abc import Sequence

from simopen.measure._statistics import percentile, wilson

__all__ = ["around_median", "percentile", "slope", "wilson"]


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
