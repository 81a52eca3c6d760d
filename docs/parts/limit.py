"""How near the grid's trials came to what is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.common import read_lines
from benchmarks.statistics import percentile
from docs.tables import table

HEAD = ["round trip, ms", "trials", "10 %", "half", "90 %", "99 %"]


def against_the_limit() -> str:
    """Percentiles of time as a part of the limit, by round trip."""
    cells = [each for each in read_lines("grid.jsonl")[1] if each["path"]["row"] == "clean"]

    def rows() -> Iterator[list[str]]:
        for rtt in sorted({each["path"]["rtt"] for each in cells}):
            own = [each for each in cells if each["path"]["rtt"] == rtt]
            ratios = [time / each["limit"] for each in own for time in each["times"]]
            parts = (f"{percentile(ratios, share):.2f}" for share in (10, 50, 90, 99))
            yield [f"{1000 * rtt:g}", f"{len(ratios):,}", *parts]

    return table(HEAD, rows())


PARTS: dict[str, Callable[[], str]] = {"time against the limit": against_the_limit}
