"""ICMP errors: what the kernel keeps of them for a socket, and what they mean. Pure.

With ``IP_RECVERR`` set, Linux puts an ICMP error that ends a SYN_SENT into the socket's error
queue, as a ``struct sock_extended_err`` with the sender's address after it (ip(7)).
"""

from __future__ import annotations

import ipaddress
import struct
from types import MappingProxyType
from typing import TYPE_CHECKING

from ._facts import IcmpError

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTENDED = struct.Struct("=IBBBBII")  # errno, origin, type, code, padding, info, data
_VERSIONS = {2: 4, 3: 6}  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_SENDERS = {4: slice(4, 8), 6: slice(8, 24)}  # the address in sockaddr_in, sockaddr_in6

# RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3.1: by version of IP, type and code.
NAMES: Mapping[tuple[int, int, int], str] = MappingProxyType({
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 6): "network unknown",
    (4, 3, 7): "host unknown",
    (4, 3, 9): "network prohibited",
    (4, 3, 10): "host prohibited",
    (4, 3, 13): "administratively prohibited",
    (4, 11, 0): "time to live exceeded",
    (6, 1, 0): "no route",
    (6, 1, 1): "administratively prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 1, 5): "source address failed policy",
    (6, 1, 6): "route rejected",
    (6, 3, 0): "hop limit exceeded",
})  # fmt: skip

# What a filter says of a SYN that nobody there has asked for. It lets the same SYN in once its own
# side has sent one; from a router without a way to the host that does not help.
FROM_A_FILTER = frozenset({
    *((4, 3, code) for code in (2, 3, 9, 10, 13)),
    *((6, 1, code) for code in (1, 4)),
})  # fmt: skip


def parse_extended_error(data: bytes) -> IcmpError | None:
    """What a control message of ``IP_RECVERR`` or ``IPV6_RECVERR`` tells; None for no ICMP error.

    Args:
        data: The control message's data.
    """
    if len(data) < _EXTENDED.size:
        return None
    _, origin, kind, code, _, _, _ = _EXTENDED.unpack_from(data)
    if (version := _VERSIONS.get(origin)) is None:
        return None
    sender = data[_EXTENDED.size :][_SENDERS[version]]
    whole = len(sender) == (4 if version == 4 else 16)  # noqa: PLR2004 - bytes of an address
    known = whole and any(sender)
    host = str(ipaddress.ip_address(sender)) if known else ""
    return IcmpError(version=version, type=kind, code=code, sender=host)


def describe(error: IcmpError) -> str:
    """An ICMP error in words, with its numbers."""
    name = NAMES.get((error.version, error.type, error.code), "an error")
    protocol = "ICMP" if error.version == 4 else "ICMPv6"  # noqa: PLR2004 - the version of IP
    return f"{name}, {protocol} {error.type}/{error.code}"


def is_from_a_filter(error: IcmpError) -> bool:
    """Whether a firewall says so that may let the same packet in later."""
    return (error.version, error.type, error.code) in FROM_A_FILTER
