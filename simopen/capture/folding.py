"""Shortens a conversation to what a person wants to see: runs of like packets become one `Fold`.

Two kinds of run are folded. *Refusals*: SYNs that come to nothing, and the RST or ICMP that answers
them, again and again while the other side is not there yet or a gateway is in the way; a run's
first steps stay, up to the first answer. *Data*: segments with payload and the acknowledgements
among them, once data has begun; a handshake's own acknowledgement comes before any data and stays.
Everything else stays as it is, unless the caller wants no more than so many items: then what is in
the middle becomes the *rest*.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from simopen.capture.ladder import UNREACHABLE, Step, crossings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind: TypeAlias = Literal["refusals", "data", "rest"]

MIN_FOLDED = 3
"""Steps below which a run is drawn in full: a fold costs a line, too."""

_MAX_SHOWN = 4  # steps of a run of refusals that stay: both hosts' SYNs, and what answers them


@dataclass(frozen=True, slots=True)
class Fold:
    """A run of packets told as one.

    Attributes:
        kind: What they are.
        steps: The packets, in the order they were sent.
    """

    kind: Kind
    steps: tuple[Step, ...]

    @property
    def sent_at(self) -> float:
        """When the first of them left, in seconds."""
        return self.steps[0].sent_at

    @property
    def seconds(self) -> float:
        """Time from the first departure to the last arrival (or departure, where lost)."""
        ends = (step.sent_at if step.arrived_at is None else step.arrived_at for step in self.steps)
        return max(ends) - self.sent_at

    @property
    def syns(self) -> int:
        """How many of them are SYNs."""
        return sum(step.flags == "SYN" for step in self.steps)

    def payload_bytes(self, sender: str) -> int:
        """Return the bytes that arrived from `sender`, each counted once."""
        arrived = {
            (step.seq, step.payload_bytes)
            for step in self.steps
            if step.sender == sender and step.arrived_at is not None
        }
        return sum(length for _, length in arrived)


def fold(steps: Sequence[Step], most: int | None = None) -> list[Step | Fold]:
    """Return the steps in the order they were sent, with its long runs folded.

    Args:
        steps: A conversation, as `ladder.steps` returns it.
        most: The most items to return, at least 3.
    """
    refused = _refused(steps)
    items: list[Step | Fold] = []
    for kind, run in groupby(steps, _Classifier(refused)):
        items += _shorten(kind, list(run))
    return items if most is None or len(items) <= most else _without_middle(items, most)


class _Classifier:
    """Says of each step in turn which kind of run it belongs to."""

    def __init__(self, refused: set[int]) -> None:
        self._refused = refused
        self._data_began = False

    def __call__(self, step: Step) -> Kind | None:
        if step.packet_id in self._refused or (step.flags == "SYN" and step.arrived_at is None):
            return "refusals"
        if step.flags != "ACK":
            self._data_began = self._data_began and step.flags != "SYN"
            return None
        self._data_began = self._data_began or step.payload_bytes > 0
        return "data" if self._data_began else None


def _shorten(kind: Kind | None, run: list[Step]) -> Iterable[Step | Fold]:
    kept = 0
    if kind == "refusals":
        answers = (number for number, step in enumerate(run, 1) if step.flags != "SYN")
        kept = min(next(answers, 2), _MAX_SHOWN)
    if kind is None or len(run) - kept < MIN_FOLDED:
        return run
    return [*run[:kept], Fold(kind, tuple(run[kept:]))]


def _without_middle(items: list[Step | Fold], most: int) -> list[Step | Fold]:
    """Fold the middle: how it began says more than how it ended, so more of that is left."""
    last = (most - 1) // 3
    first = most - 1 - last
    middle = items[first : len(items) - last]
    steps = (step for item in middle for step in (item.steps if isinstance(item, Fold) else [item]))
    return [*items[:first], Fold("rest", tuple(steps)), *items[len(items) - last :]]


def _refused(steps: Sequence[Step]) -> set[int]:
    """Return the packet ids of SYNs that were refused, and of the refusals."""
    crossed = {syn.packet_id for pair in crossings(steps) for syn in pair}
    waiting: dict[str, Step] = {}
    refused: set[int] = set()
    for step in steps:
        if step.flags == "SYN":
            waiting[step.sender] = step
        elif step.flags.startswith("RST") or step.flags == UNREACHABLE:
            for syn in [syn for syn in waiting.values() if _answers(step, syn)]:
                del waiting[syn.sender]
                if syn.packet_id not in crossed:
                    refused |= {syn.packet_id, step.packet_id}
    return refused


def _answers(refusal: Step, syn: Step) -> bool:
    """Return whether a refusal that left later answers a SYN: its sender has seen that."""
    if refusal.from_gateway:
        return syn.sender == refusal.receiver and syn.arrived_at is None
    return (
        syn.sender != refusal.sender
        and syn.arrived_at is not None
        and syn.arrived_at <= refusal.sent_at
    )
