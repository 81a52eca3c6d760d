from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.population import lines, new_cells
from benchmarks.population_picture import paint
from benchmarks.populations import Behaviour, load

HEAD = {"at": "2026-01-02T03:04:05", "kernel": "6", "python": "3", "cpus": 2, "simopen": "0"}
FOUND = load()


def records() -> list[dict[str, Any]]:
    """A result of the lab in which all but those connect whose mapping varies."""
    cells = new_cells()
    for (pair, _), cell in cells.items():
        cell.trials = 10
        cell.succeeded = 0 if Behaviour.VARIES in pair else 10
    return list(lines(FOUND, {"lab": cells}))


def texts(figure: Figure) -> list[str]:
    """All words of a figure, panel by panel, and its heading."""
    inside = [text.get_text() for ax in figure.axes for text in ax.texts]
    return inside + [text.get_text() for text in figure.texts]


def test_there_is_a_panel_for_each_published_rate() -> None:
    """With its profile in the title, and the rate in words on its line."""
    figure = paint(HEAD, records())
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert len(titles) == len(FOUND.measurements)
    for title, measured in zip(titles, FOUND.measurements, strict=True):
        assert title.startswith(measured.profile)
        assert measured.source in title
    assert {"published 45 %", "published 64 %", "published 70 %"} <= set(texts(figure))


def test_every_prediction_stands_there_as_a_number() -> None:
    """A rate and its interval for each strategy; and how many trials it rests on."""
    figure = paint(HEAD, records())
    numbers = [text for text in texts(figure) if " to " in text and text[0].isdigit()]
    assert len(numbers) == 4 * len(FOUND.measurements)
    assert any(number.startswith("49 % (") for number in numbers)
    assert any("1,800 trials in the lab" in text for text in texts(figure))


def test_the_command_writes_beside_its_source(tmp_path: Path) -> None:
    """As PNG and SVG."""
    source = tmp_path / "some.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in [HEAD, *records()]))
    command = [sys.executable, "-m", "benchmarks.population_picture", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    assert source.with_suffix(".png").stat().st_size > 10_000
    assert source.with_suffix(".svg").exists()
