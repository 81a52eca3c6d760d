"""The pure wire: delay, order, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simopen.lab.wire import Link, Parcel, Wire

_TIMES = st.lists(st.integers(0, 1_000), max_size=50).map(sorted)


def test_a_packet_falls_due_exactly_one_delay_later() -> None:
    """A packet is not there a nanosecond early, and there in time."""
    wire = Wire.cable(delay_ns=100)
    wire.push(0, b"x", 5)
    assert wire.next_due() == 105
    assert wire.pop_due(104) == []
    assert wire.pop_due(105) == [(1, (0, b"x"))]
    assert wire.next_due() is None


def test_a_full_link_loses_the_newest_and_counts_it() -> None:
    """Tail drop: what is in flight stays, what comes is lost, room comes with delivery."""
    link = Link(delay_ns=10, capacity=2)
    for serial in range(3):
        link.push(Parcel(serial, b""), 0)
    assert (link.counts.accepted, link.counts.overflowed) == (2, 1)
    assert [parcel.serial for _, parcel in link.pop_due(10)] == [0, 1]
    link.push(Parcel(3, b""), 10)
    assert link.counts.accepted == 3


def test_a_lost_packet_has_a_serial_number_of_its_own() -> None:
    """Serial numbers count what was sent, so a capture can show that something is missing."""
    wire = Wire.cable(delay_ns=10, capacity=1)
    assert [wire.push(0, b"", 0) for _ in range(3)] == [0, 1, 2]
    assert wire.counts()[0].overflowed == 2


@given(delay=st.integers(0, 100), to_b=_TIMES, to_a=_TIMES)
def test_everything_comes_out_once_in_order_at_the_other_end(
    delay: int, to_b: list[int], to_a: list[int]
) -> None:
    """Whatever is pushed into one end comes out of the other, once, in order, at its time."""
    wire = Wire.cable(delay_ns=delay)
    pushes = sorted([(time, 0) for time in to_b] + [(time, 1) for time in to_a])
    sent = {wire.push(port, b"", time): (1 - port, time + delay) for time, port in pushes}
    received = {}
    while (due := wire.next_due()) is not None:
        for port, parcel in wire.pop_due(due):
            received[parcel.serial] = (port, due)
    assert received == sent


@given(to_b=_TIMES, to_a=_TIMES)
def test_packets_due_together_come_out_in_order_of_due_time(
    to_b: list[int], to_a: list[int]
) -> None:
    """A late executor gets packets of both directions in the order they should have come."""
    wire = Wire.cable(delay_ns=7)
    pushes = sorted([(time, 0) for time in to_b] + [(time, 1) for time in to_a])
    due_at = {wire.push(port, b"", time): time for time, port in pushes}
    times = [due_at[parcel.serial] for _, parcel in wire.pop_due(10_000)]
    assert times == sorted(times)
    assert len(times) == len(pushes)
