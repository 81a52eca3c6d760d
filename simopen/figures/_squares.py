"""What the heat maps are of: squares by two conditions, each the trials that share them.

The trials of one grid file are a map's, or all measured ones; the two are never mixed, and of the
grid only simopen's own. A map of one square says nothing that a table does not, nor does one by
loss or by difference of starts where there is only one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simopen.figures._batches import Batch, Tally, together
from simopen.figures._sources import MEASURED
from simopen.figures._words import duration

MOST = 16  # rows, and columns
MOST_MAPS = 24

Key = float | str


@dataclass(frozen=True, slots=True)
class Map:
    """A heat map.

    Attributes:
        source: The file, or ``""`` for several.
        title: What it shows.
        down: What its rows are.
        across: What its columns are.
        rows: Their labels.
        columns: Their labels.
        squares: By row and column; what was not run is not there.
        left_out: How many rows and columns there is no room for.
    """

    source: str
    title: str
    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    squares: dict[tuple[str, str], Tally]
    left_out: int = 0

    @property
    def least(self) -> int:
        """The fewest trials of a square."""
        return min(tally.trials for tally in self.squares.values())


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of map.

    Attributes:
        title: What it shows.
        down: What its rows are.
        across: What its columns are.
        rows: Of the files: which of their rows belong to it.
        key: A batch's row and column, or None where it does not know them.
        text: How the keys of rows and of columns are written.
    """

    title: str
    down: str
    across: str
    rows: frozenset[str]
    key: Callable[[Batch], tuple[Key, Key] | None]
    text: tuple[Callable[[Key], str], Callable[[Key], str]]


def _time(seconds: Key) -> str:
    return duration(float(seconds))


def _loss(chance: Key) -> str:
    return f"{float(chance) * 100:g} %"


def _skew_rtt(batch: Batch) -> tuple[Key, Key] | None:
    return None if batch.skew is None or batch.rtt is None else (batch.skew, batch.rtt)


def _loss_rtt(batch: Batch) -> tuple[Key, Key] | None:
    return None if batch.loss is None or batch.rtt is None else (batch.loss, batch.rtt)


KINDS = (
    _Kind(
        "success by site and site",
        "one site",
        "the other site",
        frozenset({"clean", MEASURED}),
        lambda batch: batch.sites,
        (str, str),
    ),
    _Kind(
        "success by difference of starts and round trip",
        "starts apart",
        "round trip",
        frozenset({"clean", MEASURED}),
        _skew_rtt,
        (_time, _time),
    ),
    _Kind(
        "success by loss and round trip",
        "loss each way",
        "round trip",
        frozenset({"clean", "loss"}),
        _loss_rtt,
        (_loss, _time),
    ),
)


def maps(batches: Iterable[Batch]) -> list[Map]:
    """What is drawn, in the order of the files."""
    files: dict[str, list[Batch]] = {}
    for batch in batches:
        if batch.who == "simopen":
            files.setdefault("" if batch.row == MEASURED else batch.source, []).append(batch)
    found = [_map(kind, name, group) for name, group in files.items() for kind in KINDS]
    return [each for each in found if each is not None][:MOST_MAPS]


def _map(kind: _Kind, source: str, batches: Iterable[Batch]) -> Map | None:
    groups: dict[tuple[Key, Key], list[Batch]] = {}
    for batch in batches:
        key = kind.key(batch) if batch.row in kind.rows else None
        if key is not None:
            groups.setdefault(key, []).append(batch)
    if all(isinstance(key, str) for pair in groups for key in pair):
        sites, groups = _triangle(groups)
        rows = [site for site in sites if any(site == row for row, _ in groups)]
        columns = [site for site in sites if any(site == column for _, column in groups)]
    else:
        if len({row for row, _ in groups}) < 2:  # noqa: PLR2004  # what is to be compared
            return None
        rows, columns = sorted({row for row, _ in groups}), sorted({column for _, column in groups})
    shown = {
        pair: together(group) for pair, group in groups.items() if _within(pair, rows, columns)
    }
    if len(shown) < 2:  # noqa: PLR2004  # two make a map
        return None
    down, across = kind.text
    return Map(
        source,
        kind.title,
        kind.down,
        kind.across,
        tuple(map(down, rows[:MOST])),
        tuple(map(across, columns[:MOST])),
        {(down(row), across(column)): tally for (row, column), tally in shown.items()},
        len(rows[MOST:]) + len(columns[MOST:]),
    )


def _within(pair: tuple[Key, Key], rows: Sequence[Key], columns: Sequence[Key]) -> bool:
    return pair[0] in rows[:MOST] and pair[1] in columns[:MOST]


def _triangle(
    groups: dict[tuple[Key, Key], list[Batch]],
) -> tuple[list[Key], dict[tuple[Key, Key], list[Batch]]]:
    """The sites in the order they came, and each pair once, whichever came first in it."""
    sites = list(dict.fromkeys(site for pair in groups for site in pair))
    folded: dict[tuple[Key, Key], list[Batch]] = {}
    for (one, other), found in groups.items():
        pair = (one, other) if sites.index(one) <= sites.index(other) else (other, one)
        folded.setdefault(pair, []).extend(found)
    return sites, folded
