"""What is asked of the grid's cells, and whether they do it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.cells import Cell
from benchmarks.commands import Judgement, all_of
from benchmarks.display import table as table_of
from benchmarks.statistics import percentile, wilson

PACED_FROM = 0.5  # seconds after its start the engine begins to pace its SYNs


@dataclass
class Verdict:
    """One class: the cells that are judged together, what is asked of them, and what they do.

    Attributes:
        name: What it is.
        cells: Its cells.
        rate: The share of trials that has to succeed.
        median: The most the median may be, in seconds; None: not asked.
        p99: Likewise at p99.
    """

    name: str
    cells: list[Cell]
    rate: float
    median: float | None
    p99: float | None

    @property
    def trials(self) -> int:
        """How many there were."""
        return sum(cell.trials for cell in self.cells)

    @property
    def succeeded(self) -> int:
        """How many did."""
        return sum(cell.succeeded for cell in self.cells)

    @property
    def sound(self) -> bool:
        """Whether every trial succeeded, if every one has to; the rest takes many, and quiet."""
        return self.rate < 1 or self.succeeded == self.trials

    def row(self) -> tuple[list[str], bool]:
        """A line of the table, and whether all that is asked is met."""
        trials, succeeded = self.trials, self.succeeded
        false = sum(cell.false for cell in self.cells)
        times = [each for cell in self.cells for each in cell.times]
        low, _ = wilson(succeeded, trials)
        median, p99 = percentile(times, 50), percentile(times, 99)
        met = succeeded >= self.rate * trials and not (
            (self.median is not None and not median <= self.median)
            or (self.p99 is not None and not p99 <= self.p99)
        )
        syns = percentile([float(each) for cell in self.cells for each in cell.syns], 50)
        texts = [
            self.name,
            f"{succeeded}/{trials}",
            f"{low:.1%}",
            f"{median * 1000:.1f}",
            _ms(self.median),
            f"{p99 * 1000:.1f}",
            _ms(self.p99),
            f"{syns:g}",
            str(false),
            "yes" if met else "NO",
        ]
        return texts, met


HEAD = (
    "class",
    "succeeded",
    "95 % at least",
    "median, ms",
    "asked",
    "p99, ms",
    "asked",
    "SYNs",
    "false",
    "met",
)


def judgement(verdicts: Iterable[Verdict]) -> Judgement:
    """Of all classes together."""
    return all_of(Judgement(verdict.row()[1], verdict.sound) for verdict in verdicts)


def judge(found: Iterable[Cell]) -> list[Verdict]:
    """Group cells into classes, each with what is asked of it."""
    classes: dict[str, Verdict] = {}
    for cell in found:
        verdict = asked(cell)
        classes.setdefault(verdict.name, verdict).cells.append(cell)
    return list(classes.values())


def asked(cell: Cell) -> Verdict:
    """What is asked of one cell, under the name of its class."""
    path, limit = cell.path, cell.limit
    ms = f"rtt {path.rtt * 1000:g}, skew {cell.skew * 1000:g}"
    tail = 2 * limit + (0.020 if path.rtt <= 0.005 else 0.005)  # noqa: PLR2004
    refusing = path.pair != ("drop", "drop")
    match path.row:
        case "clean" | "late":
            median = (1.35 if refusing else 1.10) * limit + 0.002
            if refusing and cell.skew > PACED_FROM:
                median = max(median, limit + 0.010)
            kind = "refusing" if refusing else "silent"
            return Verdict(f"{path.row}, {kind}, {ms}", [], 1.0, median, tail)
        case "blocked":
            return Verdict(f"blocked, {ms}", [], 1.0, limit + 0.75, None)
        case "loss":
            kind = "writes" if cell.writes else "silent"
            name = f"loss {path.loss:.0%}, {kind}, {ms}"
            rate = {0.1: 0.999, 0.3: 0.99}.get(path.loss, 1.0)
            more = 0.6 if cell.writes else 1.2
            p99 = limit + more if path.loss <= 0.05 else None  # noqa: PLR2004
            return Verdict(name, [], rate, None, p99)
        case "naive":
            who = "the naive loop" if cell.naive else "beside the naive loop"
            rate = 0.0 if cell.naive else 1.0
            return Verdict(f"{who}, loss {path.loss:.0%}", [], rate, None, None)
        case _:
            return Verdict(f"{path.row}, {ms}", [], 1.0, None, None)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def table(verdicts: Iterable[Verdict]) -> str:
    """The classes as Markdown."""
    return table_of(HEAD, (verdict.row()[0] for verdict in verdicts))


AID_HEAD = (
    *("pair", "rtt, ms", "skew, ms", "limit, ms"),
    *("plain: median, ms", "p99, ms", "succeeded"),
    *("aided: median, ms", "p99, ms", "succeeded"),
)


def aid_table(cells: Iterable[Cell]) -> str:
    """Plain beside aided, as Markdown."""
    found: dict[tuple[str, float, float], dict[bool, Cell]] = defaultdict(dict)
    for cell in cells:
        found["~".join(cell.path.pair), cell.path.rtt, cell.skew][cell.aided] = cell
    return table_of(
        AID_HEAD,
        (
            [
                *(pair, f"{rtt * 1000:g}", f"{skew * 1000:g}", f"{both[False].limit * 1000:g}"),
                *_figures(both[False]),
                *_figures(both[True]),
            ]
            for (pair, rtt, skew), both in found.items()
        ),
    )


def _figures(cell: Cell) -> list[str]:
    """Median, p99 and success."""
    return [
        f"{percentile(cell.times, 50) * 1000:.1f}",
        f"{percentile(cell.times, 99) * 1000:.1f}",
        f"{cell.succeeded}/{cell.trials}",
    ]
