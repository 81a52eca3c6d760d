"""What matplotlib draws on: the same style for all pictures, as SVG and as PNG.

Nothing here touches matplotlib's global state or a screen. SVG keeps its text as text, so that it
can be found, read aloud and set in the reader's font; its ids and dates are the same each time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from simopen.figures._palette import PAPER, light

DPI = 200  # of PNG: print at half a page's width
_FONT = "'DejaVu Sans'"
_LIKEWISE = f"{_FONT}, Verdana, sans-serif"  # as wide, where the first is missing
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
    "text.color": light("ink"),
    "text.parse_math": False,  # a dollar in a host's name is one
    "axes.edgecolor": light("faint"),
    "axes.labelcolor": light("ink"),
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.unicode_minus": False,
    "grid.color": light("hair"),
    "grid.linewidth": 0.7,
    "xtick.color": light("faint"),
    "ytick.color": light("faint"),
    "xtick.labelcolor": light("ink"),
    "ytick.labelcolor": light("ink"),
    "svg.fonttype": "none",
    "svg.hashsalt": "simopen",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes:
        name: Of its files, without an ending.
        title: What it shows, in a line.
        words: What to know when looking at it.
        svg: As SVG, without paper.
        png: As PNG.
    """

    name: str
    title: str
    words: str
    svg: str
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """The style of all pictures, for as long as one is made and rendered."""
    with mpl.rc_context(_STYLE):
        yield


def rendered(figure: Figure, name: str, title: str, words: str) -> Picture:
    """A figure as a picture; call it within `style`."""
    svg, png = io.StringIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a script that its font lacks
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Title": title})
        figure.savefig(png, format="png", dpi=DPI, facecolor=PAPER, metadata={"Title": title})
    text = svg.getvalue().replace(_FONT, _LIKEWISE)
    return Picture(name, title, words, text, png.getvalue())
