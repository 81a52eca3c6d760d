"""Raw packets rewritten: translated, sent one hop on, with checksums corrected.

Theory of operation
-------------------
A `Translation` holds everything about one flow in one direction that can be computed beforehand, so
that a packet costs one copy and two corrections.

Checksums are never computed anew but corrected by the difference (RFC 1624), so that a damaged
packet stays damaged. One's complement sums are sums modulo 0xFFFF, which makes of RFC 1624's
equation 3 HC' = (HC - difference) mod 0xFFFF; that has no negative zero. A UDP checksum of zero is
none and stays so, and none becomes zero (RFC 768).

Only IPv4 is ever translated. Nothing here checks what it is given: that is `headers`' work.
"""

from __future__ import annotations

import struct

from simopen.lab.wire.headers import ICMP, UDP, Flow, Packet, Quote

_IPV6 = 6
_ONES = 0xFFFF  # one's complement arithmetic of 16 bits counts modulo this
_HOP = 0x0100  # one hop, seen from the word of the IPv4 header that it is in

_HOPS_TO_CHECKSUM = struct.Struct("!BBH")  # from byte 8 of IPv4: hops, protocol, checksum
_HOPS_TO_ADDRESSES = struct.Struct("!BBH8s")  # the same, and both addresses
_WORD = struct.Struct("!H")


class Translation:
    """Makes packets of one IPv4 flow into packets of another.

    Args:
        before: Whose they are.
        after: Whose they shall be; one endpoint differs, or both.
    """

    __slots__ = (
        "_addresses",
        "_addresses_difference",
        "_checksum_at",
        "_difference",
        "_is_udp",
        "_ports",
        "_ports_at",
    )

    def __init__(self, before: Flow, after: Flow) -> None:
        self._is_udp = before.protocol == UDP
        self._addresses = after.addresses
        self._addresses_difference = _difference(before.addresses, after.addresses)
        if before.protocol == ICMP:  # an echo: no pseudo header, one identifier at one end
            self._ports = max(after.source[-2:], after.destination[-2:])
            was = max(before.source[-2:], before.destination[-2:])
            self._ports_at, self._checksum_at = 4, 2
            self._difference = _difference(was, self._ports)
        else:
            self._ports = after.ports
            self._ports_at, self._checksum_at = 0, 6 if self._is_udp else 16
            self._difference = self._addresses_difference + _difference(before.ports, after.ports)

    def apply(self, raw: bytes, at: int, hops: int = 1) -> bytes:
        """Return the packet translated.

        Args:
            raw: A packet of the flow; behind the first 8 bytes of its payload it may be cut off.
            at: Offset of its payload, in bytes.
            hops: How many hops that costs it.
        """
        left, protocol, checksum = _HOPS_TO_CHECKSUM.unpack_from(raw, 8)
        checksum = (checksum - self._addresses_difference + hops * _HOP) % _ONES
        out = bytearray(raw)
        _HOPS_TO_ADDRESSES.pack_into(out, 8, left - hops, protocol, checksum, self._addresses)
        ports_at = at + self._ports_at
        out[ports_at : ports_at + len(self._ports)] = self._ports
        at += self._checksum_at
        if at + 2 <= len(out):
            old = out[at] << 8 | out[at + 1]
            if old or not self._is_udp:  # a UDP checksum of zero is none
                new = (old - self._difference) % _ONES
                _WORD.pack_into(out, at, _ONES if self._is_udp and not new else new)
        return bytes(out)


def one_hop_on(raw: bytes, _at: int = 0) -> bytes:
    """Return a packet as a router forwards it that translates nothing."""
    if raw[0] >> 4 == _IPV6:
        return raw[:7] + bytes((raw[7] - 1,)) + raw[8:]
    hops, protocol, checksum = _HOPS_TO_CHECKSUM.unpack_from(raw, 8)
    checksum = (checksum + _HOP) % _ONES
    return raw[:8] + _HOPS_TO_CHECKSUM.pack(hops - 1, protocol, checksum) + raw[12:]


def translate_error(error: Packet, quote: Quote, about: Flow, outer: Flow) -> bytes:
    """Return an ICMP error over IPv4, one hop on, whose quote and addresses are translated.

    Args:
        error: The error.
        quote: What it quotes.
        about: Whose the quoted packet shall be.
        outer: From and to whose addresses the error shall be; ports do not matter.
    """
    quoted = error.raw[quote.at :]
    translated = Translation(quote.flow, about).apply(quoted, quote.payload_at, hops=0)
    at = error.payload_at
    (checksum,) = _WORD.unpack_from(error.raw, at + 2)
    checksum = (checksum - _difference(quoted, translated)) % _ONES
    header = one_hop_on(error.raw[:at])
    (ip_checksum,) = _WORD.unpack_from(header, 10)
    ip_checksum = (ip_checksum - _difference(error.flow.addresses, outer.addresses)) % _ONES
    header = header[:10] + _WORD.pack(ip_checksum) + outer.addresses + header[20:]
    return (
        header
        + error.raw[at : at + 2]
        + _WORD.pack(checksum)
        + error.raw[at + 4 : quote.at]
        + translated
    )


def checksum_of(data: bytes) -> int:
    """Return the Internet checksum of data whose own checksum field is zero (RFC 1071)."""
    return -_sum(data) % _ONES if any(data) else _ONES


def _difference(before: bytes, after: bytes) -> int:
    return _sum(after) - _sum(before)


def _sum(data: bytes) -> int:
    """Return the sum of the 16-bit words modulo 0xFFFF, by which 2 ** 16 is 1."""
    return int.from_bytes(data + bytes(len(data) & 1), "big") % _ONES
