"""A trial as marks on two lines of time: what happened at either host, and what it sent the other.

Theory of operation. Each side's events count from its own call. The calls began `skew` apart, so
that one of the sides is put later by that much; where the skew is unknown both begin at zero, and
nothing is said of what crossed what. A SYN's arrival is no event of anybody's: it is drawn half the
least round trip after it left, and whether it arrived is not known.

Of many marks of a side the first and the last are kept, and a fold says what lay between. Another
one stands where events were not recorded, since there were too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simopen._report import count
from simopen.figures._words import clean
from simopen.measure._records import MOST_EVENTS, Moment, Side, Trial

Kind = Literal["call", "syn", "note", "refusal", "crossing", "done", "failed", "fold"]

FIRST, LAST = 8, 7  # marks of a side that are kept
TIE = 1e-7  # seconds by which marks of one moment are put apart
LATEST = 1e6  # seconds: what a damaged file says to be later is put here

EVENTS: dict[str, tuple[Kind, str]] = {
    "punch.attempt": ("syn", "SYN"),
    "punch.refused": ("refusal", "refused"),
    "punch.refreshed": ("note", "no answer"),
    "punch.unsent": ("refusal", "could not send"),
    "punch.half_open": ("crossing", "SYNs have crossed"),
    "rendezvous.joined": ("note", "joined the coordinator"),
    "rendezvous.lost": ("refusal", "coordinator lost"),
    "rendezvous.introduced": ("note", "introduced"),
    "rendezvous.round_failed": ("refusal", "this round has failed"),
    "proof.started": ("note", "open; proof begins"),
    "proof.failed": ("refusal", "proof failed"),
}
UNTOLD = {
    "punch.started",
    "punch.connected",
    "punch.failed",
    "rendezvous.failed",
}  # the ends say it
_COUNTED: dict[str, tuple[str, str | None]] = {
    "syn": ("SYN", None),
    "refusal": ("refusal", None),
    "crossing": ("crossing", None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at one of the hosts.

    Attributes:
        at: Seconds since the earlier call.
        right: Whether it was at the host that is drawn at the right: the peer.
        kind: What it was.
        words: What is written beside it.
        arrives: When what it sent is at the other host; None where it sent nothing or that is
            unknown.
    """

    at: float
    right: bool
    kind: Kind
    words: str
    arrives: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A trial's marks.

    Attributes:
        marks: In the order of time.
        one_way: Seconds that a packet is taken to need; None where unknown.
        aligned: Whether the two sides' times can be compared.
        told: Whether the peer's side is known.
    """

    marks: tuple[Mark, ...]
    one_way: float | None
    aligned: bool
    told: bool


def tell(trial: Trial) -> Story:
    """The marks of a trial."""
    sides = [trial.ours, *([trial.theirs] if trial.theirs else [])]
    round_trip = min((side.round_trip for side in sides if side.round_trip), default=None)
    aligned = trial.skew is not None and trial.theirs is not None
    one_way = round_trip / 2 if round_trip is not None and aligned else None
    skew = trial.skew if aligned and trial.skew is not None else 0.0
    marks: list[Mark] = []
    for right, side in enumerate(sides):
        begins = min(max(0.0, -skew if right else skew), LATEST)
        marks += _apart(_folded(list(_marks(side, bool(right), begins, one_way))))
    marks.sort(key=lambda mark: mark.at)
    return Story(
        marks=tuple(marks), one_way=one_way, aligned=aligned, told=trial.theirs is not None
    )


def _marks(side: Side, right: bool, begins: float, one_way: float | None) -> Iterator[Mark]:  # noqa: FBT001  # which of two
    lanes = {event.lane for event in side.events if event.lane is not None}
    yield Mark(at=begins, right=right, kind="call", words="call")
    syns: Counter[int | None] = Counter()
    for event in side.events:
        if event.name in UNTOLD:
            continue
        kind, words = EVENTS.get(event.name, ("note", clean(event.name, 24)))
        if kind == "syn":
            syns[event.lane] += 1
            words = f"{words} {syns[event.lane]}"
        mark = Mark(
            at=begins + min(event.at, LATEST),
            right=right,
            kind=kind,
            words=words + _lane(event, lanes),
        )
        if kind == "syn" and one_way is not None:
            mark = replace(mark, arrives=mark.at + one_way)
        yield mark
    if words := _unrecorded(side):
        last = max((event.at for event in side.events), default=0.0)
        yield Mark(at=begins + min(last, LATEST), right=right, kind="fold", words=words)
    ended = begins + min(side.elapsed, LATEST)
    if side.ok:
        yield Mark(at=ended, right=right, kind="done", words="connected")
    else:
        why = clean(side.cause or side.error or "", 28)
        yield Mark(
            at=ended, right=right, kind="failed", words=f"gave up: {why}" if why else "gave up"
        )


def _unrecorded(side: Side) -> str:
    """What to say of events that the record does not have; nothing where it has all."""
    if len(side.events) < MOST_EVENTS and (side.events or not side.attempts):
        return ""
    more = side.attempts - sum(event.name == "punch.attempt" for event in side.events)
    return f"… {count(more, 'more SYN')}, not recorded" if more > 0 else "… more, not recorded"


def _lane(event: Moment, lanes: set[int]) -> str:
    return f", pair {event.lane + 1}" if len(lanes) > 1 and event.lane is not None else ""


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """The marks of a side in order, each at a moment of its own."""
    apart: list[Mark] = []
    for mark in sorted(marks, key=lambda each: each.at):
        least = apart[-1].at + TIE if apart else 0.0
        apart.append(replace(mark, at=max(mark.at, least)))
    return apart


def _folded(marks: Sequence[Mark]) -> list[Mark]:
    if len(marks) <= FIRST + LAST + 1:
        return list(marks)
    hidden = marks[FIRST:-LAST]
    kinds = Counter(mark.kind for mark in hidden)
    said = [count(kinds[kind], *names) for kind, names in _COUNTED.items() if kinds[kind]]  # type: ignore[index]
    words = f"… {', '.join(said) or count(len(hidden), 'event')}"
    fold = Mark(at=hidden[0].at, right=hidden[0].right, kind="fold", words=words)
    return [*marks[:FIRST], fold, *marks[-LAST:]]
