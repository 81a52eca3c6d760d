"""Raw IPv4 and IPv6 packets, read as far as a gateway has to.

Theory of operation
-------------------
`read` tells of a packet which kind it is and its `Flow`, who sends to whom. An *endpoint* is the
bytes of an address with those of a port behind, as they stand in the packet. Of an ICMP echo, the
side that asks has the identifier for its port and the side that answers has port 0, as one
identifier serves all remote hosts (RFC 5508 §3.1). `Flow.key` names a flow in a dictionary; of a
packet that needs no closer look `plain_key` finds the same key in a fraction of the time, which is
what lets a lab carry tens of thousands of packets a second.

What is None to `read` has no place on any wire: cut short, longer or shorter than it says, or a
fragment of IPv4, since nothing here reassembles. An IPv6 extension header, that of fragments
included, is a protocol like any other that is not known.

Invariants: no bytes raise an error; whatever has a plain key, `read` reads, and to the same key.

Sources: RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 5508 (ICMP and NATs).
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import struct
from typing import NamedTuple, TypeAlias

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
"""TCP's control bits, as far as they matter here."""

IPV4_HEADER_BYTES = 20
"""Of an IPv4 header without options."""

IPV6_HEADER_BYTES = 40
"""Of an IPv6 header without extensions."""

TCP_HEADER_BYTES = 20
"""Of a TCP header without options."""

UDP_HEADER_BYTES = ICMP_HEADER_BYTES = 8
"""Of either header."""

LAST_HOP = 1
"""A packet that has no more hops than this to live ends at a router (RFC 1812 §5.3.1)."""

Endpoint: TypeAlias = bytes
"""An address and the two bytes of a port or identifier behind it."""

_NO_PORT = b"\0\0"
_IPV4, _IPV6 = 4, 6
_IPV4_WITHOUT_OPTIONS = 0x45
_IPV4_FRAGMENT = 0x3FFF  # "more fragments", or an offset
_QUOTED_BYTES = 8  # of what follows the IP header, all that ICMP promises to quote
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")

_FROM_LENGTH_V4 = struct.Struct("!H2xHBB")  # from byte 2: length, fragment, hops, protocol
_FROM_LENGTH_V6 = struct.Struct("!HBB")  # from byte 4: length, protocol, hops


class Kind(enum.Enum):
    """What a packet is to a NAT."""

    TCP = enum.auto()
    UDP = enum.auto()
    ECHO_REQUEST = enum.auto()
    ECHO_REPLY = enum.auto()
    ERROR = enum.auto()
    OPAQUE = enum.auto()


_ICMP_KINDS = {  # by version and protocol, then by ICMP's type
    (4, ICMP): {8: Kind.ECHO_REQUEST, 0: Kind.ECHO_REPLY}
    | dict.fromkeys((3, 4, 11, 12), Kind.ERROR),
    (6, ICMPV6): {128: Kind.ECHO_REQUEST, 129: Kind.ECHO_REPLY}
    | dict.fromkeys((1, 2, 3, 4), Kind.ERROR),
}


class Flow(NamedTuple):
    """Who sends to whom.

    Attributes:
        protocol: IP's number of what is sent.
        source: Its sender.
        destination: Its receiver.
    """

    protocol: int
    source: Endpoint
    destination: Endpoint

    @property
    def addresses(self) -> bytes:
        """Both addresses, as in an IP header."""
        return self.source[:-2] + self.destination[:-2]

    @property
    def ports(self) -> bytes:
        """Both ports, as in a TCP or UDP header."""
        return self.source[-2:] + self.destination[-2:]

    @property
    def key(self) -> bytes:
        """The flow as a dictionary's key, in the order in which packets have its parts."""
        return bytes((self.protocol,)) + self.addresses + self.ports

    def reversed(self) -> Flow:
        """Return the flow of the answers."""
        return Flow(self.protocol, self.destination, self.source)


class Packet(NamedTuple):
    """A packet that was read.

    Attributes:
        raw: All of it.
        version: Of IP, 4 or 6.
        kind: What it is.
        flow: Whose it is.
        hops: How many it has to live: TTL or hop limit.
        payload_at: Offset of what follows the IP header, in bytes.
        flags: TCP's control bits; 0 for anything else.
    """

    raw: bytes
    version: int
    kind: Kind
    flow: Flow
    hops: int
    payload_at: int
    flags: int = 0

    @property
    def opens(self) -> bool:
        """Whether it is a SYN that asks for a connection."""
        return self.flags & (SYN | ACK | FIN | RST) == SYN


class Quote(NamedTuple):
    """The packet that an ICMP error is about, as far as it is quoted.

    Attributes:
        flow: Whose it was.
        at: Offset of the quote in the error, in bytes.
        payload_at: Offset of what follows the IP header in the quote, in bytes.
    """

    flow: Flow
    at: int
    payload_at: int


class _Ip(NamedTuple):
    version: int
    protocol: int
    hops: int
    source: bytes
    destination: bytes
    payload_at: int
    length: int  # of the whole packet, as the header says


