"""Sessions: how long they live, what ends them, and that their number is bounded."""

from __future__ import annotations

import math

import pytest

from simopen.lab.nat import Firewall, Nat
from simopen.lab.wire import sessions
from simopen.lab.wire.headers import ACK, FIN, ICMP, RST, SYN, TCP, UDP
from simopen.lab.wire.mappings import Mapping
from simopen.lab.wire.sessions import Session, SessionTable

HOST, EXTERNAL = b"\xc0\xa8\1\2" + b"\1\0", b"\xcb\0\x71\1" + b"\2\0"
REMOTE = b"\xc6\x33\x64\1" + b"\0\x50"
SPEC = Nat(established_timeout=100.0, transitory_timeout=10.0, udp_timeout=30.0)


def opened(
    table: SessionTable, protocol: int = TCP, remote: bytes = REMOTE, *, hairpinned: bool = False
) -> Session:
    """Open a session of one host."""
    known = table.mappings.find(protocol, HOST)
    mapping = known or Mapping(protocol, HOST, EXTERNAL, scope=HOST)
    session = table.open(mapping, remote, hairpinned=hairpinned)
    assert session is not None
    return session


def converse(table: SessionTable, session: Session, conversation: str, now: float = 0.0) -> None:
    """Tell the table of segments such as '>S <SA >A', all at one time."""
    flags = {"S": SYN, "A": ACK, "F": FIN, "R": RST}
    for segment in conversation.split():
        bits = sum(flags[letter] for letter in segment[1:])
        table.advance(session, bits, now, outwards=segment[0] == ">")


@pytest.mark.parametrize(
    ("conversation", "lifetime"),
    [
        (">S", 10.0),
        (">S <S", 10.0),
        (">S <SA", 10.0),
        (">S <SA >A", 100.0),
        (">S <S >SA <SA", 100.0),
        (">S <SA >A >FA", 100.0),
        (">S <SA >A >FA <FA", 10.0),
        (">S <SA >A >S", 10.0),
    ],
)
def test_a_tcp_session_lives_by_its_state(conversation: str, lifetime: float) -> None:
    """Half open and closing ones are forgotten sooner than established ones, to the moment."""
    table = SessionTable(SPEC)
    session = opened(table)
    converse(table, session, conversation, now=5.0)
    assert table.next_expiry <= 5.0 + lifetime
    table.expire(5.0 + lifetime - 0.001)
    assert list(table.inbound.values()) == list(table.outbound.values()) == [session]
    table.expire(5.0 + lifetime)
    assert (table.inbound, table.outbound, len(table.mappings)) == ({}, {}, 0)
    assert table.next_expiry == math.inf


@pytest.mark.parametrize("protocol", [UDP, ICMP])
@pytest.mark.parametrize("outwards", [True, False])
def test_every_packet_keeps_a_session_alive(protocol: int, *, outwards: bool) -> None:
    """Either direction refreshes (RFC 4787 REQ-6)."""
    table = SessionTable(SPEC)
    session = opened(table, protocol)
    table.advance(session, 0, 0.0, outwards=True)
    table.advance(session, 0, 20.0, outwards=outwards)
    table.refresh(session, 40.0)
    table.expire(69.0)
    assert table.inbound
    table.expire(70.0)
    assert not table.inbound


@pytest.mark.parametrize(("ends", "left"), [(True, 0), (False, 1)])
def test_a_reset_ends_a_session_or_leaves_it_closing(ends: bool, left: int) -> None:  # noqa: FBT001  # a table's column
    """By the axis: at once, or after the transitory timeout."""
    table = SessionTable(Firewall(rst_ends_session=ends, transitory_timeout=10.0))
    converse(table, opened(table), ">S <SA >A <RA")
    assert len(table.inbound) == left
    table.expire(10.0)
    assert not table.inbound


def test_a_mapping_outlives_all_but_its_last_session() -> None:
    """Sessions of one mapping expire each in its time."""
    table = SessionTable(SPEC)
    table.advance(opened(table, UDP), 0, 0.0, outwards=True)
    table.advance(opened(table, UDP, REMOTE[:-1] + b"\x51"), 0, 20.0, outwards=True)
    table.expire(30.0)
    assert (len(table.inbound), len(table.mappings)) == (1, 1)
    table.expire(50.0)
    assert (len(table.inbound), len(table.mappings)) == (0, 0)


def test_only_what_a_plain_packet_cannot_change_is_settled() -> None:
    """Datagrams at once, connections when established, hairpinned ones never."""
    table = SessionTable(SPEC)
    datagrams, connection = opened(table, UDP), opened(table)
    table.advance(datagrams, 0, 0.0, outwards=True)
    assert datagrams.settled
    converse(table, connection, ">S <SA")
    assert not connection.settled
    converse(table, connection, ">A")
    assert connection.settled
    converse(table, connection, "<FA >FA")
    assert not connection.settled
    hairpinned = opened(table, UDP, b"\xcb\0\x71\1" + b"\3\0", hairpinned=True)
    table.advance(hairpinned, 0, 0.0, outwards=True)
    assert not hairpinned.settled


def test_a_newer_session_takes_the_place_of_one_with_the_same_key() -> None:
    """Two hosts behind one port and towards one remote endpoint: the newer wins."""
    table = SessionTable(SPEC)
    older = opened(table)
    newer = table.open(
        Mapping(TCP, b"\xc0\xa8\1\3\1\0", EXTERNAL, b"other"), REMOTE, hairpinned=False
    )
    assert newer is not None
    assert list(table.inbound.values()) == list(table.outbound.values()) == [newer]
    assert older.mapping.remotes == {}


def test_what_goes_out_belongs_to_the_session_its_mapping_was_made_for() -> None:
    """A remote endpoint that sends to another port of the host does not divert the answers."""
    table = SessionTable(SPEC)
    first = opened(table)
    second = table.open(Mapping(TCP, HOST, EXTERNAL[:-2] + b"\3\0", b"2"), REMOTE, hairpinned=False)
    assert second is not None
    assert list(table.outbound.values()) == [first]
    table.end(second)
    assert list(table.outbound.values()) == list(table.inbound.values()) == [first]


def test_the_number_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it none opens, until another ends; what there is stays."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    table = SessionTable(SPEC)
    for port in range(3):
        session = opened(table, UDP, REMOTE[:-1] + bytes([port]))
    mapping = session.mapping
    assert table.open(mapping, REMOTE, hairpinned=False) is None
    table.end(session)
    assert table.open(mapping, REMOTE, hairpinned=False) is not None
