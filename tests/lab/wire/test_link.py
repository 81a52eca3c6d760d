"""Links: delay, order, loss and all the rest, against what was declared."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.lab.topology import Link
from simopen.lab.wire.link import LinkModel

MS = 1_000_000  # nanoseconds
S = 1_000 * MS


def fates(
    link: Link, times: Iterable[int], *, length: int = 100, seed: int = 0
) -> list[tuple[int, ...]]:
    """When each of the packets sent at ``times`` comes out."""
    model = LinkModel(link, random.Random(seed))
    return [model.transmit(length, at) for at in times]


def test_a_link_of_nothing_is_instant() -> None:
    """Only a link that neither delays nor loses anything may be left out."""
    chance = random.Random(0)
    assert LinkModel(Link(), chance).instant
    for link in (Link(latency=1), Link(loss=0.1), Link(rate=1e6), Link(reordering=0.1)):
        assert not LinkModel(link, chance).instant


def test_latency_is_the_delay() -> None:
    """Without jitter every packet takes the latency."""
    assert fates(Link(latency=0.02), [0, 5, 5, 7]) == [(20 * MS + at,) for at in (0, 5, 5, 7)]


def test_jitter_adds_up_to_its_most() -> None:
    """Far apart, packets take between the latency and latency and jitter, evenly."""
    times = range(0, 2_000 * S, S)
    out = fates(Link(latency=0.02, jitter=0.01), times)
    took = [due - at for at, (due,) in zip(times, out, strict=True)]
    assert 20 * MS <= min(took) < 20.1 * MS
    assert 29.9 * MS < max(took) <= 30 * MS
    assert fmean(took) == pytest.approx(25 * MS, rel=0.02)


@given(st.lists(st.integers(0, 50 * MS), max_size=50), st.integers())
def test_jitter_keeps_the_order(gaps: list[int], seed: int) -> None:
    """However close together, packets come out in the order they went in."""
    times = [sum(gaps[:end]) for end in range(len(gaps))]
    out = [due for (due,) in fates(Link(latency=0.01, jitter=0.05), times, seed=seed)]
    assert all(earlier <= later for earlier, later in pairwise(out))


@pytest.mark.parametrize("loss", [0.01, 0.3])
def test_loss_is_what_was_declared(loss: float) -> None:
    """Of 20,000 packets as many are lost as the chance says, within four deviations."""
    lost = sum(not fate for fate in fates(Link(loss=loss), range(20_000)))
    deviation = (20_000 * loss * (1 - loss)) ** 0.5
    assert abs(lost - 20_000 * loss) < 4 * deviation


def test_duplicates_arrive_twice() -> None:
    """A duplicate comes with its packet, about as often as declared."""
    out = fates(Link(latency=0.001, duplication=0.1), range(10_000))
    twice = [fate for fate in out if len(fate) == 2]
    assert len(twice) == pytest.approx(1_000, rel=0.15)
    assert all(first == second for first, second in twice)


def test_a_held_back_packet_is_overtaken() -> None:
    """About every tenth of packets 1 ms apart arrives after its successors."""
    link = Link(latency=0.01, reordering=0.1, reordering_delay=0.0035)
    times = range(0, 10_000 * MS, MS)
    took = [due - at for at, (due,) in zip(times, fates(link, times), strict=True)]
    late = [each for each in took if each > 10 * MS]
    assert set(late) == {13.5 * MS}
    assert len(late) == pytest.approx(1_000, rel=0.15)


def test_rate_spaces_packets() -> None:
    """At 8 Mbit/s 1,000 bytes take a millisecond, one after the other."""
    out = fates(Link(latency=0.01, rate=8e6), [0, 0, 0, 100 * MS], length=1_000)
    assert out == [(11 * MS,), (12 * MS,), (13 * MS,), (111 * MS,)]


def test_capacity_bounds_what_is_inside() -> None:
    """The packet beyond the capacity is lost; as soon as one is out there is room again."""
    model = LinkModel(Link(latency=0.01, capacity=2), random.Random(0))
    assert [len(model.transmit(100, at)) for at in (0, 1, 2, 10 * MS)] == [1, 1, 0, 1]
    assert model.counts.overflowed == 1
    assert model.counts.accepted == 3


@given(st.integers())
def test_the_same_seed_gives_the_same_fates(seed: int) -> None:
    """All that is drawn comes from the seed."""
    link = Link(latency=0.01, jitter=0.01, loss=0.2, duplication=0.2, reordering=0.2)
    times = range(0, 50 * MS, MS)
    assert fates(link, times, seed=seed) == fates(link, times, seed=seed)


@given(
    st.builds(
        Link,
        latency=st.floats(0, 1),
        jitter=st.floats(0, 1),
        loss=st.floats(0, 1),
        duplication=st.floats(0, 1),
        reordering=st.floats(0, 1),
        rate=st.none() | st.floats(1e3, 1e9),
        capacity=st.integers(1, 20),
    ),
    st.lists(st.tuples(st.integers(0, S), st.integers(20, 65_535)), max_size=60),
)
def test_nothing_is_early_and_everything_is_counted(
    link: Link, packets: list[tuple[int, int]]
) -> None:
    """No packet arrives before its latency, and the counts tell what became of each."""
    model = LinkModel(link, random.Random(1))
    now = arrivals = 0
    for gap, length in packets:
        now += gap
        out = model.transmit(length, now)
        assert all(due >= now + round(link.latency * S) for due in out)
        arrivals += len(out)
    counts = model.counts
    assert counts.accepted + counts.overflowed == len(packets)
    assert arrivals == counts.accepted - counts.lost + counts.duplicated
