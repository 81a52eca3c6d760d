"""Listening sockets: bound, accepted from, and never the end of the coordinator.

Theory of operation. One task accepts from each listening socket and hands every connection on
without waiting for what becomes of it. When the process or the system has no descriptor left the
connection stays in the backlog, which the kernel shows as readable without end; so accepting pauses
for a moment instead of spinning, and goes on when others have closed.

Invariant: only cancellation, or the loss of the listening socket itself, ends
:func:`accept_forever`.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from simopen._endpoints import Endpoint
from simopen._errors import LocalBindError
from simopen.net._addresses import endpoint_of
from simopen.net._sockets import close

from ._log import COMPLAINT_INTERVAL, Throttle, log
from ._transport import set_options

BACKLOG = 4096  # connections; what a herd of clients that comes back at once needs (or somaxconn)
BATCH = 64  # connections accepted before other tasks have a turn
PAUSE = 0.1  # seconds without accepting where there is no descriptor to be had

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LISTENER_LOST = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
_ADVICE = {
    errno.EADDRINUSE: ": stop what listens there, or choose another port",
    errno.EADDRNOTAVAIL: ": this host does not have it; 0.0.0.0 and [::] are all that it has",
    errno.EACCES: ": choose a port of 1024 or above",
}

OnConnection = Callable[[socket.socket, Endpoint], None]


async def listen(endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    """Listen on every address of every endpoint.

    Raises:
        LocalBindError: One of them cannot be had; none is left open.
    """
    found: list[socket.socket] = []
    try:
        for endpoint in endpoints:
            found += [_listener(family, endpoint, to) for family, to in await _resolve(endpoint)]
    except BaseException:
        for sock in found:
            sock.close()
        raise
    return found


async def accept_forever(listener: socket.socket, on_connection: OnConnection) -> None:
    """Accept until cancelled.

    Args:
        listener: A listening socket, non-blocking.
        on_connection: Takes each connection, which is its to close, and the client's endpoint.
            Where it raises ``OSError`` the connection is closed and no more comes of it.
    """
    complaints = Throttle(COMPLAINT_INTERVAL)
    while True:
        await anyio.wait_readable(listener)
        try:
            for _ in range(BATCH):
                _accept(listener, on_connection)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _LISTENER_LOST:
                raise
            if error.errno in _EXHAUSTED:
                if complaints.allows(error.errno, anyio.current_time()):
                    log.error("accept.exhausted", reason=os.strerror(error.errno), pause=PAUSE)
                await anyio.sleep(PAUSE)
            # else the network's: the client had gone before it was accepted (accept(2))


def _accept(listener: socket.socket, on_connection: OnConnection) -> None:
    sock, address = listener.accept()
    try:
        on_connection(sock, endpoint_of(address))
    except BaseException as error:
        close(sock)
        if not isinstance(error, OSError):  # that is a client which has gone already
            raise


async def _resolve(endpoint: Endpoint) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    try:
        answers = await anyio.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        code = error.errno or 0
        raise LocalBindError(
            code, f"{endpoint} is no address of this host: {error.strerror}", local=endpoint
        ) from None
    return [(family, address) for family, _, _, _, address in answers]


def _listener(
    family: socket.AddressFamily, endpoint: Endpoint, address: tuple[Any, ...]
) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _bind_error(error, endpoint) from None
    try:
        sock.setblocking(False)
        if os.name != "nt":  # there it would let anyone take the port over
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # families are observed apart
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_options(sock)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _bind_error(error, endpoint) from None
    return sock


def _bind_error(error: OSError, endpoint: Endpoint) -> LocalBindError:
    code = error.errno or 0
    text = f"cannot listen on {endpoint}: {os.strerror(code)}{_ADVICE.get(code, '')}"
    return LocalBindError(code, text, local=endpoint)
