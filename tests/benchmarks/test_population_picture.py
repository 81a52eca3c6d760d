from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchmarks.population import lines
from benchmarks.population_picture import paint
from benchmarks.populations import Behaviour, load
from benchmarks.predictions import Run, new_cells

FOUND = load()
HEAD = {
    "at": "2026-01-02T03:04:05",
    "kernel": "6",
    "simopen": "0",
    "conditions": {each.name: each.words for each in FOUND.conditions},
}


def records() -> list[dict[str, Any]]:
    """A result of the lab in which all but those connect whose mapping varies."""
    cells = new_cells()
    for (pair, _), cell in cells.items():
        cell.trials = 10
        cell.succeeded = 0 if Behaviour.VARIES in pair else 10
    return list(lines(FOUND, {Run(each.name, "lab"): cells for each in FOUND.conditions}))


def texts(figure: Figure) -> list[str]:
    """All words of a figure, panel by panel, and its heading."""
    inside = [text.get_text() for ax in figure.axes for text in ax.texts]
    return inside + [text.get_text() for text in figure.texts]


def test_there_is_a_panel_for_each_published_rate_and_path() -> None:
    """A row says what was published, a column its path, and every panel has the rate in words."""
    figure = paint(HEAD, records())
    assert len(figure.axes) == len(FOUND.measurements) * len(FOUND.conditions)
    columns = [ax.get_title() for ax in figure.axes[: len(FOUND.conditions)]]
    assert columns == [f"{each.name}: {each.words}" for each in FOUND.conditions]
    said = [text.replace("\n", " ") for text in texts(figure)]
    for measured in FOUND.measurements:
        assert any(measured.source in text and measured.what in text for text in said)
    for rate in ("45 %", "64 %", "70 %"):
        assert said.count(f"published {rate}") == len(FOUND.conditions)


def test_every_prediction_stands_there_as_a_number() -> None:
    """A rate and its interval for each strategy; and how many trials it rests on."""
    figure = paint(HEAD, records())
    numbers = [text for text in texts(figure) if " to " in text and text[0].isdigit()]
    assert len(numbers) == 4 * len(figure.axes)
    assert any(number.startswith("49 % (") for number in numbers)
    assert any("5,400 trials in the lab" in text for text in texts(figure))


def test_a_bar_is_all_pairs() -> None:
    """What connects and what is lost to something fill it from end to end."""
    for ax in paint(HEAD, records()).axes:
        width: dict[float, float] = defaultdict(float)
        for bar in (bar for bars in ax.containers for bar in bars):
            width[bar.get_y() + bar.get_height() / 2] += bar.get_width()
        assert list(width.values()) == pytest.approx([100] * 4, abs=0.1)


def test_the_command_writes_beside_its_source(tmp_path: Path) -> None:
    """As PNG and SVG."""
    source = tmp_path / "some.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in [HEAD, *records()]))
    command = [sys.executable, "-m", "benchmarks.population_picture", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    assert source.with_suffix(".png").stat().st_size > 10_000
    assert source.with_suffix(".svg").exists()
