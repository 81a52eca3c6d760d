"""The state machines drawn from their tables.

Where a state stands is said here, and which of the arrows are bent; which arrows there are, and
what is written on them, is the table's. A state without a place is a `KeyError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape

from simopen.punch._lane import TRANSITIONS, Action, Event, State

BOX = (170, 48)  # width and height of a state
LINE = 19  # from one line of a label to the next
HEAD = 9  # length of an arrow's head

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Where things stand.

    Attributes:
        title: What a screen reader says.
        size: Width and height.
        places: The middle of each state.
        bends: How far the middle of an arrow is beside the straight line, to the left of its way;
            0 for those that are not named.
        loops: Where a state's arrow to itself is: how far right of its middle, and -1 above, 1
            below.
        slides: Where along its arrow a label stands; in the middle where none is said.
    """

    title: str
    size: tuple[int, int]
    places: Mapping[str, Point]
    bends: Mapping[tuple[str, str], float]
    loops: Mapping[str, tuple[float, int]]
    slides: Mapping[tuple[str, str], float]


LANE = Drawing(
    title="The states of a lane and what leads from one to the next",
    size=(1240, 700),
    places={
        "IDLE": (95, 360),
        "SYN_SENT": (400, 360),
        "SYN_RECEIVED": (770, 360),
        "ESTABLISHED": (1145, 360),
        "RESTING": (400, 100),
        "HELD": (960, 170),
        "FAILED": (770, 650),
    },
    bends={
        ("RESTING", "SYN_SENT"): 70,
        ("SYN_SENT", "RESTING"): 30,
        ("SYN_SENT", "ESTABLISHED"): -110,
        ("RESTING", "FAILED"): -330,
        ("ESTABLISHED", "FAILED"): -45,
        ("SYN_SENT", "FAILED"): -40,
        ("HELD", "RESTING"): 10,
    },
    loops={
        "SYN_SENT": (-45, 1),
        "RESTING": (-45, -1),
        "SYN_RECEIVED": (-48, 1),
        "HELD": (45, -1),
    },
    slides={
        ("SYN_SENT", "HELD"): 0.6,
        ("SYN_RECEIVED", "RESTING"): 0.33,
        ("SYN_RECEIVED", "HELD"): 0.45,
        ("ESTABLISHED", "RESTING"): 0.55,
        ("HELD", "FAILED"): 0.52,
        ("HELD", "RESTING"): 0.4,
        ("SYN_RECEIVED", "FAILED"): 0.65,
        ("SYN_SENT", "ESTABLISHED"): 0.25,
        ("HELD", "ESTABLISHED"): 0.4,
        ("IDLE", "SYN_SENT"): 0.33,
    },
)


def label(event: Event, action: Action) -> str:
    """What is written on an arrow: what is seen, and what is done if that is more than wait."""
    seen = event.name.lower().replace("_", "-")
    return seen if action is Action.WAIT else f"{seen} / {action.name.lower().replace('_', ' ')}"


def arrows() -> dict[tuple[str, str], list[str]]:
    """All arrows of a lane's table with what is written on them."""
    found: dict[tuple[str, str], list[str]] = {}
    for (state, event), (target, action) in TRANSITIONS.items():
        found.setdefault((state.name, target.name), []).append(label(event, action))
    return found


def edge(center: Point, towards: Point) -> Point:
    """Where a line from the middle of a state leaves its box."""
    dx, dy = towards[0] - center[0], towards[1] - center[1]
    reach = min(
        BOX[0] / 2 / abs(dx) if dx else math.inf,
        BOX[1] / 2 / abs(dy) if dy else math.inf,
    )
    return center[0] + dx * reach, center[1] + dy * reach


