"""The client's end of one connection: bytes in, events out, bytes to send.

Theory of operation
===================

A connection is opened with one message, a join, an attach or a probe, and has one conversation.
A new round has a new join on a new connection. The coordinator is believed nothing that could do
harm: its numbers are bounded, its delay is clamped, at most one introduction a join is taken.

States
======

============  =========================================================  ====================
state         meaning                                                    deadline
============  =========================================================  ====================
JOINING       the join is on its way                                     for the welcome
WAITING       welcome; the peer is still to come                         ping, silence
INTRODUCED    the peer is known                                          ping, silence
ATTACHING     the attach is on its way                                   for the welcome
ATTACHED      the endpoint is known to the coordinator                   ping, silence
PROBING       the probe is on its way                                    for its answer
ENDED         over (final)                                               none
============  =========================================================  ====================

``CLIENT_TRANSITIONS`` gives the next state for every message that has a place. A message that has
none raises :class:`WireError`, as malformed bytes do, and the conversation is over. Pings and
pongs have their place in every state before the last; what comes after that is not read.

Invariants
==========

- Exactly one event ends a conversation that the coordinator ends: Rejected, Failed, Dismissed,
  Probed or Lost; or WireError was raised.
- A ping leaves after every ``PING_LONGEST`` seconds, or half of what the welcome allows.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ._messages import (
    Bye,
    Code,
    CoordinatorMessage,
    Error,
    Introduce,
    Opening,
    Outcome,
    Probed,
    Reject,
    Verdict,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class ClientState(enum.Enum):
    """Where the conversation is."""

    JOINING = enum.auto()
    WAITING = enum.auto()
    INTRODUCED = enum.auto()
    ATTACHING = enum.auto()
    ATTACHED = enum.auto()
    PROBING = enum.auto()
    ENDED = enum.auto()


CLIENT_TRANSITIONS: Mapping[tuple[ClientState, type[CoordinatorMessage]], ClientState]
CLIENT_TRANSITIONS = MappingProxyType({
    (ClientState.JOINING, Welcome): ClientState.WAITING,
    (ClientState.JOINING, Reject): ClientState.ENDED,
    (ClientState.JOINING, Error): ClientState.ENDED,
    (ClientState.JOINING, Bye): ClientState.ENDED,
    (ClientState.WAITING, Introduce): ClientState.INTRODUCED,
    (ClientState.WAITING, Reject): ClientState.ENDED,
    (ClientState.WAITING, Error): ClientState.ENDED,
    (ClientState.WAITING, Bye): ClientState.ENDED,
    (ClientState.INTRODUCED, Error): ClientState.ENDED,
    (ClientState.INTRODUCED, Bye): ClientState.ENDED,
    (ClientState.ATTACHING, Welcome): ClientState.ATTACHED,
    (ClientState.ATTACHING, Reject): ClientState.ENDED,
    (ClientState.ATTACHING, Error): ClientState.ENDED,
    (ClientState.ATTACHING, Bye): ClientState.ENDED,
    (ClientState.ATTACHED, Error): ClientState.ENDED,
    (ClientState.ATTACHED, Bye): ClientState.ENDED,
    (ClientState.PROBING, Probed): ClientState.ENDED,
    (ClientState.PROBING, Reject): ClientState.ENDED,
    (ClientState.PROBING, Error): ClientState.ENDED,
    (ClientState.PROBING, Bye): ClientState.ENDED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The coordinator has taken us in.

    Attributes:
        observed: Where it sees us, as ``"host:port"``.
        probe_ports: Its ports that take probes.
    """

    observed: str
    probe_ports: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Introduced:
    """The peer is there.

    Attributes:
        round: The introduction's, for the handshake and for :meth:`ClientConversation.result`.
        delay: Seconds from ``at`` to the first SYN; 0 to ``LONGEST_DELAY``.
        at: When the introduction arrived, on the caller's clock.
        observed: The peer's endpoints as ``"host:port"``, in the coordinator's word.
        offer: The peer's sealed offer.
        mapping: The verdict on our own NAT.
        peer_mapping: The verdict on the peer's.
    """

    round: int
    delay: float
    at: float
    observed: tuple[str, ...]
    offer: bytes
    mapping: Verdict
    peer_mapping: Verdict


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """The second port has seen us (ends the conversation).

    Attributes:
        observed: Where it sees us, as ``"host:port"``.
    """

    observed: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """What we asked for cannot be had (ends the conversation).

    Attributes:
        code: Why.
        message: The coordinator's words, printable.
    """

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The coordinator ends this connection for an error (ends the conversation).

    Attributes:
        code: Why.
        message: The coordinator's words, printable.
    """

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The coordinator is stopping in order; come back later (ends the conversation)."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The coordinator has closed without a word, or is silent (ends the conversation).

    Attributes:
        silent: Whether it is silence.
    """

    silent: bool


ClientEvent: TypeAlias = (
    Welcomed | Introduced | ProbeAnswered | Rejected | Failed | Dismissed | Lost
)


class ClientConversation:
    """One connection to a coordinator.

    After every call send what :meth:`data_to_send` returns.

    Attributes:
        state: Where the conversation is.
    """

    def __init__(self, opening: Opening, *, now: float) -> None:
        """Open the conversation of a connection that is established.

        Args:
            opening: The first message.
            now: Seconds on the caller's monotonic clock, here and in every method.
        """
        raise NotImplementedError

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty when there are none."""
        raise NotImplementedError

    def receive(self, data: bytes, now: float) -> list[ClientEvent]:
        """Take what arrived; empty bytes for the end of the stream.

        Raises:
            WireError: The other end is no coordinator; the conversation has ended.
        """
        raise NotImplementedError

    def tick(self, now: float) -> list[ClientEvent]:
        """Do what the time asks for: ping, or give up a silent coordinator."""
        raise NotImplementedError

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        raise NotImplementedError

    def settle(self) -> None:
        """Say that no more families will be attached. Nothing is sent once it has ended."""
        raise NotImplementedError

    def result(self, outcome: Outcome, *, elapsed: float) -> None:
        """Report how the introduction's round ended. Nothing is sent once it has ended.

        Args:
            outcome: What became of it.
            elapsed: Seconds from the introduction.

        Raises:
            LookupError: There was no introduction.
        """
        raise NotImplementedError

    def leave(self) -> None:
        """Give up the seat and end the conversation."""
        raise NotImplementedError
