"""Who talks to whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from hypothesis import given

from simopen.capture.conversation import Conversation, Party, group
from simopen.capture.journey import journeys
from simopen.capture.packets import Endpoint, Flags
from simopen.capture.pcapng import Record
from tests.capture.makers import (
    ALICE,
    BOB,
    CAROL,
    HAIRPIN,
    HOME,
    IN,
    NESTED,
    NESTED_BACK,
    OFFICE,
    OUT,
    Stop,
    captures,
    flight,
    punching,
    through_nats,
    trip,
)

_A, _B = Party("alice", ALICE), Party("bob", BOB)
_SERVER = Endpoint("192.0.2.1", 443)
_SYN_ACK = Flags.SYN | Flags.ACK


def _found(records: Sequence[Record]) -> dict[Conversation, list[int]]:
    """Return the conversations of a capture, and the numbers of their packets."""
    return {
        conversation: [message.journey.packet_id for message in messages]
        for conversation, messages in group(journeys(records)).items()
    }


def _to_server(host: str, inside: Endpoint, outside: Endpoint) -> list[Stop]:
    return [
        (host, OUT, inside, _SERVER),
        ("home", OUT, outside, _SERVER),
        ("server", IN, outside, _SERVER),
    ]


def _from_server(host: str, inside: Endpoint, outside: Endpoint) -> list[Stop]:
    return [
        ("server", OUT, _SERVER, outside),
        ("home", IN, _SERVER, outside),
        (host, IN, _SERVER, inside),
    ]


def test_translation_on_both_sides_is_one_conversation() -> None:
    """The parties are the hosts' own sockets, though neither ever sees the other's."""
    assert _found(punching()) == {Conversation(_A, _B): list(range(9))}


def test_the_one_that_speaks_first_is_first() -> None:
    """The order of the parties is that of their first packets."""
    records = trip(0, through_nats("bob"), flight(0)) + trip(1, through_nats("alice"), flight(1))
    assert list(_found(records)) == [Conversation(_B, _A)]


def test_a_listening_server_and_a_client_behind_a_nat() -> None:
    """The server answers an external endpoint, and speaks with the host behind it."""
    records = trip(0, _to_server("alice", ALICE, HOME), [0, 1, 2])
    records += trip(1, _from_server("alice", ALICE, HOME), [2, 3, 4], _SYN_ACK)
    assert _found(records) == {Conversation(_A, Party("server", _SERVER)): [0, 1]}


def test_another_external_port_with_each_attempt_is_the_same_conversation() -> None:
    """What a symmetric NAT makes of a retried connection does not cut it in two."""
    outsides = [HOME._replace(port=port) for port in (1, 2, 3)]
    records = chain.from_iterable(
        [
            *trip(2 * number, through_nats("alice", outside), flight(100 * number)),
            *trip(2 * number + 1, through_nats("bob", outside), flight(100 * number + 13)),
        ]
        for number, outside in enumerate(outsides)
    )
    assert _found(list(records)) == {Conversation(_A, _B): list(range(6))}


def test_an_external_port_that_changes_hands_is_two_conversations() -> None:
    """Two clients that follow each other on one external port are two."""
    records = []
    for number, (host, inside) in enumerate((("alice", ALICE), ("carol", CAROL))):
        start = 100 * number
        records += trip(2 * number, _to_server(host, inside, HOME), [start, start + 1, start + 2])
        back = _from_server(host, inside, HOME)
        records += trip(2 * number + 1, back, [start + 2, start + 3, start + 4], _SYN_ACK)
    server = Party("server", _SERVER)
    assert _found(records) == {
        Conversation(_A, server): [0, 1],
        Conversation(Party("carol", CAROL), server): [2, 3],
    }


def test_a_packet_that_did_not_arrive_was_meant_for_who_got_the_others() -> None:
    """One that arrived tells the receiver of those before and after."""
    records = [
        *trip(0, through_nats("alice"), flight(0, 1)),
        *trip(1, through_nats("alice"), flight(100, 3)),
        *trip(2, through_nats("alice"), flight(200)),
    ]
    assert _found(records) == {Conversation(_A, _B): [0, 1, 2]}


def test_an_endpoint_known_from_elsewhere_is_known_here() -> None:
    """Alice calls the endpoint by which a server knows Bob, and never gets through."""
    server = Endpoint("192.0.2.1", 1)
    registration: list[Stop] = [
        ("bob", OUT, BOB, server),
        ("office", OUT, OFFICE, server),
        ("server", IN, OFFICE, server),
    ]
    records = trip(0, registration, [0, 1, 2]) + trip(1, through_nats("alice"), flight(9, 3))
    assert list(_found(records)) == [
        Conversation(_B, Party("server", server)),
        Conversation(_A, _B),
    ]


def test_two_that_mistake_each_others_ports_still_mean_each_other() -> None:
    """Alice is seen at another port than Bob calls, and neither gets through."""
    away = HOME._replace(port=5)
    records = [
        *trip(0, through_nats("alice", outside=away), flight(0, 3)),
        *trip(1, through_nats("bob", outside=HOME), flight(1, 3)),
    ]
    assert _found(records) == {Conversation(_A, _B): [0, 1]}


def test_where_nobody_is_known_the_endpoint_is_the_party() -> None:
    """A host that never says anything has no name in the capture."""
    nobody = Party(None, OFFICE)
    records = trip(0, through_nats("alice"), flight(0, 3))
    records += trip(1, through_nats("office"), [13, 25, 25.1], Flags.RST)
    assert _found(records) == {Conversation(_A, nobody): [0, 1]}
    assert (_A.name, nobody.name) == ("alice", "198.51.100.1:61001")


def test_an_answer_that_never_arrives_belongs_to_what_it_answers() -> None:
    """A gateway's RST that is lost goes to the sender of what the gateway had seen."""
    records = punching() + trip(9, through_nats("office"), [200, 212], Flags.RST)
    assert _found(records) == {Conversation(_A, _B): list(range(10))}


