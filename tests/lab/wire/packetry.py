"""Packets made and read for tests, apart from the code under test: every checksum in full."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

Endpoint = tuple[str, int]

_FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10}


def checksum(data: bytes) -> int:
    """Return the Internet checksum, added up word by word as RFC 1071 has it."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """Return an IP packet; `options` are IPv4's, a multiple of four bytes."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl) + addresses + payload
    words = 20 + len(options)
    header = struct.pack(
        "!BBHHHBBH", 0x40 | words // 4, 0, words + len(payload), 7, 0x4000, ttl, protocol, 0
    )
    header += addresses + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def tcp(
    source: Endpoint,
    destination: Endpoint,
    flags: str = "A",
    payload: bytes = b"",
    *,
    seq: int = 1000,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """Return a TCP segment; `flags` are letters of FSRPA, `options` IPv4's."""
    bits = sum(_FLAGS[letter] for letter in flags)
    ack = 2000 if "A" in flags else 0
    segment = struct.pack(
        "!HHIIBBHHH", source[1], destination[1], seq, ack, 5 << 4, bits, 64240, 0, 0
    )
    segment = _summed(source[0], destination[0], 6, segment + payload, 16)
    return ip(source[0], destination[0], 6, segment, ttl=ttl, options=options)


def udp(
    source: Endpoint,
    destination: Endpoint,
    payload: bytes = b"data",
    *,
    ttl: int = 64,
    options: bytes = b"",
    summed: bool = True,
) -> bytes:
    """Return a UDP datagram, without a checksum if not `summed`."""
    datagram = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    if summed:
        datagram = _summed(source[0], destination[0], 17, datagram, 6)
    return ip(source[0], destination[0], 17, datagram, ttl=ttl, options=options)


def echo(
    source: str,
    destination: str,
    identifier: int,
    *,
    reply: bool = False,
    payload: bytes = b"ping",
    ttl: int = 64,
) -> bytes:
    """Return an ICMP or ICMPv6 echo request or reply."""
    kind = (129 if reply else 128) if ":" in source else (0 if reply else 8)
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + payload
    return icmp(source, destination, message, ttl=ttl)


def icmp_error(
    source: str, destination: str, kind: int, code: int, quoted: bytes, *, ttl: int = 64
) -> bytes:
    """Return an ICMP or ICMPv6 error that quotes some bytes."""
    message = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    return icmp(source, destination, message, ttl=ttl)


def icmp(source: str, destination: str, message: bytes, *, ttl: int = 64) -> bytes:
    """Return an ICMP or ICMPv6 packet of a message whose checksum is zero."""
    protocol = 58 if ":" in source else 1
    message = _summed(source, destination, protocol, message, 2)
    return ip(source, destination, protocol, message, ttl=ttl)


def _pseudo(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    if protocol == 1:
        return b""
    return source + destination + struct.pack("!IHBB", length, 0, 0, protocol)


def _summed(source: str, destination: str, protocol: int, data: bytes, at: int) -> bytes:
    addresses = [ipaddress.ip_address(address).packed for address in (source, destination)]
    value = checksum(_pseudo(addresses[0], addresses[1], protocol, len(data)) + data)
    if protocol == 17 and value == 0:
        value = 0xFFFF
    return data[:at] + struct.pack("!H", value) + data[at + 2 :]


@dataclass(frozen=True)
class Seen:
    """A packet as somebody sees it who receives it.

    Attributes:
        protocol: IP's number.
        source: Where it says it comes from; the port of what has none is 0, that of an ICMP echo
            its identifier at either end.
        destination: Where it goes.
        flags: TCP's, as letters.
        ttl: Hops left.
        payload: What follows the IP header.
        quoted: The packet that an ICMP error quotes.
    """

    protocol: int
    source: Endpoint
    destination: Endpoint
    flags: str
    ttl: int
    payload: bytes
    quoted: bytes

    @property
    def icmp(self) -> tuple[int, int]:
        """ICMP's type and code."""
        return self.payload[0], self.payload[1]


def see(raw: bytes, *, cut: bool = False) -> Seen:
    """Read a packet and check its lengths and checksums; of one that is cut, the header's only."""
    if raw[0] >> 4 == 4:
        at = (raw[0] & 15) * 4
        protocol, ttl, source, destination = raw[9], raw[8], raw[12:16], raw[16:20]
        assert checksum(raw[:at]) == 0, "IPv4 header checksum"
        assert cut or struct.unpack_from("!H", raw, 2)[0] == len(raw)
    else:
        at, protocol, ttl, source, destination = 40, raw[6], raw[7], raw[8:24], raw[24:40]
        assert cut or struct.unpack_from("!H", raw, 4)[0] == len(raw) - 40
    payload = raw[at:]
    if not cut:
        _check(protocol, source, destination, payload)
    ports, quoted = _ports(protocol, payload)
    return Seen(
        protocol=protocol,
        source=(str(ipaddress.ip_address(source)), ports[0]),
        destination=(str(ipaddress.ip_address(destination)), ports[1]),
        flags="".join(letter for letter, bit in _FLAGS.items() if payload[13] & bit)
        if protocol == 6 and len(payload) > 13
        else "",
        ttl=ttl,
        payload=payload,
        quoted=quoted,
    )


def _check(protocol: int, source: bytes, destination: bytes, payload: bytes) -> None:
    if protocol == 17 and payload[6:8] == b"\0\0":
        assert len(source) == 4, "IPv6 has no UDP without checksum"
        return
    if protocol in (1, 6, 17, 58):
        summed = _pseudo(source, destination, protocol, len(payload)) + payload
        assert checksum(summed) == 0, f"checksum of protocol {protocol}"
    at = {6: 16, 1: 2, 58: 2}.get(protocol)
    assert at is None or payload[at : at + 2] != b"\xff\xff", "negative zero"


def _ports(protocol: int, payload: bytes) -> tuple[tuple[int, int], bytes]:
    if protocol in (6, 17):
        return struct.unpack_from("!HH", payload), b""
    if protocol in (1, 58) and payload[0] in (0, 8, 128, 129):
        (identifier,) = struct.unpack_from("!H", payload, 4)
        return (identifier, identifier), b""
    return (0, 0), payload[8:] if protocol in (1, 58) else b""
