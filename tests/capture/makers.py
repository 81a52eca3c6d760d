"""Raw packets and records made for tests."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from hypothesis import strategies as st

from simopen.capture.packets import Endpoint, Flags, Segment
from simopen.capture.pcapng import Direction, Record


def raw(segment: Segment) -> bytes:
    """Return the IP packet of a segment, without checksums, written apart from the parser."""
    options = b""
    if segment.mss is not None:
        options += struct.pack("!BBH", 2, 4, segment.mss)
    if segment.timestamps is not None:
        options += struct.pack("!BBBBII", 1, 1, 8, 10, *segment.timestamps)
    header = struct.pack(
        "!HHIIBBHHH",
        segment.source.port,
        segment.destination.port,
        segment.seq,
        segment.ack,
        (20 + len(options)) // 4 << 4,
        segment.flags,
        segment.window,
        0,
        0,
    )
    return _ip(segment, header + options + bytes(segment.payload_bytes))


def _ip(segment: Segment, payload: bytes) -> bytes:
    source = ipaddress.ip_address(segment.source.address)
    destination = ipaddress.ip_address(segment.destination.address)
    if source.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0x4000, 64, 6, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28, len(payload), 6, 64)
    return head + source.packed + destination.packed + payload


def journey(  # noqa: PLR0913  # one argument per thing a test may want to say
    packet_id: int,
    sender: str,
    sent_ms: float,
    arrived_ms: float | None,
    flags: Flags,
    *,
    seq: int = 0,
    ack: int = 0,
    payload_bytes: int = 0,
) -> list[Record]:
    """Return the records of one packet's journey; its length is snapped as in a capture."""
    ends = [Endpoint("10.77.0.1", 40000), Endpoint("10.77.1.1", 40001)]
    source, destination = ends if sender == "a" else ends[::-1]
    data = raw(Segment(source, destination, flags, seq, ack, 64240, payload_bytes))
    receiver = "b" if sender == "a" else "a"
    sent = Record(sender, Direction.OUTBOUND, int(sent_ms * 1e6), packet_id, data[:128], len(data))
    if arrived_ms is None:
        return [sent]
    arrived_ns = int(arrived_ms * 1e6)
    return [sent, Record(receiver, Direction.INBOUND, arrived_ns, packet_id, data[:128], len(data))]


ALICE, HOME = Endpoint("192.168.1.2", 40000), Endpoint("203.0.113.1", 40000)
BOB, OFFICE = Endpoint("192.168.1.2", 40001), Endpoint("198.51.100.1", 61001)
"""Two hosts behind NATs, with the same private network, and how the outside sees them."""

GATEWAYS = {"home", "office", "carrier"}
OUT, IN = Direction.OUTBOUND, Direction.INBOUND
Stop: TypeAlias = tuple[str, Direction, Endpoint, Endpoint]


def trip(
    packet_id: int,
    stops: Sequence[Stop],
    times_ms: Sequence[float],
    flags: Flags | None = Flags.SYN,
    *,
    numbers: tuple[int, int, int] = (0, 0, 0),
) -> list[Record]:
    """Return the records of one packet on its way through gateways.

    Args:
        packet_id: Its number.
        stops: Interface, direction, and endpoints as seen there.
        times_ms: When it passes each stop; it gets no further than there are times.
        flags: What it is; None for an ICMP "unreachable" that goes from the first endpoint to the
            second.
        numbers: Sequence number, acknowledgement, payload bytes.
    """
    records = []
    for (interface, direction, source, destination), time_ms in zip(stops, times_ms, strict=False):
        if flags is None:
            data = unreachable(Segment(destination, source, Flags.SYN, 1, 0, 64240, 0))
        else:
            data = raw(Segment(source, destination, flags, *numbers[:2], 64240, numbers[2]))
        seen = interface, direction, round(time_ms * 1e6), packet_id
        records.append(Record(*seen, data[:128], len(data), gateway=interface in GATEWAYS))
    return records


def through_nats(
    sender: str, outside: Endpoint = HOME, called: Endpoint = OFFICE
) -> tuple[Stop, ...]:
    """Return the stops between alice, behind home's NAT, and bob, behind office's.

    Args:
        sender: "alice" or "bob", or "home" or "office", whose gateway answers by itself.
        outside: Alice's external endpoint.
        called: Bob's.
    """
    there: tuple[Stop, ...] = (
        ("alice", OUT, ALICE, called),
        ("home", OUT, outside, called),
        ("office", IN, outside, called),
        ("bob", IN, outside, BOB),
    )
    back: tuple[Stop, ...] = (
        ("bob", OUT, BOB, outside),
        ("office", OUT, called, outside),
        ("home", IN, called, outside),
        ("alice", IN, called, ALICE),
    )
    return {"alice": there, "home": there[1:], "bob": back, "office": back[1:]}[sender]


