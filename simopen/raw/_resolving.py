"""Endpoints as the caller writes them, and addresses as packets have them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from simopen._endpoints import (
    Endpoint,
    EndpointLike,
    check_one_host,
    numeric_address,
    parse_endpoints,
    parse_listener,
)
from simopen._errors import LocalBindError, UsageError
from simopen.net import _port_state
from simopen.net._addresses import UnresolvedError, first_address, socket_address

from ._segments import Address
from ._wire import family_of, sockaddr


async def local_address(endpoint: EndpointLike) -> Address:
    """Our end; its address may be the wildcard, and its port 0.

    Raises:
        UsageError: It is no endpoint, or no address of one host.
    """
    return await _resolve(parse_listener(endpoint, role="local"), "local", socket.AF_UNSPEC)


async def remote_address(endpoint: EndpointLike, local: Address | None) -> Address:
    """The other end, of the family of ours if that is given.

    Raises:
        UsageError: It is no endpoint, or no address of one host, or of another family.
    """
    ((found, *more), *others) = parse_endpoints(endpoint, role="remote")
    if more or others:
        raise UsageError(f"remote {endpoint!r}: give one port")
    family = socket.AF_UNSPEC if local is None else family_of(local)
    return await _resolve(found, "remote", family)


def endpoint_of(address: Address) -> Endpoint:
    """An address as people read it."""
    host = str(sockaddr(address)[0])
    return Endpoint(f"{host}%{address.zone}" if address.zone else host, address.port)


def bind_error(error: OSError, local: Address) -> LocalBindError:
    """Why our end is not to be had."""
    endpoint, code = endpoint_of(local), error.errno or 0
    state = _port_state.holder(endpoint) if code == errno.EADDRINUSE else None
    held = f"is held by another socket ({state or 'bound'})" if code == errno.EADDRINUSE else None
    text = f"{endpoint} {held or f'cannot be bound: {os.strerror(code)}'}"
    return LocalBindError(code, text, local=endpoint, state=state)


async def _resolve(endpoint: Endpoint, role: str, family: socket.AddressFamily) -> Address:
    try:
        found_family, found = await first_address(endpoint, family)
    except UnresolvedError as error:
        raise UsageError(f"{role} {endpoint} does not resolve: {error}") from None
    if family not in (socket.AF_UNSPEC, found_family):
        raise UsageError(f"{role} {endpoint} is of another version of IP than the other end")
    check_one_host(endpoint, numeric_address(found.host), role=role)
    host, port, *rest = socket_address(found)
    return Address(ipaddress.ip_address(host).packed, port, rest[1] if rest else 0)
