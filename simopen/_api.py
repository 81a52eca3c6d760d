"""The calls: they join the rooms below and decide nothing themselves."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStreamConnectable

from ._diagnosis import name_not_resolved
from ._endpoints import Candidate, EndpointsLike, literal_address, parse_endpoints
from ._errors import NameResolutionError, PeerConnectError, PeerTimeoutError, UsageError
from ._events import OnEvent, PunchFailed
from ._report import PunchReport
from ._telemetry import Telemetry
from .net._addresses import Addresses, UnresolvedError
from .net._executor import Punch, Race
from .net._pairs import resolve_pairs
from .net._stream import PeerStream, TcpStream
from .punch import PunchOptions

_DEFAULTS = PunchOptions()


async def connect_peer(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
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

    **Several ways at once.** One pair of endpoints is enough almost everywhere. Several are raced,
    ``options.lane_delay`` apart. A range of ports races them pair by pair: where a NAT has spoilt
    one (Linux can hold one for two minutes), the next one connects. A list races several addresses
    of the peer from the same port: private ones first, then IPv6, then public IPv4 (in the
    manner of RFC 8305; all names are resolved before the first SYN). The first pair to
    connect is kept, unless a better one is about to: that is waited for, half a second or twice
    the handshake at most. So both sides keep the same one without a message; only where packets
    are lost for that long, or the better path is slower than that, can one of them hold a
    stream that is reset. Give both sides the same addresses and ports, mirrored, and addresses
    of one kind in the same order. No more than 16 pairs are raced. They share
    ``options.syn_rate``; each has a free period of its own.

    Two hosts behind one NAT that sends packets for its public address back inside must not use the
    same port: each would meet itself there, which cannot be told from a peer.

    Args:
        remote: The peer's endpoint as we reach it (its public one, if it is behind a NAT):
            ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``. A range of ports
            (``"host:40000-40003"``) races that many pairs, the first with the first of ``local``
            and so on; a list races several addresses of the peer (see above).
        local: Our endpoint to connect from, with as many ports. A wildcard address (``0.0.0.0``,
            ``::``) lets the kernel choose the source address. Its family decides which addresses
            of a remote name are used, the first of them; a list may have one of each family.
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
    return PeerStream(TcpStream(sock), report)


async def connect_peer_socket(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
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

    remote: EndpointsLike
    local: EndpointsLike
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
    remote: EndpointsLike,
    local: EndpointsLike,
    timeout: float | None,  # noqa: ASYNC109 - as connect_peer
    on_event: OnEvent | None,
    options: PunchOptions | None,
) -> tuple[socket.socket, PunchReport]:
    began = time.monotonic()
    theirs = parse_endpoints(remote, role="remote")
    ours = parse_endpoints(local, role="local")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout must be more than 0 seconds or None, not {timeout!r}")
    announce = Telemetry(on_event)
    punch = Punch(
        Race(await _resolve(ours, theirs, began, timeout, announce)),
        options=options or _DEFAULTS,
        began=began,
        timeout=timeout,
        announce=announce,
    )
    return await punch.run()


async def _resolve(
    ours: tuple[Candidate, ...],
    theirs: tuple[Candidate, ...],
    began: float,
    timeout: float | None,  # noqa: ASYNC109 - as connect_peer
    announce: Telemetry,
) -> tuple[Addresses, ...]:
    names = [each for each, *_ in (*theirs, *ours) if literal_address(each.host) is None]
    if not names:
        return await resolve_pairs(ours, theirs)
    kind: type[PeerConnectError] = PeerTimeoutError
    reason = "no answer from the resolver in the time allowed"
    with anyio.move_on_after(timeout):
        try:
            return await resolve_pairs(ours, theirs)
        except UnresolvedError as error:
            kind, reason = NameResolutionError, str(error)
    local, remote = ours[0][0], theirs[0][0]
    report = PunchReport(local=local, remote=remote, elapsed=time.monotonic() - began)
    diagnosis = name_not_resolved(local, names[0], reason)
    announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
    raise kind(report=report, diagnosis=diagnosis)
