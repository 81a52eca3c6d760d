"""One plain connect, traced: to whoever listens there, or to the socket itself.

It tells a tracing what the engine would tell, so that both are traced alike.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import anyio

from simopen._endpoints import Endpoint
from simopen._errors import UsageError
from simopen._events import PunchAttempt, PunchConnected, PunchRefused, PunchStarted
from simopen._report import PunchReport
from simopen.net import _sockets
from simopen.net._addresses import UnresolvedError, endpoint_of, first_address, socket_address
from simopen.net._errno import refusal_reason

from ._tracing import Tracing

if TYPE_CHECKING:
    from simopen.trace._trace import HandshakeTrace


async def dial(
    remote: Endpoint, trace: HandshakeTrace, *, from_itself: bool = False
) -> socket.socket:
    """Connect once, as any program does; the trace is filled whatever comes of it.

    Args:
        remote: Where to.
        trace: Filled.
        from_itself: Bind to ``remote`` first: the socket then connects to itself.

    Returns:
        The connected, non-blocking socket, the caller's to close.

    Raises:
        UsageError: The name does not resolve.
        OSError: There is no connection.
    """
    tracing = Tracing(trace, at_a_peer=False)
    family, address = await _resolve(remote)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if from_itself:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        else:
            sock.bind(_source(family, address))
        await _connect(sock, address, tracing)
    except BaseException:
        tracing.end()
        _sockets.close(sock)
        raise
    tracing.end(sock)
    return sock


async def _connect(sock: socket.socket, address: tuple[Any, ...], tracing: Tracing) -> None:
    began = time.monotonic()
    local, remote = endpoint_of(sock.getsockname()), endpoint_of(address)
    tracing(
        PunchStarted(at=0.0, local=local, remote=remote, lanes=((local, remote),), timeout=None)
    )
    code = sock.connect_ex(address)
    tracing(PunchAttempt(at=0.0, lane=0, number=1))
    if code == errno.EINPROGRESS:
        await anyio.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    at = time.monotonic() - began
    if code:
        reason = refusal_reason(code)
        tracing(PunchRefused(at=at, lane=0, number=1, reason=reason, after=at))
        raise OSError(code, os.strerror(code))
    report = PunchReport(local=local, remote=remote, attempts=1, elapsed=at)
    tracing(PunchConnected(at=at, report=report))


async def _resolve(remote: Endpoint) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    try:
        family, found = await first_address(remote, socket.AF_UNSPEC)
    except UnresolvedError as error:
        raise UsageError(f"{remote} does not resolve: {error}") from None
    return family, socket_address(found)


def _source(family: socket.AddressFamily, address: tuple[Any, ...]) -> tuple[Any, ...]:
    """What to bind, for any port: connecting a UDP socket asks the kernel, without a packet."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        return socket_address(endpoint_of(probe.getsockname())._replace(port=0))
