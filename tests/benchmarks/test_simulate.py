"""The simulated grid and its comparison with the lab."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from benchmarks.cells import SHORT, Cell, Path, blocked
from benchmarks.simulate import Manner, compare, differences, read, simulate
from benchmarks.virtual_tcp import Alarm, Clock

SAMPLE = (("open", "rst"), ("drop", "drop"), ("icmp", "icmp"))


def cells(trials: int) -> list[Cell]:
    """A few clean cells that nobody has run."""
    return [
        Cell(Path("clean", pair, rtt=0.02), skew, trials=trials)
        for pair in SAMPLE
        for skew in (0.0, 0.4)
    ]


def a_cell(succeeded: int, times: list[float], trials: int = 100) -> Cell:
    """A cell with made-up results."""
    path = Path("clean", ("drop", "drop"))
    return Cell(path, 0.0, trials=trials, succeeded=succeeded, times=times)


def test_every_punch_of_clean_cells_succeeds() -> None:
    """Without loss all connect, none before a round trip is over, and each is counted once."""
    sample = cells(trials=2)
    simulate(sample, 10, Manner())
    assert [cell.trials for cell in sample] == [20] * len(sample)
    assert [cell.succeeded for cell in sample] == [20] * len(sample)
    assert [len(cell.times) for cell in sample] == [20] * len(sample)
    assert min(min(cell.times) for cell in sample) >= 0.02 - 1e-9


def test_the_same_seeds_give_the_same_figures() -> None:
    """Two runs agree punch by punch, in whatever order the processes finish."""
    first, second = cells(trials=1), cells(trials=1)
    simulate(first, 5, Manner())
    simulate(second, 5, Manner())
    assert [sorted(cell.times) for cell in first] == [sorted(cell.times) for cell in second]


def test_writing_heals_a_lost_last_ack_sooner() -> None:
    """With loss, the slow punches of applications that write end sooner than those of silent."""
    path = Path("loss", ("drop", "drop"), loss=0.3)
    writes, silent = Cell(path, 0.0, writes=True, trials=1), Cell(path, 0.0, writes=False, trials=1)
    simulate([writes], 300, Manner())
    simulate([silent], 300, Manner())
    assert sum(writes.times) / writes.succeeded < sum(silent.times) / silent.succeeded


@pytest.mark.parametrize(
    ("lab", "simulated", "expected"),
    [
        (a_cell(100, [0.041] * 100), a_cell(100, [0.0403] * 100), []),
        (a_cell(60, [0.04] * 60), a_cell(100, [0.04] * 100), ["success"]),
        (a_cell(99, [0.04] * 99), a_cell(100, [0.04] * 100), []),
        (a_cell(100, [0.06] * 100), a_cell(100, [0.04] * 100), ["median"]),
        (a_cell(3, [0.09] * 3, 3), a_cell(100, [0.04, 0.09] * 50), ["median (chance)"]),
        (a_cell(0, []), a_cell(100, [0.04] * 100), ["success"]),
    ],
    ids=["overhead", "fewer", "one", "later", "few", "none"],
)
def test_differences_are_marked(lab: Cell, simulated: Cell, expected: list[str]) -> None:
    """Intervals apart and medians beyond the slack are marked, overhead and chance are not."""
    assert differences(lab, simulated) == expected


def test_comparison_names_what_differs_and_how_much_later_the_lab_is() -> None:
    """The table has a line a cell, the mark in it, and the overhead below."""
    text = compare([a_cell(100, [0.06] * 100)], [a_cell(100, [0.04] * 100)])
    assert "| 100/100 | 100/100 | 60.0 | 40.0 | 20.0 | median |" in text
    assert "1 in median" in text
    assert "later by 20.0 ms" in text


def test_read_takes_what_can_be_simulated(tmp_path: FilePath) -> None:
    """Cells come back as they were written, without the naive, the kernel's and the jittering."""
    kept = a_cell(2, [0.04, 0.05], trials=2)
    left_out = [
        replace(kept, naive=True),
        replace(kept, path=replace(kept.path, kernel=True)),
        replace(kept, path=replace(kept.path, jitter=0.01)),
    ]
    lines = [{"at": "now"}, *(cell.record() for cell in (left_out[0], kept, *left_out[1:]))]
    path = tmp_path / "grid.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(path) == [kept]


def test_simulated_sites_are_the_grids() -> None:
    """Every cell of the rows without a kernel has a pair of sites that can be simulated."""
    found = [cell for cell in blocked(SHORT) if not cell.path.kernel][:1]
    found[0].trials = 1
    simulate(found, 3, Manner())
    assert found[0].succeeded == 3


def test_an_alarm_rings_once_when_it_was_last_set_to() -> None:
    """Put off, brought forward and cancelled alarms ring at the last moment given, or not."""
    clock = Clock()
    rung: list[float] = []
    alarm = Alarm(clock, lambda: rung.append(clock.now))
    alarm.set(5.0)
    alarm.set(3.0)
    alarm.set(5.0)
    clock.run(10.0)
    assert rung == [5.0]
    alarm.set(12.0)
    alarm.set(float("inf"))
    clock.run(20.0)
    assert rung == [5.0]
