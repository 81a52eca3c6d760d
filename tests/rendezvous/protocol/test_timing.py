"""When both fire, and deadlines in order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import Timeouts, clamped_delay, firing_delay
from simopen.rendezvous.protocol._limits import LONGEST_DELAY

ROUND_TRIPS = st.floats(min_value=0, max_value=2 * LONGEST_DELAY)


@given(ROUND_TRIPS, ROUND_TRIPS)
def test_both_fire_together(one: float, other: float) -> None:
    """Half a round trip for the introduction, then the delay: the same sum on both sides."""
    fires = [one / 2 + firing_delay(one, other), other / 2 + firing_delay(other, one)]
    assert fires[0] == pytest.approx(fires[1])
    assert min(firing_delay(one, other), firing_delay(other, one)) == 0


@pytest.mark.parametrize(("own", "peer"), [(None, 0.1), (0.1, None), (None, None)])
def test_without_both_round_trips_nobody_waits(own: float | None, peer: float | None) -> None:
    """A wait for an unknown time would be a guess."""
    assert firing_delay(own, peer) == 0


@pytest.mark.parametrize(
    ("delay", "clamped"), [(-1.0, 0.0), (0.0, 0.0), (0.3, 0.3), (2.0, 2.0), (1e9, 2.0)]
)
def test_delays_are_clamped(delay: float, clamped: float) -> None:
    """Nobody can make us wait for more than two seconds."""
    assert clamped_delay(delay) == clamped
    assert firing_delay(0.0, 2 * delay) == clamped


def test_deadlines_fall_due_in_order() -> None:
    """Each key once, at its time; one that is set anew waits anew."""
    timeouts: Timeouts[str] = Timeouts(1.0)
    assert timeouts.next_deadline() == math.inf
    timeouts.set("a", 0.0)
    timeouts.set("b", 0.25)
    timeouts.set("a", 0.5)
    timeouts.set("c", 0.5)
    timeouts.discard("c")
    timeouts.discard("nobody")
    assert timeouts.next_deadline() == 1.25
    assert timeouts.pop_due(1.0) == []
    assert timeouts.pop_due(1.25) == ["b"]
    assert "b" not in timeouts
    assert "a" in timeouts
    assert timeouts.pop_due(9.0) == ["a"]
    assert len(timeouts) == 0
