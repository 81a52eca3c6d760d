"""Shortens a conversation to what a person wants to see: runs of like packets become one `Fold`.

Two kinds of run are folded. *Refusals*: a SYN and the RST or ICMP that answers it, again and again
while the other side is not there yet; the first pair of a run stays. *Data*: segments with payload
and the bare acknowledgements among them, once data has begun; a handshake's own acknowledgement
comes before any data and stays. Everything else stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from simopen.lab.ladder import UNREACHABLE, Step, crossings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind: TypeAlias = Literal["refusals", "data"]

MIN_FOLDED = 3
"""Steps below which a run is drawn in full: a fold costs a line, too."""


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


def fold(steps: Sequence[Step]) -> list[Step | Fold]:
    """Return the steps in the order they were sent, with its long runs folded."""
    refused = _refused(steps)
    items: list[Step | Fold] = []
    for kind, run in groupby(steps, _Classifier(refused)):
        items += _shorten(kind, list(run))
    return items


class _Classifier:
    """Says of each step in turn which kind of run it belongs to."""

    def __init__(self, refused: set[int]) -> None:
        self._refused = refused
        self._data_began = False

    def __call__(self, step: Step) -> Kind | None:
        if step.packet_id in self._refused:
            return "refusals"
        if step.flags != "ACK":
            self._data_began = self._data_began and step.flags != "SYN"
            return None
        self._data_began = self._data_began or step.payload_bytes > 0
        return "data" if self._data_began else None


def _shorten(kind: Kind | None, run: list[Step]) -> Iterable[Step | Fold]:
    kept = 2 if kind == "refusals" else 0  # a SYN and its answer
    if kind is None or len(run) - kept < MIN_FOLDED:
        return run
    return [*run[:kept], Fold(kind, tuple(run[kept:]))]


def _refused(steps: Sequence[Step]) -> set[int]:
    """Return the packet ids of SYNs that were refused, and of the refusals."""
    crossed = {syn.packet_id for pair in crossings(steps) for syn in pair}
    waiting: dict[str, Step] = {}
    refused: set[int] = set()
    for step in steps:
        if step.flags == "SYN":
            waiting[step.sender] = step
        elif step.flags.startswith("RST") or step.flags == UNREACHABLE:
            for syn in _answered(step, waiting):
                del waiting[syn.sender]
                if syn.packet_id not in crossed:
                    refused |= {syn.packet_id, step.packet_id}
    return refused


def _answered(refusal: Step, waiting: dict[str, Step]) -> list[Step]:
    return [
        syn
        for syn in waiting.values()
        if syn.sender != refusal.sender
        and syn.arrived_at is not None
        and syn.arrived_at <= refusal.sent_at
    ]
