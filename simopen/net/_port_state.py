"""Who holds a local port: read from ``/proc/net/tcp`` and ``tcp6``, for the words of an error.

A best effort for people: where the files are missing (other systems, a locked-down container)
nothing is known, and the error says so.
"""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ._tcp_info import TcpState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simopen._endpoints import Endpoint

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

# Most telling first: what an error should name when several sockets share the port.
_ORDER = (TcpState.LISTEN, TcpState.ESTABLISHED, TcpState.SYN_SENT)


class SocketRow(NamedTuple):
    """One line of the kernel's table."""

    local: tuple[str, int]
    remote: tuple[str, int]
    state: TcpState


def holder(local: Endpoint) -> str | None:
    """The TCP state of a socket on that port (``"LISTEN"``, …); None if the system shows none."""
    found = set(states(local))
    for state in _ORDER:
        if state in found:
            return state.name
    return min(found).name if found else None


def states(local: Endpoint) -> list[TcpState]:
    """The state of each socket on that port, at that address or at a wildcard."""
    return [
        row.state
        for row in _rows()
        if row.local[1] == local.port and _overlaps(row.local[0], local.host)
    ]


def pair_state(local: Endpoint, remote: Endpoint) -> str | None:
    """The TCP state of the socket with exactly these endpoints, if there is one."""
    for row in _rows():
        if row.local == tuple(local) and row.remote == tuple(remote):
            return row.state.name
    return None


def describe(state: str | None) -> str:
    """What holds a port, in words, with what to do about it."""
    match state:
        case "LISTEN":
            return (
                "a listening socket (LISTEN): stop that server or choose another port; "
                "a punch cannot share its port with a listener"
            )
        case None:
            return (
                "another program that has bound it without connecting (the system shows no TCP "
                "state for it): choose another port"
            )
        case _:
            return f"another socket in state {state}: close it or choose another port"


def _overlaps(held: str, wanted: str) -> bool:
    wildcards = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
    return held == wanted or held in wildcards or wanted in wildcards


def _rows() -> Iterator[SocketRow]:
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, remote, state, *_ = line.split()
            yield SocketRow(_address(local), _address(remote), TcpState(int(state, 16)))


def _address(text: str) -> tuple[str, int]:
    """``0100007F:9C40`` is 127.0.0.1:40000: 32-bit words in host order, the port plain."""
    host, _, port = text.partition(":")
    words = [int(host[i : i + 8], 16) for i in range(0, len(host), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))), int(port, 16)
