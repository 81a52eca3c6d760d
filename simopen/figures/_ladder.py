"""A trial as a ladder: two hosts side by side, time goes down, SYNs between them.

Theory of operation. Heights are laid out moment by moment from the top (`layout`). Between two
moments there is room by the time between them, one round trip being `PER_ROUND_TRIP` pixels; less
where nothing happens for long, and there a tear shows that time was left out; more where texts
would lie over each other. So every text says its time, and order and simultaneity are true, while
lengths compare only where nothing was stretched.

All lengths are in pixels of CSS, 96 an inch, from the top left corner.
"""

from __future__ import annotations

import math
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from simopen.figures._canvas import Picture, rendered, style
from simopen.figures._palette import light
from simopen.figures._story import Mark, Story
from simopen.figures._words import clean

INCH = 96.0
POINT = INCH / 72  # of lines and letters
WIDTH = 820.0
XS = 290.0, 530.0  # the two hosts' lines
HEAD = 92.0  # above the first moment
FOOT = 26.0
LINE = 17.0  # least between two texts of a side
PER_ROUND_TRIP = 90.0
LONGEST_GAP = 110.0  # between two moments; what is longer is torn
TORN_GAP = 54.0  # to this
LONGEST_TITLE = 125  # characters
SMALLEST_UNIT = 0.001  # seconds: a shorter round trip is drawn as one of this

_COLOURS = {
    "call": "faint",
    "syn": "blue",
    "note": "faint",
    "refusal": "vermilion",
    "crossing": "ochre",
    "done": "green",
    "failed": "vermilion",
    "fold": "faint",
}
_FILLED = ("crossing", "done", "failed")

Point = tuple[float, float]


def draw(story: Story, names: tuple[str, str], title: str, words: str, name: str) -> Picture:
    """Draw a trial.

    Args:
        story: What happened.
        names: The hosts, ours first.
        title: What the picture shows.
        words: What to know when looking at it.
        name: Of its files.
    """
    heights, tears = layout(story)
    bottom = max(heights.values()) + FOOT
    with style():
        figure = Figure(figsize=(WIDTH / INCH, bottom / INCH))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(bottom, 0), autoscale_on=False)
        axes.set_axis_off()
        _text(axes, (12, 26), clean(title, LONGEST_TITLE), "ink", "left")
        _hosts(axes, story, names, bottom)
        for y in tears:
            _tear(axes, y)
        for mark in story.marks:
            _mark(axes, mark, heights)
        return rendered(figure, name, title, words)


def layout(story: Story) -> tuple[dict[float, float], list[float]]:
    """How far down each moment is, and where time was left out."""
    unit = max(2 * story.one_way if story.one_way else 0.1, SMALLEST_UNIT)
    arrivals = {mark.arrives for mark in story.marks if mark.arrives is not None}
    heights: dict[float, float] = {}
    tears: list[float] = []
    lowest = {False: 0.0, True: 0.0}  # the last text of either side
    before, y = 0.0, HEAD
    for at in sorted({mark.at for mark in story.marks} | arrivals):
        gap = (at - before) / unit * PER_ROUND_TRIP
        torn = gap > LONGEST_GAP
        sides = {mark.right for mark in story.marks if mark.at == at}
        y = max(y + (TORN_GAP if torn else gap), HEAD, *(lowest[right] + LINE for right in sides))
        if torn:
            tears.append(y - TORN_GAP / 2)
        heights[at] = y
        lowest |= dict.fromkeys(sides, y)
        before = at
    return heights, tears


def _hosts(axes: Axes, story: Story, names: tuple[str, str], bottom: float) -> None:
    for x, name, told in zip(XS, names, (True, story.told), strict=True):
        dashes = None if told else (1, 2.5)
        _line(axes, "faint", (x, HEAD - 12), (x, bottom - 10), 2, dashes)
        _text(axes, (x, HEAD - 22), clean(name, 30), "ink", "center", weight="bold")
        if not told:
            _text(axes, (x + 12, HEAD + 4), "its side was never told", "faint", "left")


def _mark(axes: Axes, mark: Mark, heights: dict[float, float]) -> None:
    x, other = (XS[1], XS[0]) if mark.right else XS
    y = heights[mark.at]
    colour = _COLOURS[mark.kind]
    if mark.arrives is not None:
        _arrow(axes, colour, (x, y), (other, heights[mark.arrives]))
    elif mark.kind == "syn":
        _arrow(axes, colour, (x, y), (x + (other - x) * 0.18, y))
    if mark.kind != "fold":
        _dot(axes, colour, (x, y), filled=mark.kind in _FILLED)
    words = f"{mark.at * 1000:,.1f} ms\u2002{mark.words}"
    if mark.right:
        _text(axes, (x + 14, y + 4), words, colour, "left")
    else:
        _text(axes, (x - 14, y + 4), words, colour, "right")


def _arrow(axes: Axes, colour: str, start: Point, tip: Point) -> None:
    """A line with a head that points the way of the line."""
    (x0, y0), (x, y) = start, tip
    length = math.hypot(x - x0, y - y0)
    dx, dy = (x - x0) / length, (y - y0) / length
    _line(axes, colour, start, (x - dx * 6, y - dy * 6), 1.4)
    corners = [tip, (x - 9 * dx - 3.5 * dy, y - 9 * dy + 3.5 * dx)]
    corners.append((x - 9 * dx + 3.5 * dy, y - 9 * dy - 3.5 * dx))
    axes.add_patch(Polygon(corners, facecolor=light(colour), edgecolor="none"))


def _tear(axes: Axes, y: float) -> None:
    """A strip across both lines: time was left out."""
    for dy in (-3, 3):
        _line(axes, "faint", (XS[0] - 14, y + dy), (XS[1] + 14, y + dy), 1, (5, 4))
    _text(axes, (sum(XS) / 2, y - 7), "time left out", "faint", "center", size=7.5)


def _line(
    axes: Axes,
    colour: str,
    start: Point,
    end: Point,
    width: float,
    dashes: tuple[float, float] | None = None,
) -> None:
    xs, ys = zip(start, end, strict=True)
    line = Line2D(xs, ys, color=light(colour), linewidth=width / POINT)
    if dashes is not None:
        line.set_dashes(dashes)
    axes.add_line(line)


def _dot(axes: Axes, colour: str, centre: Point, *, filled: bool) -> None:
    x, y = centre
    fill = light(colour) if filled else "none"
    size = 7.2 / POINT
    axes.add_line(
        Line2D([x], [y], marker="o", markersize=size, mfc=fill, mec=light(colour), zorder=3)
    )


def _text(
    axes: Axes,
    base: Point,
    words: str,
    colour: str,
    side: Literal["left", "center", "right"],
    *,
    size: float = 9.0,
    weight: str = "normal",
) -> None:
    """Words whose line is at a point, which they begin at, are centred on or end at."""
    axes.text(*base, words, color=light(colour), ha=side, va="baseline", size=size, weight=weight)
