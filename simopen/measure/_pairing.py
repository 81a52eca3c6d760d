"""One trial's record, from what the two sides know of it.

Theory of operation. Each side tells when it began, in seconds from the moment that both have agreed
on, and how long its call took. So the later start and the last side's stream can be told on one
clock, with the error of that agreement. Where the two count from different moments (one of them has
missed an agreement) there is no common clock, and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from ._records import Side, Trial
from ._talk import Outcome
from ._timetable import least_time, least_time_introduced


@dataclass(frozen=True, slots=True)
class Mine:
    """A trial as this side knows it.

    Attributes:
        outcome: What the peer is told.
        planned: The skew that the timetable asks for, in seconds.
        proven: Whether bytes have crossed its stream both ways.
        round_trip: Seconds to the peer and back over its stream; None where it was not taken.
    """

    outcome: Outcome
    planned: float
    proven: bool = False
    round_trip: float | None = None


def trial_record(
    run: str, mine: Mine, theirs: Outcome | None, *, encrypted: bool, scheme: str | None
) -> Trial:
    """The record.

    Args:
        run: The run's name.
        mine: What we know.
        theirs: What the peer has told; None where it has not.
        encrypted: Whether the stream is proven before it is there.
        scheme: How the coordinator is spoken to; None without one.
    """
    ours = _timed(mine.outcome.side, mine.round_trip)
    trial = Trial(run=run, number=mine.outcome.number, planned=mine.planned, ok=False, ours=ours)
    if theirs is None:
        return trial
    side = _timed(theirs.side, mine.round_trip)
    ok = mine.proven and ours.ok and side.ok
    trial = replace(trial, theirs=side, ok=ok)
    if mine.outcome.epoch != theirs.epoch:
        return trial
    skew = mine.outcome.began - theirs.began
    trial = replace(trial, skew=round(skew, 6))
    if not ok or mine.round_trip is None:
        return trial
    fired_apart = skew if scheme is None else 0.0  # once introduced, both fire together
    return replace(
        trial,
        took=_took(mine.outcome, theirs),
        limit=_rounded(least_time(fired_apart, mine.round_trip, encrypted=encrypted)),
        bound=_bound(skew, mine.round_trip, ours, side, scheme),
    )


def _took(mine: Outcome, theirs: Outcome) -> float:
    both = (mine, theirs)
    held = max(each.began + each.side.elapsed for each in both)
    return _rounded(held - max(each.began for each in both))


def _bound(
    skew: float, round_trip: float, ours: Side, theirs: Side, scheme: str | None
) -> float | None:
    here, there = ours.coordinator_round_trip, theirs.coordinator_round_trip
    if scheme is None or here is None or there is None:
        return None
    return _rounded(least_time_introduced(skew, round_trip, here, there, scheme=scheme))


def _timed(side: Side, round_trip: float | None) -> Side:
    return replace(side, round_trip=None if round_trip is None else _rounded(round_trip))


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
