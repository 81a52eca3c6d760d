from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.common import environment
from benchmarks.population import FULL, QUICK, Trials, in_simulation, lines, read
from benchmarks.populations import PAIRS, STRATEGIES, Behaviour, load
from benchmarks.predictions import Cells, Run, new_cells

FOUND = load()
CALM = FOUND.conditions[0]


def cells(trials: int) -> Cells:
    """Cells as if every pair connected every second time."""
    found = new_cells()
    for cell in found.values():
        cell.trials, cell.succeeded, cell.first = 2 * trials, trials, trials
        cell.soon = trials // 2
    return found


@pytest.mark.parametrize("trials", [QUICK["lab"], FULL["lab"]])
def test_what_is_met_often_is_tried_more_often(trials: Trials) -> None:
    """Every pair is tried, and the commonest most."""
    often = {pair: trials.of(pair, FOUND) for pair in PAIRS}
    assert min(often.values()) >= trials.least > 0
    assert max(often, key=often.__getitem__) == (Behaviour.SILENT, Behaviour.SILENT)


def test_a_result_file_can_be_weighed_anew(tmp_path: Path) -> None:
    """What is read back gives the predictions that were written, path by path."""
    results = {
        Run("calm", "lab"): cells(10),
        Run("near", "lab"): cells(20),
        Run("calm", "simulation"): cells(1000),
    }
    written = list(lines(FOUND, results))
    path = tmp_path / "population.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [environment(), *written]))
    head, back = read(path)
    assert "kernel" in head
    assert list(lines(FOUND, back)) == written
    told = [line for line in written if line["record"] == "prediction"]
    assert len(told) == len(FOUND.measurements) * len(results) * len(STRATEGIES)


def test_the_simulation_counts_every_trial() -> None:
    """Each pair and strategy as often as asked, with first attempts among the successes."""
    found = in_simulation(FOUND, CALM, Trials(2, 0))
    assert {cell.trials for cell in found.values()} == {2}
    assert all(0 <= cell.first <= cell.succeeded <= 2 for cell in found.values())
    assert all(0 <= cell.soon <= cell.succeeded for cell in found.values())
    together = found[(Behaviour.SILENT, Behaviour.SILENT), "dcutr"]
    assert together.first == together.soon == 2
