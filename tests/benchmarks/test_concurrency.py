"""What the benchmark of concurrency makes of its rounds."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.commands import Judgement
from benchmarks.concurrency import HEAD, Cell, Rounds
from benchmarks.many_at_once import PUNCHES, TIMEOUT


def side(last: float, connected: int = PUNCHES, **more: object) -> dict[str, Any]:
    """What a side says of a round."""
    return {"connected": connected, "last": last, "cpu": 0.5, "files": 7} | more


def cell(punches: list[float | None], plain: list[float | None]) -> Cell:
    """What a loop did whose rounds took these times."""
    connected = [0 if time is None else PUNCHES for time in punches]
    rounds = Rounds(punches, connected, [1.0] * len(punches), [1.5] * len(punches))
    yardstick = Rounds(plain, [PUNCHES] * len(plain), [1.0] * len(plain), [0.0] * len(plain))
    return Cell(
        "asyncio",
        "open",
        0.02,
        rounds,
        yardstick,
        resident=(1_000_000, 1_000_000 + 8 * 1024 * PUNCHES),
    )


def test_a_round_lasts_from_the_go_to_the_last_of_either_side() -> None:
    """CPU time of both adds up; SYNs are a punch's, of one side."""
    rounds = Rounds()
    rounds.count(10.0, (side(10.5, syns=PUNCHES), side(10.25, syns=2 * PUNCHES)))
    assert (rounds.times, rounds.cpu, rounds.syns) == ([0.5], [1.0], [1.5])
    assert rounds.rate == PUNCHES / 0.5


def test_a_round_that_lacks_one_connection_has_no_time() -> None:
    """It counts as the time allowed, and what was said is kept."""
    rounds = Rounds()
    rounds.count(10.0, (side(10.5), side(10.25, PUNCHES - 1, failures=["silence"])))
    assert rounds.times == [None]
    assert rounds.connected == [PUNCHES - 1]
    assert rounds.failures == ["silence"]
    assert rounds.median == TIMEOUT


@pytest.mark.parametrize(
    ("punches", "plain", "met"),
    [([0.2], [0.1], "yes"), ([0.21], [0.1], "NO"), ([0.1, None, 0.1], [0.1], "NO")],
)
def test_half_the_rate_is_asked_and_every_punch(
    punches: list[float | None], plain: list[float | None], met: str
) -> None:
    """A median that is good enough does not hide a round that was not complete."""
    assert dict(zip(HEAD, cell(punches, plain).row(), strict=True))["met"] == met
    assert cell(punches, plain).judgement == Judgement(met == "yes", sound=True)


def test_memory_is_told_for_each_punch() -> None:
    """The growth over all of them, in KiB."""
    row = dict(zip(HEAD, cell([0.2], [0.1]).row(), strict=True))
    assert row["KiB a waiting punch"] == "8.0"
