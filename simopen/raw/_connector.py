"""Connecting by a handshake of our own.

Theory of operation. The local port is taken first, by the very socket that will have the
connection; then the firewall is told of the two endpoints, and the SYN goes out on the raw socket.
On the SYN-ACK the kernel gets the connection, and only then the ACK leaves: nothing of the peer's
can come before its socket is there. A SYN of the peer that crosses ours is answered as RFC 9293
§3.5 has it; then the handshake ends with an acknowledgement of the peer's, and the hand-over is an
acceptor's.

Invariant: what was opened is closed before the call ends, but for the socket that it returns.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections import deque

import anyio
import anyio.lowlevel

from simopen._endpoints import EndpointLike
from simopen._errors import SelfConnectionError, UsageError
from simopen.net._sockets import close
from simopen.net._stream import TcpStream

from . import _firewall, _repair
from ._errors import RawConnectError, RawTimeoutError
from ._half_open import numbers
from ._handshake import Action, Handshake
from ._host import OfferMaker, source_of
from ._resolving import bind_error, endpoint_of, local_address, remote_address
from ._segments import Address, Flow, Segment
from ._taking import open_wire, read_segment, take_over
from ._wire import Incoming, Wire


async def connect(
    remote: EndpointLike,
    *,
    local: EndpointLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - as in connect_peer
) -> TcpStream:
    """Connect by a handshake of our own; the peer is any TCP that listens, or crosses.

    Needs Linux, nft, CAP_NET_RAW and CAP_NET_ADMIN.

    Args:
        remote: Whom to connect to: ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``.
        local: The endpoint to connect from; any free port if None.
        timeout: Seconds for all of it; without it the SYN is sent seven times, and the call gives
            up after 127 s.

    Returns:
        The stream over an ordinary kernel socket.

    Raises:
        RawUnavailableError: This process or machine cannot do that; the text says what lacks.
        LocalBindError: ``local`` is not to be had.
        RawTimeoutError: Nobody answered in time.
        RawConnectError: The peer refuses, or there is no way to it.
        UsageError: The endpoints or the timeout cannot be used.
        SelfConnectionError: Both are the same.
    """
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout must be more than 0 seconds or None, not {timeout!r}")
    began = time.monotonic()
    ours = None if local is None else await local_address(local)
    theirs = await remote_address(remote, ours)
    flow, sock = _take_port(ours, theirs)
    try:
        async with open_wire(flow.local, _firewall.quiet_flow(flow)) as wire:
            return await _connect(flow, wire, sock, began, timeout)
    except BaseException:
        close(sock)
        raise


def _take_port(local: Address | None, remote: Address) -> tuple[Flow, socket.socket]:
    """The two ends with a socket bound to ours."""
    try:
        source = source_of(remote)
    except OSError as error:
        ends = [endpoint_of(each or Address(bytes(4), 0)) for each in (local, remote)]
        raise RawConnectError(
            f"there is no way to {ends[1]}: {error.strerror}", local=ends[0], remote=ends[1]
        ) from None
    if local is None:
        local = source
    elif not any(local.packed):
        local = source._replace(port=local.port)
    if local == remote:
        raise SelfConnectionError(f"local and remote are the same socket address, {remote}")
    try:
        sock = _repair.open_socket(local)
    except OSError as error:
        raise bind_error(error, local) from None
    return Flow(local._replace(port=sock.getsockname()[1]), remote), sock


async def _connect(
    flow: Flow, wire: Wire, sock: socket.socket, began: float, allowed: float | None
) -> TcpStream:
    """The handshake itself, within so many seconds since the call began."""
    now = time.monotonic()
    give_up_at = math.inf if allowed is None else began + allowed
    handshake = Handshake(
        flow, OfferMaker().offer(flow.remote), numbers(flow, os.urandom(16), now), passive=False
    )
    wire.expect({flow.remote.port})
    wire.send(flow, handshake.segment(handshake.start(now), now))
    while True:
        incoming, segment = await _next(wire, flow, min(handshake.next_deadline(), give_up_at))
        now = time.monotonic()
        if incoming is None or segment is None:
            if now >= give_up_at:
                raise _failure(flow, f"did not answer within {allowed} s", RawTimeoutError)
            action = handshake.tick(now)
        else:
            action = handshake.receive(segment, now)
            if action in (Action.ACKNOWLEDGE, Action.HAND_OVER):
                aside: deque[Incoming] = deque(maxlen=1)  # nobody looks at others' packets
                return take_over(handshake, action, wire, last=incoming, aside=aside, sock=sock)
        if action is Action.END:
            raise (
                _failure(flow, "did not answer", RawTimeoutError)
                if segment is None
                else _failure(flow, "refuses the connection")
            )
        if action is not Action.IGNORE:
            wire.send(flow, handshake.segment(action, now, segment))


async def _next(
    wire: Wire, flow: Flow, deadline: float
) -> tuple[Incoming, Segment] | tuple[None, None]:
    """The next segment of a connection with its packet, or nothing at the deadline."""
    while True:
        await anyio.lowlevel.checkpoint()
        incoming = wire.receive()
        left = deadline - time.monotonic()
        if incoming is not None:
            if incoming.flow == flow and (segment := read_segment(incoming)) is not None:
                return incoming, segment
        elif left <= 0:
            return None, None
        else:
            with anyio.move_on_after(left):
                await wire.wait()


def _failure(
    flow: Flow, what: str, kind: type[RawConnectError] = RawConnectError
) -> RawConnectError:
    remote = endpoint_of(flow.remote)
    return kind(f"{remote} {what}", local=endpoint_of(flow.local), remote=remote)
