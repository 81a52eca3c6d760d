"""How long SYNs are left alone and how refires are jittered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.punch import PunchOptions
from simopen.punch._timing import refire_wait, refresh_wait

DEFAULTS = PunchOptions()
MIDDLE = 0.5  # the chance at which the spread changes nothing

bounded = settings(deadline=None, max_examples=100)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)
round_trips = st.floats(min_value=0, max_value=10)


@pytest.mark.parametrize(
    ("unanswered", "seconds"), [(0, 0.5), (1, 0.75), (2, 1.0), (3, 1.0), (50, 1.0)]
)
def test_silence_is_given_more_time_each_time(unanswered: int, seconds: float) -> None:
    """Without a round trip the wait grows by half each time, up to a second."""
    wait = refresh_wait(DEFAULTS, unanswered=unanswered, round_trip=None, chance=MIDDLE)
    assert wait == pytest.approx(seconds)


def test_silence_of_many_hours_does_not_overflow() -> None:
    """The growth is bounded even where the growing number is not."""
    options = PunchOptions(refresh_growth=1000)
    wait = refresh_wait(options, unanswered=10**9, round_trip=None, chance=MIDDLE)
    assert wait == DEFAULTS.refresh_longest


def test_longest_wait_below_the_first_one_means_no_growth() -> None:
    """The first wait stands, even if the longest one is set below it."""
    options = PunchOptions(refresh_longest=0.01)
    for unanswered in range(5):
        wait = refresh_wait(options, unanswered=unanswered, round_trip=None, chance=MIDDLE)
        assert wait == options.refresh_first


@pytest.mark.parametrize(
    ("round_trip", "unanswered", "seconds"),
    [
        (0.0, 0, 0.15),
        (0.002, 0, 0.15),
        (0.1, 0, 0.15),
        (0.1, 1, 0.225),
        (0.1, 50, 1.0),
        (0.2, 0, 0.3),
        (0.2, 1, 0.45),
        (2.0, 0, 3.0),
        (2.0, 50, 3.0),
    ],
)
def test_known_round_trip_decides(round_trip: float, unanswered: int, seconds: float) -> None:
    """The wait begins at one and a half round trips, and growth never shortens it."""
    wait = refresh_wait(DEFAULTS, unanswered=unanswered, round_trip=round_trip, chance=MIDDLE)
    assert wait == pytest.approx(seconds)


@bounded
@given(unanswered=st.integers(0, 200), round_trip=st.none() | round_trips, chance=chances)
def test_refresh_is_spread_both_ways(
    unanswered: int, round_trip: float | None, chance: float
) -> None:
    """Chance moves a wait by up to a fifth to either side, evenly."""
    middle = refresh_wait(DEFAULTS, unanswered=unanswered, round_trip=round_trip, chance=MIDDLE)
    wait = refresh_wait(DEFAULTS, unanswered=unanswered, round_trip=round_trip, chance=chance)
    assert wait == pytest.approx(middle * (0.8 + 0.4 * chance))


@pytest.mark.parametrize("chance", [1 / 3, 0.5, 0.999])
def test_refires_mostly_wait_for_nothing(chance: float) -> None:
    """Two of three refires leave at once."""
    assert refire_wait(DEFAULTS, round_trip=0.04, chance=chance) == 0


@pytest.mark.parametrize(
    ("round_trip", "bound"),
    [
        (0.0005, 0.0005),  # a third would be less than the shortest
        (0.0015, 0.0005),
        (0.003, 0.001),
        (0.006, 0.002),
        (0.4, 0.002),  # a third would be more than the longest
    ],
)
def test_every_third_refire_is_jittered(round_trip: float, bound: float) -> None:
    """One of three waits for anything up to a third of the round trip."""
    for chance in (0.0, 0.1, 0.333):
        wait = refire_wait(DEFAULTS, round_trip=round_trip, chance=chance)
        assert wait == pytest.approx(3 * chance * bound)


def test_fast_paths_are_not_jittered() -> None:
    """Where a refusal takes microseconds nothing is ever added."""
    assert refire_wait(DEFAULTS, round_trip=0.000499, chance=0.333) == 0


@bounded
@given(round_trip=round_trips, chance=chances)
def test_jitter_is_bounded(round_trip: float, chance: float) -> None:
    """No refire is held back longer than the longest jitter, nor by less than nothing."""
    wait = refire_wait(DEFAULTS, round_trip=round_trip, chance=chance)
    assert 0 <= wait <= DEFAULTS.jitter_longest


@pytest.mark.parametrize(("share", "wait"), [(1.0, 0.001), (0.0, 0.0)])
def test_jitter_is_given_to_the_share_in_the_options(share: float, wait: float) -> None:
    """All refires may be jittered, or none."""
    options = PunchOptions(jitter_share=share)
    assert refire_wait(options, round_trip=0.009, chance=0.5) == pytest.approx(wait)
