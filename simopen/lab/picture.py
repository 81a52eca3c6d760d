"""A conversation drawn as text: time goes down, the two hosts are the sides, packets run between.

Theory of operation
-------------------
A packet is drawn twice, in the line of its departure and in that of its arrival, and runs down a
lane of its own between them. Lines are events in time order, not a scale. Packets from the left use
the lanes left of the middle, those from the right the lanes right of it, later ones further out; so
two lines meet in the picture exactly when the packets passed each other on the wire, and packets of
one sender, which arrive in order, never do. Where two SYNs meet the point is marked: that is the
simultaneous open.

    SYN leaves a      ├─ SYN ──────────╮                          │
    SYN leaves b      │                │      ╭──────────── SYN ─┤
    a's SYN arrives   │                ╰──────╳──────────── SYN ▶│
    b's SYN arrives   │◀ SYN ─────────────────╯                  │
"""  # noqa: RUF002  # the mark of a crossing is no letter

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from simopen.lab.folding import Fold, fold
from simopen.lab.ladder import Step, crossings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MS_PER_S = 1_000
_TIME_COLUMNS = 10
_SPAN_COLUMNS = 60  # between the hosts; with time and margins 75 of a terminal's 80
_LABEL_COLUMNS = 16  # kept free of lanes at either side, so that labels stay readable
_LANE_GAP = 3  # columns between lanes while there is room

_CROSS = "╳"  # noqa: RUF001  # drawn like the lines it joins, not a letter
_ASCII = str.maketrans(_CROSS + "─│├┤╮╭╰╯▶◀┼✗…→", "X-|||..''><+x~>")


@dataclass(frozen=True, slots=True)
class _Event:
    """One line of the picture: a packet leaves or arrives, or a fold stands for many."""

    at: float
    item: Step | Fold
    arrives: bool = False


def draw(
    steps: Sequence[Step], left: str = "a", right: str = "b", *, ascii_only: bool = False
) -> str:
    """Draw a conversation, at most 80 columns wide.

    Args:
        steps: Its packets, as `ladder.steps` returns them.
        left: Name of the host at the left.
        right: Name of the host at the right; there are no others.
        ascii_only: Use no character beyond ASCII, for a terminal that `can_show` says cannot.

    Returns:
        Lines, each with its line end.
    """
    canvas = _Canvas(steps, left, right)
    lines = [canvas.heading(), *map(canvas.line, _events(fold(steps))), *canvas.legend()]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    return text.translate(_ASCII) if ascii_only else text


def can_show(stream: TextIO) -> bool:
    """Return whether a stream's encoding has the characters of a picture."""
    try:
        "".join(map(chr, _ASCII)).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _events(items: Iterable[Step | Fold]) -> list[_Event]:
    events = []
    for item in items:
        events.append(_Event(item.sent_at, item))
        if isinstance(item, Step) and item.arrived_at is not None:
            events.append(_Event(item.arrived_at, item, arrives=True))
    return sorted(events, key=lambda event: (event.at, not event.arrives))


