"""The coordinator's end of one connection: bytes in, requests and replies out.

Theory of operation
===================

A connection proves itself with its first request, within an absolute time. What it asks for is
handed on as a :class:`Request` to the :class:`~simopen.rendezvous.protocol.Rooms`, whose actions
name the connection they are for. What concerns the connection alone is dealt with here: versions,
malformed bytes, messages out of place, rates, pings and idleness. Whatever is wrong is answered
once, with an error and a hang-up; nothing is raised.

Where the kernel cannot tell the round trip to the client (a proxy stands between), the connection
measures it: it pings at once, and holds the first request back until the pong, or for a moment.

States
======

==========  =======================================================  ========================
state       meaning                                                  deadline
==========  =======================================================  ========================
NEW         nothing has been asked yet                               of the handshake
PROBING     likewise, on the second port                             of the handshake
JOINED      it carries a seat                                        idle
ATTACHED    it shows the seat's endpoint of another family           idle
PROBED      it has shown an endpoint to the second port              idle
ENDED       hung up (final)                                          none
==========  =======================================================  ========================

``SERVER_TRANSITIONS`` gives the next state for every message that has a place; pings and pongs have
theirs in every state before the last. Any other message is answered with ``unexpected``.

Invariants
==========

- Nothing comes out after a :class:`Hangup`.
- Only complete messages count as signs of life, and the time of the handshake is never extended:
  a slow drip of bytes buys nothing.
"""

from __future__ import annotations

import enum
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from ._actions import Hit
from ._frames import CLIENT_MESSAGES, FrameReader, WireError
from ._limits import Allowance, CoordinatorLimits, Limit
from ._messages import (
    Attach,
    ClientMessage,
    Code,
    CoordinatorMessage,
    Error,
    Join,
    Leave,
    Ping,
    Pong,
    Probe,
    Result,
    Settled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Asked: TypeAlias = Join | Attach | Probe | Settled | Result | Leave
"""What a client asks of the rooms."""


class ServerState(enum.Enum):
    """Where the conversation is."""

    NEW = enum.auto()
    PROBING = enum.auto()
    JOINED = enum.auto()
    ATTACHED = enum.auto()
    PROBED = enum.auto()
    ENDED = enum.auto()


SERVER_TRANSITIONS: Mapping[tuple[ServerState, type[Asked]], ServerState] = MappingProxyType({
    (ServerState.NEW, Join): ServerState.JOINED,
    (ServerState.NEW, Attach): ServerState.ATTACHED,
    (ServerState.PROBING, Probe): ServerState.PROBED,
    (ServerState.JOINED, Settled): ServerState.JOINED,
    (ServerState.JOINED, Result): ServerState.JOINED,
    (ServerState.JOINED, Leave): ServerState.JOINED,
})  # fmt: skip

_UNPROVEN = (ServerState.NEW, ServerState.PROBING)


class Request(msgspec.Struct, frozen=True):
    """Give this to the rooms."""

    message: Asked


class Reply(msgspec.Struct, frozen=True):
    """Send this on the connection."""

    message: CoordinatorMessage


class Hangup(msgspec.Struct, frozen=True):
    """Close the connection when what was to be sent has left; then tell the rooms it is lost."""


Step: TypeAlias = Request | Reply | Hangup | Hit


class ServerConnection:
    """One accepted connection.

    Do the steps that each call returns, in order.

    Attributes:
        state: Where the conversation is.
        round_trip: Seconds to the client and back, as its pong showed; None where it has not been
            measured.
    """

    __slots__ = (
        "_allowance", "_give_up_at", "_held", "_limits", "_measuring", "_pinged_at", "_reader",
        "_release_at", "round_trip", "state",
    )  # fmt: skip

    def __init__(
        self,
        limits: CoordinatorLimits,
        *,
        now: float,
        probing: bool = False,
        measuring: bool = False,
    ) -> None:
        """Take a connection that has just been accepted.

        Args:
            limits: The coordinator's.
            now: Seconds on the caller's monotonic clock, here and in every method.
            probing: It came in on the second port, which takes probes and nothing else; the
                first takes no probes.
            measuring: Measure the round trip by a ping of our own.
        """
        self.state: ServerState = ServerState.PROBING if probing else ServerState.NEW
        self.round_trip: float | None = None
        self._limits = limits
        self._measuring = measuring
        self._reader = FrameReader(CLIENT_MESSAGES)
        self._allowance = Allowance(rate=limits.message_rate, burst=limits.message_burst, now=now)
        self._give_up_at = now + limits.handshake
        self._pinged_at = now
        self._release_at = now + limits.round_trip_wait if measuring else -math.inf
        self._held: list[Step] = []

    def start(self, now: float) -> list[Step]:
        """Begin to measure, where that is to be done; call it once, first."""
        self._pinged_at = now
        return [Reply(Ping(number=0))] if self._measuring else []

    def receive(self, data: bytes, now: float) -> list[Step]:
        """Take what arrived."""
        if self.state is ServerState.ENDED:
            return []
        steps: list[Step] = []
        try:
            for message in self._reader.feed(data):
                steps += self._take(message, now)
        except WireError as error:
            steps += self._give_up(error.code, str(error), error.limit)
        return steps

    def tick(self, now: float) -> list[Step]:
        """Do what the time asks for."""
        if self.state is ServerState.ENDED:
            return []
        if now < self._give_up_at:
            return self._unmeasured() if now >= self._release_at else []
        if self.state in _UNPROVEN:
            return self._give_up(Code.TIMEOUT, "no request came", Limit.HANDSHAKE)
        return self._give_up(Code.IDLE, "nothing was heard for too long", Limit.IDLE)

    def end(self) -> None:
        """Note that the connection is closed, or is about to be by the rooms' word."""
        self.state = ServerState.ENDED
        self._held.clear()
        self._reader.discard()

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        if self.state is ServerState.ENDED:
            return math.inf
        return min(self._give_up_at, self._release_at) if self._held else self._give_up_at

    def _take(self, message: ClientMessage, now: float) -> list[Step]:
        if not self._allowance.take(now):
            raise WireError("too many messages", Code.RATE, limit=Limit.MESSAGE_RATE)
        steps = self._answer(message, now)
        if self.state not in _UNPROVEN:
            self._give_up_at = now + self._limits.idle
        return steps

    def _answer(self, message: ClientMessage, now: float) -> list[Step]:
        if isinstance(message, Ping):
            return [Reply(Pong(number=message.number))]
        if isinstance(message, Pong):
            return self._measured(now)
        self.state = self._next_state(message)
        self._held.append(Request(message))
        return self._released() if now >= self._release_at else []

    def _next_state(self, message: Asked) -> ServerState:
        state = SERVER_TRANSITIONS.get((self.state, type(message)))
        if state is None:
            raise WireError(f"{message.__struct_config__.tag} has no place here", Code.UNEXPECTED)
        return state

    def _measured(self, now: float) -> list[Step]:
        if not self._measuring:
            return []
        self._measuring = False
        self.round_trip = now - self._pinged_at
        return self._released()

    def _unmeasured(self) -> list[Step]:
        hits: list[Step] = [Hit(Limit.ROUND_TRIP_WAIT)] if self._held else []
        return [*hits, *self._released()]

    def _released(self) -> list[Step]:
        self._release_at = -math.inf
        steps, self._held = self._held, []
        return steps

    def _give_up(self, code: Code, text: str, limit: Limit | None) -> list[Step]:
        self.end()
        hits: list[Step] = [] if limit is None else [Hit(limit)]
        return [*hits, Reply(Error(code=code, message=text)), Hangup()]
