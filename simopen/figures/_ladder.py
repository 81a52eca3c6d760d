"""A trial drawn as SVG: two hosts side by side, time goes down, SYNs between them.

Theory of operation. Heights are laid out moment by moment from the top (`_heights`). Between two
moments there is room by the time between them, one round trip being `PER_ROUND_TRIP` pixels; less
where nothing happens for long, and there a tear shows that time was left out; more where texts
would lie over each other. So every text says its time, and order and simultaneity are true, while
lengths compare only where nothing was stretched.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from simopen.figures._palette import light
from simopen.figures._story import Mark, Story
from simopen.figures._words import clean

WIDTH = 820.0
XS = 290.0, 530.0  # the two hosts' lines
HEAD = 54.0  # above the first moment
FOOT = 26.0
LINE = 17.0  # least between two texts of a side
PER_ROUND_TRIP = 90.0
LONGEST_GAP = 110.0  # between two moments; what is longer is torn
TORN_GAP = 54.0  # to this
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
_FONT = "font-family=\"'DejaVu Sans', Verdana, sans-serif\""


def draw(story: Story, names: tuple[str, str], title: str) -> str:
    """Draw a trial.

    Args:
        story: What happened.
        names: The hosts, ours first.
        title: What the picture shows, for those who cannot see it.

    Returns:
        An SVG document, without paper.
    """
    heights, tears = _heights(story)
    bottom = max(heights.values()) + FOOT
    size = f'width="{WIDTH:.0f}" height="{bottom:.0f}" viewBox="0 0 {WIDTH:.0f} {bottom:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {_FONT} font-size="12">',
        f"<title>{_escaped(title)}</title>",
        *_hosts(story, names, bottom),
        *(_tear(y) for y in tears),
    ]
    for mark in story.marks:
        parts += _mark(mark, heights)
    return "\n".join((*parts, "</svg>\n"))


def _heights(story: Story) -> tuple[dict[float, float], list[float]]:
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


def _hosts(story: Story, names: tuple[str, str], bottom: float) -> Iterator[str]:
    for x, name, told in zip(XS, names, (True, story.told), strict=True):
        dashes = "" if told else ' stroke-dasharray="2 5"'
        yield _line("faint", (x, HEAD - 12), (x, bottom - 10), 2, dashes)
        yield _text(x, HEAD - 22, clean(name, 30), "ink", "middle", ' font-weight="bold"')
        if not told:
            yield _text(x + 12, HEAD + 4, "its side was never told", "faint", "start")


def _mark(mark: Mark, heights: dict[float, float]) -> Iterator[str]:
    x, other = (XS[1], XS[0]) if mark.right else XS
    y = heights[mark.at]
    colour = _COLOURS[mark.kind]
    if mark.arrives is not None:
        yield from _arrow(colour, (x, y), (other, heights[mark.arrives]))
    elif mark.kind == "syn":
        yield from _arrow(colour, (x, y), (x + (other - x) * 0.18, y))
    if mark.kind != "fold":
        filled = light(colour) if mark.kind in ("done", "failed", "crossing") else "none"
        style = f"fill:{filled};stroke:{light(colour)}"
        yield f'<circle cx="{x}" cy="{y:.1f}" r="3.6" style="{style}"/>'
    words = f"{mark.at * 1000:,.1f} ms\u2002{mark.words}"
    if mark.right:
        yield _text(x + 14, y + 4, words, colour, "start")
    else:
        yield _text(x - 14, y + 4, words, colour, "end")


def _arrow(colour: str, start: tuple[float, float], tip: tuple[float, float]) -> Iterator[str]:
    """A line with a head that points the way of the line."""
    (x0, y0), (x, y) = start, tip
    length = math.hypot(x - x0, y - y0)
    dx, dy = (x - x0) / length, (y - y0) / length
    yield _line(colour, start, (x - dx * 6, y - dy * 6), 1.4)
    corners = [(x, y), (x - 9 * dx - 3.5 * dy, y - 9 * dy + 3.5 * dx)]
    corners.append((x - 9 * dx + 3.5 * dy, y - 9 * dy - 3.5 * dx))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    yield f'<polygon points="{points}" style="fill:{light(colour)}"/>'


def _tear(y: float) -> str:
    """A strip across both lines: time was left out."""
    edges = (f"M{XS[0] - 14:.0f} {y + dy:.1f}H{XS[1] + 14:.0f}" for dy in (-3, 3))
    words = _text(sum(XS) / 2, y - 7, "time left out", "faint", "middle", ' font-size="10"')
    path = f'<path d="{"".join(edges)}" style="stroke:{light("faint")}" stroke-dasharray="5 4"/>'
    return f"{path}\n{words}"


def _line(
    colour: str, start: tuple[float, float], end: tuple[float, float], width: float, more: str = ""
) -> str:
    (x0, y0), (x, y) = start, end
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x:.1f}" y2="{y:.1f}"'
    return f'<line {ends} style="stroke:{light(colour)}" stroke-width="{width}"{more}/>'


def _text(x: float, y: float, words: str, colour: str, anchor: str, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} style="fill:{light(colour)}"{more}>{_escaped(words)}</text>'


def _escaped(text: str) -> str:
    return html.escape(text)