def between(drawing: Drawing, ends: tuple[str, str], words: list[str]) -> str:
    """An arrow from one state to another."""
    a, b = (drawing.places[end] for end in ends)
    length = math.dist(a, b)
    normal = ((b[1] - a[1]) / length, -(b[0] - a[0]) / length)
    bend = 2 * drawing.bends.get(ends, 0)  # a curve goes half as far out as its control point
    control = ((a[0] + b[0]) / 2 + normal[0] * bend, (a[1] + b[1]) / 2 + normal[1] * bend)
    start, end = edge(a, control), edge(b, control)
    at = drawing.slides.get(ends, 0.5)
    middle = tuple(
        (1 - at) ** 2 * start[axis] + 2 * at * (1 - at) * control[axis] + at**2 * end[axis]
        for axis in (0, 1)
    )
    return arrow("M", start, "Q", control, end) + written(words, middle[0], middle[1])


def around(drawing: Drawing, state: str, words: list[str]) -> str:
    """An arrow from a state to itself."""
    x, y = drawing.places[state]
    beside, side = drawing.loops[state]
    x += beside
    out = y + side * BOX[1] / 2
    far = out + side * 45
    curve = arrow("M", (x - 30, out), "C", (x - 40, far), (x + 40, far), (x + 30, out))
    return curve + written(words, x, out + side * (34 + LINE * len(words) / 2))


def arrow(*steps: str | Point) -> str:
    """A line with a head, by the letters and points of an SVG path."""
    path = " ".join(
        step if isinstance(step, str) else f"{step[0]:.0f},{step[1]:.0f}" for step in steps
    )
    return f'<path d="{path}" class="arrow" marker-end="url(#head)"/>'


def written(words: list[str], x: float, y: float) -> str:
    """Lines of text around a point."""
    first = y - LINE * (len(words) - 1) / 2 + 4
    lines = (
        f'<text x="{x:.0f}" y="{first + LINE * number:.0f}">{escape(line)}</text>'
        for number, line in enumerate(words)
    )
    return "".join(lines)


def box(name: str, place: Point) -> str:
    """A state."""
    x, y = place[0] - BOX[0] / 2, place[1] - BOX[1] / 2
    rect = f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
    return f'<g class="state">{rect}<text x="{place[0]}" y="{place[1] + 5}">{name}</text></g>'


STYLE = (
    ".machine text{font:17px sans-serif;text-anchor:middle;fill:currentColor;"
    "paint-order:stroke;stroke:var(--color-background-primary,#fff);stroke-width:5px}"
    ".machine .state rect{fill:var(--color-background-secondary,#f4f4f4);stroke:currentColor}"
    ".machine .state text{font-weight:600;stroke:none}"
    ".machine .arrow{fill:none;stroke:currentColor;stroke-opacity:.55}"
    ".machine marker path{fill:currentColor;fill-opacity:.7}"
)


def drawn(drawing: Drawing, table: Mapping[tuple[str, str], list[str]]) -> str:
    """A state machine as SVG."""
    width, height = drawing.size
    return "".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" class="machine" role="img"',
            f' viewBox="0 0 {width} {height}"><title>{escape(drawing.title)}</title>',
            f"<style>{STYLE}</style>",
            f'<defs><marker id="head" viewBox="0 0 {HEAD} 8" refX="{HEAD}" refY="4"',
            f' markerWidth="{HEAD}" markerHeight="8" orient="auto">',
            f'<path d="M0,0 L{HEAD},4 L0,8 z"/></marker></defs>',
            *_arrows(drawing, table),
            *(box(name, place) for name, place in drawing.places.items()),
            "</svg>",
        )
    )


def _arrows(drawing: Drawing, table: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    for ends, words in table.items():
        if ends[0] == ends[1]:
            yield around(drawing, ends[0], words)
        else:
            yield between(drawing, ends, words)


def lane() -> str:
    """A lane's states, for a page."""
    return f"```{{raw}} html\n{drawn(LANE, arrows())}\n```\n"


PARTS: dict[str, Callable[[], str]] = {"states of a lane": lane}
STATES = tuple(state.name for state in State)
