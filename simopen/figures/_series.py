"""What the curves of time to connect are of: panels, and the lines in each.

A panel is a row of one grid file, or all measured runs together; its lines are what differs within
it. Of one measured run alone the lines are its differences of starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simopen.figures._batches import Batch, Tally, together
from simopen.figures._sources import MEASURED
from simopen.figures._words import clean, duration

MOST_LINES = 8  # in a panel
MOST_PANELS = 24

Label = Callable[[Batch], str]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Attributes:
        label: What its trials have in common.
        tally: They.
    """

    label: str
    tally: Tally

    @property
    def timed(self) -> int:
        """How many trials the curve is of: all but those that connected in an unknown time."""
        return self.tally.trials - self.tally.succeeded + len(self.tally.times)


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves that are drawn together.

    Attributes:
        source: The file, or ``""`` for several.
        title: Of which trials.
        lines: The curves.
        rtt: The round trip in seconds, where it is the same for all.
        left_out: How many lines there is no room for.
    """

    source: str
    title: str
    lines: tuple[Line, ...]
    rtt: float | None
    left_out: int = 0


def _by_rtt(batch: Batch) -> str:
    return "RTT unknown" if batch.rtt is None else f"RTT {duration(batch.rtt)}"


def _by_skew(batch: Batch) -> str:
    if batch.skew is None:
        return "starts: unknown"
    return f"starts {duration(batch.skew)} apart" if batch.skew else "starts together"


def _by_loss(batch: Batch) -> str:
    return "loss unknown" if batch.loss is None else f"loss {batch.loss * 100:g} %"


def _by_who(batch: Batch) -> str:
    return f"{batch.who}, {_by_loss(batch)}"


def _by_run(batch: Batch) -> str:
    return f"{' – '.join(batch.sites)} ({batch.source})"  # noqa: RUF001  # from one to the other


ROWS: dict[str, tuple[str, Label]] = {  # of the grid: title, what differs
    "clean": ("no loss", _by_rtt),
    "loss": ("loss", _by_loss),
    "lock": ("both sites refuse", _by_rtt),
    "blocked": ("one site lets no crossing SYN in", _by_rtt),
    "jitter": ("jitter of up to half the round trip", _by_rtt),
    "late": ("one side comes seconds later", _by_skew),
    "naive": ("the naive loop beside simopen", _by_who),
    "aided": ("refusals seen and unseen", _by_who),
}


def panels(batches: Sequence[Batch]) -> list[Panel]:
    """What is drawn, in the order of the files, and of one file in the order of `ROWS`."""
    rows: dict[tuple[str, str], list[Batch]] = {}
    for batch in batches:
        rows.setdefault(("" if batch.row == MEASURED else batch.source, batch.row), []).append(
            batch
        )
    sources = list(dict.fromkeys(source for source, _ in rows))
    order = sorted(rows, key=lambda key: (sources.index(key[0]), _place(key[1])))
    return [_panel(*key, rows[key]) for key in order[:MOST_PANELS]]


def _place(row: str) -> int:
    return [*ROWS, row].index(row)


def _panel(source: str, row: str, batches: Sequence[Batch]) -> Panel:
    title, label = ROWS.get(row, (clean(row), _by_rtt))
    if row == MEASURED:
        runs = list(dict.fromkeys(map(_by_run, batches)))
        title, label = (runs[0], _by_skew) if len(runs) == 1 else ("measured runs", _by_run)
    groups: dict[str, list[Batch]] = {}
    for batch in batches:
        groups.setdefault(label(batch), []).append(batch)
    lines = tuple(Line(clean(name), together(group)) for name, group in groups.items())
    rtts = {batch.rtt for batch in batches}
    rtt = rtts.pop() if len(rtts) == 1 else None
    return Panel(source, title, lines[:MOST_LINES], rtt, len(lines[MOST_LINES:]))
