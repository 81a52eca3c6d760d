"""Why a punch failed, in words: what was tried, what came back, the likeliest cause, what to do.

Pure: a report in, a :class:`Diagnosis` out, by the first row of a table that fits.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ._endpoints import literal_address
from ._report import count, format_seconds

if TYPE_CHECKING:
    from ._endpoints import Endpoint
    from ._report import PunchReport

CONNTRACK_HOLD = 120.0  # seconds; Linux nf_conntrack's timeout for SYN_SENT and SYN_SENT2

LOST_SHARE = 0.2  # of all SYNs; up to this many unanswered ones are taken for lost


class Cause(enum.Enum):
    """The likeliest cause, for programs."""

    NOT_RESOLVED = "name not resolved"
    NO_ROUTE = "no route"
    LOCAL_FIREWALL = "local firewall"
    UNUSABLE_SOURCE = "unusable source address"
    PAIR_IN_USE = "port pair in use"
    NOT_SENT = "not sent"
    HALF_OPEN = "half open"
    NOT_CONNECTING = "peer not connecting"
    UNREACHABLE = "peer unreachable"
    SILENCE = "silence"
    MIXED = "mixed answers"
    TOO_SHORT = "time too short"
    COORDINATOR = "coordinator unavailable"
    ROOM_FULL = "room full"
    NOBODY_CAME = "nobody came"
    NO_CANDIDATE = "no usable address"
    MAPPING = "address-dependent mapping"
    NOT_PROVEN = "peer not proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why the peer was not reached.

    Attributes:
        cause: The likeliest cause, as a value to branch on.
        tried: What we did, in words.
        came_back: What the network answered.
        explanation: The likeliest cause in words.
        advice: What to do next.
    """

    cause: Cause
    tried: str
    came_back: str
    explanation: str
    advice: str

    def __str__(self) -> str:
        """Two sentences and a hint."""
        return f"{self.tried}: {self.came_back}. {self.explanation}. {self.advice}."


@dataclass(frozen=True, slots=True)
class _Row:
    fits: Callable[[PunchReport], bool]
    cause: Cause
    explanation: str
    advice: str


def _only(kind: str) -> Callable[[PunchReport], bool]:
    return lambda report: set(report.unsent_by) == {kind} and not report.attempts


def _mostly_refused(report: PunchReport) -> bool:
    # The last SYN may have had no time for an answer, and now and then one is lost.
    unanswered = report.attempts - report.refusals
    return bool(report.refusals) and unanswered <= max(1, report.attempts * LOST_SHARE)


_ROWS = (
    _Row(
        _only("no route"),
        Cause.NO_ROUTE,
        "This host has no route to {remote.host}",
        "Check the address, and that the network interface is up (ip route get {remote.host})",
    ),
    _Row(
        _only("blocked by a local firewall"),
        Cause.LOCAL_FIREWALL,
        "A firewall on this host drops our SYNs on their way out",
        "Allow outgoing TCP from port {local.port} to {remote}",
    ),
    _Row(
        _only("unusable source address"),
        Cause.UNUSABLE_SOURCE,
        "Packets to {remote.host} cannot leave from {local.host}",
        "Use the wildcard as local address, or one of the interface that leads to the peer",
    ),
    _Row(
        _only("port pair in use"),
        Cause.PAIR_IN_USE,
        "A connection between exactly these two endpoints still exists on this host{state}",
        "Close it, wait until the peer has closed its end too, or use another port",
    ),
    _Row(
        lambda report: not report.attempts and bool(report.unsent),
        Cause.NOT_SENT,
        "The system would not send a SYN",
        "See the reasons above",
    ),
    _Row(
        lambda report: report.attempts == 0,
        Cause.TOO_SHORT,
        "The time allowed ended before the first SYN",
        "Allow more time",
    ),
    _Row(
        lambda report: report.half_open_at is not None,
        Cause.HALF_OPEN,
        "The SYNs crossed but the last acknowledgement never came: something on the path lets "
        "SYNs through and drops the SYN-ACK, as NATs without simultaneous open do, or the peer "
        "stopped in that moment",
        "Try again from another pair of ports; a NAT can hold this one for {hold:.0f} s",
    ),
    _Row(
        lambda report: _mostly_refused(report) and set(report.refused_by) == {"reset"},
        Cause.NOT_CONNECTING,
        "The peer's host, or a NAT or firewall in front of it, answers, but nothing there is "
        "connecting from port {remote.port} to us",
        "Start the other side as well, with {remote.port} as its local port and {local.port} "
        "as the port of its remote; behind a NAT the address it gives must be our public one",
    ),
    _Row(
        lambda report: _mostly_refused(report) and "reset" not in report.refused_by,
        Cause.UNREACHABLE,
        "A router or firewall on the way reports that {remote.host} cannot be reached",
        "Check the address, and that the host is up and its firewall lets port {remote.port} in "
        "after it has sent something out",
    ),
    _Row(
        lambda report: not report.refusals,
        Cause.SILENCE,
        "Nothing answers at all: the address is wrong, the host is off, or a firewall drops our "
        "SYNs and the peer has not sent any of its own",
        "Check the address, and that the other side is running at the same time with "
        "{remote.port} as its local port",
    ),
    _Row(
        lambda _: True,
        Cause.MIXED,
        "Sometimes we were refused and sometimes nothing answered: the peer came and went, or a "
        "NAT on the way has closed this pair of ports after an ill-timed SYN",
        "Try another pair of ports; a NAT can hold this one for {hold:.0f} s",
    ),
)


