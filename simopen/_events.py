"""What happens during a punch, as typed, frozen values.

Every event has a ``name`` (``"punch.attempt"``) and ``at``, seconds since the call began. They go
to ``on_event``, to the log and to the JSON-lines trace, all from :mod:`simopen._telemetry`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from ._diagnosis import Diagnosis
from ._endpoints import Endpoint
from ._report import PunchReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The common part of all events.

    Attributes:
        at: Seconds since the call began.
    """

    name: ClassVar[str]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchStarted(Event):
    """The endpoints are resolved and every local port is bound.

    Attributes:
        local: The endpoint we punch from, with the first lane.
        remote: The endpoint we punch to, likewise.
        lanes: All pairs of endpoints, local and remote, that are raced; lane n is ``lanes[n]``.
        timeout: Seconds allowed for the whole call, or None for no limit.
    """

    name: ClassVar[str] = "punch.started"
    local: Endpoint
    remote: Endpoint
    lanes: tuple[tuple[Endpoint, Endpoint], ...]
    timeout: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchAttempt(Event):
    """A SYN left.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
        number: 1 for the lane's first.
    """

    name: ClassVar[str] = "punch.attempt"
    lane: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchRefused(Event):
    """An attempt was answered by a reset or an ICMP error.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
        number: The attempt that ended.
        reason: ``"reset"``, ``"host unreachable"``, …
        after: Seconds from its SYN to the answer.
    """

    name: ClassVar[str] = "punch.refused"
    lane: int
    number: int
    reason: str
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchUnsent(Event):
    """``connect()`` failed here and no SYN left; it is tried again a little later.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
        reason: ``"no route"``, ``"port pair in use"``, …
    """

    name: ClassVar[str] = "punch.unsent"
    lane: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchRefreshed(Event):
    """An unanswered SYN was given up for a fresh one, whose ``punch.attempt`` follows.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
        number: The attempt that was given up.
        after: Seconds it had been out.
    """

    name: ClassVar[str] = "punch.refreshed"
    lane: int
    number: int
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchHalfOpen(Event):
    """The peer's SYN crossed ours: SYN_RECEIVED, one acknowledgement short of a connection.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
    """

    name: ClassVar[str] = "punch.half_open"
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchConnected(Event):
    """The connection is established.

    Attributes:
        report: How it came about.
    """

    name: ClassVar[str] = "punch.connected"
    report: PunchReport


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchFailed(Event):
    """The punch is given up.

    Attributes:
        report: How far it came.
        diagnosis: Why, and what to do next.
    """

    name: ClassVar[str] = "punch.failed"
    report: PunchReport
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousJoined(Event):
    """The coordinator has taken us in; now for the peer.

    Attributes:
        rendezvous: Its URL.
        observed: Where it sees us.
    """

    name: ClassVar[str] = "rendezvous.joined"
    rendezvous: str
    observed: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousLost(Event):
    """The coordinator cannot be reached, or has hung up; it is tried again.

    Attributes:
        reason: Why, in words.
        again_in: Seconds until then.
    """

    name: ClassVar[str] = "rendezvous.lost"
    reason: str
    again_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousIntroduced(Event):
    """The peer has come, and its offer has opened; SYNs leave after the delay.

    Attributes:
        round: 1 for the first.
        delay: Seconds until both fire.
        candidates: The peer's endpoints in the order they are tried, each with how it leads there.
    """

    name: ClassVar[str] = "rendezvous.introduced"
    round: int
    delay: float
    candidates: tuple[tuple[Endpoint, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFailed(Event):
    """A round has led to no peer.

    Attributes:
        round: 1 for the first.
        reason: Why, in words.
    """

    name: ClassVar[str] = "rendezvous.round_failed"
    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStarted(Event):
    """A connection is open; now it has to prove who is at its other end.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
    """

    name: ClassVar[str] = "proof.started"
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFailed(Event):
    """It could not; the other lanes go on.

    Attributes:
        lane: Which pair of endpoints; 0 for the first.
        reason: Why, in words.
    """

    name: ClassVar[str] = "proof.failed"
    lane: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousFailed(Event):
    """The call is given up.

    Attributes:
        report: How far it came.
        diagnosis: Why, and what to do next.
    """

    name: ClassVar[str] = "rendezvous.failed"
    report: PunchReport
    diagnosis: Diagnosis


OnEvent: TypeAlias = Callable[[Event], None]
