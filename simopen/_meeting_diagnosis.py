"""Why a call through a coordinator failed, in words. Pure, as :mod:`simopen._diagnosis`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ._diagnosis import Cause, Diagnosis
from ._report import count, format_seconds

if TYPE_CHECKING:
    from ._report import MeetingReport, PunchReport


# What happens between the two hosts. What a direct call says of it is about the endpoints that the
# caller has given; here nobody has given any.
_BETWEEN = (
    Cause.HALF_OPEN,
    Cause.NOT_CONNECTING,
    Cause.UNREACHABLE,
    Cause.SILENCE,
    Cause.MIXED,
)


def coordinator_unavailable(meeting: MeetingReport, reason: str) -> Diagnosis:
    """Nobody to introduce us.

    Args:
        meeting: How far the call came.
        reason: What happened, in words.
    """
    return Diagnosis(
        cause=Cause.COORDINATOR,
        tried=f"tried {meeting.rendezvous} for {format_seconds(meeting.waited)}",
        came_back=reason,
        explanation="The coordinator cannot be reached, or takes nobody in now",
        advice="Check its address and that it is running (simopen coordinator), or try later",
    )


def room_full(meeting: MeetingReport) -> Diagnosis:
    """We are the third."""
    return Diagnosis(
        cause=Cause.ROOM_FULL,
        tried=f"asked {meeting.rendezvous} for a seat in the room",
        came_back="two others are in it",
        explanation="A room is for two, and two hosts with this room and this secret are there",
        advice="Use a room for each pair; an old process may still be waiting in this one",
    )


def nobody_came(meeting: MeetingReport) -> Diagnosis:
    """The peer did not come, or not to this room."""
    seen = ", ".join(map(str, meeting.observed))
    return Diagnosis(
        cause=Cause.NOBODY_CAME,
        tried=f"waited {format_seconds(meeting.waited)} at {meeting.rendezvous}",
        came_back=f"it sees us at {seen}, and nobody came with this room and this secret",
        explanation="The peer is not running, uses another coordinator, or has another room or "
        "secret: those with different ones never meet",
        advice="Start the other side with the very same room and secret (one invite for both), "
        "and allow for the time in between",
    )


def no_candidate(meeting: MeetingReport) -> Diagnosis:
    """Nothing that may be punched."""
    return Diagnosis(
        cause=Cause.NO_CANDIDATE,
        tried=f"was introduced by {meeting.rendezvous}",
        came_back="the peer has no address that we may or can connect to",
        explanation="We have no address family in common, or what was given is refused: ports "
        "below 1024, and addresses that are nobody's or not those of one host",
        advice="Let both sides use the same family, and the coordinator see them from outside",
    )


def rounds_failed(meeting: MeetingReport, last: Diagnosis | None) -> Diagnosis:
    """Introduced, and never connected.

    Args:
        meeting: How far the call came.
        last: What is to be said of the last round's punch; None where none has ended.
    """
    if last is None:
        return Diagnosis(
            cause=Cause.TOO_SHORT,
            tried=f"was introduced by {meeting.rendezvous} after {format_seconds(meeting.waited)}",
            came_back="the peer's endpoints",
            explanation="The time allowed ended before a punch did",
            advice="Allow more time",
        )
    tried = f"in {count(meeting.rounds, 'round')} through {meeting.rendezvous} {last.tried}"
    who = {
        (True, True): "Both NATs give",
        (True, False): "Our NAT gives",
        (False, True): "The peer's NAT gives",
    }.get((meeting.mapping == "varies", meeting.peer_mapping == "varies"))
    if who is None and last.cause in _BETWEEN:
        return replace(
            last,
            tried=tried,
            explanation="The peer was there, and its SYNs and ours have not met: a NAT or firewall "
            "on the way lets in less than it should, or the peer has stopped meanwhile",
            advice="Try again; if it stays so, use IPv6 or another network on one side",
        )
    if who is None:
        return replace(last, tried=tried)
    return Diagnosis(
        cause=Cause.MAPPING,
        tried=tried,
        came_back=last.came_back,
        explanation=f"{who} each destination another port (address-dependent mapping, RFC 4787 "
        "§4.1), so that the endpoint the coordinator sees is not the one that a peer meets",
        advice="Use IPv6, another network, or forward a port in that router",
    )


def unable(meeting: MeetingReport, reason: str) -> Diagnosis:
    """Introduced, and this host could not do its part.

    Args:
        meeting: How far the call came.
        reason: What could not be had, in words.
    """
    return Diagnosis(
        cause=Cause.NOT_SENT,
        tried=f"in {count(meeting.rounds, 'round')} through {meeting.rendezvous}",
        came_back=reason,
        explanation="This host could not open what the connection takes",
        advice="See to that first: for too many open files close some, or raise the limit "
        "(ulimit -n)",
    )


def not_proven(report: PunchReport, reason: str) -> Diagnosis:
    """Somebody was there who is not the peer.

    Args:
        report: How far the call came.
        reason: What was wrong, in words.
    """
    met = f"met somebody at {report.remote}" if report.attempts else "was introduced to somebody"
    return Diagnosis(
        cause=Cause.NOT_PROVEN,
        tried=f"{met} after {format_seconds(report.elapsed)}",
        came_back=reason,
        explanation="Whoever it is does not hold our secret, or somebody in between interferes",
        advice="Give both sides the same secret; if they have it, do not trust this coordinator "
        "or network",
    )


def no_time_for_keys(report: PunchReport) -> Diagnosis:
    """The time was over before the secret was stretched."""
    return Diagnosis(
        cause=Cause.TOO_SHORT,
        tried=f"computed keys for {format_seconds(report.elapsed)}",
        came_back="nothing: not a packet was sent",
        explanation="A text as secret takes a tenth of a second of a processor for each call, two "
        "calls at a time",
        advice="Use an invite, which takes no time, or allow more",
    )
