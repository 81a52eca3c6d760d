"""The one opener and the one closer of punching sockets: every option with its reason.

What differs between operating systems lives here and in :mod:`._tcp_info` alone. Linux is tested;
the rest is written from documentation and untested.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

import anyio

from simopen._errors import LocalBindError

from . import _port_state
from ._addresses import socket_address

if TYPE_CHECKING:
    from simopen._endpoints import Endpoint

# A socket that was refused can connect again on Linux and keeps its port, so that there is no
# moment in which nobody owns it. On BSD and macOS it is dead and a new one is bound; so on Windows.
REFUSED_SOCKET_IS_REUSABLE = sys.platform == "linux"

# Bytes. After a crossing Linux scales the window of the peer's SYN-ACK, which is never scaled (RFC
# 7323 §2.2), and so believes in a window of megabytes until the next ACK. Where ten segments, the
# initial congestion window, are more than the true 63 kB, two sides that both write at once
# overrun each other, then each drops the other's acknowledgements as out of window, and the
# connection hangs for good (seen at MTU 9000, 3 of 3; at 1500 ten segments are 14 kB). So ten
# of ours fit; larger frames still travel through segmentation offload.
MAX_SEGMENT = 6000

# Seconds of silence after which the kernel asks whether the peer is there, seconds between two
# questions, and how many unanswered ones end the connection: after a minute. Routers forget idle
# connections, many of them within minutes whatever RFC 5382 §5 says, and a host that has lost its
# power or its network says no goodbye. macOS has a name of its own for the first.
KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

_RESET_ON_CLOSE = struct.pack("@ii" if os.name != "nt" else "@HH", 1, 0)
_CLOSE_NORMALLY = struct.pack("@ii" if os.name != "nt" else "@HH", 0, 0)


def open_punch_socket(family: socket.AddressFamily, local: Endpoint) -> socket.socket:
    """Make a non-blocking TCP socket bound to ``local``, ready to connect.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        local: A numeric endpoint.

    Raises:
        LocalBindError: The endpoint cannot be had, or no socket can (``EMFILE``).
    """
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _bind_error(error, local) from None
    try:
        _set_options(sock, family)
        sock.bind(socket_address(local))
    except OSError as error:
        sock.close()
        raise _bind_error(error, local) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, family: socket.AddressFamily) -> None:
    sock.setblocking(False)
    # A refreshed attempt binds the same port while its predecessor still holds it, and a new
    # punch binds it while an old connection is in TIME_WAIT. REUSEADDR alone allows that and
    # still fails once somebody listens there, who would steal the peer's early SYN.
    if os.name != "nt":  # on Windows it would let anyone hijack the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform not in ("linux", "win32") and hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # BSD asks for both
    if family == socket.AF_INET6:
        # An IPv6 wildcard must not claim the IPv4 port as well: families are punched apart.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Small writes are what direct streams carry; every caller would turn Nagle off.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MAX_SEGMENT)
    # Until the connection is handed over, closing means leaving without a trace: no FIN_WAIT or
    # TIME_WAIT that would occupy our own port pair for the next attempt.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def close(sock: socket.socket) -> None:
    """Close a socket: by a reset before the hand-over, by an ordinary FIN after :func:`keep`.

    Wakes whoever waits on the descriptor first: without that a waiter hangs, and the next socket
    to get the same number finds it busy.
    """
    if sock.fileno() != -1:
        anyio.notify_closing(sock)
        sock.close()


def keep(sock: socket.socket) -> None:
    """Turn a connected punch socket into an ordinary one, whose close is a normal FIN.

    From now on it is kept alive while nothing is said.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_NORMALLY)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _bind_error(error: OSError, local: Endpoint) -> LocalBindError:
    code = error.errno or 0
    state = _port_state.holder(local) if code == errno.EADDRINUSE else None
    return LocalBindError(code, _bind_text(code, local, state), local=local, state=state)


def _bind_text(code: int, local: Endpoint, state: str | None) -> str:
    if code == errno.EADDRINUSE:
        return f"local port {local.port} is taken by {_port_state.describe(state)}"
    if code == errno.EADDRNOTAVAIL:
        return (
            f"{local.host} is not an address of this host: give one that is, or the wildcard "
            f"({'[::]' if ':' in local.host else '0.0.0.0'}:{local.port})"  # noqa: S104 - a text
        )
    if code == errno.EACCES:
        return (
            f"local port {local.port} needs a privilege this process lacks: choose one from 1024 on"
        )
    if code == errno.EMFILE:
        limit = f" ({files:,})" if (files := _file_limit()) else ""
        return (
            f"no more sockets: this process has reached its limit on open files{limit}; a punch "
            "takes one for each lane, and one more for a moment: raise it (ulimit -n)"
        )
    if code == errno.ENFILE:
        return "no more sockets: the whole system has reached its limit on open files"
    return f"{local} cannot be bound: {os.strerror(code)}"


def _file_limit() -> int | None:
    """How many descriptors this process may have, where the system tells."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
