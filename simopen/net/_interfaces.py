"""The addresses of this host, and one port of it in both families."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import ifaddr

from simopen._endpoints import IPV4, Endpoint, numeric_address
from simopen._errors import LocalBindError

from ._addresses import endpoint_of
from ._sockets import close, open_punch_socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TRIES = 16  # a port that is free in one family is nearly always free in the other
_UNUSABLE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def host_addresses() -> list[str]:
    """The addresses of this host's interfaces, numeric and without zones, in the system's order.

    An interface that is known to be down is left out, such as a bridge without anybody on it. There
    are none where the system does not tell, having no descriptor left.
    """
    found: dict[str, None] = {}
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        return []
    for adapter in adapters:
        if _is_down(adapter.name):
            continue
        for each in adapter.ips:
            host = each.ip if isinstance(each.ip, str) else each.ip[0]
            found[str(numeric_address(host.partition("%")[0]))] = None
    return list(found)


def _is_down(interface: str) -> bool:
    """Whether Linux says so; elsewhere it is not known."""
    try:
        state = Path("/sys/class/net", interface, "operstate").read_text()
    except (OSError, ValueError):
        return False
    return state.strip() == "down"


class Berth:
    """One local port, held in each family by a bound socket until somebody takes it.

    Invariant: every socket is closed by :meth:`close` or belongs to whoever took it.

    Attributes:
        sockets: Those that nobody has taken, by the version of IP.
        port_is_named: Whether it was given, and not left to the system.
        local: What each family is bound to; with the port that the system chose.
    """

    def __init__(self, local: Iterable[Endpoint], *, required: bool) -> None:
        """Bind.

        Args:
            local: One endpoint of each family; their ports are equal, or 0 for any.
            required: Whether every family must be there; else one is enough.

        Raises:
            LocalBindError: The port is taken, or nothing of it is to be had.
        """
        self.sockets: dict[int, socket.socket] = {}
        wanted = list(local)
        self.port_is_named = any(each.port for each in wanted)
        for last in range(TRIES - 1, -1, -1):
            try:
                self._bind(wanted, required=required)
            except LocalBindError as error:
                self.close()
                if not last or error.errno != errno.EADDRINUSE or self.port_is_named:
                    raise
            else:
                break
        self.local: Mapping[int, Endpoint] = {
            version: endpoint_of(sock.getsockname()) for version, sock in self.sockets.items()
        }

    def has_any(self, wanted: Iterable[Endpoint]) -> bool:
        """Whether one of the named ports is that of this berth."""
        ports = {end.port for end in self.local.values()}
        return any(end.port in ports for end in wanted if end.port)

    def take(self, version: int) -> socket.socket:
        """The bound socket of a family, now the caller's to close."""
        return self.sockets.pop(version)

    def close(self) -> None:
        """Close what nobody has taken."""
        while self.sockets:
            close(self.sockets.popitem()[1])

    def _bind(self, wanted: list[Endpoint], *, required: bool) -> None:
        port = 0
        lack: LocalBindError | None = None
        for each in wanted:
            version = numeric_address(each.host.partition("%")[0]).version
            family = socket.AF_INET if version == IPV4 else socket.AF_INET6
            try:
                sock = open_punch_socket(family, each._replace(port=each.port or port))
            except LocalBindError as error:
                if required or error.errno not in _UNUSABLE:
                    raise
                lack = error  # a host without that family
                continue
            self.sockets[version] = sock
            port = sock.getsockname()[1]
        if not self.sockets:
            assert lack is not None  # noqa: S101 - nothing was bound, so something failed
            raise lack
