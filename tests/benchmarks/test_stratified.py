from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import wilson
from benchmarks.stratified import Stratum, estimate


@pytest.mark.parametrize(("succeeded", "trials"), [(0, 10), (3, 10), (10, 10)])
def test_one_stratum_is_wilsons(succeeded: int, trials: int) -> None:
    """Where there is but one part, the whole is that part."""
    low, high = wilson(succeeded, trials)
    whole = estimate([Stratum(1.0, succeeded, trials)])
    assert whole == pytest.approx((succeeded / trials, low, high))


def test_two_strata_by_hand() -> None:
    """The rate is the weighted mean, the distances to the ends add up as squares."""
    whole = estimate([Stratum(0.75, 81, 263), Stratum(0.25, 15, 148)])
    rate = 0.75 * 81 / 263 + 0.25 * 15 / 148
    below = math.hypot(0.75 * (81 / 263 - 0.2553), 0.25 * (15 / 148 - 0.0624))
    above = math.hypot(0.75 * (0.3662 - 81 / 263), 0.25 * (0.1605 - 15 / 148))
    assert whole == pytest.approx((rate, rate - below, rate + above), abs=1e-4)


def test_all_and_none_leave_doubt() -> None:
    """Parts in which all or none succeeded are not certain: few trials say little."""
    few = estimate([Stratum(0.5, 5, 5), Stratum(0.5, 0, 5)])
    many = estimate([Stratum(0.5, 500, 500), Stratum(0.5, 0, 500)])
    assert few.rate == many.rate == 0.5
    assert few.low < 0.3 < many.low < 0.5 < many.high < 0.7 < few.high


def test_what_has_no_weight_need_not_be_measured() -> None:
    """A part that nobody belongs to changes nothing."""
    assert estimate([Stratum(1.0, 3, 4), Stratum(0.0, 0, 0)]) == estimate([Stratum(1.0, 3, 4)])


@pytest.mark.parametrize(
    ("strata", "words"),
    [
        ([Stratum(0.5, 1, 2), Stratum(0.4, 1, 2)], "sum to 0.9"),
        ([Stratum(0.5, 1, 2), Stratum(0.5, 0, 0)], "not measured"),
    ],
)
def test_half_a_whole_is_refused(strata: list[Stratum], words: str) -> None:
    """Weights that are no whole and parts without trials are errors, not a rate."""
    with pytest.raises(ValueError, match=words):
        estimate(strata)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.data()), min_size=1))
def test_the_interval_holds_the_rate(parts: list[tuple[int, int, st.DataObject]]) -> None:
    """Whatever the parts, the rate lies in its interval, and that between none and all."""
    total = sum(part for part, _, _ in parts)
    found = estimate(
        Stratum(part / total, data.draw(st.integers(0, trials)), trials)
        for part, trials, data in parts
    )
    assert 0 <= found.low <= found.rate + 1e-12
    assert found.rate - 1e-12 <= found.high <= 1
