"""What a punch did: the figures a caller reads from ``stream.report`` or ``error.report``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ._endpoints import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchReport:
    """How a connection was opened, or how far the attempt came.

    Attributes:
        local: Our endpoint; the source address the kernel chose where ``local`` was a wildcard.
            Where several pairs were raced, that of the chosen one, or of the first.
        remote: The peer's endpoint, resolved.
        attempts: SYNs that left by our hand (the kernel's own retransmissions not counted).
        refusals: Attempts that were answered by a reset or an ICMP error.
        refreshes: Attempts that replaced a SYN nobody had answered.
        unsent: Calls of ``connect()`` that failed here, before any packet left.
        elapsed: Seconds from the call to the connected socket, or to giving up.
        half_open_at: Seconds from the call to the first sight of a crossing SYN
            (SYN_RECEIVED), or None if none was seen; a fast crossing is often over
            before anyone looks.
        refused_by: How many refusals of each kind (``"reset"``, ``"host unreachable"``, …).
        unsent_by: Likewise for the calls that sent nothing.
        lanes: The same of each pair of endpoints, where several were raced, by the number of
            the lane in events; the figures above are then those of all together.
        path: How the peer was reached: ``"direct"`` for known endpoints; after a rendezvous
            ``"local network"``, ``"IPv6"``, ``"IPv4"`` or ``"hairpin"``; ``"given"`` for a stream
            that was there already (:func:`simopen.secure_stream`); ``"self"`` for a socket that
            is connected to itself (:func:`simopen.connect_self`).
        encrypted: Whether the stream is TLS, and both ends have proved that they hold the secret.
        meeting: What the rendezvous had to do with it; None without one.
    """

    local: Endpoint
    remote: Endpoint
    attempts: int = 0
    refusals: int = 0
    refreshes: int = 0
    unsent: int = 0
    elapsed: float = 0.0
    half_open_at: float | None = None
    refused_by: Mapping[str, int] = field(default_factory=dict)
    unsent_by: Mapping[str, int] = field(default_factory=dict)
    lanes: tuple[PunchReport, ...] = ()
    path: str = "direct"
    encrypted: bool = False
    meeting: MeetingReport | None = None

    def __str__(self) -> str:
        """One line for a person."""
        parts = [count(self.attempts, "SYN"), count(self.refusals, "refusal")]
        if self.lanes:
            parts.insert(0, f"of {len(self.lanes)} pairs")
        if self.refreshes:
            parts.append(count(self.refreshes, "refresh", "refreshes"))
        if self.meeting and self.meeting.rounds > 1:
            parts.append(count(self.meeting.rounds, "round"))
        if self.encrypted:
            parts.append("encrypted")
        return (
            f"{self.local} <-> {self.remote}, {self.path}, "
            f"{format_seconds(self.elapsed)}, {', '.join(parts)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingReport:
    """What happened at the coordinator.

    Attributes:
        rendezvous: Its URL.
        waited: Seconds from the call to the latest introduction, or to the end without one.
        rounds: Introductions.
        observed: Our endpoint as the coordinator saw it last, one for each family.
        peer_observed: The peer's, likewise.
        mapping: Whether our NAT keeps one endpoint for all destinations (RFC 4787 §4.1):
            ``"stable"``, ``"varies"``, or ``"unknown"``.
        peer_mapping: The same of the peer's.
    """

    rendezvous: str
    waited: float = 0.0
    rounds: int = 0
    observed: tuple[Endpoint, ...] = ()
    peer_observed: tuple[Endpoint, ...] = ()
    mapping: str = "unknown"
    peer_mapping: str = "unknown"


def together(chosen: PunchReport, lanes: tuple[PunchReport, ...]) -> PunchReport:
    """The report of a race: the chosen lane's endpoints, the figures of all lanes."""
    half_open = [lane.half_open_at for lane in lanes if lane.half_open_at is not None]
    return replace(
        chosen,
        attempts=sum(lane.attempts for lane in lanes),
        refusals=sum(lane.refusals for lane in lanes),
        refreshes=sum(lane.refreshes for lane in lanes),
        unsent=sum(lane.unsent for lane in lanes),
        half_open_at=min(half_open, default=None),
        refused_by=_added(lane.refused_by for lane in lanes),
        unsent_by=_added(lane.unsent_by for lane in lanes),
        lanes=lanes,
    )


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def format_seconds(seconds: float) -> str:
    """A duration for a person: milliseconds below one second, seconds from there on."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 SYN``, ``1,204 SYNs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
