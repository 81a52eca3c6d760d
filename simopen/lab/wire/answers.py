"""The packets a gateway sends in its own name: resets, ICMP errors, answers to pings.

Each answers a packet that was read, goes back to where that came from, and is whole, checksums
included. An ICMP error quotes what it is about as far as that fits into the least that any host can
take: 576 bytes over IPv4 (RFC 1812 §4.3.2.3), 1280 over IPv6 (RFC 4443 §2.4).
"""

from __future__ import annotations

import struct

from simopen.lab.wire.headers import (
    ACK,
    FIN,
    ICMP,
    ICMP_HEADER_BYTES,
    ICMPV6,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    RST,
    SYN,
    Packet,
)
from simopen.lab.wire.rewriting import checksum_of

_IPV6_ADDRESSES_BYTES = 32
_HOPS = 64
_DONT_FRAGMENT = 0x4000
_INTERNETWORK_CONTROL = 0xC0  # the precedence of ICMP errors (RFC 1812 §4.3.2.5)

_TCP_CHECKSUM_AT, _ICMP_CHECKSUM_AT = 16, 2

# By IP version.
_ICMP = {4: ICMP, 6: ICMPV6}
_QUOTED_BYTES = {
    4: 576 - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES,
    6: 1280 - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES,
}
_PORT_UNREACHABLE = {4: (3, 3), 6: (1, 1)}  # type and code; IPv6's says "prohibited"
_HOST_UNREACHABLE = {4: (3, 1), 6: (1, 3)}
_TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
_ECHO_REPLY = {4: (0, 0), 6: (129, 0)}


def reset(syn: Packet) -> bytes:
    """Return the RST with which a closed port answers a segment without ACK (RFC 9293 §3.10.7.1).

    It comes from the endpoint that was addressed and acknowledges all that the segment occupied.
    """
    (seq,) = struct.unpack_from("!I", syn.raw, syn.payload_at + 4)
    header_bytes = (syn.raw[syn.payload_at + 12] >> 4) * 4
    length = len(syn.raw) - syn.payload_at - header_bytes
    length += bool(syn.flags & SYN) + bool(syn.flags & FIN)
    flow = syn.flow.reversed()
    rest = struct.pack("!IIBBHHH", 0, (seq + length) % 2**32, 5 << 4, RST | ACK, 0, 0, 0)
    return _packet(flow.addresses, flow.protocol, flow.ports + rest, _TCP_CHECKSUM_AT)


def port_unreachable(about: Packet, reporter: bytes) -> bytes:
    """Return the error for what a gateway does not let in; over IPv6 that it is prohibited."""
    return _error(about, reporter, *_PORT_UNREACHABLE[about.version])


def host_unreachable(about: Packet, reporter: bytes) -> bytes:
    """Return the error for what a gateway has no means to send out (RFC 6888 §4, REQ-11)."""
    return _error(about, reporter, *_HOST_UNREACHABLE[about.version])


def time_exceeded(about: Packet, reporter: bytes) -> bytes:
    """Return the error for a packet whose hops are used up."""
    return _error(about, reporter, *_TIME_EXCEEDED[about.version])


def echo_reply(request: Packet) -> bytes:
    """Return the answer to a ping."""
    addresses, protocol = request.flow.reversed().addresses, request.flow.protocol
    message = struct.pack("!BBH", *_ECHO_REPLY[request.version], 0)
    message += request.raw[request.payload_at + 4 :]
    return _packet(addresses, protocol, message, _ICMP_CHECKSUM_AT)


def _error(about: Packet, reporter: bytes, kind: int, code: int) -> bytes:
    quoted = about.raw[: _QUOTED_BYTES[about.version]]
    message = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    addresses = reporter + about.flow.source[:-2]
    protocol = _ICMP[about.version]
    return _packet(addresses, protocol, message, _ICMP_CHECKSUM_AT, _INTERNETWORK_CONTROL)


def _packet(
    addresses: bytes, protocol: int, payload: bytes, checksum_at: int, traffic_class: int = 0
) -> bytes:
    """Return the packet with a payload whose checksum is still zero."""
    pseudo = b"" if protocol == ICMP else addresses + struct.pack("!II", len(payload), protocol)
    payload = _with_checksum(payload, checksum_at, checksum_of(pseudo + payload))
    if len(addresses) == _IPV6_ADDRESSES_BYTES:
        first = 6 << 28 | traffic_class << 20
        return struct.pack("!IHBB", first, len(payload), protocol, _HOPS) + addresses + payload
    length = IPV4_HEADER_BYTES + len(payload)
    words = 0x45, traffic_class, length, 0, _DONT_FRAGMENT, _HOPS, protocol, 0
    header = struct.pack("!BBHHHBBH", *words) + addresses
    return _with_checksum(header, 10, checksum_of(header)) + payload


def _with_checksum(data: bytes, at: int, checksum: int) -> bytes:
    return data[:at] + checksum.to_bytes(2, "big") + data[at + 2 :]
