"""What a log says about a handshake: its steps, its kind, and what lost packets have cost.

Theory of operation
===================

Which pair of endpoints is told: the one that was handed over, or else the one that came furthest.
Its steps come from packets (:mod:`._steps`), or where there are none from the engine's events.

The kind of handshake follows from what arrived in the last attempt, after our SYN had left:

=====================  ==================================================================
arrived                kind
=====================  ==================================================================
SYN, then SYN-ACK      both SYNs met a waiting SYN_SENT: they crossed
SYN, then ACK          theirs met ours; ours was lost or dropped on its way
SYN-ACK alone          ours met a waiting SYN_SENT, or a listener
=====================  ==================================================================

(A SYN counts that we have answered with SYN-ACK: one that this host's firewall drops is seen, too.)

The last row is one and the same on the wire. It is a waiting SYN_SENT for sure where the number in
the SYN-ACK is that of a SYN which had come before; else the caller's word decides, who knows
whether the other end connects or listens.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simopen._events import PunchAttempt, PunchHalfOpen, PunchRefreshed, PunchRefused
from simopen.capture.ladder import UNREACHABLE
from simopen.capture.packets import Endpoint, Flags, Segment

from ._log import Log, Pair, Told, belongs
from ._states import OPEN, State
from ._steps import Seen, TraceStep, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER = "answer"
"""The flags text of what was not seen itself, but in what it did to the socket."""

_NOWHERE = (Endpoint("0.0.0.0", 0), Endpoint("0.0.0.0", 0))  # noqa: S104 - nothing was tried


class HandshakeKind(enum.Enum):
    """How a connection came about."""

    CROSSING = "true crossing"
    ONE_SIDED = "one-sided"
    THREE_WAY = "three-way"
    SELF = "self-connection"
    UNSEEN = "connected unseen"  # without packets one cannot be told from the other
    NONE = "no connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A log as it is told.

    Attributes:
        pair: Our endpoint and theirs.
        kind: How the connection came about.
        certain: Whether the packets show that kind, rather than the caller's word.
        theirs_met_ours: Of a one-sided handshake: whether it was their SYN that met ours.
        steps: The packets in the order of their times.
        packets: Those of the steps' pair, as they were recorded.
        why_no_packets: Why there are none, in words; None where packets were recorded.
        attempts: SYNs that differ: each is an attempt.
        retransmits: SYNs and SYN-ACKs that left again, in the last attempt; None if not known.
        retransmit_cost: Seconds lost by that.
        round_trip: The handshake's, in seconds; None if not known.
        other_pairs: How many more pairs were tried.
        other_syns: How many attempts they made.
        dropped: How many packets are missing.
    """

    pair: Pair = _NOWHERE
    kind: HandshakeKind = HandshakeKind.NONE
    certain: bool = True
    theirs_met_ours: bool = False
    steps: tuple[TraceStep, ...] = ()
    packets: tuple[Seen, ...] = ()
    why_no_packets: str | None = "nothing has been traced"
    attempts: int = 0
    retransmits: int | None = None
    retransmit_cost: float = 0.0
    round_trip: float | None = None
    other_pairs: int = 0
    other_syns: int = 0
    dropped: int = 0


def read(log: Log) -> Reading:
    """Tell a log."""
    if not log.pairs:
        return Reading(why_no_packets=log.why_no_packets)
    shown = log.packets()
    lane = _lane(log, shown)
    pair = log.connected or log.pairs[lane]
    packets = tuple(seen for seen in shown if belongs(seen, pair))
    steps = tell(packets) if packets else _from_events(log, lane)
    kind, certain, theirs_met_ours = _kind(log, pair, steps, packets)
    retransmits, cost = _retransmitted(steps) if packets else _by_the_socket(log, steps)
    return Reading(
        pair=pair,
        kind=kind,
        certain=certain,
        theirs_met_ours=theirs_met_ours,
        steps=tuple(steps),
        packets=packets,
        why_no_packets=log.why_no_packets if packets or not steps else _why_none(log),
        attempts=max(log.syns[lane], max((step.attempt for step in steps), default=0)),
        retransmits=retransmits,
        retransmit_cost=cost,
        round_trip=_round_trip(steps) if packets else log.round_trip,
        other_pairs=len(log.pairs) - 1,
        other_syns=log.syns.total() - log.syns[lane],
        dropped=log.dropped,
    )


def _why_none(log: Log) -> str:
    """Why a handshake has no packets: it may pass where no packet socket looks."""
    return log.why_no_packets or "none passed an interface of this host"


def _lane(log: Log, shown: Sequence[Seen]) -> int:
    """Return the lane that was handed over, or that heard most of the other end."""
    if log.connected is not None:
        lanes = [n for n, (_, theirs) in enumerate(log.pairs) if theirs == log.connected[1]]
        ports = [n for n in lanes if log.pairs[n][0].port == log.connected[0].port]
        return (ports or lanes or [0])[0]
    heard = [sum(belongs(seen, pair) and not seen.outgoing for seen in shown) for pair in log.pairs]
    return heard.index(max(heard))


