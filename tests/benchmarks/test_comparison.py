"""The simulated grid beside the lab's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from benchmarks.cells import Cell, Path
from benchmarks.comparison import compare, differences, read


def a_cell(succeeded: int, times: list[float], trials: int = 100) -> Cell:
    """A cell with made-up results."""
    path = Path("clean", ("drop", "drop"))
    return Cell(path, 0.0, trials=trials, succeeded=succeeded, times=times)


@pytest.mark.parametrize(
    ("lab", "simulated", "expected"),
    [
        (a_cell(100, [0.041] * 100), a_cell(100, [0.0403] * 100), []),
        (a_cell(60, [0.04] * 60), a_cell(100, [0.04] * 100), ["success"]),
        (a_cell(99, [0.04] * 99), a_cell(100, [0.04] * 100), []),
        (a_cell(100, [0.06] * 100), a_cell(100, [0.04] * 100), ["median"]),
        (a_cell(3, [0.09] * 3, 3), a_cell(100, [0.04, 0.09] * 50), ["median (chance)"]),
        (a_cell(0, []), a_cell(100, [0.04] * 100), ["success"]),
    ],
    ids=["overhead", "fewer", "one", "later", "few", "none"],
)
def test_differences_are_marked(lab: Cell, simulated: Cell, expected: list[str]) -> None:
    """Intervals apart and medians beyond the slack are marked, overhead and chance are not."""
    assert differences(lab, simulated) == expected


def test_comparison_names_what_differs_and_how_much_later_the_lab_is() -> None:
    """The table has a line a cell, the mark in it, and the overhead below."""
    text = compare([a_cell(100, [0.06] * 100)], [a_cell(100, [0.04] * 100)])
    assert "| 100/100 | 100/100 | 60.0 | 40.0 | 20.0 | median |" in text
    assert "1 in median" in text
    assert "later by 20.0 ms" in text


def test_read_takes_what_can_be_simulated(tmp_path: FilePath) -> None:
    """Cells come back as they were written, without the naive, the kernel's and the jittering."""
    kept = a_cell(2, [0.04, 0.05], trials=2)
    left_out = [
        replace(kept, naive=True),
        replace(kept, path=replace(kept.path, kernel=True)),
        replace(kept, path=replace(kept.path, jitter=0.01)),
    ]
    lines = [{"at": "now"}, *(cell.record() for cell in (left_out[0], kept, *left_out[1:]))]
    path = tmp_path / "grid.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(path) == [kept]
