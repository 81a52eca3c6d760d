"""The tables of the benchmarks, made from the files in `benchmarks/results/`.

What a benchmark prints at the end of a run is made here from what it has written, by the same
functions; of the great ones there is a summary.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import lab
from benchmarks.common import read_lines
from benchmarks.display import table


def lab_table() -> str:
    """The wire and the set-up."""
    _, records = read_lines("lab.jsonl")
    return table(lab.HEAD, (row for record in records for row in lab.table_rows(record)))


PARTS: dict[str, Callable[[], str]] = {
    "figures of the lab": lambda: lab_table() + "\n",
}
