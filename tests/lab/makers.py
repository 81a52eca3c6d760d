"""Raw packets and records made for tests."""

from __future__ import annotations

import ipaddress
import struct

from simopen.lab.packets import Endpoint, Flags, Segment
from simopen.lab.pcapng import Direction, Record


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
