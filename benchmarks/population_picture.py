"""Predicted beside published, and what is lost: ``python -m benchmarks.population_picture [FILE]``.

Drawn from ``results/population.jsonl`` or another file of :mod:`benchmarks.population` that is
given, and written beside it as PNG and SVG. A row of panels for each published rate, a column for
each path; in a panel a bar for each strategy, which is all pairs: those that connect in the lab,
soon or later, with their 95 % interval, then those that do not, by what is in their way. A diamond
is what the simulation predicts. The published rate goes through all of the panel, as wide as its
own interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.population_lab import SOON
from benchmarks.populations import STRATEGIES
from benchmarks.predictions import NAMES, SIDES, Obstacle

try:
    import matplotlib as mpl
except ImportError as error:
    raise ImportError(
        "benchmarks.population_picture draws with matplotlib: pip install 'simopen[plot]'"
    ) from error

mpl.use("Agg")

from matplotlib.axes import Axes  # after the choice of what it draws on
from matplotlib.figure import Figure

Record = dict[str, Any]  # a line of the result file
Panels = dict[str, dict[str, list[Record]]]  # by what was published, then by path

WIDTH, PANEL, HEADING = 14.5, 1.7, 1.75  # inches
LEFT, RIGHT, GAP = 0.24, 0.915, 0.5  # shares of the width: where panels are; between two, of one
DPI = 110
TITLE_WIDTH = 30  # characters, of what is left of a row
PUBLISHED = "#d95f02"
SOONER, LATER, SIMULATED = "#1b4f8f", "#86abd9", "#ffffff"
LOST = {
    Obstacle.VARIES: "#c9c9c9",
    Obstacle.BLOCKS: "#8f8f8f",
    Obstacle.REFUSES: "#e5b53a",
    Obstacle.NONE: "#b2182b",
}
LEAST_BAND = 0.25  # percent to either side, where a published rate has no interval


def panels(predictions: list[Record]) -> Panels:
    """The predictions of each published rate and path, in their order."""
    found: Panels = {}
    for each in predictions:
        found.setdefault(each["what"], {}).setdefault(each["condition"], []).append(each)
    return found


def draw(axes: Axes, own: list[Record]) -> None:
    """Draw one panel."""
    rows = list(STRATEGIES)
    for each in own:
        row = rows.index(each["strategy"])
        if each["by"] == "lab":
            _bar(axes, each, row)
        else:
            (mark,) = axes.plot(100 * each["rate"], row, "D", color=SIMULATED, zorder=4)
            mark.set(markersize=4.5, markeredgecolor="#000000", clip_on=False)
    _published(axes, own[0]["published"])
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.45, -0.55))
    axes.set_yticks(range(len(rows)), [""] * len(rows))
    axes.set_xticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _bar(axes: Axes, each: Record, row: int) -> None:
    rate, low, high = (100 * each[name] for name in ("rate", "low", "high"))
    parts = {SOONER: each["soon"], LATER: each["rate"] - each["soon"]}
    parts |= {colour: each["lost"][what.value] for what, colour in LOST.items()}
    left = 0.0
    for colour, share in parts.items():
        axes.barh(row, 100 * share, left=left, height=0.72, color=colour)
        left += 100 * share
    axes.plot([low, high], [row, row], color="#000000", linewidth=1.4, solid_capstyle="butt")
    words = f"{rate:.0f} % ({low:.0f} to {high:.0f})"
    axes.annotate(words, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)


def _published(axes: Axes, rate: Record) -> None:
    middle = 100 * rate["rate"]
    low = middle - LEAST_BAND if rate["low"] is None else 100 * rate["low"]
    high = middle + LEAST_BAND if rate["high"] is None else 100 * rate["high"]
    axes.axvspan(low, high, color=PUBLISHED, alpha=0.25, linewidth=0, zorder=3)
    axes.axvline(middle, color=PUBLISHED, linewidth=1.4, zorder=3)
    axes.annotate(
        f"published {middle:.0f} %",
        (middle, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 1),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=PUBLISHED,
        weight="bold",
    )


def title(measured: Record) -> str:
    """Between whom, and when; and what was published."""
    sides = (SIDES[measured[side]] for side in ("first", "second"))
    source = f"{measured['what']}, {measured['published']['source']}"
    parts = f"{measured['profile']}: {' with '.join(sides)}", f"(published: {source})"
    return "\n".join(textwrap.fill(part, TITLE_WIDTH) for part in parts)


def paint(head: Record, lines: list[Record]) -> Figure:
    """Put the panels below and beside each other, under a heading that says what is what."""
    found = panels([line for line in lines if line["record"] == "prediction"])
    paths = list(head["conditions"])
    height = HEADING + PANEL * len(found)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    grid = figure.add_gridspec(
        len(found),
        len(paths),
        left=LEFT,
        right=RIGHT,
        top=1 - HEADING / height,
        bottom=0.3 / height,
        hspace=0.5,
        wspace=GAP,
    )
    for number, own in enumerate(found.values()):
        for column, path in enumerate(paths):
            axes = figure.add_subplot(grid[number, column])
            draw(axes, own[path])
            if column == 0:
                _name_row(axes, own[path][0])
            if number == 0:
                words = f"{path}: {head['conditions'][path]}"
                axes.set_title(words, fontsize=10, weight="bold", pad=18)
    _write_heading(figure, head, lines)
    return figure


def _name_row(axes: Axes, measured: Record) -> None:
    nearest = measured["published"]["strategy"]
    labels = [f"{NAMES[row]} ▸" if row == nearest else NAMES[row] for row in STRATEGIES]
    axes.set_yticks(range(len(STRATEGIES)), labels)
    axes.annotate(
        title(measured),
        (0.01, 0.5),
        xycoords=("figure fraction", "axes fraction"),
        va="center",
        fontsize=8.5,
    )


def _write_heading(figure: Figure, head: Record, lines: list[Record]) -> None:
    trials = Counter[str]()
    for line in lines:
        if line["record"] == "pair":
            trials[line["by"]] += line["trials"]
    inch = 1 / figure.get_figheight()
    words = "How often two hosts behind NATs connect: predicted, and published"
    figure.text(0.01, 1 - 0.3 * inch, words, fontsize=13, weight="bold")
    words = (
        f"Share of all pairs; {trials['lab']:,} trials in the lab, {trials['simulation']:,} "
        "simulated. Black lines are 95 % intervals of the lab's trials, not of the weights. ▸ "
        "marks the strategy nearest to the published one, whose path nobody knows.\n"
        f"simopen {head['simopen']}, {head['at'][:10]}, Linux {head['kernel']}."
    )
    figure.text(0.01, 1 - 0.72 * inch, words, fontsize=8.5, color="#444444")
    keys = [("■", SOONER, f"connected in the lab within {SOON:g} s"), ("■", LATER, "later")]
    keys += [("■", colour, f"never: {what.value}") for what, colour in LOST.items()]
    keys.append(("◇", "#000000", "connected, simulated"))
    x = 0.01
    for mark, colour, text in keys:
        figure.text(x, 1 - 1.05 * inch, mark, fontsize=11, color=colour)
        figure.text(x + 0.012, 1 - 1.05 * inch, text, fontsize=8.5)
        x += 0.028 + 0.0047 * len(text)


def main() -> None:
    """Read the predictions, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS / "population.jsonl")
    source: Path = parser.parse_args().results
    head, *lines = map(json.loads, source.read_text().splitlines())
    figure = paint(head, lines)
    for kind in (".png", ".svg"):
        figure.savefig(source.with_suffix(kind))
        print(f"written: {source.with_suffix(kind)}", file=sys.stderr)


if __name__ == "__main__":
    main()
