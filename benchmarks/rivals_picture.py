"""Rivals beside each other at a glance: ``python -m benchmarks.rivals_picture [FILE]``.

Drawn from ``results/rivals.jsonl`` or another file of :mod:`benchmarks.rivals` that is given, and
written beside it as PNG and SVG. A row for each contender, a column for each pair of sites; in a
square how many of the trials succeeded, and the median time from the later start until the caller
of the last side held what it may send on. The rows are in two groups: who was given the peer's
endpoint, and who found it through a third host, which takes signalling that is in the time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.rivals.catalogue import CONTENDERS
from benchmarks.statistics import percentile

try:
    import matplotlib as mpl
except ImportError as error:
    raise ImportError(
        "benchmarks.rivals_picture draws with matplotlib: pip install 'simopen[plot]'"
    ) from error

mpl.use("Agg")

from matplotlib.axes import Axes  # after the choice of what it draws on
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

Record = dict[str, Any]  # a line of the result file
Groups = dict[tuple[str, tuple[str, ...]], list[Record]]  # by contender and pair of sites

SQUARE = 0.86, 0.5  # inches
LEFT, RIGHT, BOTTOM, TOP = 1.75, 0.2, 0.78, 1.42
BETWEEN = 0.55  # squares, between those with endpoints and those with a server
DPI = 110
INK, FAINT = "#1f2328", "#59636e"
SHADES = (  # least share of successes, square, what is in it
    (1.0, "#cfe3f3", INK),
    (0.9, "#fdf1d6", INK),
    (0.5, "#f4ad5c", INK),
    (0.01, "#dd7a36", INK),
    (0.0, "#e4e4e4", FAINT),
)
SITES = {
    "drop": "drops",
    "rst": "refuses",
    "far-rst": "refuses,\nfar",
    "open": "open",
    "lossy-drop": "drops,\n5 % loss",
    "blocked": "blocks\ncrossing",
    "remapped": "moves\nports",
    "symmetric": "symmetric",
}


def rows() -> dict[str, float]:
    """Where each contender stands, from the top, in squares."""
    served = [each.name for each in CONTENDERS if each.server]
    given = [each.name for each in CONTENDERS if not each.server]
    below = len(given) + BETWEEN
    return {
        **{name: float(row) for row, name in enumerate(given)},
        **{name: below + row for row, name in enumerate(served)},
    }


def grouped(results: Sequence[Record]) -> Groups:
    """The trials of each square."""
    found: Groups = defaultdict(list)
    for each in results:
        found[each["contender"], tuple(each["pair"])].append(each)
    return found


def square(trials: Sequence[Record]) -> tuple[str, str, float]:
    """What is written in a square, and the share of successes."""
    times = [each["usable"] for each in trials if each["ok"]]
    median = f"{percentile(times, 50) * 1000:,.0f} ms" if times else "never"
    return median, f"{len(times)} of {len(trials)}", len(times) / len(trials)


def paint(head: Record, results: Sequence[Record]) -> Figure:
    """The squares, under a heading that says what they are."""
    groups, places = grouped(results), rows()
    pairs = list(dict.fromkeys(pair for _, pair in groups))
    depth = max(places.values()) + 1
    across, down = len(pairs) * SQUARE[0], depth * SQUARE[1]
    width, height = LEFT + across + RIGHT, TOP + down + BOTTOM
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes((LEFT / width, BOTTOM / height, across / width, down / height))
    for (name, pair), trials in groups.items():
        _square(axes, pairs.index(pair), places[name], trials)
    axes.set(xlim=(0, len(pairs)), ylim=(depth, 0))
    axes.xaxis.tick_top()
    labels = ["\n~ ".join(SITES[site] for site in pair) for pair in pairs]
    axes.set_xticks([x + 0.5 for x in range(len(pairs))], labels, fontsize=8)
    shown = {name for name, _ in groups}
    told = {name: y + 0.5 for name, y in places.items() if name in shown}
    axes.set_yticks(list(told.values()), list(told), fontsize=9)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("simopen") else "normal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _write(figure, head)
    first_served = min(places[each.name] for each in CONTENDERS if each.server)
    words = "who finds the peer through a third host, whose part is in the time:"
    axes.text(0, first_served - 0.12, words, fontsize=8, color=FAINT, style="italic")
    return figure


def _square(axes: Axes, x: int, y: float, trials: Sequence[Record]) -> None:
    median, share, rate = square(trials)
    colour, ink = next((fill, ink) for least, fill, ink in SHADES if rate >= least)
    axes.add_patch(Rectangle((x + 0.02, y + 0.03), 0.96, 0.94, facecolor=colour))
    centre: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    axes.text(x + 0.5, y + 0.37, median, fontsize=9, weight="bold", **centre)
    axes.text(x + 0.5, y + 0.74, share, fontsize=7.5, **centre)


def _write(figure: Figure, head: Record) -> None:
    inch = 1 / figure.get_figheight()
    left = 0.12 / figure.get_figwidth()
    words = "Time until both sides hold a usable connection, and how many trials got there"
    figure.text(left, 1 - 0.3 * inch, words, fontsize=12, weight="bold", color=INK)
    words = (
        "Median from the later start, over the lab's wire, 40 ms from host to host; "
        "each pair of sites as the two are named above it"
    )
    figure.text(left, 1 - 0.55 * inch, words, fontsize=8.5, color=FAINT)
    versions = ", ".join(
        f"{name} {head['rivals'][name]}"
        for name in ("warpgate", "libp2p", "punchhole", "aioice", "aiortc")
        if name in head["rivals"]
    )
    words = (
        "aioice and aiortc go over UDP. What is in each time and what is not, and when the "
        "connection is encrypted:\ndocs/benchmarks.md. A trial may take "
        f"{head['limit']:g} s. {head['at'][:10]}, Linux {head['kernel']}, {head['cpus']} CPUs;\n"
        f"simopen {head['simopen']}, {versions}."
    )
    figure.text(left, 0.17 * inch, words, fontsize=8, color=FAINT)


def main() -> None:
    """Read the trials, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS / "rivals.jsonl")
    source: Path = parser.parse_args().results
    head, *results = map(json.loads, source.read_text().splitlines())
    figure = paint(head, results)
    for kind in (".png", ".svg"):
        figure.savefig(source.with_suffix(kind))
        print(f"written: {source.with_suffix(kind)}", file=sys.stderr)


if __name__ == "__main__":
    main()