def unreachable(syn: Segment) -> bytes:
    """Return an ICMP message from the SYN's destination that quotes it."""
    quoted = raw(syn)
    answer = replace(syn, source=syn.destination, destination=syn.source)
    v6 = ":" in syn.source.address
    inner = quoted if v6 else quoted[:28]
    body = struct.pack("!BBHI", *((1, 4) if v6 else (3, 3)), 0, 0) + inner
    carrier = bytearray(raw(replace(answer, payload_bytes=0, mss=None))[: 40 if v6 else 20])
    if v6:
        carrier[6], carrier[4:6] = 58, struct.pack("!H", len(body))
    else:
        carrier[9], carrier[2:4] = 1, struct.pack("!H", 20 + len(body))
    return bytes(carrier) + body


INNER, CARRIER = Endpoint("100.64.0.7", 40000), Endpoint("203.0.113.9", 2000)
NESTED: tuple[Stop, ...] = (
    ("alice", OUT, ALICE, OFFICE),
    ("home", OUT, INNER, OFFICE),
    ("carrier", OUT, CARRIER, OFFICE),
    ("office", IN, CARRIER, OFFICE),
    ("bob", IN, CARRIER, BOB),
)
"""From alice, whose home is inside a carrier, to bob."""

NESTED_BACK: tuple[Stop, ...] = (
    ("bob", OUT, BOB, CARRIER),
    ("office", OUT, OFFICE, CARRIER),
    ("carrier", IN, OFFICE, CARRIER),
    ("home", IN, OFFICE, INNER),
    ("alice", IN, OFFICE, ALICE),
)

CAROL = Endpoint("192.168.1.3", 40001)
HAIRPIN: tuple[Stop, ...] = (
    ("alice", OUT, ALICE, Endpoint(HOME.address, CAROL.port)),
    ("carol", IN, HOME, CAROL),
)
"""From alice to carol, who is in the same home, by their external endpoints."""


def flight(start_ms: float, stops: int = 4) -> list[float]:
    """Return the times of a packet that takes 12 ms between two sites."""
    return [start_ms, start_ms + 0.02, start_ms + 12.02, start_ms + 12.05][:stops]


def punching() -> list[Record]:
    """Return a refused attempt, one that is dropped, and one in which SYNs cross and data flows."""
    alice, bob = through_nats("alice"), through_nats("bob")
    syn_ack, ack = Flags.SYN | Flags.ACK, Flags.ACK
    return [
        *trip(0, alice, flight(0, 3), Flags.SYN, numbers=(100, 0, 0)),
        *trip(1, through_nats("office"), [12.1, 24.1, 24.2], Flags.RST | ack, numbers=(0, 101, 0)),
        *trip(2, bob, flight(60, 3), Flags.SYN, numbers=(500, 0, 0)),
        *trip(3, alice, flight(100), Flags.SYN, numbers=(900, 0, 0)),
        *trip(4, bob, flight(105), Flags.SYN, numbers=(700, 0, 0)),
        *trip(5, bob, flight(112.1), syn_ack, numbers=(700, 901, 0)),
        *trip(6, alice, flight(117.1), syn_ack, numbers=(900, 701, 0)),
        *trip(7, alice, flight(124.2), ack, numbers=(901, 701, 0)),
        *trip(8, alice, flight(130), ack, numbers=(901, 701, 1000)),
    ]


_PATHS = (
    *map(through_nats, ("alice", "bob", "home", "office")),
    *(through_nats(name, HOME._replace(port=1)) for name in ("alice", "bob", "home", "office")),
    *(NESTED, NESTED_BACK, HAIRPIN),
)
_FLAGS = (*map(Flags, (2, 2, 18, 16, 4, 20, 17)), None)
_PACKETS = st.tuples(
    st.sampled_from(_PATHS),
    st.sampled_from(_FLAGS),
    st.floats(0, 1000) | st.sampled_from((0.0, 10.0)),
    st.lists(st.sampled_from((0.0, 0.02, 12.0, 300.0)), min_size=5, max_size=5),
    st.integers(1, 5),
    st.sampled_from((0, 0, 1400)),
    st.booleans(),
)


def captures() -> st.SearchStrategy[list[Record]]:
    """Return captures of anything that may happen between two sites, in any order."""
    return st.lists(_PACKETS, max_size=25).map(_capture).flatmap(st.permutations)


_Drawn: TypeAlias = tuple[Sequence[Stop], Flags | None, float, list[float], int, int, bool]


def _capture(packets: list[_Drawn]) -> list[Record]:
    records = []
    for packet_id, (path, flags, start, legs, stops, payload, twice) in enumerate(packets):
        times = [start + sum(legs[:number]) for number in range(stops)]
        numbers = (packet_id, packet_id, payload)
        records += trip(packet_id, path, times, flags, numbers=numbers)
        if twice and stops > 1:
            later = [time + 1 for time in times[1:]]
            records += trip(packet_id, path[1:], later, flags, numbers=numbers)
    return records
