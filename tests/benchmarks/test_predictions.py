from __future__ import annotations

import pytest

from benchmarks.population_lab import Cell
from benchmarks.populations import Behaviour, behaviour, drawn, load
from benchmarks.predictions import (
    Cells,
    Obstacle,
    Run,
    differ,
    expected,
    lost_table,
    new_cells,
    obstacle,
    pair_table,
    predict,
    prediction_table,
    predictions,
    told,
    weigh,
)

FOUND = load()
ANYBODY = next(each for each in FOUND.measurements if each.profile == "2005")
ONE_NAT = next(each for each in FOUND.measurements if each.second == "ideal")
LAB, SIMULATION = Run("calm", "lab"), Run("calm", "simulation")


def results(trials: int = 100) -> Cells:
    """Cells as if all but those connect whose mapping varies, on the first attempt."""
    cells = new_cells()
    for (pair, _), cell in cells.items():
        cell.trials = trials
        cell.succeeded = cell.first = 0 if Behaviour.VARIES in pair else trials
    return cells


def test_a_prediction_is_the_weighted_rate() -> None:
    """If a varying mapping is all that fails, so many pairs connect as have none."""
    found = predict(FOUND, ANYBODY, "simopen", LAB, results())
    assert found.rate.rate == pytest.approx(0.701**2)
    assert found.rate.low < 0.701**2 < found.rate.high
    assert found.at_first == pytest.approx(1)


def test_one_nat_against_an_ideal_site() -> None:
    """There the share of one side counts once, not squared."""
    found = predict(FOUND, ONE_NAT, "simopen", LAB, results())
    assert found.rate.rate == pytest.approx(0.82)


def test_first_attempts_are_a_share_of_the_successes() -> None:
    """Not of all trials."""
    cells = results()
    for cell in cells.values():
        cell.first = cell.succeeded // 2
    assert predict(FOUND, ANYBODY, "dcutr", LAB, cells).at_first == pytest.approx(0.5)


def test_what_connects_soon_is_a_share_of_all_pairs() -> None:
    """So that it stands beside what connects at all."""
    cells = results()
    for cell in cells.values():
        cell.soon = cell.succeeded // 2
    assert predict(FOUND, ANYBODY, "naive", LAB, cells).soon == pytest.approx(0.701**2 / 2)


def test_a_pair_that_was_not_measured_is_an_error() -> None:
    """A prediction over half of the pairs would look like one over all."""
    cells = results()
    cells[(Behaviour.SILENT, Behaviour.SILENT), "naive"].trials = 0
    with pytest.raises(ValueError, match="not measured"):
        predict(FOUND, ANYBODY, "naive", LAB, cells)


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (Behaviour.RST_BLOCKS, Behaviour.VARIES, Obstacle.VARIES),
        (Behaviour.RST_BLOCKS, Behaviour.SILENT_BLOCKS, Obstacle.BLOCKS),
        (Behaviour.SILENT_BLOCKS, Behaviour.ICMP, Obstacle.REFUSES),
        (Behaviour.SILENT, Behaviour.ADMITS, Obstacle.REFUSES),
        (Behaviour.SILENT, Behaviour.SILENT_BLOCKS, Obstacle.NONE),
    ],
)
def test_a_pair_has_one_obstacle(first: Behaviour, second: Behaviour, what: Obstacle) -> None:
    """The worst, whichever side it is at; one side that blocks is none."""
    assert obstacle((first, second)) is obstacle((second, first)) is what


def test_what_is_lost_and_what_connects_is_all() -> None:
    """And where only a varying mapping fails, all of the loss is put down to that."""
    found = predict(FOUND, ANYBODY, "simopen", LAB, results())
    assert found.lost[Obstacle.VARIES] == pytest.approx(1 - 0.701**2)
    assert sum(found.lost.values()) + found.rate.rate == pytest.approx(1)
    refused = results()
    refused[(Behaviour.RST, Behaviour.RST), "simopen"].succeeded = 0
    weight = weigh(FOUND, ANYBODY)[Behaviour.RST, Behaviour.RST]
    lost = predict(FOUND, ANYBODY, "simopen", LAB, refused).lost
    assert lost[Obstacle.REFUSES] == pytest.approx(weight)
    assert lost[Obstacle.BLOCKS] == lost[Obstacle.NONE] == 0


def test_tables_have_published_and_predicted_side_by_side() -> None:
    """With both intervals, the path, and where it was tried."""
    both = {LAB: results(), SIMULATION: results(9)}
    records = [each.record() for each in predictions(FOUND, both)]
    text = prediction_table(records)
    assert "70.0% (62.9% to 77.1%)" in text
    assert "| calm | lab | 49.1% (" in text
    assert "| calm | simulation | 49.1% (" in text
    assert "| 2005 | calm | lab | simopen | 0.0% | 49.1% | 50.9% | 0.0% |" in lost_table(records)


def test_a_pair_is_marked_of_which_lab_and_simulation_differ() -> None:
    """That one, and no other."""
    simulation = results()
    simulation[(Behaviour.RST, Behaviour.RST), "one-shot"].succeeded = 3
    text = pair_table({"lab": results(), "simulation": simulation})
    marked = [line for line in text.splitlines() if "(!)" in line]
    assert len(marked) == 1
    assert marked[0].startswith("| RST ~ RST |")


def test_all_is_told_path_by_path() -> None:
    """With the differing cells counted, and nothing said of a path that was not run."""
    simulation = results()
    simulation[(Behaviour.RST, Behaviour.RST), "one-shot"].succeeded = 3
    text = "\n".join(told(FOUND, {LAB: results(), SIMULATION: simulation}))
    assert "calm (80 ms, no loss):" in text
    assert "lab and simulation differ (95 %) in 1 of 180 cells" in text
    assert "DCUtR's successes on the first attempt, calm, lab: 100.0%" in text
    assert "near (" not in text


def test_cells_differ_when_their_intervals_lie_apart() -> None:
    """Two of two says nothing against half of forty; none of a hundred does."""
    pair = Behaviour.RST, Behaviour.RST
    half = Cell(pair, "one-shot", trials=40, succeeded=20)
    assert not differ(Cell(pair, "one-shot", trials=2, succeeded=2), half)
    assert differ(Cell(pair, "one-shot", trials=100, succeeded=0), half)


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
