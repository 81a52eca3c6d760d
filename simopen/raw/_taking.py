"""From a handshake to a stream: what acceptor and connector do alike.

The hand-over looks through the raw socket for what has come on its connection meanwhile; packets of
others are put aside for the next turn. After it, what had come is acknowledged, and where the
handshake itself still owes its last ACK, that leaves now: the peer cannot send before its socket
here is there.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager

import anyio
import anyio.to_thread

from simopen.net._stream import TcpStream

from . import _repair
from ._handshake import Action, Handshake, State
from ._segments import Address, Segment, SegmentError, is_sound, parse
from ._wire import Incoming, Wire

MOST_LOOKS = 64  # packets that one hand-over looks through


@asynccontextmanager
async def open_wire(local: Address, quiet: AbstractContextManager[None]) -> AsyncIterator[Wire]:
    """A raw socket with the firewall told of it, and both gone after the block.

    Args:
        local: Our end.
        quiet: One of the firewall's, not entered.

    Raises:
        RawUnavailableError: This process or machine cannot do that; the text says what lacks.
    """
    _repair.check_permitted()
    wire, rules = Wire(local), ExitStack()
    try:
        await anyio.to_thread.run_sync(rules.enter_context, quiet)
        yield wire
    finally:
        wire.close()
        with anyio.CancelScope(shield=True):
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
    aside: deque[Incoming],
    sock: socket.socket | None = None,
) -> TcpStream | None:
    """Make a stream of an established handshake.

    Args:
        handshake: It.
        action: HAND_OVER or ACKNOWLEDGE.
        wire: The raw socket.
        aside: Packets that are to be handled later; others' are put there.
        sock: A socket bound to our end, or None for a new one.

    Returns:
        The stream, or None where the peer has reset the connection already.

    Raises:
        OSError: No socket can be had, or the connection's place is taken.
    """
    given = 0

    def more() -> bytes | None:
        nonlocal given
        _collect(handshake, wire, aside)
        if handshake.state is not State.ESTABLISHED:
            return None
        data = handshake.data[given:]
        given += len(data)
        return data

    done = _repair.hand_over(handshake.connection(time.monotonic()), more, sock)
    if done is None:
        return None
    now = time.monotonic()
    if action is Action.ACKNOWLEDGE or given:
        wire.send(handshake.flow, handshake.segment(Action.SEND_ACK, now))
    return TcpStream(done)


def _collect(handshake: Handshake, wire: Wire, aside: deque[Incoming]) -> None:
    waiting = list(aside)
    aside.clear()
    while len(waiting) < MOST_LOOKS and (incoming := wire.receive()) is not None:
        waiting.append(incoming)
    for incoming in waiting:
        if incoming.flow != handshake.flow:
            aside.append(incoming)
        elif (segment := read_segment(incoming)) is not None:
            handshake.receive(segment, time.monotonic())
