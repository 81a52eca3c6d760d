from __future__ import annotations

from simopen.figures._series import MOST_LINES, Line, Panel, panels
from simopen.figures._sources import read
from tests.figures.makers import cell, grid, lines, measured


def of(*files: tuple[str, bytes]) -> list[Panel]:
    """The panels of files."""
    return panels([batch for name, data in files for batch in read(name, data).batches])


def labels(panel: Panel) -> list[str]:
    """What its lines are called."""
    return [line.label for line in panel.lines]


def test_one_run_has_a_line_for_each_difference_of_starts() -> None:
    """Alone, what differs within a run is when its sides began."""
    (panel,) = of(("a.jsonl", lines(measured(9))))
    assert labels(panel) == ["starts together", "starts 50 ms apart", "starts 400 ms apart"]
    assert panel.rtt == 0.04


def test_several_runs_have_a_line_each() -> None:
    """Side by side, what differs is the run."""
    carol = lines(measured(9, label="carol", run="cd34"))
    (panel,) = of(("a.jsonl", lines(measured(9))), ("c.jsonl", carol))
    assert labels(panel) == ["alice – bob (a.jsonl)", "carol – bob (c.jsonl)"]  # noqa: RUF001  # as drawn
    assert [line.tally.trials for line in panel.lines] == [9, 9]


def test_a_row_of_the_grid_is_a_panel() -> None:
    """Its lines are what differs in that row; the rows have an order, whatever the file's."""
    data = grid(
        *(cell("loss", loss=loss) for loss in (0.01, 0.3)),
        *(cell("clean", rtt=rtt) for rtt in (0.002, 0.04)),
        *(cell("naive", naive=naive) for naive in (True, False)),
        cell("new"),
    )
    clean, loss, naive, new = of(("g.jsonl", data))
    assert labels(loss) == ["loss 1 %", "loss 30 %"]
    assert labels(clean) == ["RTT 2 ms", "RTT 40 ms"]
    assert labels(naive) == ["naive loop, loss 0 %", "simopen, loss 0 %"]
    assert new.title == "new"
    assert (loss.rtt, clean.rtt) == (0.04, None)
    assert {panel.source for panel in (loss, clean, naive, new)} == {"g.jsonl"}


def test_the_same_row_of_two_files_is_two_panels() -> None:
    """Runs of the grid are not mixed."""
    assert len(of(("g.jsonl", grid(cell())), ("h.jsonl", grid(cell())))) == 2


def test_too_many_lines_are_counted() -> None:
    """A panel has room for so many, and says how many more there were."""
    cells = [cell(rtt=0.001 * (number + 1)) for number in range(MOST_LINES + 3)]
    (panel,) = of(("g.jsonl", grid(*cells)))
    assert (len(panel.lines), panel.left_out) == (MOST_LINES, 3)


def test_a_curve_is_of_all_trials_but_those_of_unknown_time() -> None:
    """A failure counts in a curve; a success whose time nobody knows cannot."""
    (panel,) = of(("g.jsonl", grid(cell(succeeded=3, trials=5))))
    (line,) = panel.lines
    assert line.timed == 5
    tally = line.tally
    unknown = type(tally)(tally.trials, tally.succeeded, tally.times[:1], ())
    assert Line("", unknown).timed == 3
