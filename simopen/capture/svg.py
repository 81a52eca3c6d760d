"""A conversation drawn as SVG: parties and gateways side by side, time goes down, packets between.

Theory of operation
-------------------
`layout` says where everything goes; this module writes it down. The picture is one file by itself,
without scripts or fonts, light or dark as the reader's system is, and says in words what it shows
to those who cannot see it. Its size is bounded: it holds at most `layout.MAX_ITEMS` packets and
folds and `columns.MAX_COLUMNS` parties and gateways, which is some 1,600 by 2,500 pixels. A longer
conversation lacks its middle, and says so.

Colours are classes that set `color`, and shapes take `currentColor`, so that the dark palette is
the same list of classes once more.
"""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from simopen.capture import ladder
from simopen.capture.layout import HEAD, Layout, Line, Point, lay_out
from simopen.capture.sheet import BAND, CENTRE, SIZES, Text
from simopen.capture.words import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from simopen.capture.conversation import Conversation
    from simopen.capture.ladder import Step
    from simopen.capture.pcapng import Record
    from simopen.capture.view import View

_BAR = 10.0  # width of a gateway
_ARROW = 9.0, 3.5  # length of an arrowhead, and half its width
_CROSS = 4.5  # half the size of a cross
_RING = 8.0
_TOOTH = 6.0, 2.5  # of the edge of a break: half its length, half its depth
_LEGEND = 26.0  # from the columns to the legend, and between its lines
_LEGEND_GAP = 28.0  # between its entries
_MS_PER_S = 1_000

_PALETTE = {  # class: light, dark
    "paper": ("#ffffff", "#0d1117"),
    "edge": ("#d0d7de", "#3d444d"),
    "bar": ("#e4e9ef", "#2b323c"),
    "faint": ("#59636e", "#9aa4af"),
    "ink": ("#1f2328", "#f0f6fc"),
    "left": ("#0550ae", "#79c0ff"),
    "right": ("#0b6b63", "#5fd4c4"),
    "bad": ("#c4211c", "#ff938a"),
    "mark": ("#9a6700", "#e8bd4f"),
}

_STYLE = """
.simopen-ladder text { fill: currentColor; font-family: ui-monospace, SFMono-Regular, Menlo,
  Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; }
.simopen-ladder .name { font-weight: 600; }
.simopen-ladder .fill { fill: currentColor; }
.simopen-ladder .line { fill: none; stroke: currentColor; stroke-width: 1.5;
  stroke-linejoin: round; }
.simopen-ladder .hair { stroke-width: 0.8; stroke-dasharray: 1 5; }
.simopen-ladder .bold { stroke-width: 2.4; }
"""


def draw(
    records: Iterable[Record],
    conversation: Conversation | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> str:
    """Draw a conversation.

    Args:
        records: A capture.
        conversation: Which one, of `ladder.conversations`; the first when not given.
        columns: Parties and gateways from left to right; found out when not given.

    Returns:
        An SVG document.
    """
    return draw_steps(ladder.steps(records, conversation), columns)


def draw_steps(
    steps: Sequence[Step], columns: Sequence[str] | None = None, view: View | None = None
) -> str:
    """Draw a conversation whose packets are known.

    Args:
        steps: Its packets; each has its path.
        columns: Parties and gateways from left to right; found out when not given.
        view: What the left side knows, where it alone has recorded this.

    Returns:
        An SVG document.
    """
    layout = lay_out(steps, columns, view)
    body = [
        *_time_lines(layout),
        *_columns(layout),
        *(part for line in layout.lines.values() for part in _packet(line)),
        *(_ring(at) for at in layout.rings),
        *_texts(layout.texts, layout.xs),
    ]
    legend, bottom = _legend(layout, "no answer came to it" if view else "went no further")
    width, height = f"{layout.width:.0f}", f"{bottom:.0f}"
    size = f'width="{width}" height="{height}"'
    title, description = _describe(steps, layout)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}"',
            f'  class="simopen-ladder" role="img" aria-label="{_clean(title)}">',
            f"<title>{_clean(title)}</title>",
            f"<desc>{_clean(description)}</desc>",
            f"<style>{_STYLE}{_colours()}</style>",
            f'<rect class="paper fill" {size} rx="8"/>',
            *body,
            *legend,
            "</svg>\n",
        )
    )


