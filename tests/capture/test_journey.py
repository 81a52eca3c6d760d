"""Records joined into journeys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given

from simopen.capture.journey import Journey, journeys
from simopen.capture.packets import Endpoint, Flags
from simopen.capture.pcapng import Direction, Record
from tests.capture.makers import (
    ALICE,
    BOB,
    HOME,
    IN,
    NESTED,
    OFFICE,
    OUT,
    captures,
    flight,
    punching,
    through_nats,
    trip,
)


def _unsaid(records: Sequence[Record]) -> list[Record]:
    """Return a capture that does not say which interfaces are gateways'."""
    return [replace(record, gateway=False) for record in records]


def _way(journey: Journey) -> list[tuple[str, Direction]]:
    return [(sighting.interface, sighting.direction) for sighting in journey.path]


def test_a_packet_is_followed_through_two_nats() -> None:
    """Its sightings are in order, each with the endpoints as they were there."""
    (journey,) = journeys(trip(7, through_nats("alice"), flight(5)))
    assert journey.packet_id == 7
    assert _way(journey) == [("alice", OUT), ("home", OUT), ("office", IN), ("bob", IN)]
    assert [(sighting.source, sighting.destination) for sighting in journey.path] == [
        (ALICE, OFFICE),
        (HOME, OFFICE),
        (HOME, OFFICE),
        (HOME, BOB),
    ]
    assert [sighting.time_ns for sighting in journey.path] == [5e6, 5.02e6, 17.02e6, 17.05e6]
    assert (journey.origin, journey.destination) == ("alice", "bob")
    assert not journey.from_gateway


@pytest.mark.parametrize(("stops", "end"), [(1, "alice"), (2, "home"), (3, "office")])
def test_a_packet_that_never_arrives_ends_where_it_was_last_seen(stops: int, end: str) -> None:
    """There is no destination, and the last sighting says how far it came."""
    (journey,) = journeys(trip(0, through_nats("alice"), flight(0, stops)))
    assert not journey.arrived
    assert journey.destination is None
    assert journey.path[-1].interface == end


def test_what_a_gateway_says_begins_there() -> None:
    """An RST of its own has the gateway as its origin."""
    (journey,) = journeys(trip(0, through_nats("office"), [1, 2, 3], Flags.RST))
    assert (journey.origin, journey.destination) == ("office", "alice")
    assert journey.from_gateway


def test_an_error_goes_the_way_back_of_what_it_is_about() -> None:
    """The ends of an ICMP message are those of the quoted segment, swapped."""
    (journey,) = journeys(trip(0, through_nats("office"), [1, 2, 3], None))
    assert (journey.path[-1].source, journey.path[-1].destination) == (OFFICE, ALICE)


@pytest.mark.parametrize("link", [1, 2, 3])
def test_a_duplicate_is_counted_where_it_arrives(link: int) -> None:
    """Wherever a link doubles a packet, its path is that of the first, and one copy arrives."""
    stops = through_nats("alice")
    copy = trip(0, stops[link:], flight(3)[link:])
    (journey,) = journeys(trip(0, stops, flight(0)) + copy)
    assert (len(journey.path), journey.copies) == (4, 1)
    assert journey.path[-1].time_ns == round(flight(0)[-1] * 1e6)


def test_a_duplicate_that_is_dropped_is_no_copy() -> None:
    """A packet has arrived even if its copy is dropped later."""
    stops = through_nats("alice")
    records = trip(0, stops, flight(0)) + trip(0, stops[2:3], [20])
    for capture in (records, _unsaid(records)):
        (journey,) = journeys(capture)
        assert (journey.destination, journey.copies) == ("bob", 0)


def test_a_hairpin_may_come_back_through_the_same_gateway() -> None:
    """Out and in again at one home is two sightings there."""
    stops = [NESTED[0], NESTED[1], ("home", IN, HOME, ALICE), ("carol", IN, HOME, BOB)]
    for capture in (trip(0, stops, flight(0)), _unsaid(trip(0, stops, flight(0)))):
        (journey,) = journeys(capture)
        assert _way(journey) == [("alice", OUT), ("home", OUT), ("home", IN), ("carol", IN)]
        assert journey.arrived


def test_what_happens_at_once_happens_in_order() -> None:
    """With no latency at all a packet still goes from the inside out, and then in."""
    records = trip(0, through_nats("alice"), [0, 0, 0, 0])
    (journey,) = journeys(reversed(records))
    assert [name for name, _ in _way(journey)] == ["alice", "home", "office", "bob"]


def test_gateways_are_known_by_what_passes_them() -> None:
    """A capture that does not say what a gateway is gives the same journeys."""
    assert journeys(_unsaid(punching())) == journeys(punching())


def test_a_gateway_that_lets_nothing_pass_must_be_said() -> None:
    """Without being told so, nobody can know that there is a host behind it."""
    (said,) = journeys(trip(0, through_nats("alice"), flight(0, 3)))
    (unsaid,) = journeys(_unsaid(trip(0, through_nats("alice"), flight(0, 3))))
    assert (said.destination, unsaid.destination) == (None, "office")


def test_a_packet_from_before_the_capture_has_no_origin() -> None:
    """What is first seen coming in left unseen."""
    (journey,) = journeys(trip(0, through_nats("alice")[2:], [1, 2]))
    assert journey.origin is None
    assert journey.destination == "bob"
    assert not journey.from_gateway


def test_other_packets_have_no_journeys() -> None:
    """What is no TCP and not about TCP is left out."""
    record = trip(0, [("alice", OUT, ALICE, Endpoint("10.0.0.1", 1))], [0])[0]
    assert journeys([replace(record, data=b"\x45garbage")]) == []


@given(captures())
def test_the_order_of_records_does_not_matter(records: list[Record]) -> None:
    """Every order of a capture's records gives the same journeys, one for each packet."""
    told, sorted_told = (
        {
            journey.packet_id: (set(journey.path), journey.arrived, journey.copies)
            for journey in journeys(capture)
        }
        for capture in (records, sorted(records, key=lambda record: record.time_ns))
    )
    assert told == sorted_told
    assert told.keys() == {record.packet_id for record in records}
