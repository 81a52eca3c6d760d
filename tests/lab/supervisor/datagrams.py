"""Raw IP packets made, with checksums that a kernel accepts, and their checksums checked."""

from __future__ import annotations

import ipaddress
import socket
import struct

from simopen.capture.packets import Endpoint, Flags

_HOPS = 64
_CHECKSUM_AT = {
    socket.IPPROTO_TCP: 16,
    socket.IPPROTO_UDP: 6,
    socket.IPPROTO_ICMP: 2,
    socket.IPPROTO_ICMPV6: 2,
}


def tcp(
    source: Endpoint,
    destination: Endpoint,
    flags: Flags,
    *,
    seq: int = 0,
    ack: int = 0,
    hops: int = _HOPS,
) -> bytes:
    """Return a TCP segment that carries nothing."""
    ports = (source.port, destination.port)
    segment = struct.pack("!HHIIBBHHH", *ports, seq, ack, 5 << 4, flags, 64240, 0, 0)
    return ip(source.address, destination.address, socket.IPPROTO_TCP, segment, hops)


def udp(source: Endpoint, destination: Endpoint) -> bytes:
    """Return an empty UDP datagram."""
    datagram = struct.pack("!HHHH", source.port, destination.port, 8, 0)
    return ip(source.address, destination.address, socket.IPPROTO_UDP, datagram)


def icmp(source: str, destination: str, kind: int, code: int = 0, body: bytes = b"") -> bytes:
    """Return an ICMP or ICMPv6 message whose second word is zero."""
    v4 = ipaddress.ip_address(source).version == 4
    protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
    return ip(source, destination, protocol, struct.pack("!BBHI", kind, code, 0, 0) + body)


def ip(source: str, destination: str, protocol: int, payload: bytes, hops: int = _HOPS) -> bytes:
    """Return an IP packet; the payload's checksum field, zero as yet, is filled in."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    at = _CHECKSUM_AT[protocol]
    covered = _pseudo_header(addresses, protocol, len(payload)) + payload
    payload = payload[:at] + struct.pack("!H", _checksum(covered)) + payload[at + 2 :]
    if ipaddress.ip_address(source).version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + addresses + payload
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 1, 0, hops, protocol)
    checksum = _checksum(head + b"\0\0" + addresses)
    return head + struct.pack("!H", checksum) + addresses + payload


def is_intact(packet: bytes) -> bool:
    """Tell whether an IP packet without options has the right checksums."""
    if packet[0] >> 4 == 6:
        protocol, addresses, payload = packet[6], packet[8:40], packet[40:]
    else:
        protocol, addresses, payload = packet[9], packet[12:20], packet[20:]
        if _checksum(packet[:20]) != 0:
            return False
    return _checksum(_pseudo_header(addresses, protocol, len(payload)) + payload) == 0


def hops_of(packet: bytes) -> int:
    """Return how many more routers an IP packet may pass."""
    return packet[7] if packet[0] >> 4 == 6 else packet[8]


def _pseudo_header(addresses: bytes, protocol: int, length: int) -> bytes:
    """Return what else the payload's checksum covers."""
    if protocol == socket.IPPROTO_ICMP:
        return b""
    return addresses + struct.pack("!II", length, protocol)


def _checksum(data: bytes) -> int:
    """Return the Internet checksum of RFC 1071, 0 for data that has a right one inside."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
