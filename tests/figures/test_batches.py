from __future__ import annotations

import math

import pytest

from simopen.figures._batches import Batch, milliseconds, percent, together


def batch(trials: int, *times: float) -> Batch:
    """Trials of which as many connected as there are times."""
    return Batch(
        source="f",
        row="clean",
        sites=("a", "b"),
        trials=trials,
        succeeded=len(times),
        times=times,
        ratios=tuple(time / 0.04 for time in times),
    )


def test_batches_add_up() -> None:
    """Trials, successes and times of several are those of all."""
    tally = together([batch(4, 0.04, 0.06), batch(4, 0.08)])
    assert (tally.trials, tally.succeeded, tally.rate) == (8, 3, 3 / 8)
    assert tally.percentile(50) == pytest.approx(0.06)
    assert tally.ratio == pytest.approx(1.5)
    low, high = tally.interval
    assert low < 3 / 8 < high


def test_nothing_has_no_rate_and_no_time() -> None:
    """Of no trials nothing is said."""
    assert math.isnan(together([]).rate)
    assert math.isnan(together([batch(2)]).percentile(50))
    assert math.isnan(together([batch(2)]).ratio)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1.0, "100 %"), (0.9999, "99.9 %"), (0.57, "57 %"), (0.875, "87.5 %"), (0.0, "0 %")],
)
def test_percent(rate: float, text: str) -> None:
    """Only all is 100 %."""
    assert percent(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0412, "41.2"), (0.00123456, "1.23"), (12.3456, "12,346"), (0.9996, "1,000")],
)
def test_milliseconds(seconds: float, text: str) -> None:
    """Three figures, and no exponent."""
    assert milliseconds(seconds) == text
