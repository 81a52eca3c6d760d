"""Recognises a packet that comes out of a kernel's router as one that went in.

A router rewrites addresses, ports, the hop limit and checksums. It leaves the rest: length, IPv4
identification, and of the transport's header what follows the ports. That is what a packet is known
by; one that is not known is the router's own. Only for captures: nothing else hangs on it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

_REMEMBERED = 4096  # packets; passing one takes a router microseconds

_IPV4_FIXED = slice(2, 6)  # total length and identification
_IPV6_FIXED = slice(4, 6)  # payload length
_IPV6_HEADER_BYTES = 40
_TCP_FIXED = slice(4, 16)  # sequence numbers, offset, flags, window
_OTHER_FIXED = slice(8, 24)  # behind a UDP header or an ICMP error's first words


class Recognition:
    """Remembers the serial numbers of packets inside one router.

    Args:
        new_serial: Gives a number to a packet that is the router's own.
    """

    def __init__(self, new_serial: Callable[[], int]) -> None:
        self._new_serial = new_serial
        self._serials: dict[bytes, int] = {}

    def enter(self, packet: bytes, serial: int) -> None:
        """Note a packet on its way into the router."""
        if len(self._serials) >= _REMEMBERED:
            del self._serials[next(iter(self._serials))]
        self._serials[_mark(packet)] = serial

    def leave(self, packet: bytes) -> int:
        """Return the number of a packet that has come out."""
        serial = self._serials.get(_mark(packet))
        return self._new_serial() if serial is None else serial


def _mark(packet: bytes) -> bytes:
    """Return what a router leaves of a packet."""
    if packet[:1] and packet[0] >> 4 == 4:  # noqa: PLR2004  # the protocol's own number
        header_bytes = (packet[0] & 0x0F) * 4
        protocol, fixed = packet[9:10], packet[_IPV4_FIXED]
    else:
        header_bytes = _IPV6_HEADER_BYTES
        protocol, fixed = packet[6:7], packet[_IPV6_FIXED]
    transport = packet[header_bytes : header_bytes + 24]
    is_tcp = protocol == bytes([socket.IPPROTO_TCP])
    return protocol + fixed + transport[_TCP_FIXED if is_tcp else _OTHER_FIXED]
