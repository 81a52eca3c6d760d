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
JOINED      it carries a seat                                        idle
ATTACHED    it shows the seat's endpoint of another family           idle
PROBED      it has shown an endpoint to the second port              idle
ENDED       hung up (final)                                          none
==========  =======================================================  ========================

``TRANSITIONS`` gives the next state for every message that has a place; pings and pongs have
theirs in every state before the last. Any other message is answered with ``unexpected``.

Invariants
==========

- Nothing comes out after a :class:`Hangup`.
- Only complete messages count as signs of life, and the time of the handshake is never extended:
  a slow drip of bytes buys nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ._limits import CoordinatorLimits
from ._messages import (
    Attach,
    CoordinatorMessage,
    Join,
    Leave,
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
    JOINED = enum.auto()
    ATTACHED = enum.auto()
    PROBED = enum.auto()
    ENDED = enum.auto()


TRANSITIONS: Mapping[tuple[ServerState, type[Asked]], ServerState] = MappingProxyType({
    (ServerState.NEW, Join): ServerState.JOINED,
    (ServerState.NEW, Attach): ServerState.ATTACHED,
    (ServerState.NEW, Probe): ServerState.PROBED,
    (ServerState.JOINED, Settled): ServerState.JOINED,
    (ServerState.JOINED, Result): ServerState.JOINED,
    (ServerState.JOINED, Leave): ServerState.JOINED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """Give this to the rooms."""

    message: Asked


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this on the connection."""

    message: CoordinatorMessage


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection when what was to be sent has left; then tell the rooms it is lost."""


Step: TypeAlias = Request | Reply | Hangup


class ServerConnection:
    """One accepted connection.

    Do the steps that each call returns, in order.

    Attributes:
        state: Where the conversation is.
        round_trip: Seconds to the client and back, the least that its pongs showed; None where
            it has not been measured.
    """

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
        raise NotImplementedError

    def start(self, now: float) -> list[Step]:
        """Begin; call it once, first."""
        raise NotImplementedError

    def receive(self, data: bytes, now: float) -> list[Step]:
        """Take what arrived."""
        raise NotImplementedError

    def tick(self, now: float) -> list[Step]:
        """Do what the time asks for."""
        raise NotImplementedError

    def end(self) -> None:
        """Note that the connection is closed, or is about to be by the rooms' word."""
        raise NotImplementedError

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        raise NotImplementedError
