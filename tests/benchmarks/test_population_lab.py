from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.population_lab import Cell, Job, run
from benchmarks.populations import STRATEGIES, Behaviour, load

PAIR = Behaviour.SILENT, Behaviour.RST


def side(began: float, connected: float | None, *, proven: bool) -> dict[str, Any]:
    """One side's answer."""
    return {"began": began, "connected": connected, "proven": proven}


GOOD = side(1.0, 1.2, proven=True), side(1.1, 1.3, proven=True)
FAILED = side(0.5, None, proven=False), side(0.6, None, proven=False)
FALSE = side(0.5, 0.7, proven=False), side(0.6, None, proven=False)


def test_a_trial_that_succeeds_at_once() -> None:
    """Counts as first, and takes from the later start to the last stream."""
    cell = Cell(PAIR, "simopen")
    cell.count([GOOD])
    assert (cell.trials, cell.succeeded, cell.first, cell.soon, cell.false) == (1, 1, 1, 1, 0)
    assert cell.times == [pytest.approx(0.2)]


def test_a_trial_that_takes_two_attempts() -> None:
    """Is one trial and no first; its time is that of all attempts."""
    cell = Cell(PAIR, "dcutr")
    cell.count([FALSE, GOOD])
    assert (cell.trials, cell.succeeded, cell.first, cell.soon, cell.false) == (1, 1, 0, 0, 1)
    assert cell.times == [pytest.approx(0.7)]


def test_a_trial_that_fails() -> None:
    """Has no time, and a stream that carries nothing is no success."""
    cell = Cell(PAIR, "dcutr")
    cell.count([FAILED, FAILED, FALSE])
    assert (cell.trials, cell.succeeded, cell.first, cell.false) == (1, 0, 0, 1)
    assert cell.times == []


@pytest.mark.lab
@pytest.mark.anyio
async def test_every_strategy_connects_two_silent_sites() -> None:
    """Real kernels behind the lab's NATs, each told the endpoint that the observer saw."""
    silent = Behaviour.SILENT.nat
    cells = [Cell((Behaviour.SILENT, Behaviour.SILENT), how) for how in STRATEGIES]
    done: list[None] = []
    await run(
        {"a": silent, "b": silent},
        [Job(("a", "b"), cell) for cell in cells],
        load(),
        load().conditions[0],
        loop="asyncio",
        at_once=4,
        progress=lambda: done.append(None),
    )
    assert [cell.succeeded for cell in cells] == [1, 1, 1, 1]
    assert len(done) == 4


@pytest.mark.lab
@pytest.mark.anyio
async def test_the_path_is_as_its_condition_says() -> None:
    """It takes no less than one way of its round trip, and what it loses is made up for."""
    found = load()
    lossy = replace(found.conditions[1], round_trip=0.2, loss=0.1)
    cell = Cell((Behaviour.SILENT, Behaviour.SILENT), "naive")
    await run(
        {"a": Behaviour.SILENT.nat, "b": Behaviour.SILENT.nat},
        [Job(("a", "b"), cell)] * 6,
        found,
        lossy,
        loop="asyncio",
        at_once=6,
        progress=lambda: None,
    )
    assert cell.succeeded == 6
    assert min(cell.times) >= 0.1
