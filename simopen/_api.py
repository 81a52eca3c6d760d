"""The calls: they join the rooms below and decide nothing themselves."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStreamConnectable

from ._diagnosis import name_not_resolved
from ._endpoints import Endpoint, EndpointLike, literal_address, parse_endpoint
from ._errors import NameResolutionError, PeerConnectError, PeerTimeoutError, UsageError
from ._events import OnEvent, PunchFailed
from ._report import PunchReport
from ._telemetry import Telemetry
from .net._addresses import Addresses, UnresolvedError, resolve
from .net._executor import Punch
from .net._stream import PeerStream
from .punch import PunchOptions


async def connect_peer(
    remote: EndpointLike,
    *,
    local: EndpointLike,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
) -> PeerStream:
    """Connect to a peer that connects to us at the same time; nobody listens.

    Run the mirror image on the other host: its ``local`` is our ``remote`` and the other way
    round. Both sides send SYNs from their fixed ports until two of them cross, and the kernel
    makes one ordinary TCP connection of that (simultaneous open, RFC 9293 §3.5).

    The stream is plain TCP: not encrypted, and whoever holds the remote address and port can be at
    the other end. Success means that the kernel shows the connection established without an
    error; a reset that is still on its way is not known yet, and shows as a
    ``BrokenResourceError`` on the stream.

    Args:
        remote: The peer's endpoint as we reach it (its public one, if it is behind a NAT):
            ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``.
        local: Our endpoint to connect from. A wildcard address (``0.0.0.0``, ``::``) lets the
            kernel choose the source address. Its family decides which addresses of a
            remote name are used; the first one is.
        timeout: Seconds for everything from resolving to the connected stream; None waits for the
            peer for ever (at no more than ``options.syn_rate`` SYNs a second).
        on_event: Called with every :class:`simopen.Event`, inline; an exception in it ends the
            call and propagates.
        options: The engine's numbers; the defaults are measured.

    Returns:
        The connected stream; ``stream.report`` says how it was opened.

    Raises:
        UsageError: An argument cannot be used (a ``ValueError``). Nothing was sent.
        SelfConnectionError: Both endpoints are the same socket address.
        LocalBindError: The local endpoint cannot be had (an ``OSError``).
        NameResolutionError: The remote name has no usable address.
        PeerTimeoutError: The SYNs did not meet in time (a ``TimeoutError``).
        PeerConnectError: Nothing could be sent at all; the base of the two above. Its
            ``.diagnosis`` says what was tried, what came back and what to change.
    """
    sock, report = await _punch(remote, local, timeout, on_event, options)
    return PeerStream(sock, report)


async def connect_peer_socket(
    remote: EndpointLike,
    *,
    local: EndpointLike,
    timeout: float | None = None,  # noqa: ASYNC109 - as connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
) -> socket.socket:
    """Connect as :func:`connect_peer` does and return the bare socket.

    For what wants a socket of its own: :func:`asyncio.open_connection` (``sock=``),
    ``trio.socket.from_stdlib_socket``, :mod:`ssl`. The socket is non-blocking, ``TCP_NODELAY`` is
    set, and it is the caller's to close.

    Args:
        remote: As for :func:`connect_peer`.
        local: As for :func:`connect_peer`.
        timeout: As for :func:`connect_peer`.
        on_event: As for :func:`connect_peer`; ``punch.connected`` carries the report.
        options: As for :func:`connect_peer`.

    Returns:
        The connected socket.

    Raises:
        SimopenError: As :func:`connect_peer`.
    """
    sock, _ = await _punch(remote, local, timeout, on_event, options)
    return sock


@dataclass(frozen=True, kw_only=True)
class PeerConnectable(ByteStreamConnectable):
    """A peer as anyio's ``ByteStreamConnectable``: each ``connect()`` is a new punch.

    Anything that takes a connectable takes a peer.

    Attributes:
        remote: As for :func:`connect_peer`.
        local: As for :func:`connect_peer`.
        timeout: As for :func:`connect_peer`, for each ``connect()``.
        on_event: As for :func:`connect_peer`.
        options: As for :func:`connect_peer`.
    """

    remote: EndpointLike
    local: EndpointLike
    timeout: float | None = None
    on_event: OnEvent | None = None
    options: PunchOptions | None = None

    async def connect(self) -> PeerStream:
        """Punch, as :func:`connect_peer`; not reaching the peer is ``anyio.ConnectionFailed``."""
        return await connect_peer(
            self.remote,
            local=self.local,
            timeout=self.timeout,
            on_event=self.on_event,
            options=self.options,
        )


async def _punch(
    remote: EndpointLike,
    local: EndpointLike,
    timeout: float | None,  # noqa: ASYNC109 - as connect_peer
    on_event: OnEvent | None,
    options: PunchOptions | None,
) -> tuple[socket.socket, PunchReport]:
    began = time.monotonic()
    target = parse_endpoint(remote, role="remote")
    source = parse_endpoint(local, role="local")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout must be more than 0 seconds or None, not {timeout!r}")
    announce = Telemetry(on_event)
    addresses = await _resolve(source, target, began, timeout, announce)
    punch = Punch(
        addresses,
        options=options or PunchOptions(),
        began=began,
        timeout=timeout,
        announce=announce,
    )
    return await punch.run()


async def _resolve(
    local: Endpoint,
    remote: Endpoint,
    began: float,
    timeout: float | None,  # noqa: ASYNC109 - as connect_peer
    announce: Telemetry,
) -> Addresses:
    kind: type[PeerConnectError] = PeerTimeoutError
    reason = "no answer from the resolver in the time allowed"
    with anyio.move_on_after(timeout):
        try:
            return await resolve(local, remote)
        except UnresolvedError as error:
            kind, reason = NameResolutionError, str(error)
    report = PunchReport(local=local, remote=remote, elapsed=time.monotonic() - began)
    slow = local if literal_address(remote.host) else remote
    diagnosis = name_not_resolved(local, slow, reason)
    announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
    raise kind(report=report, diagnosis=diagnosis)
