"""Raw IP packets read: TCP segments over IPv4 and IPv6, and ICMP that says a host is unreachable.

Theory of operation
-------------------
`parse` takes the first bytes of a packet, as a capture keeps them, and returns what a picture of a
TCP conversation needs. Whatever is neither TCP nor an ICMP "unreachable" about TCP, is cut inside
its headers, or is no IP packet at all, is None: a wire carries all kinds of things, and none of
them is an error. Lengths come from the headers, so a packet may be cut anywhere behind them.

Sources: RFC 791 and 8200 (IP), 9293 (TCP), 7323 (timestamps), 792 and 4443 (ICMP).
"""

from __future__ import annotations

import enum
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

_IPV4_HEADER_BYTES = 20
_IPV6_HEADER_BYTES = 40
_IPV4_ADDRESS_BYTES = 4
_TCP_HEADER_BYTES = 20
_PORTS_AND_SEQ_BYTES = 8  # of the offending packet, all that ICMPv4 promises to quote
_ICMP_HEADER_BYTES = 8
_FRAGMENT_MASK = 0x1FFF  # offset part of IPv4's flags-and-offset field
_ICMPV4_UNREACHABLE, _ICMPV6_UNREACHABLE = 3, 1
_OPTION_END, _OPTION_NOP, _OPTION_MSS, _OPTION_TIMESTAMP = 0, 1, 2, 8
_MSS_BYTES, _TIMESTAMP_BYTES = 4, 10

_TCP = struct.Struct("!HHIIBBH")


class Flags(enum.IntFlag):
    """The TCP control bits that say what a segment is for."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20


class Endpoint(NamedTuple):
    """Where a segment comes from or goes to.

    Attributes:
        address: IPv4 or IPv6 address as text.
        port: TCP port.
    """

    address: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment.

    Attributes:
        source: Its sender.
        destination: Its receiver.
        flags: Control bits.
        seq: Sequence number of its first byte.
        ack: Next sequence number expected; meaningless without the ACK flag.
        window: Receive window as sent, unscaled.
        payload_bytes: Length of what it carries.
        mss: Maximum segment size in bytes, where announced.
        timestamps: TSval and TSecr, where present.
    """

    source: Endpoint
    destination: Endpoint
    flags: Flags
    seq: int
    ack: int
    window: int
    payload_bytes: int
    mss: int | None = None
    timestamps: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An ICMP or ICMPv6 "destination unreachable" that answers a TCP segment.

    Attributes:
        reporter: Address of the host or router that says so.
        code: Why; the numbers differ between ICMP and ICMPv6.
        source: Sender of the segment it is about.
        destination: Whom that segment did not reach.
        seq: Sequence number of that segment.
    """

    reporter: str
    code: int
    source: Endpoint
    destination: Endpoint
    seq: int


class _Ip(NamedTuple):
    protocol: int
    source: bytes
    destination: bytes
    payload: bytes
    payload_bytes: int  # as the header says; `payload` may be cut short


Packet: TypeAlias = Segment | Unreachable

_FLAGS = [Flags(bits) for bits in range(0x40)]  # calling an enum costs more than all the rest


def _address(packed: bytes) -> str:
    family = socket.AF_INET if len(packed) == _IPV4_ADDRESS_BYTES else socket.AF_INET6
    return socket.inet_ntop(family, packed)


@lru_cache(maxsize=4096)  # a capture has few of them, each in many packets
def _endpoint(packed: bytes, port: int) -> Endpoint:
    return Endpoint(_address(packed), port)


def parse(data: bytes) -> Packet | None:
    """Read the beginning of a raw IP packet; None when it is nothing we know."""
    ip = _parse_ip(data)
    if ip is None:
        return None
    if ip.protocol == socket.IPPROTO_TCP:
        return _parse_tcp(ip)
    if ip.protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
        return _parse_unreachable(ip)
    return None


def _parse_ip(data: bytes) -> _Ip | None:
    version = data[0] >> 4 if data else 0
    if version == 4:  # noqa: PLR2004  # the protocol's own number
        return _parse_ipv4(data)
    if version == 6:  # noqa: PLR2004  # likewise
        return _parse_ipv6(data)
    return None


def _parse_ipv4(data: bytes) -> _Ip | None:
    header_bytes = (data[0] & 0x0F) * 4
    if header_bytes < _IPV4_HEADER_BYTES or len(data) < header_bytes:
        return None
    total, fragment = struct.unpack_from("!H2xH", data, 2)
    if total < header_bytes or fragment & _FRAGMENT_MASK:
        return None  # a later fragment has no TCP header
    return _Ip(data[9], data[12:16], data[16:20], data[header_bytes:total], total - header_bytes)


def _parse_ipv6(data: bytes) -> _Ip | None:
    if len(data) < _IPV6_HEADER_BYTES:
        return None
    (length,) = struct.unpack_from("!H", data, 4)
    payload = data[_IPV6_HEADER_BYTES : _IPV6_HEADER_BYTES + length]
    return _Ip(data[6], data[8:24], data[24:40], payload, length)


def _parse_tcp(ip: _Ip) -> Segment | None:
    if len(ip.payload) < _TCP_HEADER_BYTES:
        return None
    source, destination, seq, ack, offset, bits, window = _TCP.unpack_from(ip.payload)
    header_bytes = (offset >> 4) * 4
    if not _TCP_HEADER_BYTES <= header_bytes <= ip.payload_bytes:
        return None
    mss, timestamps = _parse_options(ip.payload[_TCP_HEADER_BYTES:header_bytes])
    return Segment(
        source=_endpoint(ip.source, source),
        destination=_endpoint(ip.destination, destination),
        flags=_FLAGS[bits & 0x3F],
        seq=seq,
        ack=ack,
        window=window,
        payload_bytes=ip.payload_bytes - header_bytes,
        mss=mss,
        timestamps=timestamps,
    )


def _parse_options(data: bytes) -> tuple[int | None, tuple[int, int] | None]:
    """Return MSS and timestamps as far as the options are whole."""
    mss, timestamps, at = None, None, 0
    while at < len(data) and data[at] != _OPTION_END:
        if data[at] == _OPTION_NOP:
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):  # noqa: PLR2004  # kind and length themselves
            break
        if data[at] == _OPTION_MSS and length == _MSS_BYTES:
            (mss,) = struct.unpack_from("!H", data, at + 2)
        elif data[at] == _OPTION_TIMESTAMP and length == _TIMESTAMP_BYTES:
            value, echo = struct.unpack_from("!II", data, at + 2)
            timestamps = (value, echo)
        at += length
    return mss, timestamps


def _parse_unreachable(ip: _Ip) -> Unreachable | None:
    if len(ip.payload) < _ICMP_HEADER_BYTES:
        return None
    ours = _ICMPV4_UNREACHABLE if ip.protocol == socket.IPPROTO_ICMP else _ICMPV6_UNREACHABLE
    inner = _parse_ip(ip.payload[_ICMP_HEADER_BYTES:])
    if ip.payload[0] != ours or inner is None or inner.protocol != socket.IPPROTO_TCP:
        return None
    if len(inner.payload) < _PORTS_AND_SEQ_BYTES:
        return None
    source, destination, seq = struct.unpack_from("!HHI", inner.payload)
    return Unreachable(
        reporter=_address(ip.source),
        code=ip.payload[1],
        source=_endpoint(inner.source, source),
        destination=_endpoint(inner.destination, destination),
        seq=seq,
    )
