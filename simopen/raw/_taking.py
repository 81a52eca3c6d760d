"""From a handshake to a stream: what acceptor and connector do alike.

Theory of operation
===================

A peer may send with its acknowledgement or right behind it, data and even its FIN or a reset. What
comes before the kernel has the connection's socket, only the raw socket sees. So as soon as that
socket is there, the packet that has completed the handshake and all that waits behind it are
*replayed*: sent once more, as they were, from us to ourselves. The kernel takes them for the
peer's and does what TCP does: it puts data in order, acknowledges, closes, resets. What it had seen
by itself already is a duplicate to it, so that nothing can be lost in between and nothing be
counted twice.

Others' packets are put aside for the next turn.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager

import anyio
import anyio.to_thread

from simopen.net._stream import TcpStream

from . import _repair
from ._errors import refusals_told
from ._handshake import Action, Handshake
from ._segments import Address, Segment, SegmentError, is_sound, parse
from ._wire import Incoming, Wire

MOST_LOOKS = 256  # packets that one hand-over looks through; a first window is some ten


@asynccontextmanager
async def open_wire(local: Address, quiet: AbstractContextManager[None]) -> AsyncIterator[Wire]:
    """A raw socket with the firewall told of it, and both gone after the block.

    Args:
        local: Our end.
        quiet: One of the firewall's, not entered.

    Raises:
        RawUnavailableError: This process or machine cannot do that; the text says what lacks.
    """
    with refusals_told():
        _repair.check_permitted()
        wire, rules = Wire(local), ExitStack()
    try:
        with refusals_told():
            await anyio.to_thread.run_sync(rules.enter_context, quiet)
        yield wire
    finally:
        wire.close()
        with anyio.CancelScope(shield=True), refusals_told():
            await anyio.to_thread.run_sync(rules.close)


def read_segment(incoming: Incoming) -> Segment | None:
    """The segment of a packet; None if it is none, damaged, or from no host but ourselves."""
    flow = incoming.flow
    if flow.local == flow.remote or not flow.remote.port:
        return None
    try:
        segment = parse(incoming.data)
    except SegmentError:
        return None
    sound = is_sound(incoming.data, flow.remote.packed, flow.local.packed)
    return segment if sound else None


def take_over(
    handshake: Handshake,
    action: Action,
    wire: Wire,
    *,
    last: Incoming,
    aside: deque[Incoming],
    sock: socket.socket | None = None,
) -> TcpStream:
    """Make a stream of an established handshake.

    Args:
        handshake: It.
        action: HAND_OVER or ACKNOWLEDGE.
        wire: The raw socket.
        last: The packet that has completed it.
        aside: Packets that are to be handled later; others' are put there.
        sock: A socket bound to our end, or None for a new one.

    Raises:
        OSError: No socket can be had, or the connection's place is taken.
    """
    sock = _repair.hand_over(handshake.connection(time.monotonic()), sock)
    if action is Action.ACKNOWLEDGE:
        wire.send(handshake.flow, handshake.segment(Action.SEND_ACK, time.monotonic()))
    mine = [] if action is Action.ACKNOWLEDGE else [last]  # not a SYN-ACK
    others: list[Incoming] = []
    for incoming in _waiting(wire, aside):
        (mine if incoming.flow == handshake.flow else others).append(incoming)
    aside.extend(others)
    for incoming in mine:
        wire.replay(incoming)
    return TcpStream(sock)


def _waiting(wire: Wire, aside: deque[Incoming]) -> Iterator[Incoming]:
    """What has come and was not handled."""
    while aside:
        yield aside.popleft()
    for _ in range(MOST_LOOKS):
        if (incoming := wire.receive()) is None:
            return
        yield incoming
