from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.common import environment
from benchmarks.population import (
    FULL,
    QUICK,
    Cells,
    Trials,
    differ,
    expected,
    in_simulation,
    lines,
    new_cells,
    pair_table,
    predict,
    prediction_table,
    predictions,
    read,
    weigh,
)
from benchmarks.population_lab import Cell
from benchmarks.populations import PAIRS, STRATEGIES, Behaviour, behaviour, drawn, load

FOUND = load()
ANYBODY = next(each for each in FOUND.measurements if each.profile == "2005")
ONE_NAT = next(each for each in FOUND.measurements if each.second == "ideal")


def results(trials: int = 100) -> Cells:
    """Cells as if all but those connect whose mapping varies, on the first attempt."""
    cells = new_cells()
    for (pair, _), cell in cells.items():
        cell.trials = trials
        cell.succeeded = cell.first = 0 if Behaviour.VARIES in pair else trials
    return cells


def test_a_prediction_is_the_weighted_rate() -> None:
    """If a varying mapping is all that fails, so many pairs connect as have none."""
    found = predict(FOUND, ANYBODY, "simopen", "lab", results())
    assert found.rate.rate == pytest.approx(0.701**2)
    assert found.rate.low < 0.701**2 < found.rate.high
    assert found.at_first == pytest.approx(1)


def test_one_nat_against_an_ideal_site() -> None:
    """There the share of one side counts once, not squared."""
    found = predict(FOUND, ONE_NAT, "simopen", "lab", results())
    assert found.rate.rate == pytest.approx(0.82)


def test_first_attempts_are_a_share_of_the_successes() -> None:
    """Not of all trials."""
    cells = results()
    for cell in cells.values():
        cell.first = cell.succeeded // 2
    assert predict(FOUND, ANYBODY, "dcutr", "lab", cells).at_first == pytest.approx(0.5)


def test_a_pair_that_was_not_measured_is_an_error() -> None:
    """A prediction over half of the pairs would look like one over all."""
    cells = results()
    cells[(Behaviour.SILENT, Behaviour.SILENT), "naive"].trials = 0
    with pytest.raises(ValueError, match="not measured"):
        predict(FOUND, ANYBODY, "naive", "lab", cells)


@pytest.mark.parametrize("trials", [QUICK["lab"], FULL["lab"]])
def test_what_is_met_often_is_tried_more_often(trials: Trials) -> None:
    """Every pair is tried, and the commonest most."""
    often = {pair: trials.of(pair, FOUND) for pair in PAIRS}
    assert min(often.values()) >= trials.least > 0
    assert max(often, key=often.__getitem__) == (Behaviour.SILENT, Behaviour.SILENT)


def test_a_result_file_can_be_weighed_anew(tmp_path: Path) -> None:
    """What is read back gives the predictions that were written."""
    both = {"lab": results(10), "simulation": results(1000)}
    written = list(lines(FOUND, both))  # type: ignore[arg-type]  # its keys are literals
    path = tmp_path / "population.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [environment(), *written]))
    head, back = read(path)
    assert "kernel" in head
    assert list(lines(FOUND, back)) == written
    told = [line for line in written if line["record"] == "prediction"]
    assert len(told) == len(FOUND.measurements) * 2 * len(STRATEGIES)


def test_tables_have_published_and_predicted_side_by_side() -> None:
    """With both intervals; and a pair of which lab and simulation differ is marked."""
    lab, simulation = results(), results()
    simulation[(Behaviour.RST, Behaviour.RST), "one-shot"].succeeded = 3
    text = prediction_table(predictions(FOUND, {"lab": lab, "simulation": simulation}))
    assert "70.0% (62.9% to 77.1%)" in text
    assert "| lab | 49.1% (" in text
    marked = [
        line
        for line in pair_table({"lab": lab, "simulation": simulation}).splitlines()
        if "(!)" in line
    ]
    assert len(marked) == 1
    assert marked[0].startswith("| RST ~ RST |")


def test_cells_differ_when_their_intervals_lie_apart() -> None:
    """Two of two says nothing against half of forty; none of a hundred does."""
    pair = Behaviour.RST, Behaviour.RST
    half = Cell(pair, "one-shot", trials=40, succeeded=20)
    assert not differ(Cell(pair, "one-shot", trials=2, succeeded=2), half)
    assert differ(Cell(pair, "one-shot", trials=100, succeeded=0), half)


def test_the_simulation_counts_every_trial() -> None:
    """Each pair and strategy as often as asked, with first attempts among the successes."""
    cells = in_simulation(FOUND, Trials(2, 0))
    assert {cell.trials for cell in cells.values()} == {2}
    assert all(0 <= cell.first <= cell.succeeded <= 2 for cell in cells.values())
    assert cells[(Behaviour.SILENT, Behaviour.SILENT), "dcutr"].first == 2


def test_weights_of_a_measurement_are_a_whole() -> None:
    """Whoever it was between."""
    for measured in FOUND.measurements:
        assert sum(weigh(FOUND, measured).values()) == pytest.approx(1)


def test_drawn_pairs_are_expected_to_do_as_their_behaviours() -> None:
    """Here: as many connect as have no varying mapping, whichever way round they were drawn."""
    nats = drawn(FOUND.profile("2005"), 80, "2005")
    varies = [behaviour(nat) is Behaviour.VARIES for nat in nats]
    stable = sum(not (a or b) for a, b in zip(varies[::2], varies[1::2], strict=True))
    assert expected(FOUND, "2005", "naive", 40, results()) == pytest.approx(stable)
