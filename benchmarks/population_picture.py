"""Predicted beside published: ``python -m benchmarks.population_picture [FILE]``.

Drawn from ``results/population.jsonl`` or another file of :mod:`benchmarks.population`, and written
beside it as PNG and SVG. A panel for each published rate; in it a line for each strategy, with what
the lab and the simulation predict and their 95 % intervals. The published rate goes through all of
the panel, as wide as its own interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.population import NAMES, SIDES

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

WIDTH, PANEL, HEADING = 9.5, 1.75, 1.3  # inches
DPI = 130
PUBLISHED = "#d95f02"
COLOURS = {"lab": "#1b4f8f", "simulation": "#7a7a7a"}
MARKS = {"lab": "o", "simulation": "D"}
OFFSETS = {"lab": -0.17, "simulation": 0.2}  # from a strategy's line, in lines
LEAST_BAND = 0.25  # percent to either side, where a published rate has no interval


def panels(predictions: list[Record]) -> dict[str, list[Record]]:
    """The predictions of each published rate, in their order."""
    found: dict[str, list[Record]] = {}
    for each in predictions:
        found.setdefault(each["what"], []).append(each)
    return found


def draw(axes: Axes, own: list[Record]) -> None:
    """Draw one panel."""
    measured = own[0]
    _published(axes, measured["published"])
    rows = list(NAMES)
    for each in own:
        _point(axes, each, rows.index(each["strategy"]))
    nearest = measured["published"]["strategy"]
    labels = [f"{NAMES[row]} ▸" if row == nearest else NAMES[row] for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.45, -0.55))
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.tick_params(labelsize=8, length=0)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title(measured), fontsize=9, loc="left", pad=16)


def title(measured: Record) -> str:
    """Between whom, and when; and what was published."""
    sides = (SIDES[measured[side]] for side in ("first", "second"))
    source = f"{measured['what']}, {measured['published']['source']}"
    return f"{measured['profile']}: {' with '.join(sides)}  (published: {source})"


def _published(axes: Axes, rate: Record) -> None:
    middle = 100 * rate["rate"]
    low = middle - LEAST_BAND if rate["low"] is None else 100 * rate["low"]
    high = middle + LEAST_BAND if rate["high"] is None else 100 * rate["high"]
    axes.axvspan(low, high, color=PUBLISHED, alpha=0.2, linewidth=0)
    axes.axvline(middle, color=PUBLISHED, linewidth=1.4)
    axes.annotate(
        f"published {middle:.0f} %",
        (middle, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=PUBLISHED,
        weight="bold",
    )


def _point(axes: Axes, each: Record, row: int) -> None:
    by = each["by"]
    rate, low, high = (100 * each[name] for name in ("rate", "low", "high"))
    y = row + OFFSETS[by]
    axes.plot([low, high], [y, y], color=COLOURS[by], linewidth=1.6, solid_capstyle="butt")
    size = 5 if by == "lab" else 3.5
    axes.plot(rate, y, marker=MARKS[by], color=COLOURS[by], markersize=size, clip_on=False)
    axes.annotate(
        f"{rate:.0f} % ({low:.0f} to {high:.0f})",
        (1.0, row),
        xycoords=("axes fraction", "data"),
        xytext=(8 if by == "lab" else 88, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=COLOURS[by],
    )


def paint(head: Record, lines: list[Record]) -> Figure:
    """Put the panels below each other, under a heading that says what the marks are."""
    found = panels([line for line in lines if line["record"] == "prediction"])
    trials = Counter[str]()
    for line in lines:
        if line["record"] == "pair":
            trials[line["by"]] += line["trials"]
    height = HEADING + PANEL * len(found)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    grid = figure.add_gridspec(
        len(found),
        left=0.1,
        right=0.76,
        top=1 - (HEADING - 0.05) / height,
        bottom=0.3 / height,
        hspace=0.75,
    )
    for number, own in enumerate(found.values()):
        draw(figure.add_subplot(grid[number]), own)
    figure.text(
        0.02,
        1 - 0.3 / height,
        "How often two hosts behind NATs connect: predicted, and published",
        fontsize=12,
        weight="bold",
    )
    words = (
        f"Share of pairs that connect; {trials['lab']:,} trials in the lab, "
        f"{trials['simulation']:,} simulated. Lines are 95 % intervals of the trials, not of the "
        f"weights.\n▸ marks the strategy nearest to the published one. simopen {head['simopen']}, "
        f"{head['at'][:10]}, Linux {head['kernel']}."
    )
    figure.text(0.02, 1 - 0.68 / height, words, fontsize=8, color="#444444")
    for by, words, x in (("lab", "● in the lab", 0.77), ("simulation", "◆ simulated", 0.885)):
        figure.text(x, 1 - 0.95 / height, words, fontsize=8.5, color=COLOURS[by], weight="bold")
    return figure


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