class _Canvas:
    """Draws line after line, and remembers which packets are on their way."""

    def __init__(self, steps: Sequence[Step], left: str, right: str) -> None:
        self._left, self._right = left, right
        self._crossed = {
            frozenset((first.packet_id, second.packet_id)) for first, second in crossings(steps)
        }
        self._lanes: dict[int, int] = {}  # packet id to lane number, 0 innermost
        self._flying: dict[int, Step] = {}
        self._lost = False

    def heading(self) -> str:
        names = self._left.ljust(_SPAN_COLUMNS // 2) + self._right.rjust(_SPAN_COLUMNS // 2 + 2)
        return f"{'ms':>{_TIME_COLUMNS}}  {names}"

    def legend(self) -> Iterable[str]:
        indent = " " * (_TIME_COLUMNS + 2)
        if self._crossed:
            yield f"{indent}{_CROSS} two SYNs cross: simultaneous open"
        if self._lost:
            yield f"{indent}✗ never arrived"

    def line(self, event: _Event) -> str:
        item = event.item
        if isinstance(item, Fold):
            span = self._fold(item)
        elif event.arrives:
            span = self._arrival(item)
        else:
            span = self._departure(item)
        return f"{event.at * _MS_PER_S:{_TIME_COLUMNS}.2f}  {span}"

    def _fold(self, fold: Fold) -> str:
        text = _clip(f" {self._tell(fold)} ", _SPAN_COLUMNS)
        start = (_SPAN_COLUMNS - len(text)) // 2
        cells = self._verticals()
        cells[start : start + len(text)] = text
        return f"│{''.join(cells)}│"

    def _departure(self, step: Step) -> str:
        cells = self._verticals()
        lost = step.arrived_at is None
        lane = self._middle(step) if lost else self._take_lane(step)
        self._lost |= lost
        if self._from_left(step):
            self._run(cells, step, range(lane))
            cells[lane] = "✗" if lost else "╮"
            label = f"─ {_label(step)} "
            cells[: len(label)] = label
            return f"├{''.join(cells)}│"
        self._run(cells, step, range(lane + 1, _SPAN_COLUMNS))
        cells[lane] = "✗" if lost else "╭"
        label = f" {_label(step)} ─"
        cells[-len(label) :] = label
        return f"│{''.join(cells)}┤"

    def _arrival(self, step: Step) -> str:
        lane = self._column(step, self._lanes.pop(step.packet_id))
        del self._flying[step.packet_id]
        cells = self._verticals()
        if self._from_left(step):
            self._run(cells, step, range(lane + 1, _SPAN_COLUMNS))
            cells[lane] = "╰"
            label = f" {_label(step)} ▶"
            cells[-len(label) :] = label
        else:
            self._run(cells, step, range(lane))
            cells[lane] = "╯"
            label = f"◀ {_label(step)} "
            cells[: len(label)] = label
        return f"│{''.join(cells)}│"

    def _verticals(self) -> list[str]:
        """Return an empty line with the lanes of all packets on their way."""
        cells = [" "] * _SPAN_COLUMNS
        for packet_id, step in self._flying.items():
            cells[self._column(step, self._lanes[packet_id])] = "│"
        return cells

    def _run(self, cells: list[str], step: Step, columns: range) -> None:
        """Draw a packet's line along columns, over the lanes of others."""
        for column in columns:
            cells[column] = "─" if cells[column] == " " else "┼"
        for packet_id, other in self._flying.items():
            column = self._column(other, self._lanes[packet_id])
            if column in columns and frozenset((packet_id, step.packet_id)) in self._crossed:
                cells[column] = _CROSS

    def _take_lane(self, step: Step) -> int:
        """Put a packet on its way, outside all others of its sender; return its column."""
        taken = [
            self._lanes[packet_id]
            for packet_id, other in self._flying.items()
            if other.sender == step.sender
        ]
        self._lanes[step.packet_id] = max(taken, default=-1) + 1
        self._flying[step.packet_id] = step
        return self._column(step, self._lanes[step.packet_id])

    def _column(self, step: Step, lane: int) -> int:
        room = _SPAN_COLUMNS // 2 - _LABEL_COLUMNS
        offset = min(2 + lane * _LANE_GAP, room)
        middle = self._middle(step)
        return middle - offset if self._from_left(step) else middle + offset

    def _middle(self, step: Step) -> int:
        return _SPAN_COLUMNS // 2 - (0 if self._from_left(step) else 1)

    def _from_left(self, step: Step) -> bool:
        return step.sender == self._left

    def _tell(self, fold: Fold) -> str:
        if fold.kind == "refusals":
            return f"… {fold.syns:,} more refused SYNs in {_duration(fold.seconds)}"
        ways = ((self._left, self._right), (self._right, self._left))
        amounts = [
            f"{amount:,} bytes {_clip(sender, 8)} → {_clip(receiver, 8)}"
            for sender, receiver in ways
            if (amount := fold.payload_bytes(sender))
        ]
        what = ", ".join(amounts) or f"{len(fold.steps):,} acknowledgements"
        return f"… {what} in {_duration(fold.seconds)}"


def _label(step: Step) -> str:
    return f"{step.flags} {step.payload_bytes} B" if step.payload_bytes else step.flags


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * _MS_PER_S:.0f} ms"


def _clip(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 1]}…"