def test_a_gateway_that_answers_nothing_talks_to_itself() -> None:
    """What nothing explains is a conversation of its own."""
    records = trip(0, through_nats("office"), [0], Flags.RST)
    assert list(_found(records)) == [Conversation(Party("office", OFFICE), Party(None, HOME))]


def test_a_gateway_may_answer_its_own_side() -> None:
    """An ICMP error to the inside belongs to the connection it is about."""
    inwards: list[Stop] = [("home", OUT, OFFICE, ALICE), ("alice", IN, OFFICE, ALICE)]
    records = punching() + trip(9, inwards, [200, 201], None)
    assert _found(records) == {Conversation(_A, _B): list(range(10))}


def test_a_home_inside_a_carrier() -> None:
    """Two translations on one side are no more than one."""
    records = trip(0, NESTED, [0, 1, 2, 3, 4]) + trip(1, NESTED_BACK, [0, 1, 2, 3, 4])
    assert _found(records) == {Conversation(_A, _B): [0, 1]}


def test_a_hairpin_is_a_conversation_of_two_hosts() -> None:
    """Nothing is seen outside, and the endpoints differ all the same."""
    back: list[Stop] = [
        ("carol", OUT, CAROL, HOME),
        ("alice", IN, Endpoint(HOME.address, CAROL.port), ALICE),
    ]
    records = trip(0, HAIRPIN, [0, 1]) + trip(1, back, [0.5, 1.5])
    assert _found(records) == {Conversation(_A, Party("carol", CAROL)): [0, 1]}


def test_what_began_before_the_capture_is_left_out() -> None:
    """A packet without a sender is in no conversation."""
    assert _found(trip(0, through_nats("alice")[2:], [0, 1])) == {}


@given(captures())
def test_every_packet_is_in_one_conversation(records: list[Record]) -> None:
    """Each that begins in the capture is in one, and between its parties."""
    found = group(journeys(records))
    messages = [(key, message) for key, each in found.items() for message in each]
    begun = [journey for journey in journeys(records) if journey.origin is not None]
    told = [message.journey.packet_id for _, message in messages]
    assert sorted(told) == sorted(journey.packet_id for journey in begun)
    assert all({message.sender, message.receiver} == set(key) for key, message in messages)
