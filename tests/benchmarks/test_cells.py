from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks.cells import FULL, ON_REQUEST, ROWS, SHORT, Cell, Extent, Path
from benchmarks.puncher import Outcome

EVERY_ROW = ROWS | ON_REQUEST
PATH = Path("clean", ("drop", "drop"), rtt=0.04)


@pytest.mark.parametrize("extent", [SHORT, FULL], ids=["short", "full"])
@pytest.mark.parametrize("row", EVERY_ROW)
def test_rows(row: str, extent: Extent) -> None:
    """A row yields cells under its name, each once and with trials, on sites that exist."""
    cells = list(EVERY_ROW[row](extent))
    keys = Counter((cell.path, cell.skew, cell.writes, cell.naive, cell.aided) for cell in cells)
    assert set(keys.values()) == {1}
    for cell in cells:
        assert cell.path.row == row
        assert cell.trials > 0
        assert len(cell.path.sites()) == 2


def test_only_named_rows_are_aided() -> None:
    """What needs a filter on sockets is no part of an ordinary run."""
    assert not any(cell.aided for row in ROWS.values() for cell in row(FULL))
    assert {cell.aided for cell in ON_REQUEST["aided"](FULL)} == {False, True}


def test_lock_is_tried_often() -> None:
    """Phase lock is looked for in eight cells and thousands of trials."""
    assert [cell.trials for cell in ROWS["lock"](FULL)] == [300] * 8
    assert [cell.trials for cell in ROWS["lock"](SHORT)] == [20] * 8


@pytest.mark.parametrize(("skew", "limit"), [(0.0, 0.04), (0.019, 0.04), (0.02, 0.06), (1.0, 0.06)])
def test_limit(skew: float, limit: float) -> None:
    """One round trip where the SYNs can cross at once, one and a half where they cannot."""
    assert Cell(PATH, skew).limit == pytest.approx(limit)


def test_limit_takes_no_jitter() -> None:
    """The limit is that of the round trip as declared."""
    assert Cell(Path("jitter", ("drop", "drop"), rtt=0.2, jitter=0.05), 0.0).limit == 0.2


def test_refused_often_is_tried_nearly_alone() -> None:
    """At a short round trip sites that refuse are tried two at a time, silent ones more."""
    assert Path("clean", ("rst", "rst"), rtt=0.002).at_once == 2
    assert Path("clean", ("drop", "drop"), rtt=0.002).at_once > 2
    assert Path("clean", ("rst", "rst"), rtt=0.02).at_once > 2


def outcome(began: float, connected: float | None, *, proven: bool, failure: str = "") -> Outcome:
    """One side's."""
    return Outcome(7, began, connected, proven=proven, syns=3, failure=failure)


def test_success() -> None:
    """Time counts from the later start to the last side, SYNs are of both."""
    cell = Cell(PATH, 0.05)
    assert cell.count(outcome(1.0, 1.1, proven=True), outcome(1.05, 1.12, proven=True))
    assert cell.times == [pytest.approx(0.07)]
    assert (cell.succeeded, cell.false, cell.syns, cell.failures) == (1, 0, [6], [])


def test_failure() -> None:
    """A side without a stream fails the trial, and what both said is kept."""
    cell = Cell(PATH, 0.05)
    assert not cell.count(
        outcome(1.0, None, proven=False, failure="no answer"), outcome(1.0, 1.1, proven=True)
    )
    assert (cell.succeeded, cell.false, cell.times) == (0, 0, [])
    assert cell.failures == ["a: no answer; b: connected"]


def test_false_success() -> None:
    """A stream that carried nothing is a failure, and counted as a false success."""
    cell = Cell(PATH, 0.05)
    assert not cell.count(outcome(1.0, 1.1, proven=True), outcome(1.0, 1.1, proven=False))
    assert (cell.succeeded, cell.false) == (0, 1)


def test_record() -> None:
    """A cell's line says what was tried and its limit."""
    record = json.loads(json.dumps(Cell(PATH, 0.05, trials=3).record()))
    assert record["path"]["pair"] == ["drop", "drop"]
    assert (record["skew"], record["trials"], record["limit"]) == (0.05, 3, 0.06)
