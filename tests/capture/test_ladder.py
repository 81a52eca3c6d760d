"""Conversations as steps, and who crossed."""

from __future__ import annotations

from itertools import chain, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.capture import ladder
from simopen.capture.ladder import Step
from simopen.capture.packets import Flags
from simopen.capture.pcapng import Direction, Record
from tests.capture.makers import captures, journey, punching

SYN, ACK, RST, FIN = Flags.SYN, Flags.ACK, Flags.RST, Flags.FIN


def test_departure_and_arrival_are_one_step() -> None:
    """A packet's two records become one step, told from the first packet's departure."""
    records = journey(0, "a", 100, 110, SYN, seq=7) + journey(1, "b", 110, None, RST)
    assert ladder.steps(records) == [
        Step(0.0, 0.010, "a", "SYN", receiver="b"),
        Step(0.010, None, "b", "RST", packet_id=1, receiver="a"),
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


def test_between_two_hosts_behind_nats() -> None:
    """The steps are the hosts'; what a gateway says is its own, in the name of the other side."""
    told = [
        (step.sender, step.flags, step.receiver, step.from_gateway, step.arrived_at is not None)
        for step in ladder.steps(punching())
    ]
    assert told == [
        ("alice", "SYN", "bob", False, False),
        ("office", "RST-ACK", "alice", True, True),
        ("bob", "SYN", "alice", False, False),
        ("alice", "SYN", "bob", False, True),
        ("bob", "SYN", "alice", False, True),
        ("bob", "SYN-ACK", "alice", False, True),
        ("alice", "SYN-ACK", "bob", False, True),
        ("alice", "ACK", "bob", False, True),
        ("alice", "ACK", "bob", False, True),
    ]


def test_numbers_are_relative_through_nats() -> None:
    """Also those of a gateway's answer, which counts from the SYN it has seen."""
    told = [(step.seq, step.ack) for step in ladder.steps(punching())]
    assert told == [(0, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 1), (0, 1), (1, 1), (1, 1)]


def test_a_step_says_where_it_was_seen() -> None:
    """Its path has the interfaces, and times on the conversation's clock."""
    step = ladder.steps(punching())[3]
    assert [sighting.interface for sighting in step.path] == ["alice", "home", "office", "bob"]
    seen = [step.seen_at(sighting) for sighting in step.path]
    assert seen == pytest.approx([0.1, 0.10002, 0.11202, 0.11205])


def test_syns_cross_through_nats_when_both_arrive() -> None:
    """Neither the refused SYN nor the dropped one counts."""
    pairs = ladder.crossings(ladder.steps(punching()))
    assert [(one.packet_id, other.packet_id) for one, other in pairs] == [(3, 4)]


@pytest.mark.parametrize(("isn", "cross"), [(200, True), (999, False)])
def test_a_departure_noted_late_is_told_in_time(isn: int, *, cross: bool) -> None:
    """Who answers a SYN and repeats its own had sent that before, whenever it was noted.

    A SYN-ACK with a number of its own is a listener's, and proves nothing.
    """
    records = chain(
        journey(0, "a", 0, 10, SYN, seq=100),
        journey(1, "b", 10.5, 21, SYN, seq=200),
        journey(2, "b", 10.6, 21.1, SYN | ACK, seq=isn, ack=101),
    )
    steps = ladder.steps(list(records))
    assert len(ladder.crossings(steps)) == cross
    assert [step.packet_id for step in steps] == [0, 1, 2]
    assert (steps[1].sent_at < 0.010) is cross


def test_a_duplicate_is_one_step() -> None:
    """The step arrives once, and says how often more."""
    records = journey(0, "a", 0, 10, SYN) + journey(0, "a", 0, 11, SYN)[1:]
    (step,) = ladder.steps(records)
    assert (step.arrived_at, step.copies) == (0.010, 1)


def test_what_left_before_the_capture_is_not_told() -> None:
    """An arrival without a departure is no step."""
    assert ladder.steps(journey(0, "a", 0, 10, SYN)[1:]) == []


@pytest.mark.parametrize(
    ("steps", "sides"),
    [
        pytest.param([Step(0, 1, "b", "SYN", receiver="a")], ("a", "b"), id="by name"),
        pytest.param(
            [Step(0, None, "z", "SYN", receiver="10.0.0.1:1")], ("z", "10.0.0.1:1"), id="host first"
        ),
        pytest.param(
            [
                Step(0, None, "b", "SYN", receiver="a"),
                Step(1, 2, "a-site", "RST", receiver="b", from_gateway=True),
            ],
            ("a", "b"),
            id="no gateway",
        ),
        pytest.param([Step(0, 1, "a", "SYN")], ("a", "?"), id="alone"),
        pytest.param([], ("?", "?"), id="nobody"),
    ],
)
def test_the_sides_are_the_parties(steps: list[Step], sides: tuple[str, str]) -> None:
    """Hosts in order of name, and what is no host's name last."""
    assert ladder.sides(steps) == sides


@given(captures(), st.data())
def test_every_packet_a_host_sent_is_one_step(records: list[Record], data: st.DataObject) -> None:
    """Whatever part of a capture there is, and in whatever order."""
    records = records[: data.draw(st.integers(0, len(records)))]
    told = [
        step.packet_id
        for conversation in ladder.conversations(records)
        for step in ladder.steps(records, conversation)
    ]
    assert len(told) == len(set(told))
    hosts = {"alice", "bob", "carol"}
    sent = {
        record.packet_id
        for record in records
        if record.direction is Direction.OUTBOUND and record.interface in hosts
    }
    assert sent <= set(told)


@given(captures())
def test_steps_follow_each_other(records: list[Record]) -> None:
    """They are in the order they were sent, the first at zero, and none arrives before it left."""
    for conversation in ladder.conversations(records):
        steps = ladder.steps(records, conversation)
        assert steps[0].sent_at == 0
        assert [step.sent_at for step in steps] == sorted(step.sent_at for step in steps)
        assert all(step.arrived_at is None or step.arrived_at >= step.sent_at for step in steps)


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
