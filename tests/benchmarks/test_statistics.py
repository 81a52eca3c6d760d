from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import around_median, percentile, slope, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Newcombe 1998 and Wilson's formula by hand
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    """The interval is that of the literature."""
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_wilson_of_nothing() -> None:
    """Without a trial the rate may be anything."""
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.data(), st.integers(1, 10_000))
def test_wilson_holds_the_rate(data: st.DataObject, trials: int) -> None:
    """The rate that was seen lies in its interval, and that between none and all."""
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (25, 1.75), (50, 2.5), (90, 3.7), (100, 4.0)]
)
def test_percentile(percent: float, value: float) -> None:
    """Between two values it is as far as the percentage says; order does not matter."""
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == pytest.approx(value)


def test_percentile_of_nothing() -> None:
    """Nothing has no percentile."""
    assert math.isnan(percentile([], 50))


def test_the_interval_around_a_median_is_least_to_greatest() -> None:
    """Whatever order the values come in."""
    assert around_median([3.0, 1.0, 2.0, 9.0, 2.5]) == (2.5, 1.0, 9.0)


@pytest.mark.parametrize("grows", [-2.0, 0.0, 0.5])
def test_the_slope_of_a_line(grows: float) -> None:
    """Is the line's, and no more is made of what lies evenly around it."""
    line = [(x, 7.0 + grows * x) for x in (0.0, 1.0, 2.0, 3.0)]
    assert slope(line) == pytest.approx(grows)
    around = [(x, y + noise) for x, y in line for noise in (-1.0, 1.0)]
    assert slope(around) == pytest.approx(grows)
