"""The grid as a picture: ``python -m benchmarks.heatmap [results/grid.jsonl]``.

Written beside the file it is drawn from, as PNG and SVG. Success and speed of every pair of
sites without loss, under loss, and the naive loop beside the engine; what was not run stays away.
Every square bears its number; success is red where it is not complete.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.statistics import percentile

try:
    import matplotlib as mpl
except ImportError as error:
    raise ImportError(
        "benchmarks.heatmap draws with matplotlib: pip install 'simopen[plot]'"
    ) from error

mpl.use("Agg")

from matplotlib.axes import Axes  # after the choice of what it draws on
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

Record = dict[str, Any]  # a line of the result file
Label = Callable[[Record], tuple[str, str]]  # a cell's row and column

# Inches.
WIDTH, HEIGHT = 0.5, 0.3  # of a square
LEFT, RIGHT, ABOVE, BELOW = 1.6, 0.3, 0.5, 1.3  # of a panel
HEADING = 0.6
PAGE = 18.0  # most a shelf of panels is wide
DPI = 130

# Light enough for black and red numbers.
BAD_TO_GOOD = LinearSegmentedColormap.from_list("rates", ["#fbd3c4", "#fdf3dc", "#d9f0d3"])
FAST_TO_SLOW = LinearSegmentedColormap.from_list("times", ["#d9f0d3", "#fdecc8", "#f4a582"])


@dataclass
class Square:
    """Cells that are shown as one.

    Attributes:
        trials: How many there were.
        succeeded: How many did.
        ratios: Of those, the time over the limit.
        times: Of those, in seconds.
    """

    trials: int = 0
    succeeded: int = 0
    ratios: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def take(self, cell: Record) -> None:
        """Add a cell."""
        self.trials += cell["trials"]
        self.succeeded += cell["succeeded"]
        self.times += cell["times"]
        self.ratios += [each / cell["limit"] for each in cell["times"]]

    def rate(self) -> float:
        """The share that succeeded."""
        return self.succeeded / self.trials

    def ratio(self) -> float:
        """Median time over limit; NaN without a success."""
        return percentile(self.ratios, 50)

    def p99(self) -> float:
        """Seconds; NaN without a success."""
        return percentile(self.times, 99)


@dataclass
class Panel:
    """Squares by row and column, each as labelled, in the order in which they came.

    Attributes:
        squares: By the labels of row and column.
    """

    squares: dict[tuple[str, str], Square]

    @property
    def rows(self) -> list[str]:
        """Labels of the rows."""
        return list(dict.fromkeys(row for row, _ in self.squares))

    @property
    def columns(self) -> list[str]:
        """Labels of the columns."""
        return list(dict.fromkeys(column for _, column in self.squares))

    @property
    def sample(self) -> str:
        """How many trials a square stands for."""
        trials = [square.trials for square in self.squares.values()]
        low, high = min(trials), max(trials)
        return f"{low}" if low == high else f"{low} to {high}"


def collect(cells: Iterable[Record], label: Label) -> Panel:
    """Group cells into squares by the labels of their row and column."""
    squares: dict[tuple[str, str], Square] = defaultdict(Square)
    for cell in cells:
        squares[label(cell)].take(cell)
    return Panel(dict(squares))


def by_path(cell: Record) -> tuple[str, str]:
    """Pair and player, against round trip and skew."""
    path = cell["path"]
    player = "kernel" if path["kernel"] else "model"
    return f"{_pair(cell)}  {player}", f"{path['rtt'] * 1000:g} / {cell['skew'] * 1000:g}"


def by_loss(cell: Record) -> tuple[str, str]:
    """Pair, against loss and what the application does."""
    kind = "writes" if cell["writes"] else "silent"
    return _pair(cell), f"{cell['path']['loss']:.0%} {kind}"


def by_who(cell: Record) -> tuple[str, str]:
    """Pair, against loss, skew and who connects."""
    who = "naive" if cell["naive"] else "simopen"
    return _pair(cell), f"{cell['path']['loss']:.0%} / {cell['skew'] * 1000:g}  {who}"


def _pair(cell: Record) -> str:
    return "~".join(cell["path"]["pair"])


@dataclass(frozen=True)
class Shown:
    """Which number of a square is shown, and how.

    Attributes:
        title: What it is, with its unit.
        value: The number.
        text: How it is written.
        norm: Which numbers the ends of the colours are.
        colours: Of the squares.
        least: What is below it is written in red.
    """

    title: str
    value: Callable[[Square], float]
    text: Callable[[float], str]
    norm: Normalize
    colours: LinearSegmentedColormap
    least: float = 0.0


def percent(rate: float) -> str:
    """A rate in percent, rounded down: 100 is all."""
    return f"{math.floor(round(rate * 1000, 6)) / 10:g}"


SUCCESS = Shown("success, %", Square.rate, percent, Normalize(0.5, 1.0), BAD_TO_GOOD, least=1.0)
RATIO = Shown("median time / limit", Square.ratio, "{:.2f}".format, LogNorm(1, 3), FAST_TO_SLOW)
P99 = Shown(
    "p99, ms", Square.p99, lambda p99: f"{p99 * 1000:.0f}", LogNorm(0.05, 2.0), FAST_TO_SLOW
)


@dataclass(frozen=True)
class Drawing:
    """A panel with what is shown of it.

    Attributes:
        title: Of which trials.
        across: What its columns are, with units.
        panel: The squares.
        figures: What is shown of each.
    """

    title: str
    across: str
    panel: Panel
    figures: Shown

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of its squares together, in inches."""
        return WIDTH * len(self.panel.columns), HEIGHT * len(self.panel.rows)

    @property
    def width(self) -> float:
        """With its labels, in inches."""
        return LEFT + self.size[0] + RIGHT

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        rows, columns = self.panel.rows, self.panel.columns
        for (row, column), square in self.panel.squares.items():
            self._square(axes, columns.index(column), rows.index(row), square)
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        axes.set_xlabel(self.across, fontsize=9)
        axes.set_ylabel("pair of sites", fontsize=9)
        axes.set_xticks([x + 0.5 for x in range(len(columns))], columns, rotation=90)
        axes.set_yticks([y + 0.5 for y in range(len(rows))], rows)
        axes.tick_params(length=0, labelsize=8)
        axes.spines[:].set_visible(False)
        title = f"{self.title}: {self.figures.title}\n{self.panel.sample} trials a square"
        axes.set_title(title, fontsize=9, loc="left")

    def _square(self, axes: Axes, x: int, y: int, square: Square) -> None:
        shown = self.figures
        value = shown.value(square)
        known = not math.isnan(value)
        colour = shown.colours(shown.norm(value)) if known else "white"
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
        axes.text(
            x + 0.5,
            y + 0.5,
            shown.text(value) if known else "none",
            ha="center",
            va="center",
            fontsize=7.5,
            color="red" if value < shown.least else "black",
            weight="bold" if value < shown.least else "normal",
        )


