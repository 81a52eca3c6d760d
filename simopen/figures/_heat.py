"""Rates of success as heat maps: in every square the rate and the number of trials it is of."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simopen.figures._batches import Tally, percent
from simopen.figures._canvas import Picture, rendered, style
from simopen.figures._palette import STEPS, light
from simopen.figures._squares import Map
from simopen.measure._statistics import wilson

SQUARE = 0.82, 0.48  # inches
LEFT, RIGHT, BOTTOM, TOP = 1.5, 0.3, 0.95, 0.5
NARROWEST = 6.1  # that the key has room
KEY = 0.16  # the side of a square of the key


def draw(heat: Map, name: str) -> Picture:
    """Draw a heat map."""
    across, down = len(heat.columns) * SQUARE[0], len(heat.rows) * SQUARE[1]
    width, height = max(LEFT + across + RIGHT, NARROWEST), BOTTOM + down + TOP
    title = heat.title[0].upper() + heat.title[1:]
    with style():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((LEFT / width, BOTTOM / height, across / width, down / height))
        for (row, column), tally in heat.squares.items():
            _square(axes, heat.columns.index(column), heat.rows.index(row), tally)
        axes.set(xlim=(0, len(heat.columns)), ylim=(len(heat.rows), 0))
        axes.set_xticks([x + 0.5 for x in range(len(heat.columns))], heat.columns)
        axes.set_yticks([y + 0.5 for y in range(len(heat.rows))], heat.rows)
        axes.set_xlabel(heat.across)
        axes.set_ylabel(heat.down)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.text(0.12 / width, 1 - 0.3 / height, title, fontsize=10, weight="bold")
        _key(figure, width, height)
        whole = f"{title} ({heat.source})" if heat.source else title
        return rendered(figure, name, whole, _words(heat))


def _square(axes: Axes, x: int, y: int, tally: Tally) -> None:
    colour, ink = shade(tally.rate)
    axes.add_patch(Rectangle((x + 0.02, y + 0.03), 0.96, 0.94, facecolor=colour))
    centre: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    axes.text(x + 0.5, y + 0.36, percent(tally.rate), fontsize=9, weight="bold", **centre)
    axes.text(x + 0.5, y + 0.73, f"n = {tally.trials:,}", fontsize=7, **centre)


def shade(rate: float) -> tuple[str, str]:
    """The colour of a square, and of what is written in it."""
    for least, _, colour, ink in STEPS:
        if rate >= least:
            return colour, ink
    raise LookupError(rate)


def _key(figure: Figure, width: float, height: float) -> None:
    """What the colours are: a row of squares below the map, each with its words."""
    x = 0.12
    for _, words, colour, _ in STEPS:
        box = (x / width, 0.13 / height)
        figure.add_artist(
            Rectangle(
                box, KEY / width, KEY / height, facecolor=colour, transform=figure.transFigure
            )
        )
        x += KEY + 0.06
        figure.text(x / width, 0.21 / height, words, fontsize=7.5, va="center", color=light("ink"))
        x += 0.066 * len(words) + 0.12


def _words(heat: Map) -> str:
    least = heat.least
    low, _ = wilson(least, least)
    words = (
        f"In each square the share of its n trials that connected, rounded down; a square that is"
        f" missing was not run. Where n is {least:,}, the least here, even all of them connecting"
        f" says only that the rate is above {percent(low)} (95 %, Wilson)."
    )
    if heat.left_out:
        words += f" {heat.left_out} more rows and columns have no room here."
    return words
