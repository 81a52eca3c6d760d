"""Cells of the grid as the lab and the simulation have them, side by side.

What differs is marked: success whose 95 % intervals lie apart, and a median that chance alone does
not move so far. Pure, but for reading a result file.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path as FilePath

from benchmarks.cells import Cell, Path
from benchmarks.display import table
from benchmarks.statistics import percentile, wilson

SLACK = 0.002  # seconds by which two medians may differ,
SLACK_SHARE = 0.1  # and this share of the lab's
RESAMPLES = 200  # medians drawn to see what chance does to a median of few

HEAD = ("cell", "lab", "simulated", "lab, ms", "simulated, ms", "later, ms", "differs in")


def read(path: FilePath) -> list[Cell]:
    """The cells of a run of the lab that can be simulated: engine, model, no jitter."""
    if not path.exists():
        path = FilePath(__file__).parent / path
    names = {field.name for field in fields(Cell)}
    cells = []
    for line in path.read_text().splitlines()[1:]:
        found = {key: value for key, value in json.loads(line).items() if key in names}
        found["path"]["pair"] = tuple(found["path"]["pair"])
        cell = Cell(**found | {"path": Path(**found["path"])})
        if not (cell.naive or cell.aided or cell.path.kernel or cell.path.jitter):
            cells.append(cell)
    return cells


def differences(lab: Cell, simulated: Cell) -> list[str]:
    """In what a cell differs: success (95 % intervals apart), or the median.

    A median that differs, but no more than the medians of as many simulated punches do among
    themselves (95 % of them), is "median (chance)".
    """
    found = []
    ours, theirs = wilson(lab.succeeded, lab.trials), wilson(simulated.succeeded, simulated.trials)
    if ours[0] > theirs[1] or theirs[0] > ours[1]:
        found.append("success")
    median = percentile(lab.times, 50)
    if abs(median - percentile(simulated.times, 50)) > SLACK + SLACK_SHARE * median:
        found.append("median (chance)" if _is_chance(median, lab, simulated) else "median")
    return found


def _is_chance(median: float, lab: Cell, simulated: Cell) -> bool:
    chances = random.Random(0)
    drawn = [
        percentile(chances.choices(simulated.times, k=len(lab.times)), 50) for _ in range(RESAMPLES)
    ]
    return percentile(drawn, 2.5) - SLACK <= median <= percentile(drawn, 97.5) + SLACK


def compare(lab: Sequence[Cell], simulated: Sequence[Cell]) -> str:
    """A table of both, and what all of it says."""
    rows, later = [], []
    count: Counter[str] = Counter()
    for real, virtual in zip(lab, simulated, strict=True):
        medians = percentile(real.times, 50), percentile(virtual.times, 50)
        found = differences(real, virtual)
        count.update(found)
        if real.times and virtual.times:
            later.append(medians[0] - medians[1])
        rows.append((
            name_of(real),
            f"{real.succeeded}/{real.trials}",
            f"{virtual.succeeded}/{virtual.trials}",
            *map(in_ms, (*medians, medians[0] - medians[1])),
            ", ".join(found),
        ))  # fmt: skip
    marks = ", ".join(f"{number} in {what}" for what, number in sorted(count.items())) or "none"
    return (
        f"{table(HEAD, rows)}\n\n{len(rows)} cells; that differ: {marks}. "
        f"The lab is later by {in_ms(percentile(later, 50))} ms (median of the cells; "
        f"from {in_ms(percentile(later, 5))} to {in_ms(percentile(later, 95))} in 90 % of them)."
    )


def name_of(cell: Cell) -> str:
    """What stands for a cell in a table."""
    path = cell.path
    kind = "" if path.row != "loss" else ", writes" if cell.writes else ", silent"
    loss = f", loss {path.loss:.0%}" if path.loss else ""
    ms = f"rtt {path.rtt * 1000:g}, skew {cell.skew * 1000:g}"
    return f"{path.row} {'~'.join(path.pair)}, {ms}{loss}{kind}"


def in_ms(seconds: float) -> str:
    """Milliseconds with one digit behind the point."""
    return f"{seconds * 1000:.1f}"
