from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen import Endpoint, UsageError
from simopen.measure._timetable import (
    Timetable,
    least_time,
    least_time_introduced,
    room_of_trial,
    run_name,
    shifted,
)

TIMETABLE = Timetable(20, 10.0, (0.0, 0.05, 0.4))
RTT = 0.1


def test_each_skew_is_had_both_ways_round() -> None:
    """Before the next one; then they begin anew."""
    skews = [TIMETABLE.skew(number, leads=True) for number in range(1, 9)]
    assert skews == [0.0, 0.0, -0.05, 0.05, -0.4, 0.4, 0.0, 0.0]


@given(st.integers(1, 10_000))
def test_the_two_sides_are_mirror_images(number: int) -> None:
    """What one begins later the other begins earlier, and one of them begins with the slot."""
    ours, theirs = (TIMETABLE.skew(number, leads=leads) for leads in (True, False))
    assert ours == -theirs
    delays = sorted(TIMETABLE.delay(number, leads=leads) for leads in (True, False))
    assert delays == [0.0, abs(ours)]


def test_a_slot_has_time_for_all_that_may_happen() -> None:
    """The later start, the time allowed, and then the talk."""
    assert TIMETABLE.slot > 0.4 + 10.0 + 5.0


def test_a_runs_name_is_the_same_on_both_sides() -> None:
    """Whoever says it first."""
    assert run_name("0a", "ff") == run_name("ff", "0a") != run_name("0a", "fe")


def test_no_two_trials_share_a_room() -> None:
    """Nor do those of two runs."""
    rooms = {room_of_trial(run, number) for run in ("0a", "0b") for number in range(100)}
    assert len(rooms) == 200


def test_ports_of_trials() -> None:
    """The next one each, and none that there is not."""
    assert shifted(Endpoint("a", 40000), 7, role="local") == Endpoint("a", 40007)
    assert shifted(Endpoint("a", 65500), 35, role="local").port == 65535
    with pytest.raises(UsageError, match="65499 or less"):
        shifted(Endpoint("a", 65500), 36, role="local")


@pytest.mark.parametrize(
    ("skew", "encrypted", "round_trips"),
    [(0.0, False, 1.0), (-0.049, False, 1.0), (0.051, False, 1.5), (0.4, True, 3.5)],
)
def test_the_least_time(skew: float, encrypted: bool, round_trips: float) -> None:  # noqa: FBT001
    """A crossing takes one round trip, a SYN that came too early half of one more."""
    assert least_time(skew, RTT, encrypted=encrypted) == pytest.approx(round_trips * RTT)


@pytest.mark.parametrize(
    ("ours", "theirs", "t_star"), [(0.03, 0.03, 0.07), (0.02, 0.12, 0.22), (0.12, 0.02, 0.17)]
)
def test_the_least_time_through_a_coordinator(ours: float, theirs: float, t_star: float) -> None:
    """With the peer long after us it is T* of docs/rendezvous.md, its connecting, and the proof."""
    rtt = 0.04 if ours == theirs else 0.1
    least = least_time_introduced(-10.0, rtt, ours, theirs, scheme="tcp")
    assert least == pytest.approx(theirs + t_star + 2 * rtt)
    over_tls = least_time_introduced(-10.0, rtt, ours, theirs, scheme="tls")
    assert over_tls == pytest.approx(least + theirs)


@given(*(st.floats(1e-4, 1.0) for _ in range(3)), st.floats(-2.0, 2.0))
def test_the_coordinator_never_saves_time(
    round_trip: float, ours: float, theirs: float, skew: float
) -> None:
    """It takes longer than the crossing and its proof, from either side the same."""
    least = least_time_introduced(skew, round_trip, ours, theirs, scheme="tcp")
    assert least > 3 * round_trip
    mirrored = least_time_introduced(-skew, round_trip, theirs, ours, scheme="tcp")
    assert mirrored == pytest.approx(least)