def drawings(cells: Sequence[Record]) -> Iterator[Drawing]:
    """What is drawn; only of rows that were run."""
    for row, title, across, label, shown in (
        ("clean", "no loss", "RTT / skew, ms", by_path, (SUCCESS, RATIO)),
        ("loss", "loss", "loss, application", by_loss, (SUCCESS, P99)),
        ("naive", "naive loop beside simopen", "loss / skew in ms, who", by_who, (SUCCESS, P99)),
    ):
        panel = collect((cell for cell in cells if cell["path"]["row"] == row), label)
        if panel.squares:
            yield from (Drawing(title, across, panel, figures) for figures in shown)


def shelves(found: Iterable[Drawing]) -> list[list[Drawing]]:
    """Drawings beside each other while there is room, then below."""
    filled: list[list[Drawing]] = []
    room = 0.0
    for drawing in found:
        if drawing.width > room:
            filled.append([])
            room = PAGE
        filled[-1].append(drawing)
        room -= drawing.width
    return filled


def paint(found: Iterable[Drawing], heading: str) -> Figure:
    """Put the drawings on one figure, every square of the same size."""
    filled = shelves(found)
    heights = [ABOVE + max(each.size[1] for each in shelf) + BELOW for shelf in filled]
    width = max(sum(each.width for each in shelf) for shelf in filled)
    height = HEADING + sum(heights)
    figure = Figure(figsize=(width, height), dpi=DPI)
    figure.text(0.3 / width, 1 - 0.4 / height, heading, fontsize=11, weight="bold")
    top = height - HEADING
    for shelf, deep in zip(filled, heights, strict=True):
        left = LEFT
        for drawing in shelf:
            across, down = drawing.size
            bottom = top - ABOVE - down
            place = (left / width, bottom / height, across / width, down / height)
            drawing.draw(figure.add_axes(place))
            left += drawing.width
        top -= deep
    return figure


def main() -> None:
    """Read the results, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS / "grid.jsonl")
    source: Path = parser.parse_args().results
    head, *cells = map(json.loads, source.read_text().splitlines())
    found = list(drawings(cells))
    if not found:
        sys.exit(f"{source} has none of the rows that are drawn: clean, loss, naive")
    machine = (
        f"Linux {head['kernel']}, Python {head['python']}, {head['loop']}, {head['cpus']} CPUs"
    )
    figure = paint(found, f"simopen {head['simopen']}: the grid. {head['at'][:10]}, {machine}")
    for kind in (".png", ".svg"):
        figure.savefig(source.with_suffix(kind))
        print(f"written: {source.with_suffix(kind)}", file=sys.stderr)


if __name__ == "__main__":
    main()