def _kind(
    log: Log, pair: Pair, steps: Sequence[TraceStep], packets: Sequence[Seen]
) -> tuple[HandshakeKind, bool, bool]:
    """Return the kind, whether it is certain, and whether their SYN met ours."""
    if log.connected is None:
        return HandshakeKind.NONE, True, False
    if pair[0] == pair[1]:
        return HandshakeKind.SELF, True, False
    last = [step for step in steps if step.attempt == steps[-1].attempt]
    came = [step.flags for step in last if not step.outgoing]
    if not packets:
        half_open = "SYN" in came
        known = half_open or log.at_a_peer
        return HandshakeKind.UNSEEN if known else HandshakeKind.THREE_WAY, False, half_open
    if "SYN-ACK" in [step.flags for step in last if step.outgoing]:
        crossed = "SYN-ACK" in came
        kind = HandshakeKind.CROSSING if crossed else HandshakeKind.ONE_SIDED
        return kind, True, not crossed
    if "SYN-ACK" not in came:
        return HandshakeKind.UNSEEN, True, False
    certain = _had_a_syn(packets)
    at_a_peer = certain or log.at_a_peer
    return (HandshakeKind.ONE_SIDED if at_a_peer else HandshakeKind.THREE_WAY), certain, False


def _had_a_syn(packets: Sequence[Seen]) -> bool:
    """Whether the number of a SYN-ACK of theirs came in a SYN as well."""
    came = [seen.packet for seen in packets if not seen.outgoing]
    syns = {
        (each.flags & (Flags.SYN | Flags.ACK), each.seq)
        for each in came
        if isinstance(each, Segment) and Flags.SYN in each.flags
    }
    return any((Flags.SYN, seq) in syns for flags, seq in syns if Flags.ACK in flags)


def _retransmitted(steps: Sequence[TraceStep]) -> tuple[int, float]:
    """Return how many SYNs and SYN-ACKs of the last attempt left again, and what that cost."""
    last = [step for step in steps if step.outgoing and step.attempt == steps[-1].attempt]
    cost = 0.0
    for flags in ("SYN", "SYN-ACK"):
        times = [step.at for step in last if step.flags == flags]
        answered = [
            step.at for step in last if step.flags == flags and step.answered_at is not None
        ]
        if answered:
            cost += answered[0] - times[0]
    return sum(step.repeated for step in last), cost


def _by_the_socket(log: Log, steps: Sequence[TraceStep]) -> tuple[int | None, float]:
    """The same where only the kernel's count is known: what the last attempt took too long."""
    sent = [step.at for step in steps if step.outgoing]
    if not log.retransmits or not sent:
        return log.retransmits, 0.0
    return log.retransmits, max(0.0, steps[-1].at - sent[-1] - (log.round_trip or 0.0))


def _round_trip(steps: Sequence[TraceStep]) -> float | None:
    """Return the shortest time from a packet of the latest attempt that had one to its answer."""
    trips = [
        (-step.attempt, step.answered_at - step.at)
        for step in steps
        if step.outgoing and step.answered_at is not None
    ]
    return min(trips)[1] if trips else None


# -- without packets -------------------------------------------------------------------------------


def _from_events(log: Log, lane: int) -> list[TraceStep]:
    """Tell what the engine saw of its socket; times are those of its looks."""
    events = [event for event in log.events if event.lane == lane]
    if not events:
        return []
    start = events[0].at
    steps, attempt = [], 0
    for event, following in zip(events, [*events[1:], None], strict=True):
        if isinstance(event, PunchAttempt):
            attempt = event.number
            answered = following is not None or log.connected is not None
            lost = isinstance(following, PunchRefreshed) or not answered
            end = None if lost else (following.at - start if following else _end(log, start))
            steps.append(_told(event, "SYN", State.SYN_SENT, attempt, start, answered_at=end))
        elif isinstance(event, PunchHalfOpen):
            steps.append(_told(event, "SYN", State.SYN_RECEIVED, attempt, start))
        elif isinstance(event, PunchRefused):
            steps.append(_told(event, _refusal(event.reason), State.CLOSED, attempt, start))
    if log.connected is not None:
        steps.append(
            TraceStep(
                at=_end(log, start),
                outgoing=False,
                flags=ANSWER if log.at_a_peer else "SYN-ACK",
                state=State.ESTABLISHED.value,
                attempt=attempt,
            )
        )
    return steps


def _end(log: Log, start: float) -> float:
    return max(0.0, (log.connected_at or start) - start)


def _told(
    event: Told,
    flags: str,
    state: State,
    attempt: int,
    start: float,
    *,
    answered_at: float | None = None,
) -> TraceStep:
    return TraceStep(
        at=event.at - start,
        outgoing=isinstance(event, PunchAttempt),
        flags=flags,
        state=state.value,
        attempt=attempt,
        answered_at=answered_at,
    )


def _refusal(reason: str) -> str:
    """What came, by the word of :mod:`simopen.net._errno` for what the socket said."""
    if reason == "reset":
        return "RST"
    return UNREACHABLE if "unreachable" in reason or reason == "prohibited" else ANSWER


def is_open(step: TraceStep) -> bool:
    """Whether our side is connected after a step."""
    return State(step.state) in OPEN