def plain_key(raw: bytes) -> bytes | None:
    """Return the key of the flow of a plain packet; None for any other.

    Plain is what `read` would take, has hops to live, no IPv4 options, and is a UDP datagram or a
    TCP segment that neither opens nor closes.
    """
    size = len(raw)
    if size >= IPV4_HEADER_BYTES + UDP_HEADER_BYTES and raw[0] == _IPV4_WITHOUT_OPTIONS:
        length, fragment, hops, protocol = _FROM_LENGTH_V4.unpack_from(raw, 2)
        at, key = IPV4_HEADER_BYTES, raw[9:10] + raw[12:24]
        whole = length == size and not fragment & _IPV4_FRAGMENT
    elif size >= IPV6_HEADER_BYTES + UDP_HEADER_BYTES and raw[0] >> 4 == _IPV6:
        length, protocol, hops = _FROM_LENGTH_V6.unpack_from(raw, 4)
        at, key = IPV6_HEADER_BYTES, raw[6:7] + raw[8:44]
        whole = length + IPV6_HEADER_BYTES == size
    else:
        return None
    if not whole or hops <= LAST_HOP:
        return None
    if protocol == TCP:
        plain = _is_segment(raw, at) and not raw[at + 13] & (SYN | FIN | RST)
    else:
        plain = protocol == UDP and _is_datagram(raw, at)
    return key if plain else None


def read(raw: bytes) -> Packet | None:
    """Read a packet; None when it is malformed or a fragment."""
    ip = _read_ip(raw)
    if ip is None or ip.length != len(raw):
        return None
    at = ip.payload_at
    if not _is_sound(raw, ip.protocol, at):
        return None
    kind = _kind(ip, raw)
    flags = raw[at + 13] if kind is Kind.TCP else 0
    return Packet(raw, ip.version, kind, _flow(ip, kind, raw), ip.hops, at, flags)


def read_quote(error: Packet) -> Quote | None:
    """Return what an ICMP error is about; None when that is no TCP, UDP or ICMP echo."""
    at = error.payload_at + ICMP_HEADER_BYTES
    quoted = error.raw[at:]
    ip = _read_ip(quoted)
    if ip is None or ip.version != error.version or len(quoted) < ip.payload_at + _QUOTED_BYTES:
        return None
    kind = _kind(ip, quoted)
    if kind in (Kind.ERROR, Kind.OPAQUE):
        return None
    return Quote(_flow(ip, kind, quoted), at, ip.payload_at)


@functools.lru_cache(maxsize=4096)
def is_routable(address: bytes) -> bool:
    """Whether a router forwards from and to an address: one host's, and not of one link only.

    Sources: RFC 1812 §5.3.7, 3927 §2.7, 4291 §2.5.
    """
    ip = ipaddress.ip_address(address)
    never = (ip.is_multicast, ip.is_loopback, ip.is_link_local, ip.is_unspecified)
    return not any(never) and ip != _BROADCAST


def _read_ip(raw: bytes) -> _Ip | None:
    """Read an IP header, behind which anything may be cut off."""
    version = raw[0] >> 4 if raw else 0
    if version == _IPV4 and len(raw) >= IPV4_HEADER_BYTES:
        length, fragment, hops, protocol = _FROM_LENGTH_V4.unpack_from(raw, 2)
        at = (raw[0] & 0x0F) * 4
        if IPV4_HEADER_BYTES <= at <= min(length, len(raw)) and not fragment & _IPV4_FRAGMENT:
            return _Ip(version, protocol, hops, raw[12:16], raw[16:20], at, length)
    elif version == _IPV6 and len(raw) >= IPV6_HEADER_BYTES:
        length, protocol, hops = _FROM_LENGTH_V6.unpack_from(raw, 4)
        length += IPV6_HEADER_BYTES
        return _Ip(version, protocol, hops, raw[8:24], raw[24:40], IPV6_HEADER_BYTES, length)
    return None


def _is_sound(raw: bytes, protocol: int, at: int) -> bool:
    if protocol == TCP:
        return _is_segment(raw, at)
    if protocol == UDP:
        return _is_datagram(raw, at)
    return protocol not in (ICMP, ICMPV6) or len(raw) >= at + ICMP_HEADER_BYTES


def _is_segment(raw: bytes, at: int) -> bool:
    rest = len(raw) - at
    return rest >= TCP_HEADER_BYTES and TCP_HEADER_BYTES <= (raw[at + 12] >> 4) * 4 <= rest


def _is_datagram(raw: bytes, at: int) -> bool:
    rest = len(raw) - at
    return rest >= UDP_HEADER_BYTES and UDP_HEADER_BYTES <= raw[at + 4] << 8 | raw[at + 5] <= rest


def _kind(ip: _Ip, raw: bytes) -> Kind:
    if ip.protocol == TCP:
        return Kind.TCP
    if ip.protocol == UDP:
        return Kind.UDP
    kinds = _ICMP_KINDS.get((ip.version, ip.protocol))
    return Kind.OPAQUE if kinds is None else kinds.get(raw[ip.payload_at], Kind.OPAQUE)


def _flow(ip: _Ip, kind: Kind, raw: bytes) -> Flow:
    at, source, destination = ip.payload_at, _NO_PORT, _NO_PORT
    if kind in (Kind.TCP, Kind.UDP):
        source, destination = raw[at : at + 2], raw[at + 2 : at + 4]
    elif kind is Kind.ECHO_REQUEST:
        source = raw[at + 4 : at + 6]
    elif kind is Kind.ECHO_REPLY:
        destination = raw[at + 4 : at + 6]
    return Flow(ip.protocol, ip.source + source, ip.destination + destination)
