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
- Once welcome, a ping leaves every ``LONGEST_PING_INTERVAL`` seconds, or twice in what the
  welcome allows, if that is shorter; so the coordinator's silence is no mere quiet.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ._frames import COORDINATOR_MESSAGES, FrameReader, WireError, encode_frame
from ._limits import LONGEST_ELAPSED, LONGEST_PING_INTERVAL, WELCOME_TIMEOUT
from ._messages import (
    LARGEST_NUMBER,
    Attach,
    Bye,
    Code,
    CoordinatorMessage,
    Error,
    Introduce,
    Join,
    Leave,
    Opening,
    Outcome,
    Ping,
    Pong,
    Probe,
    Probed,
    Reject,
    Result,
    Settled,
    Verdict,
    Welcome,
)
from ._timing import clamped_delay

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
    (ClientState.ATTACHED, Reject): ClientState.ENDED,
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


_ANSWERED_BY: Mapping[type[Opening], ClientState] = MappingProxyType(
    {
        Join: ClientState.JOINING,
        Attach: ClientState.ATTACHING,
        Probe: ClientState.PROBING,
    }
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
        self.state: ClientState = _ANSWERED_BY[type(opening)]
        self._joining = isinstance(opening, Join)
        self._reader = FrameReader(COORDINATOR_MESSAGES)
        self._out = bytearray(encode_frame(opening))
        self._round: int | None = None
        self._idle = math.inf  # seconds; as the welcome says
        self._pings = 0
        self._ping_at = math.inf
        self._silent_at = now + WELCOME_TIMEOUT

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state is ClientState.ENDED

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty when there are none."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes, now: float) -> list[ClientEvent]:
        """Take what arrived; empty bytes for the end of the stream.

        Raises:
            WireError: The other end is no coordinator; the conversation has ended, and what came
                before in the same bytes is void.
        """
        if self.ended:
            return []
        if not data:
            return self._end(Lost(silent=False))
        events: list[ClientEvent] = []
        try:
            for message in self._reader.feed(data):
                events += self._take(message, now)
                if self.ended:  # what follows a farewell is not read
                    self._reader.discard()
        except WireError:
            self.state = ClientState.ENDED
            self._reader.discard()
            raise
        return events

    def tick(self, now: float) -> list[ClientEvent]:
        """Do what the time asks for: ping, or give up a silent coordinator."""
        if self.ended:
            return []
        if now >= self._silent_at:
            return self._end(Lost(silent=True))
        if now >= self._ping_at:
            self._pings += 1
            self._out += encode_frame(Ping(number=self._pings % LARGEST_NUMBER))
            self._ping_at = now + self._ping_interval()
        return []

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        if self.ended:
            return math.inf
        return min(self._ping_at, self._silent_at)

    def settle(self) -> None:
        """Say that no more families will be attached. Nothing is sent once it has ended."""
        self._say(Settled())

    def result(self, outcome: Outcome, *, elapsed: float) -> None:
        """Report how the introduction's round ended. Nothing is sent once it has ended.

        Args:
            outcome: What became of it.
            elapsed: Seconds from the introduction.

        Raises:
            LookupError: There was no introduction.
        """
        if self._round is None:
            raise LookupError("there was no introduction to report on")
        elapsed = min(max(elapsed, 0.0), LONGEST_ELAPSED)
        self._say(Result(round=self._round, outcome=outcome, elapsed=elapsed))

    def leave(self) -> None:
        """Give up the seat and end the conversation."""
        if self._joining:
            self._say(Leave())
        self.state = ClientState.ENDED

    def _say(self, message: Settled | Result | Leave) -> None:
        if not self._joining:
            raise LookupError("only a connection that has joined can say this")
        if not self.ended:
            self._out += encode_frame(message)

    def _take(self, message: CoordinatorMessage, now: float) -> list[ClientEvent]:
        if self._idle < math.inf:  # before the welcome the deadline is absolute
            self._silent_at = now + self._idle
        match message:
            case Ping():
                self._out += encode_frame(Pong(number=message.number))
                return []
            case Pong():
                return []
        state = CLIENT_TRANSITIONS.get((self.state, type(message)))
        if state is None:
            raise WireError(f"{message.__struct_config__.tag} has no place here", Code.UNEXPECTED)
        self.state = state
        return [self._event(message, now)]

    def _event(self, message: CoordinatorMessage, now: float) -> ClientEvent:
        match message:
            case Welcome():
                self._idle = message.idle
                self._silent_at = now + self._idle
                self._ping_at = now + self._ping_interval()
                return Welcomed(message.observed, message.probe)
            case Introduce():
                self._round = message.round
                return _introduced(message, now)
            case Probed():
                return ProbeAnswered(message.observed)
            case Reject():
                return Rejected(message.code, _printable(message.message))
            case Error():
                return Failed(message.code, _printable(message.message))
            case _:
                return Dismissed()

    def _ping_interval(self) -> float:
        return min(self._idle / 2, LONGEST_PING_INTERVAL)

    def _end(self, event: ClientEvent) -> list[ClientEvent]:
        self.state = ClientState.ENDED
        return [event]


def _introduced(message: Introduce, now: float) -> Introduced:
    return Introduced(
        round=message.round,
        delay=clamped_delay(message.delay),
        at=now,
        observed=message.observed,
        offer=message.offer,
        mapping=message.mapping,
        peer_mapping=message.peer_mapping,
    )


def _printable(text: str) -> str:
    """What a stranger says, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)
