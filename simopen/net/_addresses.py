"""Names to addresses, off the event loop, and the source address that a remote will see."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from simopen._endpoints import IPV4, Endpoint, check_one_host, literal_address, numeric_address
from simopen._errors import SelfConnectionError, UsageError

if TYPE_CHECKING:
    from simopen._endpoints import IPAddress


class Addresses(NamedTuple):
    """The two numeric ends of a punch.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        local: What to bind; may have a wildcard address.
        remote: What to connect to.
        source: ``local`` with the address the kernel will really send from.
    """

    family: socket.AddressFamily
    local: Endpoint
    remote: Endpoint
    source: Endpoint


class UnresolvedError(Exception):
    """A name has no address of the family asked for; its text says why."""


async def resolve(local: Endpoint, remote: Endpoint) -> Addresses:
    """Resolve both ends to one family: that of ``local``.

    Raises:
        UsageError: The two literal addresses are of different families, the remote is no single
            host, or a local name does not resolve.
        SelfConnectionError: Both ends are the same socket address.
        UnresolvedError: The remote name does not resolve.
    """
    _check_families(local, remote)
    try:
        family, bound = await first_address(local, socket.AF_UNSPEC)
    except UnresolvedError as error:
        raise UsageError(f"local {local} does not resolve: {error}") from None
    found, target = await first_address(remote, family)
    if found != family:
        raise UsageError(f"local {local} and remote {remote} are of different families")
    check_one_host(local, numeric_address(bound.host), role="local")
    check_one_host(remote, numeric_address(target.host), role="remote")
    return numeric_pair(family, bound, target)


async def resolve_own(end: Endpoint) -> tuple[socket.AddressFamily, Endpoint]:
    """Resolve an endpoint of this host that is both ends of one connection.

    Raises:
        UsageError: It does not resolve, or is no single host.
    """
    try:
        family, found = await first_address(end, socket.AF_UNSPEC)
    except UnresolvedError as error:
        raise UsageError(f"endpoint {end} does not resolve: {error}") from None
    check_one_host(end, numeric_address(found.host), role="endpoint")
    return family, found


async def first_address(
    endpoint: Endpoint, family: socket.AddressFamily
) -> tuple[socket.AddressFamily, Endpoint]:
    """A name's first address, or a literal one as it is.

    A literal one is not looked up: uvloop's ``getaddrinfo`` loses its zone.

    Raises:
        UnresolvedError: The name has none.
        UsageError: This host has no interface of the zone's name.
    """
    if (literal := literal_address(endpoint.host)) is not None:
        found = socket.AF_INET if literal.version == IPV4 else socket.AF_INET6
        return found, Endpoint(_with_numeric_zone(endpoint), endpoint.port)
    try:
        answers = await anyio.getaddrinfo(
            endpoint.host, endpoint.port, family=family, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnresolvedError(reason or "unknown host") from None
    if not answers:
        raise UnresolvedError("the name has no address")
    answer_family, _, _, _, address = answers[0]
    return answer_family, Endpoint(str(address[0]), endpoint.port)


def numeric_pair(family: socket.AddressFamily, local: Endpoint, remote: Endpoint) -> Addresses:
    """The ends of a punch between numeric endpoints of one family.

    Raises:
        SelfConnectionError: Both are the same socket address.
    """
    source = Endpoint(_source_host(family, local, remote), local.port)
    if source == remote:
        raise SelfConnectionError(
            f"local {local} and remote {remote} are the same socket address, {remote}: "
            "a socket would connect to itself; give the peer's address or another port"
        )
    return Addresses(family, local, remote, source)


def endpoint_of(address: tuple[Any, ...]) -> Endpoint:
    """A socket address as an endpoint; a link-local one keeps its zone in the host."""
    host, port, *rest = address
    if len(rest) == 2 and rest[1]:  # noqa: PLR2004 - flow label and scope id of sockaddr_in6
        return Endpoint(f"{host.partition('%')[0]}%{rest[1]}", port)
    return Endpoint(host, port)


def socket_address(endpoint: Endpoint) -> tuple[Any, ...]:
    """A numeric endpoint as Python's sockets take it: the zone of a link-local one stands apart.

    Python reads a zone in the host too, and then puts the tuple's, 0 where there is none, over it.

    Raises:
        OSError: This host has no interface of the zone's name.
    """
    host, _, zone = endpoint.host.partition("%")
    if not zone:
        return host, endpoint.port
    return host, endpoint.port, 0, int(zone) if zone.isdigit() else socket.if_nametoindex(zone)


def _check_families(local: Endpoint, remote: Endpoint) -> None:
    ours, theirs = literal_address(local.host), literal_address(remote.host)
    if ours is not None and theirs is not None and ours.version != theirs.version:
        wildcard = "0.0.0.0" if theirs.version == IPV4 else "[::]"  # noqa: S104
        raise UsageError(
            f"local {local} is IPv{ours.version} and remote {remote} is IPv{theirs.version}: "
            f'use one family, for example local="{wildcard}:{local.port}"'
        )


def _source_host(family: socket.AddressFamily, bound: Endpoint, target: Endpoint) -> str:
    """The address the kernel would send from; connecting a UDP socket asks it without a packet."""
    if not _without_zone(bound.host).is_unspecified:
        return bound.host
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(socket_address(target))
            return endpoint_of(probe.getsockname()).host
    except OSError:
        return bound.host  # no route or no descriptor now; the punch itself will say so


def _with_numeric_zone(endpoint: Endpoint) -> str:
    """The host with its zone as the kernel tells it, so that equal addresses are equal text."""
    host, percent, zone = endpoint.host.partition("%")
    if not percent or zone.isdigit():
        return endpoint.host
    try:
        return f"{host}%{socket.if_nametoindex(zone)}"
    except OSError:
        raise UsageError(f"{endpoint}: this host has no interface {zone!r}") from None


def _without_zone(host: str) -> IPAddress:
    return numeric_address(host.partition("%")[0])
