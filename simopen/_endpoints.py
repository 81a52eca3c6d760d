"""Endpoints as people write them: ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``.

A range of ports (``"host:40000-40003"``) stands for that many endpoints of one host, and a list
for several addresses of one host. Pure: text in, :class:`Endpoint` out, nothing resolved. What
cannot be an endpoint of a punched connection (no port, a multicast address, an unspecified remote)
is refused here, before anything is sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from ._errors import UsageError

MAX_PORT = 65535  # RFC 9293 §3.1: 16 bits
ZONE = re.compile(r"[\w.:-]{1,15}", re.ASCII)  # Linux: IFNAMSIZ less its terminator
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
IPV4 = 4  # as ipaddress numbers the versions
MAX_HOST_LENGTH = 253  # characters; RFC 1035 §2.3.4 as text
# RFC 1918, RFC 6598 (shared by a carrier's customers), RFC 4193. ipaddress's own word also covers
# the ranges of documentation and benchmarks, which a test network may use as public ones.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


class Endpoint(NamedTuple):
    """One end of a connection.

    >>> print(simopen.Endpoint("2001:db8::1", 40000))
    [2001:db8::1]:40000

    Attributes:
        host: A host name, an IPv4 address, or an IPv6 address without brackets
            (with ``%zone`` where it is link-local).
        port: 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """The form that :func:`parse_endpoints` reads back."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Candidate: TypeAlias = tuple[Endpoint, ...]
"""One host's endpoints: one for each of its ports, in order."""

EndpointLike: TypeAlias = str | tuple[str, int]
EndpointsLike: TypeAlias = EndpointLike | Sequence[EndpointLike]
IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_endpoints(
    value: EndpointsLike, *, role: str, any_port: bool = False
) -> tuple[Candidate, ...]:
    """Read one endpoint or several, each with one port or a range of them.

    Args:
        value: ``"host:port"``, ``"host:first-last"``, ``"[v6]:port"``, ``(host, port)``, or a
            sequence of these.
        role: What it is for (``"remote"``, ``"local"``); named in errors.
        any_port: Whether port 0 is one, for any free one.

    Returns:
        One tuple of endpoints for each host named, one endpoint for each of its ports.

    Raises:
        UsageError: It is not that, or a port is not 1 to 65535.
    """
    candidates = tuple(_candidate(each, role, any_port=any_port) for each in _each(value))
    if not candidates:
        raise UsageError(f"{role} is an empty list: give at least one endpoint")
    return candidates


def parse_listener(value: EndpointLike, *, role: str) -> Endpoint:
    """Read an endpoint to listen on, whose port may be 0: any free one.

    Args:
        value: ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``.
        role: What it is for; named in errors.

    Raises:
        UsageError: It is not that.
    """
    if isinstance(value, str):
        host, first, last = _split(value, role)
    else:
        host, first = _pair(value, role)
        last = first
    if first != last or not 0 <= first <= MAX_PORT:
        raise UsageError(f"{role} {value!r}: give one port, 0 to {MAX_PORT}")
    return Endpoint(_checked_host(host, role), first)


@lru_cache(maxsize=256)  # a program that punches a lot names the same hosts again and again
def numeric_address(host: str) -> IPAddress:
    """The IP address that ``host`` spells; ``ValueError`` where it is a name."""
    return ipaddress.ip_address(host)


def literal_address(host: str) -> IPAddress | None:
    """The IP address that ``host`` spells, or None where it is a name."""
    try:
        return numeric_address(host)
    except ValueError:
        return None


def is_private(address: IPAddress) -> bool:
    """Whether an address means something within one network only."""
    return address.is_loopback or address.is_link_local or any(address in net for net in _PRIVATE)


def check_one_host(endpoint: Endpoint, address: IPAddress, *, role: str) -> None:
    """Refuse an address that is not one host.

    Args:
        endpoint: The endpoint as given, for the error's text.
        address: What it stands for.
        role: ``"remote"``, ``"endpoint"`` for both in one, or ``"local"``, which may be a
            wildcard.

    Raises:
        UsageError: The address is unspecified (unless local), multicast or broadcast, or it is
            link-local without a zone.
    """
    kind = (
        "unspecified"
        if address.is_unspecified and role != "local"
        else "multicast"
        if address.is_multicast
        else "broadcast"
        if address == ipaddress.IPv4Address("255.255.255.255")
        else None
    )
    if kind:
        raise UsageError(
            f"{role} {endpoint} has the {kind} address {address}: give the address of one host"
        )
    zone = isinstance(address, ipaddress.IPv6Address) and address.scope_id
    if address.version != IPV4 and address.is_link_local and not zone:
        raise UsageError(
            f"{role} {endpoint} is link-local: name the interface, as in [{address}%eth0]"
        )


def _each(value: object) -> Sequence[object]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if isinstance(value, tuple) and any(isinstance(each, int) for each in value):
        is_list = False  # a host with its port
    return value if is_list else [value]  # type: ignore[return-value]  # told apart above


def _candidate(value: object, role: str, *, any_port: bool) -> Candidate:
    if isinstance(value, str):
        host, first, last = _split(value, role)
    else:
        host, first = _pair(value, role)
        last = first
    if not (1 <= first <= last <= MAX_PORT or (any_port and first == last == 0)):
        raise UsageError(_unusable_ports(first, last, role))
    host = _checked_host(host, role)
    return tuple(Endpoint(host, port) for port in range(first, last + 1))


def _unusable_ports(first: int, last: int, role: str) -> str:
    if first > last:
        return f"{role} ports {first}-{last} run backwards: write {last}-{first}"
    wrong = first if first < 1 else last
    return f"{role} port {wrong} is not usable: both sides must know it, so give 1 to {MAX_PORT}"


def _split(text: str, role: str) -> tuple[str, int, int]:
    host, colon, ports = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise UsageError(f'{role} {text!r} is not an endpoint: write "host:port" or "[v6]:port"')
    match = PORTS.fullmatch(ports)
    if match is None:
        raise UsageError(f"{role} {text!r} has no port number after its last colon")
    first, last = match.groups()
    return (host[1:-1] if bracketed else host), int(first), int(last or first)


def _pair(value: object, role: str) -> tuple[str, int]:
    match value:
        case (str(host), int(port)) if not isinstance(port, bool):
            return host, port
        case _:
            raise UsageError(
                f'{role} {value!r} is not an endpoint: give "host:port" or (host, port)'
            )


def _checked_host(host: str, role: str) -> str:
    address = literal_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)  # ::ffff:1.2.3.4 is an IPv4 host, and is punched as one
    if address is not None:
        _check_zone(host, role)
        return str(address)
    if not host or len(host) > MAX_HOST_LENGTH or not host.isprintable() or set(host) & set(" :[]"):
        raise UsageError(f"{role} host {host!r} is neither an address nor a name")
    return host


def _check_zone(host: str, role: str) -> None:
    _, percent, zone = host.partition("%")
    if percent and not ZONE.fullmatch(zone):
        raise UsageError(f"{role} host {host!r} has a zone that is no interface name")
