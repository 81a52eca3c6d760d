"""PROXY protocol, version 2: who a load balancer says the client is.

Theory of operation. A load balancer ends the client's connection and opens its own to us; before
the client's bytes it writes one binary header with the client's address. The header has a fixed
part of :data:`FIXED` bytes, which tells how long the rest is; so exactly the header is read from
the socket, and the next byte is the client's.

Whoever can reach a listener that believes these headers can claim any address: such a listener
must be reachable by its load balancers alone.

Invariants: bytes in, :class:`Header` out, or :class:`ProxyError`; nothing else is raised, and no
header makes us read more than :data:`LONGEST_REST` bytes.

Specification: "The PROXY protocol, Versions 1 & 2", section 2.2.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from simopen._endpoints import Endpoint

FIXED = 16  # bytes: signature, version and command, family and transport, length of the rest
LONGEST_REST = 2048  # bytes; addresses take 36, and what follows them (TLVs) a few hundred

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION = 2
_LOCAL, _PROXY = 0, 1  # commands: the balancer's own health check, and a client's connection
_UNSPECIFIED = 0x00
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # TCP over IPv4, over IPv6


class ProxyError(Exception):
    """The bytes are no PROXY header that we can use; the text says why."""


class Header(NamedTuple):
    """The fixed part, read.

    Attributes:
        is_local: The load balancer speaks for itself; the connection's own address counts.
        family: Family and transport, as numbered by the protocol.
        rest: Bytes that follow the fixed part.
    """

    is_local: bool
    family: int
    rest: int


def parse_fixed(data: bytes) -> Header:
    """Read the first :data:`FIXED` bytes.

    Raises:
        ProxyError: They are not of version 2, or announce something we do not take.
    """
    if len(data) != FIXED or not data.startswith(_SIGNATURE):
        raise ProxyError("no PROXY header of version 2")
    version, command = divmod(data[12], 16)
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise ProxyError("a version or command that PROXY version 2 does not have")
    rest = int.from_bytes(data[14:16], "big")
    if rest > LONGEST_REST:
        raise ProxyError(f"a header of {rest} bytes")
    family = data[13]
    is_local = command == _LOCAL or family == _UNSPECIFIED
    if not is_local and family not in _ADDRESS_BYTES:
        raise ProxyError("a connection that is not TCP over IPv4 or IPv6")
    if not is_local and rest < _addresses_length(family):
        raise ProxyError("a header too short for its addresses")
    return Header(is_local, family, rest)


def parse_client(header: Header, rest: bytes) -> Endpoint | None:
    """Read the client's endpoint from what follows the fixed part.

    Args:
        header: The fixed part.
        rest: Exactly ``header.rest`` bytes.

    Returns:
        The client, or None where the connection's own address counts.

    Raises:
        ProxyError: The bytes are not as many as announced, or the client has no port.
    """
    if len(rest) != header.rest:
        raise ProxyError("a header cut short")
    if header.is_local:
        return None
    size = _ADDRESS_BYTES[header.family]
    port = int.from_bytes(rest[2 * size : 2 * size + 2], "big")
    if not port:
        raise ProxyError("a client without a port")
    return Endpoint(_address_text(rest[:size]), port)


def _address_text(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _addresses_length(family: int) -> int:
    """Bytes of both addresses and both ports."""
    return 2 * _ADDRESS_BYTES[family] + 4
