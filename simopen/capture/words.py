"""The words of a picture, whether drawn as text or as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simopen.capture.pcapng import Direction

if TYPE_CHECKING:
    from simopen.capture.folding import Fold
    from simopen.capture.ladder import Step

_MS_PER_S = 1_000
_NAME_COLUMNS = 8  # of a host's name in a sentence
_MANY = 10  # from here on a fraction says nothing
TIMES = "×"  # noqa: RUF001  # the sign of multiplication


def label(step: Step, *, numbers: bool = False) -> str:
    """Return what a packet is: its flags, what it carries, how often it came.

    Args:
        step: The packet.
        numbers: Say its sequence number as well, and what it acknowledges.
    """
    if numbers:
        acknowledged = f" ack {step.ack}" if "ACK" in step.flags else ""
        return f"{step.flags} seq {step.seq}{acknowledged}"
    carried = f" {step.payload_bytes} B" if step.payload_bytes else ""
    often = f" {TIMES}{step.copies + 1}" if step.copies else ""
    return f"{step.flags}{carried}{often}"


def whereabouts(step: Step) -> str:
    """Return where a packet that never arrived ended, such as "at office"; "" where unknown.

    It is "at" the gateway that dropped it, or was lost "after" the last one it had passed.
    """
    if step.arrived_at is not None or len(step.path) < 2:  # noqa: PLR2004  # it only left
        return ""
    last = step.path[-1]
    preposition = "at" if last.direction is Direction.INBOUND else "after"
    return f"{preposition} {last.interface}"


def tell(fold: Fold, left: str, right: str) -> str:
    """Return what a fold stands for."""
    return f"… {_what(fold, left, right)} in {duration(fold.seconds)}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    ms = seconds * _MS_PER_S
    return f"{seconds:.1f} s" if seconds >= 1 else f"{ms:.0f} ms" if ms >= _MANY else f"{ms:.1f} ms"


def clip(text: str, columns: int) -> str:
    """Return a text cut to a number of characters."""
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


def _what(fold: Fold, left: str, right: str) -> str:
    if fold.kind == "refusals":
        return f"{fold.syns:,} more {_failed(fold)}"
    if fold.kind == "rest":
        return f"{len(fold.steps):,} more packets"
    amounts = [
        f"{amount:,} bytes {clip(sender, _NAME_COLUMNS)} → {clip(receiver, _NAME_COLUMNS)}"
        for sender, receiver in ((left, right), (right, left))
        if (amount := fold.payload_bytes(sender))
    ]
    return ", ".join(amounts) or f"{len(fold.steps):,} acknowledgements"


def _failed(fold: Fold) -> str:
    answers = len(fold.steps) - fold.syns
    if not answers:
        return "SYNs lost"
    return "refused SYNs" if answers >= fold.syns else "SYNs refused or lost"