def _colours() -> str:
    light, dark = (
        "\n".join(
            f".simopen-ladder .{name} {{ color: {colours[way]}; }}"
            for name, colours in _PALETTE.items()
        )
        for way in (0, 1)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _describe(steps: Sequence[Step], layout: Layout) -> tuple[str, str]:
    names = [column.name for column in layout.columns]
    lost = sum(step.arrived_at is None for step in steps)
    crossed = len(ladder.crossings(steps))
    title = f"TCP between {names[0]} and {names[-1]}"
    through = f" through {', '.join(names[1:-1])}" if names[1:-1] else ""
    return title, (
        f"Time goes down. Packets run between {names[0]} and {names[-1]}{through}: {len(steps):,},"
        f" of which {lost:,} never arrived. Pairs of SYNs that crossed: {crossed:,}."
    )


def _time_lines(layout: Layout) -> Iterator[str]:
    for text in layout.texts:
        if text.kind == "time" and text.y > HEAD:
            y = text.y - SIZES["time"] * CENTRE
            yield _path("faint line hair", [(text.x + 6, y), (layout.xs[-1], y)])


def _columns(layout: Layout) -> Iterator[str]:
    top, bottom = HEAD, layout.bottom
    for column, x in zip(layout.columns, layout.xs, strict=True):
        if column.gateway:
            yield (
                f'<rect class="bar fill" x="{x - _BAR / 2:.1f}" y="{top:.1f}" width="{_BAR}"'
                f' height="{bottom - top:.1f}" rx="{_BAR / 2}"/>'
            )
        else:
            yield _path("faint line bold", [(x, top), (x, bottom)])


def _packet(line: Line) -> Iterator[str]:
    step = line.step
    yield f'<g class="{line.tone}"><title>{_clean(_story(step))}</title>'
    yield _path(f"line {'bold' if step.flags.startswith('SYN') else ''}", line.points)
    before, end = line.points[-2:][0], line.points[-1]
    if step.arrived_at is None:
        yield _cross(end)
    else:
        yield f'<path class="fill" d="{_arrow(before, end)}"/>'
    yield "</g>"


def _story(step: Step) -> str:
    """Return what there is to know of a packet, as its tooltip."""
    way = ", ".join(
        f"{sighting.interface} {step.seen_at(sighting) * _MS_PER_S:,.2f} ms"
        f" ({sighting.source} → {sighting.destination})"
        for sighting in step.path
    )
    return f"{label(step)}, seq {step.seq}, ack {step.ack}: {way}"


def _texts(texts: Iterable[Text], xs: Sequence[float]) -> Iterator[str]:
    for text in texts:
        middle = text.y - SIZES[text.kind] * CENTRE
        if text.kind == "break":
            yield from _break(xs[0] - _BAR, xs[-1] + _BAR, middle)
        elif text.kind == "fold":
            yield _pill(text, middle)
        elif middle > HEAD and (xs[0] < text.x < xs[-1] or text.tone == "ink"):
            yield _behind(text)
        yield _text(text)


def _text(text: Text) -> str:
    colour = text.tone or ("ink" if text.kind in ("name", "fold") else "faint")
    return (
        f'<text class="{colour} {text.kind}" x="{text.x:.1f}" y="{text.y:.1f}"'
        f' text-anchor="{text.anchor}" font-size="{SIZES[text.kind]}">{_clean(text.words)}</text>'
    )


def _behind(text: Text) -> str:
    """Return a veil over the lines that a text is written on."""
    left, top, right, bottom = text.box
    return (
        f'<rect class="paper fill" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
        f' height="{bottom - top:.1f}" opacity="0.8"/>'
    )


def _pill(text: Text, middle: float) -> str:
    """Return what a fold is written on."""
    left, right = text.box.left - BAND, text.box.right + BAND
    return (
        f'<rect class="bar fill" x="{left:.1f}" y="{middle - BAND:.1f}"'
        f' width="{right - left:.1f}" height="{2 * BAND}" rx="{BAND}"/>'
    )


def _break(left: float, right: float, middle: float) -> Iterator[str]:
    """Yield a strip torn out of all columns."""
    edges = [_torn(left, right, middle + way * (BAND - _TOOTH[1])) for way in (-1, 1)]
    yield _path("paper fill", [*edges[0], *reversed(edges[1])])
    for edge in edges:
        yield _path("edge line", edge)


def _torn(left: float, right: float, y: float) -> list[Point]:
    teeth = int((right - left) / _TOOTH[0])
    step = (right - left) / teeth
    return [(left + n * step, y + _TOOTH[1] * (-1) ** n) for n in range(teeth + 1)]


def _ring(at: Point) -> str:
    x, y = at
    return f'<circle class="mark line bold" cx="{x:.1f}" cy="{y:.1f}" r="{_RING}"/>'


def _legend(layout: Layout, lost: str) -> tuple[list[str], float]:
    """Return what explains the marks that were used, and where it ends."""
    marks: list[tuple[str, Callable[[Point], str]]] = []
    if layout.rings:
        marks.append(("two SYNs cross: simultaneous open", _ring))
    if any(line.step.arrived_at is None for line in layout.lines.values()):
        marks.append((lost, _cross))
    if any(text.kind == "break" for text in layout.texts):
        marks.append(("time left out", _tear))
    if layout.reckoned:
        marks.append(("not seen from here: half a round trip away", _tilde))
    first = x = layout.xs[0]
    y = layout.bottom
    parts = []
    for words, draw_mark in marks:
        text = Text("note", x + 2 * _RING, 0.0, "start", words)
        if x == first or text.box.right > layout.width:
            y += _LEGEND
            text = text._replace(x=first + 2 * _RING)
        text = text._replace(y=y + SIZES["note"] * CENTRE)
        parts += [draw_mark((text.x - 2 * _RING, y)), _text(text)]
        x = text.box.right + _LEGEND_GAP
    return parts, y + _LEGEND


def _tear(at: Point) -> str:
    x, y = at
    return _path("faint line", _torn(x - _RING, x + _RING, y))


def _tilde(at: Point) -> str:
    x, y = at
    return _text(Text("time", x, y + SIZES["time"] * CENTRE, "middle", "~"))


def _cross(at: Point) -> str:
    x, y = at
    strokes = ([(x - _CROSS, y - way), (x + _CROSS, y + way)] for way in (_CROSS, -_CROSS))
    return f'<path class="bad line bold" d="{"".join(map(_points, strokes))}"/>'


def _arrow(start: Point, tip: Point) -> str:
    """Return an arrowhead at the end of a line."""
    (x0, y0), (x, y) = start, tip
    length = hypot(x - x0, y - y0) or 1.0
    dx, dy = (x - x0) / length, (y - y0) / length
    back, half = _ARROW
    corners = [
        (x - back * dx - way * half * dy, y - back * dy + way * half * dx) for way in (1, -1)
    ]
    return f"{_points([tip, *corners])}Z"


def _path(classes: str, points: Iterable[Point]) -> str:
    return f'<path class="{classes.strip()}" d="{_points(points)}"/>'


def _points(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _clean(text: str) -> str:
    """Return a text fit for XML, which has no control characters."""
    return escape("".join(c if c.isprintable() else "?" for c in text), {'"': "&quot;"})
