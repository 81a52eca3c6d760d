"""The tables of the benchmarks, made from the files in `benchmarks/results/`.

What a benchmark prints at the end of a run is made here from what it has written, by the same
functions; of the grid and the simulation, which have hundreds of cells, there is a summary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from benchmarks import (
    common,
    concurrency,
    connect,
    coordinator,
    lab,
    lossy_meetings,
    predictions,
    presets,
    raw,
    rendezvous,
    soak,
    throughput,
    verdicts,
    waiting,
)
from benchmarks.cells import Cell
from benchmarks.common import read_lines
from benchmarks.display import table
from benchmarks.rivals import outcomes
from benchmarks.statistics import percentile, wilson

T = TypeVar("T")
Record = Mapping[str, Any]

NOT_YET = "Nobody has run all of it yet.\n"
PRESENT = "DCUtR in the wild"  # the published rate that is of everybody, today

LOSSLESS = ("clean", "blocked")  # rows of the grid
SITES = {"open": "open", "drop": "drops", "rst": "resets", "icmp": "ICMP", "blocked": "blocks"}

GRID_HEAD = (
    *("row", "cells", "trials", "succeeded", "95 % at least", "false"),
    *("median time / limit", "p99 over the limit, ms"),
)
SIMULATE_HEAD = (
    *("row", "cells", "punches", "succeeded", "95 % at least", "false"),
    *("median of the cells' median / limit", "most over the limit at p99, ms"),
)


def known(records: Sequence[Record], kind: type[T]) -> list[T]:
    """Records as what the benchmark had written."""
    return [msgspec.convert(record, kind) for record in records]


def by_row(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Cells by their row; the naive loop's are a row of their own."""
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        name = record["path"]["row"]
        if name == "naive":
            name = "the naive loop" if record["naive"] else "the engine beside it"
        rows[name].append(record)
    return rows


def counts(cells: Sequence[Record]) -> list[str]:
    """How many there were and how many succeeded."""
    trials, succeeded = (sum(cell[name] for cell in cells) for name in ("trials", "succeeded"))
    false = sum(cell["false"] for cell in cells)
    least = f"{wilson(succeeded, trials)[0]:.2%}"
    return [str(len(cells)), f"{trials:,}", f"{succeeded:,}", least, str(false)]


def grid_table() -> str:
    """The grid by rows."""
    rows = []
    for name, cells in by_row(read_lines("grid.jsonl")[1]).items():
        ratios = [time / cell["limit"] for cell in cells for time in cell["times"]]
        over = [time - cell["limit"] for cell in cells for time in cell["times"]]
        times = [f"{percentile(ratios, 50):.2f}", f"{percentile(over, 99) * 1000:.1f}"]
        rows.append([name, *counts(cells), *times])
    return table(GRID_HEAD, rows)


def grid_matrix() -> str:
    """Successes of every pair of sites without loss, models and Linux together."""
    tried: dict[frozenset[str], list[int]] = defaultdict(lambda: [0, 0])
    for cell in read_lines("grid.jsonl")[1]:
        if cell["path"]["row"] in LOSSLESS:
            sums = tried[frozenset(cell["path"]["pair"])]
            sums[0] += cell["succeeded"]
            sums[1] += cell["trials"]

    def square(row: str, column: str) -> str:
        sums = tried.get(frozenset((row, column)))
        before = list(SITES).index(column) < list(SITES).index(row)
        return "" if before or sums is None else f"{sums[0]:,} of {sums[1]:,}"

    rows = [
        [f"**{words}**", *(square(row, each) for each in SITES)] for row, words in SITES.items()
    ]
    return table(("", *SITES.values()), [row for row in rows if any(row[1:])]) + "\n"


def simulate_table() -> str:
    """The simulation by rows."""
    rows = []
    for name, cells in by_row(read_lines("simulate.jsonl")[1]).items():
        ratios = [cell["median"] / cell["limit"] for cell in cells]
        over = max(cell["p99"] - cell["limit"] for cell in cells)
        rows.append([name, *counts(cells), f"{percentile(ratios, 50):.2f}", f"{over * 1000:.1f}"])
    return table(SIMULATE_HEAD, rows)


def loss_table() -> str:
    """The grid's row of loss, in classes."""
    return verdicts.table(verdicts.judge(known(read_lines("grid-loss.jsonl")[1], Cell)))


def aided_table() -> str:
    """Sockets that do not see refusals, beside those that do."""
    return verdicts.aid_table(known(read_lines("grid-aided.jsonl")[1], Cell))


def connect_table() -> str:
    """Time to connect."""
    return "\n".join([connect.HEAD, *map(connect.table_row, read_lines("connect.jsonl")[1])])


def link(name: str) -> str:
    """What leads to a result file that need not be there."""
    return f"[`{name}.jsonl`](../benchmarks/results/{name}.jsonl)"


