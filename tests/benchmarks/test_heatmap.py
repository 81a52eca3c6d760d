from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchmarks import heatmap
from benchmarks.cells import Cell
from benchmarks.cells import Path as NetworkPath

HEAD = {"at": "2026-01-02T03:04:05", "kernel": "6", "python": "3", "cpus": 2, "simopen": "0"}


def record(row: str = "clean", succeeded: int = 4, **more: Any) -> dict[str, Any]:
    """A cell's line: four trials at a round trip of 40 ms, each 60 ms long."""
    cell = Cell(NetworkPath(row, ("drop", "rst")), 0.0, trials=4, succeeded=succeeded, **more)
    cell.times = [0.06] * succeeded
    line: dict[str, Any] = json.loads(json.dumps(cell.record()))
    return line


def texts(figure: Figure) -> list[tuple[str, str]]:
    """What stands in the squares, and its colour."""
    return [(text.get_text(), str(text.get_color())) for ax in figure.axes for text in ax.texts]


def test_squares() -> None:
    """Cells with the same labels are one square."""
    panel = heatmap.collect([record(), record(succeeded=3)], heatmap.by_path)
    (square,) = panel.squares.values()
    assert (square.trials, square.succeeded) == (8, 7)
    assert square.rate() == 7 / 8
    assert square.ratio() == pytest.approx(1.5)
    assert square.p99() == pytest.approx(0.06)


def test_no_success_has_no_time() -> None:
    """A square without a success has a rate and no time, and says so."""
    (square,) = heatmap.collect([record(succeeded=0)], heatmap.by_path).squares.values()
    assert square.rate() == 0.0
    assert math.isnan(square.ratio())
    figure = heatmap.paint(heatmap.drawings([record(succeeded=0)]), "")
    assert texts(figure) == [("0", "red"), ("none", "black")]


@pytest.mark.parametrize(
    ("rate", "text"), [(1.0, "100"), (0.9999, "99.9"), (0.57, "57"), (0.875, "87.5"), (0.0, "0")]
)
def test_percent(rate: float, text: str) -> None:
    """Only all is 100 %."""
    assert heatmap.percent(rate) == text


def test_red_is_a_failure() -> None:
    """Success is red where it is not complete, and nowhere else."""
    assert texts(heatmap.paint(heatmap.drawings([record()]), "")) == [
        ("100", "black"),
        ("1.50", "black"),
    ]
    assert ("75", "red") in texts(heatmap.paint(heatmap.drawings([record(succeeded=3)]), ""))


def test_only_rows_that_were_run() -> None:
    """A row that was not run has no panel, and one that is not drawn neither."""
    titles = [drawing.title for drawing in heatmap.drawings([record("loss")])]
    assert titles == ["loss", "loss"]
    assert list(heatmap.drawings([record("late")])) == []


def test_a_full_shelf_begins_another() -> None:
    """Panels stand beside each other up to the width of the page."""
    (drawing, _) = heatmap.drawings([record()])
    fit = int(heatmap.PAGE / drawing.width)
    assert list(map(len, heatmap.shelves([drawing] * (fit + 1)))) == [fit, 1]


def test_sample_sizes() -> None:
    """The title says how many trials a square stands for, least to most."""
    cells = [record(), record()]
    cells[1]["skew"], cells[1]["trials"] = 1.0, 9
    assert heatmap.collect(cells, heatmap.by_path).sample == "4 to 9"
    assert heatmap.collect(cells[:1], heatmap.by_path).sample == "4"


def test_naive_beside_simopen() -> None:
    """The bare loop and the engine stand in columns of their own."""
    cells = [record("naive", naive=True), record("naive")]
    columns = heatmap.collect(cells, heatmap.by_who).columns
    assert ["naive" in column for column in columns] == [True, False]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is written beside the results, as PNG and as SVG."""
    source = tmp_path / "grid.jsonl"
    lines = [HEAD | {"loop": "trio"}, record(), record("loss"), record("naive", naive=True)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(sys, "argv", ["heatmap", str(source)])
    heatmap.main()
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "grid.svg").read_text()


def test_without_matplotlib() -> None:
    """The error names what to install."""
    program = "import sys; sys.modules['matplotlib'] = None; import benchmarks.heatmap"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert b"pip install 'simopen[plot]'" in done.stderr
