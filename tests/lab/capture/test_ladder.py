"""Conversations as steps, and who crossed."""

from __future__ import annotations

from itertools import chain, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.lab.capture import ladder
from simopen.lab.capture.ladder import Step
from simopen.lab.capture.packets import Flags
from tests.lab.capture.makers import journey

SYN, ACK, RST, FIN = Flags.SYN, Flags.ACK, Flags.RST, Flags.FIN


def test_departure_and_arrival_are_one_step() -> None:
    """A packet's two records become one step, told from the first packet's departure."""
    records = journey(0, "a", 100, 110, SYN, seq=7) + journey(1, "b", 110, None, RST)
    assert ladder.steps(records) == [
        Step(0.0, 0.010, "a", "SYN"),
        Step(0.010, None, "b", "RST", packet_id=1),
    ]


def test_numbers_are_relative_to_the_latest_syns() -> None:
    """Each attempt starts from zero again; acknowledgements count from the SYN that arrived."""
    records = chain(
        journey(0, "a", 0, 1, SYN, seq=1000),
        journey(1, "b", 1, 2, RST | ACK, ack=1001),
        journey(2, "a", 2, 3, SYN, seq=5000),
        journey(3, "b", 3, 4, SYN | ACK, seq=2**32 - 1, ack=5001),
        journey(4, "a", 4, 5, ACK, seq=5001, ack=0, payload_bytes=10),
    )
    told = [(step.flags, step.seq, step.ack) for step in ladder.steps(list(records))]
    assert told == [
        ("SYN", 0, 0),
        ("RST-ACK", 0, 1),
        ("SYN", 0, 0),
        ("SYN-ACK", 0, 1),
        ("ACK", 1, 0),
    ]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (SYN, "SYN"),
        (SYN | ACK, "SYN-ACK"),
        (FIN | ACK | Flags.PSH, "FIN-ACK"),
        (RST | ACK, "RST-ACK"),
        (ACK | Flags.PSH, "ACK"),
        (Flags(0), "none"),
    ],
)
def test_flags_are_told_as_people_say_them(flags: Flags, text: str) -> None:
    """The flags that say what a segment is for, the acknowledgement last."""
    assert [step.flags for step in ladder.steps(journey(0, "a", 0, 1, flags))] == [text]


def test_only_the_asked_for_conversation() -> None:
    """A capture of two conversations gives each its own steps, and lists both."""
    first = journey(0, "a", 0, 1, SYN)
    other = journey(1, "a", 0.5, 2, SYN)
    other = [
        type(record)(
            record.interface,
            record.direction,
            record.time_ns,
            record.packet_id,
            record.data[:20] + b"\x11\x11" + record.data[22:],
            record.length,
        )
        for record in other
    ]
    found = ladder.conversations(first + other)
    assert len(found) == 2
    assert [ladder.steps(first + other, one)[0].packet_id for one in found] == [0, 1]
    assert len(ladder.steps(first + other)) == 1


def test_nothing_makes_no_steps() -> None:
    """An empty capture is an empty conversation."""
    assert ladder.steps([]) == []
    assert ladder.conversations([]) == []


@pytest.mark.parametrize(
    ("a", "b", "cross"),
    [
        pytest.param((0, 10), (5, 15), True, id="overlapping"),
        pytest.param((5, 15), (0, 10), True, id="overlapping, b first"),
        pytest.param((0, 10), (0, 10), True, id="at once"),
        pytest.param((0, 10), (10, 20), False, id="answer as it arrives"),
        pytest.param((0, 10), (11, 20), False, id="after"),
        pytest.param((0, None), (5, 15), False, id="lost"),
    ],
)
def test_crossing_means_each_left_before_the_other_arrived(
    a: tuple[float, float | None], b: tuple[float, float | None], *, cross: bool
) -> None:
    """The definition, at its edges."""
    pair = [Step(*a, "a", "SYN", packet_id=0), Step(*b, "b", "SYN", packet_id=1)]
    assert len(ladder.crossings(pair)) == cross


@pytest.mark.parametrize(("sender", "flags"), [("a", "SYN"), ("b", "SYN-ACK"), ("b", "ACK")])
def test_only_syns_of_two_hosts_cross(sender: str, flags: str) -> None:
    """Neither a host's own SYNs nor other segments count."""
    assert ladder.crossings([Step(0, 10, "a", "SYN"), Step(5, 15, sender, flags)]) == []


_FLIGHT = st.tuples(st.integers(0, 50), st.none() | st.integers(1, 20), st.sampled_from("ab"))


@given(st.lists(_FLIGHT, max_size=20))
def test_crossings_agree_with_the_definition(flights: list[tuple[int, int | None, str]]) -> None:
    """The sweep finds the pairs that comparing every SYN with every other finds."""
    steps = [
        Step(sent, None if took is None else sent + took, sender, "SYN", packet_id=number)
        for number, (sent, took, sender) in enumerate(sorted(flights, key=lambda f: f[0]))
    ]
    expected = {
        frozenset((one.packet_id, two.packet_id))
        for one, two in product(steps, steps)
        if one.sender < two.sender
        and one.arrived_at is not None
        and two.arrived_at is not None
        and one.sent_at < two.arrived_at
        and two.sent_at < one.arrived_at
    }
    found = [frozenset((one.packet_id, two.packet_id)) for one, two in ladder.crossings(steps)]
    assert len(found) == len(set(found))
    assert set(found) == expected