def population_table() -> str:
    """Predicted beside published, and what of the present is lost in the lab to what."""
    head, records = read_lines("population.jsonl")
    found = [each for each in records if each["record"] == "prediction"]
    now = [each for each in found if each["what"] == PRESENT and each["by"] == "lab"]
    paths = "; ".join(f"*{name}*: {words}" for name, words in head["conditions"].items())
    return "\n\n".join(
        [
            "![predicted beside published](../benchmarks/results/population.png)",
            predictions.prediction_table(found),
            predictions.lost_table(now),
            f"Paths, round trip and loss each way: {paths}. All pairs: {link('population')}.",
        ]
    )


def rivals_table() -> str:
    """Successes, times, what was said of failures, and who could not be run."""
    head, records = read_lines("rivals.jsonl")
    versions = ", ".join(f"{name} {number}" for name, number in head["rivals"].items())
    told = outcomes.tables(known(records, outcomes.Result), head["absent"])
    return f"{told}\n\n{versions}. All trials: {link('rivals')}."


def throughput_table() -> str:
    """Streams side by side."""
    head, records = read_lines("throughput.jsonl")
    sent = head["bytes_sent"] // throughput.MIB
    said = f"{head['repetitions']} repetitions, {sent} MiB for one figure of speed (half with TLS)."
    return f"{table(throughput.HEAD, throughput.table_rows(records))}\n\n{said}"


def concurrency_table() -> str:
    """A thousand at once."""
    cells = known(read_lines("concurrency.jsonl")[1], concurrency.Cell)
    return table(concurrency.HEAD, (cell.row() for cell in cells))


def waiting_table() -> str:
    """Alone, and meeting after a wait."""
    records = read_lines("waiting.jsonl")[1]
    alone = [record for record in records if record["figure"] == "alone"]
    met = [record for record in records if record["figure"] != "alone"]
    lone = table(waiting.ALONE_HEAD, (cell.row() for cell in known(alone, waiting.Alone)))
    meetings = known(met, waiting.Meetings)
    return f"{lone}\n\n{table(waiting.MEETINGS_HEAD, (cell.row() for cell in meetings))}"


def rendezvous_table() -> str:
    """Meetings by class."""
    return rendezvous.class_table(known(read_lines("rendezvous.jsonl")[1], rendezvous.Outcomes))[0]


def presets_table() -> str:
    """Meetings behind every preset."""
    pairs = known(read_lines("presets.jsonl")[1], presets.Pair)
    return table(presets.HEAD, presets.table_rows(pairs))


def lossy_table() -> str:
    """Ten thousand meetings."""
    return lossy_meetings.summary_table(read_lines("lossy_meetings.jsonl")[1][0])


def coordinator_table() -> str:
    """Memory and steps."""
    return coordinator.tables(known(read_lines("coordinator.jsonl")[1], coordinator.Phase))[0]


def soak_table() -> str:
    """What has grown in an hour."""
    *samples, end = read_lines("soak.jsonl")[1]
    before, after = (known(end[name], soak.Sample) for name in ("before", "after"))
    return soak.verdict(before, known(samples, soak.Sample), after)[0]


def lab_table() -> str:
    """The wire and the set-up."""
    _, records = read_lines("lab.jsonl")
    return table(lab.HEAD, (row for record in records for row in lab.table_rows(record)))


def raw_table() -> str:
    """Handshakes in user space."""
    return table(raw.HEAD, raw.table_rows(read_lines("raw.jsonl")[1]))


TABLES: dict[str, Callable[[], str]] = {
    "connect": connect_table,
    "grid": grid_table,
    "grid-loss": loss_table,
    "grid-aided": aided_table,
    "population": population_table,
    "rivals": rivals_table,
    "throughput": throughput_table,
    "concurrency": concurrency_table,
    "waiting": waiting_table,
    "rendezvous": rendezvous_table,
    "presets": presets_table,
    "lossy_meetings": lossy_table,
    "coordinator": coordinator_table,
    "soak": soak_table,
    "lab": lab_table,
    "raw": raw_table,
    "simulate": simulate_table,
}
"""Of each result file without its ending."""


def environment(name: str) -> str:
    """On what a result file was taken; by which command, if it says so."""
    head = read_lines(f"{name}.jsonl")[0]
    versions = ", ".join(
        f"{what} {head[what]}" for what in ("simopen", "anyio", "uvloop", "trio") if what in head
    )
    machine = f"{head['at'][:10]}, kernel {head['kernel']}, {head['cpus']} CPUs"
    command = f"`{head['command']}`, " if "command" in head else ""
    return f"{command}{machine}, Python {head['python']}, {versions}."


def part(name: str) -> str:
    """A result file as a part of a page: its table, and on what it was taken, if it is there."""
    if not (common.RESULTS / f"{name}.jsonl").exists():
        return NOT_YET
    return f"{TABLES[name]()}\n\n{environment(name)}\n"


PARTS: dict[str, Callable[[], str]] = {
    **{f"table of {name}": partial(part, name) for name in TABLES},
    "matrix of the grid": grid_matrix,
    "figures of the lab": lambda: lab_table() + "\n",
}
