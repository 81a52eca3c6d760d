from __future__ import annotations

import pytest

from benchmarks.statistics import around_median, slope


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