# How far a punch came that failed for each reason: what is nearest to a connection tells most.
_FURTHEST = (
    Cause.HALF_OPEN,
    Cause.MIXED,
    Cause.NOT_CONNECTING,
    Cause.SILENCE,
    Cause.UNREACHABLE,
    Cause.PAIR_IN_USE,
    Cause.LOCAL_FIREWALL,
    Cause.UNUSABLE_SOURCE,
    Cause.NO_ROUTE,
    Cause.NOT_SENT,
    Cause.TOO_SHORT,
)


def diagnose(report: PunchReport, *, pair_state: str | None = None) -> Diagnosis:
    """Explain a failed punch: where several pairs were raced, by the one that came furthest.

    Args:
        report: What was done and what came back.
        pair_state: The TCP state of a socket that occupies our very port pair, where known.
    """
    if report.lanes:
        found = diagnose(furthest(report), pair_state=pair_state)
        return replace(found, tried=_tried(report), came_back=_came_back(report))
    row = _row_of(report)
    words = {
        "local": report.local,
        "remote": report.remote,
        "hold": CONNTRACK_HOLD,
        "state": f" (state {pair_state})" if pair_state else "",
    }
    return Diagnosis(
        cause=row.cause,
        tried=_tried(report),
        came_back=_came_back(report),
        explanation=row.explanation.format(**words),
        advice=row.advice.format(**words),
    )


def furthest(report: PunchReport) -> PunchReport:
    """The lane that came nearest to a connection, which the diagnosis is about."""
    lanes = report.lanes or (report,)
    return min(lanes, key=lambda lane: _FURTHEST.index(_row_of(lane).cause))


def _row_of(report: PunchReport) -> _Row:
    return next(row for row in _ROWS if row.fits(report))


def name_not_resolved(local: Endpoint, remote: Endpoint, reason: str) -> Diagnosis:
    """Explain a remote name without a usable address.

    Args:
        local: Ours; its family decides which addresses were asked for.
        remote: The endpoint as given.
        reason: What the resolver said.
    """
    address = literal_address(local.host)
    family = f"an IPv{address.version} address" if address else "an address"
    return Diagnosis(
        cause=Cause.NOT_RESOLVED,
        tried=f"looked up {remote.host} for {family}",
        came_back=reason,
        explanation="The name does not resolve",
        advice="Check the spelling, or give the address itself; the family of local decides "
        "which addresses count (0.0.0.0 for IPv4, [::] for IPv6)",
    )


def _tried(report: PunchReport) -> str:
    pair = f"from {report.local} to {report.remote}"
    if len(report.lanes) > 1:
        pair += f" and over {count(len(report.lanes) - 1, 'more pair')}"
    return f"sent {count(report.attempts, 'SYN')} {pair} in {format_seconds(report.elapsed)}"


def _came_back(report: PunchReport) -> str:
    parts = [f"{count:,} refused ({kind})" for kind, count in report.refused_by.items()]
    parts += [f"{count:,} not sent ({kind})" for kind, count in report.unsent_by.items()]
    unanswered = report.attempts - report.refusals
    if report.half_open_at is not None:
        parts.append(f"a crossing SYN after {format_seconds(report.half_open_at)}")
    if unanswered > 0:
        parts.append(f"{unanswered:,} unanswered" if parts else "no answer")
    return ", ".join(parts) or "nothing"
