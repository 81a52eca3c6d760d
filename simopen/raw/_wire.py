"""The raw socket: segments in and out, beside the kernel's own TCP.

What arrives is a copy of what the kernel's TCP gets, after the host's firewall: a packet that is
dropped on its way in is not seen here either. What leaves has the source address that the caller
names. The two versions of IP differ: on IPv4 a packet comes with its IP header, on IPv6 the address
it came to is in an ancillary message.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection
from typing import NamedTuple

import anyio

from simopen.net._sockets import close

from . import _filter
from ._errors import lacking
from ._segments import Address, Flow, Segment, build, with_checksum

SO_MARK = 36  # asm-generic/socket.h
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
IP_PKTINFO = 8  # linux/in.h
MARK = 0x51301  # on what we send, so that our firewall rule can tell it from the kernel's
LARGEST = 65_535  # bytes of one packet
_HOPS = 64
_IPV4_LENGTH = 4
_PACKET_INFO_V6 = struct.Struct("=16sI")


class Incoming(NamedTuple):
    """A TCP packet that came in.

    Attributes:
        flow: Between whom, seen from here.
        data: The segment.
    """

    flow: Flow
    data: bytes


class Wire:
    """One raw socket for one local port.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
    """

    def __init__(self, local: Address) -> None:
        """Open it; it passes on SYNs to our port.

        Args:
            local: Our end; its address may be the wildcard.

        Raises:
            RawUnavailableError: CAP_NET_RAW or CAP_NET_ADMIN lacks.
        """
        self._local = local
        self._filtered = False
        self._peers: frozenset[int] | None = None
        self.family: socket.AddressFamily = family_of(local)
        try:
            self._sock = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        except PermissionError:
            raise lacking("CAP_NET_RAW") from None
        try:
            # Packets are sent on this one with their IP header.
            self._replaying = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        except BaseException:
            self._sock.close()
            raise
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        self._sock.setblocking(False)
        self._replaying.setblocking(False)
        # First nothing, so that no packet of before the filter is in the buffer.
        attach_filter(self._sock, _filter.DROP_ALL)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        except PermissionError:
            raise lacking("CAP_NET_ADMIN") from None
        if self.family == socket.AF_INET6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._sock.bind(sockaddr(self._local, port=0))
        self.expect(())

    def expect(self, peers: Collection[int] | None) -> None:
        """Pass on SYNs, and of other segments those from some ports.

        Args:
            peers: Ports of peers, few (``MOST_PORTS``); None for all.
        """
        wanted = None if peers is None else frozenset(peers)
        if not self._filtered or wanted != self._peers:
            attach_filter(self._sock, _filter.program(self._local, wanted))
            self._filtered, self._peers = True, wanted

    async def wait(self) -> None:
        """Wait until something has come."""
        await anyio.wait_readable(self._sock)

    def receive(self) -> Incoming | None:
        """The next packet, or None."""
        try:
            data, ancillary, _, sender = self._sock.recvmsg(LARGEST, socket.CMSG_SPACE(20))
        except OSError:  # nothing there, or an ICMP error, which kills no handshake (RFC 5927)
            return None
        if self.family == socket.AF_INET:
            return _read_ipv4(data)
        zone, packed = sender[3], socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
        return _read_ipv6(data, Address(packed, 0, zone), ancillary)

    def send(self, flow: Flow, segment: Segment) -> None:
        """Send a segment; whatever hinders that counts as a loss on the way."""
        data = build(segment, flow.local.packed, flow.remote.packed)
        if self.family == socket.AF_INET:
            source = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4x", 0, flow.local.packed))
        else:
            info = _PACKET_INFO_V6.pack(flow.local.packed, flow.remote.zone)
            source = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)
        try:
            self._sock.sendmsg([data], [source], 0, sockaddr(flow.remote, port=0))
        except OSError:
            return

    def replay(self, incoming: Incoming) -> None:
        """Have the kernel get a packet once more; whatever hinders that counts as a loss.

        Args:
            incoming: The packet; its checksum may have been left for a network card.
        """
        source, target = incoming.flow.remote.packed, incoming.flow.local.packed
        data = with_checksum(incoming.data, source, target)
        if self.family == socket.AF_INET:
            head = struct.pack("!BxHxxxxBBxx", 0x45, 20 + len(data), _HOPS, socket.IPPROTO_TCP)
        else:
            head = struct.pack("!IHBB", 6 << 28, len(data), socket.IPPROTO_TCP, _HOPS)
        try:
            self._replaying.sendto(
                head + source + target + data, sockaddr(incoming.flow.local._replace(port=0))
            )
        except OSError:
            return

    def close(self) -> None:
        """Close it, and wake who waits."""
        self._replaying.close()
        close(self._sock)


def family_of(address: Address) -> socket.AddressFamily:
    """``AF_INET`` or ``AF_INET6``."""
    return socket.AF_INET if len(address.packed) == _IPV4_LENGTH else socket.AF_INET6


def sockaddr(address: Address, *, port: int | None = None) -> tuple[str | int, ...]:
    """An address as Python's sockets take it; with another port if one is given."""
    host = socket.inet_ntop(family_of(address), address.packed)
    number = address.port if port is None else port
    if len(address.packed) == _IPV4_LENGTH:
        return host, number
    return host, number, 0, address.zone


def attach_filter(sock: socket.socket, instructions: list[_filter.Instruction]) -> None:
    """Give a socket a filter in place of the one it has."""
    packed = _filter.pack(instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    fprog = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def _read_ipv4(data: bytes) -> Incoming | None:
    begin = (data[0] & 0x0F) * 4
    segment = data[begin:]
    if len(segment) < _PORTS_BYTES:
        return None
    return _incoming(Address(data[12:16], 0), Address(data[16:20], 0), segment)


def _read_ipv6(
    data: bytes, remote: Address, ancillary: list[tuple[int, int, bytes]]
) -> Incoming | None:
    for level, kind, info in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            local, _ = _PACKET_INFO_V6.unpack(info)
            if len(data) >= _PORTS_BYTES:
                return _incoming(remote, Address(local, 0, remote.zone), data)
    return None


def _incoming(remote: Address, local: Address, segment: bytes) -> Incoming:
    source, destination = _PORTS.unpack_from(segment)
    return Incoming(Flow(local._replace(port=destination), remote._replace(port=source)), segment)


_PORTS = struct.Struct("!HH")
_PORTS_BYTES = _PORTS.size
