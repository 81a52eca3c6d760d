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

Gateways on the way have no line of their own: a packet that one dropped ends with its name, and
what one answers by itself begins with it, away from the host's side.

A conversation that was recorded at its left end alone has a `View`: a column tells the TCP state
there, packets have their numbers, and times at the far side are marked as reckoned.
"""  # noqa: RUF002  # the mark of a crossing is no letter

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from simopen.capture.folding import Fold, fold
from simopen.capture.ladder import Step, crossings, sides
from simopen.capture.view import View
from simopen.capture.words import TIMES, clip, label, tell, whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MS_PER_S = 1_000
_TIME_COLUMNS = 10
_SPAN_COLUMNS = 60  # between the hosts; with time and margins 75 of a terminal's 80
_LABEL_COLUMNS = 16  # kept free of lanes at either side, so that labels stay readable
_STATE_COLUMNS = 12  # the longest state's name
_VIEWED_SPAN_COLUMNS = 52  # between the hosts where states are told: 80 with all
_VIEWED_LABEL_COLUMNS = 22  # where packets have their numbers
_LANE_GAP = 3  # columns between lanes while there is room

_VIEWED_ITEMS = 40  # packets and folds; of a longer conversation the middle is folded

_ENDS = {  # what is written of a lost packet begins with
    "": "never arrived",
    "at": "at: dropped by the gateway there",
    "after": "after: not seen beyond the gateway there",
}
_VIEWED_ENDS = {"": "no answer came to it"}
_CROSS = "╳"  # noqa: RUF001  # drawn like the lines it joins, not a letter
_ASCII = str.maketrans(_CROSS + TIMES + "─│├┤╮╭╰╯▶◀┼✗…→", "Xx-|||..''><+x~>")


@dataclass(frozen=True, slots=True)
class _Event:
    """One line of the picture: a packet leaves or arrives, or a fold stands for many."""

    at: float
    item: Step | Fold
    arrives: bool = False


def draw(
    steps: Sequence[Step],
    left: str | None = None,
    right: str | None = None,
    *,
    ascii_only: bool = False,
    view: View | None = None,
) -> str:
    """Draw a conversation, at most 80 columns wide.

    Args:
        steps: Its packets, as `ladder.steps` returns them.
        left: Name of the host at the left; of `ladder.sides` the first when not given.
        right: Name of the host at the right, of `ladder.sides` the second; there are no others.
        ascii_only: Use no character beyond ASCII, for a terminal that `can_show` says cannot.
        view: What the left side knows, where it alone has recorded this.

    Returns:
        Lines, each with its line end.
    """
    first, second = sides(steps)
    most = _VIEWED_ITEMS if view else None
    canvas = _Canvas(steps, left or first, right or second, view)
    lines = [canvas.heading(), *map(canvas.line, _events(fold(steps, most))), *canvas.legend()]
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
    return sorted(events, key=_order)


def _order(event: _Event) -> tuple[float, int]:
    """Put what arrives before what leaves at once, unless it has only just left itself."""
    if not event.arrives:
        return event.at, 1
    return event.at, 2 if event.at == event.item.sent_at else 0


class _Canvas:
    """Draws line after line, and remembers which packets are on their way."""

    def __init__(self, steps: Sequence[Step], left: str, right: str, view: View | None) -> None:
        self._left, self._right, self._view = left, right, view
        self._span = _VIEWED_SPAN_COLUMNS if view else _SPAN_COLUMNS
        self._reckoned = False  # whether there is a time at the far side
        self._crossed = {
            frozenset((first.packet_id, second.packet_id)) for first, second in crossings(steps)
        }
        self._lanes: dict[int, int] = {}  # packet id to lane number, 0 innermost
        self._flying: dict[int, Step] = {}
        self._lost: set[str] = set()  # which of `_ENDS` there are

    def heading(self) -> str:
        half = self._span // 2
        left, right = self._view.heads if self._view else (self._left, self._right)
        names = clip(left, half).ljust(half) + clip(right, half).rjust(half + 2)
        return f"{'ms':>{_TIME_COLUMNS}}  {self._state_column('our state')}{names}"

    def legend(self) -> Iterable[str]:
        indent = " " * (_TIME_COLUMNS + 2)
        if self._crossed:
            yield f"{indent}{_CROSS} two SYNs cross: simultaneous open"
        for preposition, meaning in (_VIEWED_ENDS if self._view else _ENDS).items():
            if preposition in self._lost:
                yield f"{indent}✗ {meaning}"
        if self._reckoned:
            yield f"{indent}~ not seen from here: half a round trip away"

    def line(self, event: _Event) -> str:
        item = event.item
        if isinstance(item, Fold):
            span = self._fold(item)
        elif event.arrives:
            span = self._arrival(item)
        else:
            span = self._departure(item)
        return (
            f"{self._time(event):>{_TIME_COLUMNS}}  {self._state_column(self._state(event))}{span}"
        )

    def _time(self, event: _Event) -> str:
        time = f"{event.at * _MS_PER_S:.2f}"
        if self._view is None or self._is_here(event):
            return time
        self._reckoned |= self._view.reckoned
        return f"~{time}" if self._view.reckoned else ""

    def _state(self, event: _Event) -> str:
        if self._view is None or isinstance(event.item, Fold) or not self._is_here(event):
            return ""
        return self._view.states.get(event.item.packet_id, "")

    def _state_column(self, text: str) -> str:
        return f"{text:{_STATE_COLUMNS}}  " if self._view else ""

    def _is_here(self, event: _Event) -> bool:
        """Return whether it happens at the left, or is a fold of what does."""
        return isinstance(event.item, Fold) or self._from_left(event.item) != event.arrives

    def _label(self, step: Step) -> str:
        numbered = self._view.numbered if self._view else ()
        return label(step, numbers=step.packet_id in numbered)

    def _fold(self, fold: Fold) -> str:
        text = clip(f" {tell(fold, self._left, self._right)} ", self._span)
        start = (self._span - len(text)) // 2
        cells = self._verticals()
        cells[start : start + len(text)] = text
        return f"│{''.join(cells)}│"

    def _departure(self, step: Step) -> str:
        cells = self._verticals()
        lost, from_left = step.arrived_at is None, self._from_left(step)
        lane = self._middle(step) if lost else self._take_lane(step)
        run = range(lane) if from_left else range(lane + 1, self._span)
        self._run(cells, step, run)
        words, joint, edge = self._label(step), "─", "├" if from_left else "┤"
        if step.from_gateway:
            words, joint, edge = _from_gateway(step, len(run)), " ", "│"
        _write(cells, words, joint, at_left=from_left)
        cells[lane] = "✗" if lost else "╮" if from_left else "╭"
        if lost:
            self._say_where(cells, step, lane)
        return f"{edge}{''.join(cells)}│" if from_left else f"│{''.join(cells)}{edge}"

    def _arrival(self, step: Step) -> str:
        lane = self._column(step, self._lanes.pop(step.packet_id))
        del self._flying[step.packet_id]
        cells = self._verticals()
        from_left = self._from_left(step)
        self._run(cells, step, range(lane + 1, self._span) if from_left else range(lane))
        cells[lane] = "╰" if from_left else "╯"
        _write(cells, self._label(step), "▶" if from_left else "◀", at_left=not from_left)
        return f"│{''.join(cells)}│"

    def _say_where(self, cells: list[str], step: Step, lane: int) -> None:
        """Write where a packet was lost beyond its end, the first place free of lanes."""
        where = whereabouts(step)
        self._lost.add(where.partition(" ")[0])
        text = clip(where, _LABEL_COLUMNS - 2)
        if text:
            ahead = cells[lane + 1 :] if self._from_left(step) else cells[lane - 1 :: -1]
            start = "".join(ahead).index(" " * (len(text) + 2)) + 1
            at = lane + 1 + start if self._from_left(step) else lane - start - len(text)
            cells[at : at + len(text)] = text

    def _verticals(self) -> list[str]:
        """Return an empty line with the lanes of all packets on their way."""
        cells = [" "] * self._span
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
        room = self._span // 2 - (_VIEWED_LABEL_COLUMNS if self._view else _LABEL_COLUMNS)
        offset = min(2 + lane * _LANE_GAP, room)
        middle = self._middle(step)
        return middle - offset if self._from_left(step) else middle + offset

    def _middle(self, step: Step) -> int:
        return self._span // 2 - (0 if self._from_left(step) else 1)

    def _from_left(self, step: Step) -> bool:
        return step.leaves(self._left)


def _from_gateway(step: Step, columns: int) -> str:
    """Return the label of what a gateway says, with its name if there is room."""
    words = f"{label(step)} from "
    room = columns - len(words) - len("  ")
    return f"{words}{clip(step.sender, room)}" if room > 1 else label(step)


def _write(cells: list[str], words: str, joint: str, *, at_left: bool) -> None:
    """Write a label at a side, over the line that ends there."""
    if at_left:
        text = f"{joint} {words} "
        cells[: len(text)] = text
    else:
        text = f" {words} {joint}"
        cells[-len(text) :] = text
