"""When each trial begins, on what ports, and how soon it can be over.

Theory of operation
===================

Both hosts hold the same timetable. With every stream they agree on a moment that both can tell on
their own clocks (:mod:`._talk`); from there on the trials have slots of one length, so that two
hosts whose trials fail stay in step without a word:

    begin of trial n = the agreed moment + (n - the next trial's number) · slot

A slot is long enough for whatever can happen in it: the later start, the time allowed, and a talk.
The next stream makes a new agreement, so trials that connect follow each other at once.

In each trial one host begins at the slot's begin, and the other ``skew`` later. The two take turns,
and each skew is had both ways round before the next one.

Invariants
==========

- Of two hosts exactly one leads, and what one calls a skew of s is -s for the other.
- No two trials of a run share a port or a room.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from simopen._endpoints import MAX_PORT, Endpoint
from simopen._errors import UsageError

TALK = 5.0  # seconds for what is said over a stream
GAP = 0.5  # seconds between the end of a slot and the next

HANDSHAKE_ROUND_TRIPS = 2.0  # for TLS and the proof, until both have the stream
CONNECT_ROUND_TRIPS = {"tcp": 1.0, "tls": 2.0}  # to be connected to a coordinator


@dataclass(frozen=True, slots=True)
class Timetable:
    """The plan of a run.

    Attributes:
        trials: How many there are.
        timeout: Seconds a trial may take.
        skews: Seconds from the earlier start to the later, in turn.
    """

    trials: int
    timeout: float
    skews: tuple[float, ...]

    @property
    def slot(self) -> float:
        """Seconds from one trial's begin to the next where nothing connects."""
        return max(self.skews) + self.timeout + TALK + GAP

    def skew(self, number: int, *, leads: bool) -> float:
        """Seconds by which we begin after the peer; negative where before it."""
        later_leads = number % 2 == 0
        skew = self.skews[(number - 1) // 2 % len(self.skews)]
        return skew if leads is later_leads else 0.0 - skew  # which is never -0.0

    def delay(self, number: int, *, leads: bool) -> float:
        """Seconds from the slot's begin to our start."""
        return max(0.0, self.skew(number, leads=leads))


def run_name(one: str, other: str) -> str:
    """The run's name, from what each side has drawn; the same on both."""
    return hashlib.sha256("\n".join(sorted((one, other))).encode()).hexdigest()[:16]


def room_of_trial(run: str, number: int) -> str:
    """The room that both go to."""
    return f"{run} {number}"


def shifted(endpoint: Endpoint, number: int, *, role: str) -> Endpoint:
    """The endpoint of a trial, from that of the opening.

    Raises:
        UsageError: There is no such port.
    """
    if endpoint.port + number > MAX_PORT:
        raise UsageError(
            f"{role} {endpoint}: each trial takes the next port, and {MAX_PORT} is the last: "
            f"give {MAX_PORT - number} or less"
        )
    return Endpoint(endpoint.host, endpoint.port + number)


def least_time(skew: float, round_trip: float, *, encrypted: bool) -> float:
    """Seconds from the later start to the last side's stream, at the least.

    Two SYNs that cross need one round trip. A skew of more than one way means that the earlier SYN
    has been refused, or has come to nothing, and the later one has to be answered by a fresh one:
    half a round trip more.

    Args:
        skew: Seconds between the starts.
        round_trip: Seconds between the hosts and back.
        encrypted: Whether TLS and the proof are part of it.
    """
    crossing = round_trip if abs(skew) < round_trip / 2 else 1.5 * round_trip
    return crossing + (HANDSHAKE_ROUND_TRIPS * round_trip if encrypted else 0.0)


def least_time_introduced(
    skew: float, round_trip: float, ours: float, theirs: float, *, scheme: str
) -> float:
    """The same through a coordinator: T* (docs/rendezvous.md) with the way there, and the proof.

    Both are at the coordinator when the later join has come to it. From there the introduction goes
    to the farther host, then the SYNs cross, and then comes the proof.

    Args:
        skew: Seconds by which we began after the peer.
        round_trip: Seconds between the hosts and back.
        ours: Our round trip to the coordinator, in seconds.
        theirs: The peer's.
        scheme: How the coordinator is spoken to: ``"tcp"`` or ``"tls"``.
    """
    way = CONNECT_ROUND_TRIPS[scheme] + 0.5  # connected, and then the join goes up
    joined = max(max(skew, 0.0) + way * ours, max(-skew, 0.0) + way * theirs)
    introduced = joined + max(ours, theirs) / 2 - abs(skew)
    return introduced + round_trip + HANDSHAKE_ROUND_TRIPS * round_trip
