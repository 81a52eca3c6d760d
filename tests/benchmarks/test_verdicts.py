from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cells import Cell, Path
from benchmarks.commands import Judgement
from benchmarks.verdicts import HEAD, aid_table, asked, judge, judgement, table

SILENT, REFUSING = ("drop", "drop"), ("drop", "rst")


def cell(row: str, pair: tuple[str, str], skew: float = 0.0, rtt: float = 0.04) -> Cell:
    """A cell nothing has been tried of."""
    return Cell(Path(row, pair, rtt=rtt), skew)


@pytest.mark.parametrize("row", ["clean", "late"])
@pytest.mark.parametrize(
    ("pair", "rtt", "skew", "median"),
    [
        (SILENT, 0.04, 0.0, 1.10 * 0.04 + 0.002),
        (SILENT, 0.04, 2.0, 1.10 * 0.06 + 0.002),
        (REFUSING, 0.04, 0.05, 1.35 * 0.06 + 0.002),
        (REFUSING, 0.002, 0.4, 1.35 * 0.003 + 0.002),
        (REFUSING, 0.002, 2.0, 0.003 + 0.010),  # paced
        (REFUSING, 0.04, 2.0, 1.35 * 0.06 + 0.002),  # paced, but the share is more
    ],
)
def test_median(row: str, pair: tuple[str, str], rtt: float, skew: float, median: float) -> None:
    """Without loss the median is held to a share over the limit, more where SYNs are paced."""
    verdict = asked(cell(row, pair, skew, rtt))
    assert verdict.median == pytest.approx(median)
    assert verdict.rate == 1.0


@pytest.mark.parametrize(("rtt", "p99"), [(0.04, 0.085), (0.002, 0.024)])
def test_p99(rtt: float, p99: float) -> None:
    """The tail is held to twice the limit and some milliseconds, in both rows alike."""
    for row in ("clean", "late"):
        assert asked(cell(row, REFUSING, rtt=rtt)).p99 == pytest.approx(p99)


@pytest.mark.parametrize("row", ["jitter", "lock"])
def test_success_only(row: str) -> None:
    """Under jitter, and where phase lock is looked for, all must succeed, at whatever time."""
    verdict = asked(cell(row, ("rst", "rst"), 0.05))
    assert (verdict.rate, verdict.median, verdict.p99) == (1.0, None, None)


@pytest.mark.parametrize(("chance", "rate"), [(0.01, 1.0), (0.05, 1.0), (0.1, 0.999), (0.3, 0.99)])
def test_loss(chance: float, rate: float) -> None:
    """Under loss a share must succeed; the tail is asked for where little is lost."""
    path = Path("loss", SILENT, loss=chance)
    writes, silent = asked(Cell(path, 0.0)), asked(Cell(path, 0.0, writes=False))
    assert writes.rate == silent.rate == rate
    if chance <= 0.05:
        assert (writes.p99, silent.p99) == pytest.approx((0.04 + 0.6, 0.04 + 1.2))
    else:
        assert (writes.p99, silent.p99) == (None, None)


def test_the_naive_loop_is_asked_nothing() -> None:
    """The yardstick may fail, the engine beside it may not."""
    path = Path("naive", SILENT)
    assert asked(Cell(path, 0.0, naive=True)).rate == 0.0
    assert asked(Cell(path, 0.0)).rate == 1.0


def test_classes() -> None:
    """Cells of one class are judged together, models with kernels, other skews apart."""
    cells = [cell("clean", REFUSING), cell("clean", ("rst", "rst")), cell("clean", REFUSING, 0.4)]
    assert [verdict.cells for verdict in judge(cells)] == [cells[:2], cells[2:]]


@pytest.mark.parametrize(
    ("succeeded", "times", "met"),
    [
        (4, [0.041] * 4, True),
        (3, [0.041] * 3, False),  # one failed
        (4, [0.060] * 4, False),  # the median
        (4, [0.041] * 3 + [0.2], False),  # the tail
        (0, [], False),
    ],
)
def test_met(succeeded: int, times: list[float], met: bool) -> None:  # noqa: FBT001  # of a table
    """What is asked is met if rate, median and tail all are."""
    tried = replace(cell("clean", SILENT), trials=4, succeeded=succeeded, times=times)
    texts, is_met = judge([tried])[0].row()
    assert is_met is met
    assert dict(zip(HEAD, texts, strict=True))["met"] == ("yes" if met else "NO")


@pytest.mark.parametrize(
    ("succeeded", "chance", "sound"), [(4, 0.0, True), (3, 0.0, False), (3, 0.3, True)]
)
def test_sound_is_what_takes_no_quiet_machine_and_no_many_trials(
    succeeded: int, chance: float, *, sound: bool
) -> None:
    """Every trial where every one has to succeed; neither late ones nor rare losses."""
    path = Path("loss", SILENT, loss=chance)
    tried = Cell(path, 0.0, trials=4, succeeded=succeeded, times=[9.0] * succeeded)
    assert judgement(judge([tried])).sound is sound
    late = Cell(Path("clean", SILENT), 0.0, trials=4, succeeded=4, times=[9.0] * 4)
    assert judgement(judge([late])) == Judgement(met=False, sound=True)


def test_table() -> None:
    """The table has a line for each class under its head."""
    tried = replace(cell("clean", SILENT), trials=4, succeeded=4, times=[0.041] * 4, syns=[2] * 4)
    head, rule, line = table(judge([tried])).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|")
    assert "| 4/4 |" in line
    assert "| 41.0 | 46.0 |" in line


def test_aid_table() -> None:
    """Plain and aided stand on one line."""
    path = Path("aided", ("rst", "rst"), rtt=0.02)
    plain = Cell(path, 0.05, trials=2, succeeded=2, times=[0.030, 0.032])
    aided = Cell(path, 0.05, aided=True, trials=2, succeeded=1, times=[0.5])
    line = aid_table([aided, plain]).splitlines()[-1]
    assert line == "| rst~rst | 20 | 50 | 30 | 31.0 | 32.0 | 2/2 | 500.0 | 500.0 | 1/2 |"
