from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.measure._statistics import percentile, wilson


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
