"""The simulated grid."""

from __future__ import annotations

from benchmarks.cells import SHORT, Cell, Path, blocked
from benchmarks.simulate import Manner, simulate
from benchmarks.virtual_tcp import Alarm, Clock

SAMPLE = (("open", "rst"), ("drop", "drop"), ("icmp", "icmp"))


def cells(trials: int) -> list[Cell]:
    """A few clean cells that nobody has run."""
    return [
        Cell(Path("clean", pair, rtt=0.02), skew, trials=trials)
        for pair in SAMPLE
        for skew in (0.0, 0.4)
    ]


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
