"""Where everything goes in a conversation drawn as SVG.

Theory of operation
-------------------
Every sighting of a packet is a point in the column of its party or gateway; what is left to find is
its height. Points are gone through in time order, and each lies below the one before by the time
between them, to scale: a median trip takes `_TRIP` pixels, and less where the picture would become
too long. There are two exceptions. Where a stretch would be long and empty it is cut, and a break
tells the time left out. Where a text would lie over another one, the point moves down until it does
not (see `sheet`). As all that follows moves down with it, what happened earlier is never drawn
lower: two packets meet in the picture exactly if they met.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from simopen.capture.columns import Column, columns
from simopen.capture.folding import Fold, fold
from simopen.capture.ladder import UNREACHABLE, Step, crossings
from simopen.capture.pcapng import Direction
from simopen.capture.sheet import SIZES, Sheet, Text, beside, room_for
from simopen.capture.view import View
from simopen.capture.words import clip, duration, label, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from simopen.capture.journey import Sighting
    from simopen.capture.packets import Endpoint

MAX_ITEMS = 40
"""Packets and folds drawn; of a longer conversation the middle is folded."""

HEAD = 56.0
"""Height in pixels at which the columns begin."""

_AXIS = 88.0  # for the times
_SIDE = 140.0  # for the labels at either side
_VIEWED_SIDE = 174.0  # the same where packets have their numbers
_STATES = 84.0  # for the states of the left side
_GAPS = {2: 400.0, 3: 240.0}  # between columns, by how many there are
_GAP = 168.0  # where there are more
_NAMES_Y, _ENDPOINTS_Y = 26.0, 43.0  # baselines
_MARGIN = 12.0  # between a column and a text
_STUB = 0.4, 10.0  # of a gap, and pixels: how far a packet goes on that was lost on its way
_NOTE_RISE = 7.0  # of a note over the line beside it

_TRIP = 84.0  # height of a median trip while there is room
_TALL = 1600.0  # height that is worth making trips flatter
_FLATTER, _FLATTEST = 0.8, 1.0  # step by step by how much, and until when
_IDLE = 60.0  # longest stretch where nothing is on its way
_FLYING = 2.5  # the same where something is, in median trips
_USUAL_TRIP_S = 0.010  # for want of any
_MS_PER_S = 1_000
_LONG_MS = 1_000_000  # no room for fractions

_LOST = {Direction.INBOUND: "dropped", Direction.OUTBOUND: "lost"}

Point: TypeAlias = tuple[float, float]


class Line(NamedTuple):
    """A packet's line.

    Attributes:
        step: The packet.
        tone: Its colour: "left" or "right", by where it comes from, or "bad" for a refusal.
        points: Where it was seen and, if it was lost on its way, a little further.
    """

    step: Step
    tone: str
    points: list[Point]


@dataclass(slots=True)
class Layout:
    """A conversation with a place for everything; all lengths in pixels.

    Attributes:
        columns: Parties and gateways from left to right.
        xs: The middles of their columns.
        lines: The packets by their ids.
        texts: All texts.
        rings: Where SYNs cross.
        bottom: Where the columns end.
        side: Room for labels at either side.
        reckoned: Whether a time is told that was not seen.
    """

    columns: list[Column]
    xs: list[float]
    lines: dict[int, Line] = field(default_factory=dict)
    texts: list[Text] = field(default_factory=list)
    rings: list[Point] = field(default_factory=list)
    bottom: float = HEAD
    side: float = _SIDE
    reckoned: bool = False

    @property
    def width(self) -> float:
        """Width of it all."""
        return self.xs[-1] + self.side + _MARGIN


def lay_out(
    steps: Sequence[Step], names: Sequence[str] | None = None, view: View | None = None
) -> Layout:
    """Return where to draw a conversation.

    Args:
        steps: Its packets, as `ladder.steps` returns them.
        names: Parties and gateways from left to right, found out when not given.
        view: What the left side knows, where it alone has recorded this.
    """
    items = fold(steps, MAX_ITEMS)
    found = columns(steps, names)
    trip = _TRIP
    while (
        layout := _Builder(items, found, trip, view).build()
    ).bottom > _TALL and trip > _FLATTEST:
        trip *= _FLATTER
    drawn = [item for item in items if isinstance(item, Step) and item.packet_id in layout.lines]
    for pair in crossings(drawn):
        layout.rings += _meetings(*(layout.lines[step.packet_id].points for step in pair))
    return layout


class _Event(NamedTuple):
    """A packet is seen, or a fold stands for many; the first three fields put them in order."""

    at: float
    number: int
    place: int
    item: tuple[Step, Sighting] | Fold


class _Builder:
    """Goes through the events of a conversation and gives each its height.

    Args:
        items: Packets and folds.
        columns: Where they pass.
        trip: Height of a median trip in pixels.
        view: What the left side knows.
    """

    def __init__(
        self,
        items: Sequence[Step | Fold],
        columns: list[Column],
        trip: float,
        view: View | None,
    ) -> None:
        self._view = view
        self._gap = _GAPS.get(len(columns), _GAP)
        side, first = (_VIEWED_SIDE, _AXIS + _STATES) if view else (_SIDE, _AXIS)
        xs = [first + side + self._gap * number for number in range(len(columns))]
        self._layout = Layout(columns, xs, side=side)
        self._note_room = room_for(self._gap - 2 * _MARGIN, "note")
        self._sheet = Sheet(HEAD + 2 * _MARGIN, xs[0] - _MARGIN, xs[-1] + _MARGIN)
        self._places = {column.name: place for place, column in enumerate(columns)}
        self._events = sorted(self._find(items), key=lambda event: event[:3])
        self._scale = trip / _median_trip(items)
        self._longest_flight = trip * _FLYING
        self._time = self._events[0].at if self._events else 0.0
        self._timed = HEAD  # height of the last time told
        self._flying: set[int] = set()
        self._endpoints: dict[int, list[Endpoint]] = {}  # by column, as one followed the other

    def build(self) -> Layout:
        for event in self._events:
            self._pass_time(event.at)
            if isinstance(event.item, Fold):
                self._add_fold(event.item)
            else:
                self._add_point(event.at, *event.item)
        self._layout.texts += [*self._heads(), *self._sheet.texts]
        self._layout.bottom = self._sheet.height + 2 * _MARGIN
        return self._layout

    def _find(self, items: Sequence[Step | Fold]) -> Iterator[_Event]:
        for number, item in enumerate(items):
            if isinstance(item, Fold):
                yield _Event(item.sent_at, number, 0, item)
                continue
            for place, sighting in enumerate(item.path):
                if sighting.interface in self._places:
                    yield _Event(item.seen_at(sighting), number, place, (item, sighting))

    def _pass_time(self, at: float) -> None:
        height = max(at - self._time, 0.0) * self._scale
        if height > (self._longest_flight if self._flying else _IDLE):
            self._sheet.put_band("break", duration(at - self._time))
        else:
            self._sheet.height += height
        self._time = max(at, self._time)

    def _add_fold(self, fold: Fold) -> None:
        left, right = self._layout.columns[0].name, self._layout.columns[-1].name
        room = room_for(self._layout.xs[-1] - self._layout.xs[0] + self._layout.side, "fold")
        words = clip(tell(fold, left, right), room)
        self._tell_time(fold.sent_at, self._sheet.put_band("fold", words))
        self._time = max(self._time, fold.sent_at + fold.seconds)

    def _add_point(self, at: float, step: Step, sighting: Sighting) -> None:
        x = self._layout.xs[self._places[sighting.interface]]
        way = 1 if step.leaves(self._layout.columns[0].name) else -1
        departs, ends = sighting is step.path[0], sighting is step.path[-1]
        tone = _tone(step, way)
        points = [(x, 0.0)]
        texts = []
        if departs:
            words = clip(self._label(step), room_for(self._layout.side - 2 * _MARGIN, "label"))
            texts.append(beside(x - way * _MARGIN, -way, "label", words, tone))
        if self._view and x == self._layout.xs[0]:
            state = self._view.states.get(step.packet_id, "")
            texts.append(beside(_AXIS, 1, "note", state, "ink"))
        if not (departs and step.from_gateway):
            texts += self._notes(x, way, sighting)
        if ends and step.arrived_at is None:
            if sighting.direction is Direction.OUTBOUND:
                points.append((x + way * _STUB[0] * self._gap, _STUB[1]))
            end, fall = points[-1]
            lost = "no answer" if self._view else _LOST[sighting.direction]
            text = beside(end + way * _MARGIN, way, "note", lost, "bad")
            texts.append(text._replace(y=text.y + fall))
        y = self._sheet.put(texts, x)
        line = self._layout.lines.setdefault(step.packet_id, Line(step, tone, []))
        line.points.extend((x, y + fall) for x, fall in points)
        self._flying.add(step.packet_id)
        if ends:
            self._flying.discard(step.packet_id)
        if departs or (ends and step.arrived_at is not None):
            if self._view is None or x == self._layout.xs[0]:
                self._tell_time(at, y)
            elif self._view.reckoned:
                self._tell_time(at, y, "~")

    def _label(self, step: Step) -> str:
        numbered = self._view.numbered if self._view else ()
        return label(step, numbers=step.packet_id in numbered)

    def _notes(self, x: float, way: int, sighting: Sighting) -> list[Text]:
        """Return a note where a gateway shows its party at another endpoint than before."""
        place = self._places[sighting.interface]
        column = self._layout.columns[place]
        known = self._endpoints.setdefault(place, [])
        endpoint = column.endpoint(sighting, from_left=way > 0)
        if endpoint in known[-1:]:
            return []
        known.append(endpoint)
        if len(known) == 1:
            return []  # the head of the column has it
        outwards = 1 if column.of_left else -1
        moved = endpoint.address != known[0].address
        words = clip(str(endpoint), self._note_room) if moved else f":{endpoint.port}"
        text = beside(x + outwards * _MARGIN, outwards, "note", words)
        return [text._replace(y=text.y - _NOTE_RISE)]

    def _tell_time(self, at: float, y: float, mark: str = "") -> None:
        if y - self._timed >= SIZES["time"] + 1:
            ms = at * _MS_PER_S
            words = f"{mark}{ms:,.2f}" if ms < _LONG_MS else f"{mark}{ms:,.0f}"
            self._layout.reckoned |= bool(mark)
            text = beside(_AXIS - _MARGIN, -1, "time", words)
            self._layout.texts.append(text._replace(y=text.y + y))
            self._timed = y

    def _heads(self) -> Iterator[Text]:
        """Yield the names of the columns, and the endpoints that differ from those further in."""
        yield Text("time", _AXIS - _MARGIN, _NAMES_Y, "end", "ms")
        for place, column in enumerate(self._layout.columns):
            x = self._layout.xs[place]
            yield Text(
                "name", x, _NAMES_Y, "middle", clip(column.name, room_for(self._gap, "name"))
            )
            inner = self._endpoints.get(place - 1 if column.of_left else place + 1)
            own = self._endpoints.get(place)
            if own and not (column.gateway and inner and inner[0] == own[0]):
                words = clip(str(own[0]), self._note_room)
                yield Text("note", x, _ENDPOINTS_Y, "middle", words)


def _median_trip(items: Iterable[Step | Fold]) -> float:
    """Return how long packets are on their way, in seconds."""
    trips = [
        item.seen_at(item.path[-1]) - item.sent_at
        for item in items
        if isinstance(item, Step) and item.path[-1] is not item.path[0]
    ]
    return median(trips or [0.0]) or _USUAL_TRIP_S


def _tone(step: Step, way: int) -> str:
    if step.flags.startswith("RST") or step.flags == UNREACHABLE:
        return "bad"
    return "left" if way > 0 else "right"


def _meetings(one: Sequence[Point], other: Sequence[Point]) -> list[Point]:
    """Return where two lines meet, at most once."""
    xs = sorted({x for x, _ in (*one, *other)})
    apart = [_height(one, x) - _height(other, x) for x in xs]
    for (x, before), (next_x, after) in pairwise(zip(xs, apart, strict=True)):
        if before * after <= 0 and before != after:
            met = x + (next_x - x) * before / (before - after)
            return [(met, _height(one, met))]
    return []


def _height(points: Sequence[Point], x: float) -> float:
    """Return the height of a line at `x`; beyond its ends it is level."""
    points = sorted(points)
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 > x0 else y0
    return points[0][1] if x < points[0][0] else points[-1][1]
