"""How long two hosts take to meet: the lab's wire, a round trip of 40 ms, on the three loops.

Each host has one process for each cell, kept warm over all trials. A trial begins at a moment both
know (the monotonic clock is one for all namespaces of a machine), one host later than the other by
the skew, on fresh ports. The time counts from the later start to the moment the last side holds its
stream. The limit is one round trip where the starts are within one one-way delay, else one and a
half: the earlier SYN has been refused by then, and no later one is owed to be under way.

``python -m benchmarks.connect [--quick]`` prints the table and writes ``results/connect.jsonl``:
one line for the environment, then one a cell.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Mapping
from statistics import median, quantiles
from typing import Any

import anyio

import simopen
from benchmarks.commands import arguments, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar
from benchmarks.workers import sleep_until
from simopen import lab

DELAY = 0.020  # seconds one way
RTT = 2 * DELAY
SKEWS = (0.0, 0.005, 0.05, 0.4)  # seconds between the two starts
START = 2.0  # seconds until both interpreters are up
TIMEOUT = 10.0  # seconds; a trial that takes longer has failed
FIRST_PORT = 20_000
HEAD = """\
| loop | starts apart, ms | met | limit, ms | median, ms | ratio | p99, ms | max, ms | SYNs a side |
|---|---|---|---|---|---|---|---|---|"""
TRIALS, QUICK_TRIALS = 100, 10  # a cell


def limit(skew: float) -> float:
    """The least time possible, in seconds."""
    return RTT if skew <= DELAY else 1.5 * RTT


def spacing(skew: float) -> float:
    """Seconds from one trial to the next: the last is surely over."""
    return skew + 0.25


async def work(remote: str, local: str, first_at: float, skew: float, trials: int) -> None:
    """One host's process: a trial at each of its moments, a line for each."""
    for number in range(trials):
        port = FIRST_PORT + number
        # Not in step with the timers of either loop, or all trials would meet the same phase.
        at = first_at + number * spacing(abs(skew)) + random.Random(number).uniform(0, 0.01)
        await sleep_until(at + max(skew, 0.0))
        began = time.monotonic()
        line: dict[str, Any] = {"began": began, "connected": None}
        try:
            stream = await simopen.connect_peer(
                f"{remote}:{port}", local=f"{local}:{port}", timeout=TIMEOUT
            )
        except simopen.PeerConnectError as error:
            line["failure"] = str(error)
        else:
            line["connected"] = time.monotonic()
            line["attempts"] = stream.report.attempts
            await anyio.sleep(0.1)  # so that nobody closes before the other is there
            await stream.aclose()
        print(json.dumps(line))


async def cell(loop: str, skew: float, trials: int) -> dict[str, Any]:
    """All trials of one loop and one skew."""
    lines: dict[str, list[dict[str, Any]]] = {}

    async def host_process(host: lab.Host, other: lab.Host, at: float, skew: float) -> None:
        command = [
            *(sys.executable, "-m", "benchmarks.connect", "--worker", loop),
            *(other.ipv4, host.ipv4, str(at), str(skew), str(trials)),
        ]
        done = await host.run(command, stderr=None)
        lines[host.name] = [json.loads(line) for line in done.stdout.splitlines()]

    async with lab.two_hosts(DELAY) as net, anyio.create_task_group() as group:
        at = time.monotonic() + START
        group.start_soon(host_process, net.a, net.b, at, -skew)
        group.start_soon(host_process, net.b, net.a, at, skew)
    pairs = list(zip(lines["a"], lines["b"], strict=True))
    met = [pair for pair in pairs if all(line["connected"] for line in pair)]
    times = [
        max(line["connected"] for line in pair) - max(line["began"] for line in pair)
        for pair in met
    ]
    percentile = quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return {
        "loop": loop,
        "rtt": RTT,
        "skew": skew,
        "trials": trials,
        "met": len(met),
        "limit": limit(skew),
        "median": median(times),
        "p99": percentile[98],
        "max": max(times),
        "attempts": median(line["attempts"] for pair in met for line in pair),
    }


def table_row(row: Mapping[str, Any]) -> str:
    """One cell as a line of Markdown under ``HEAD``."""
    ms = {name: row[name] * 1000 for name in ("skew", "limit", "median", "p99", "max")}
    return (
        f"| {row['loop']} | {ms['skew']:g} | {row['met']}/{row['trials']} | {ms['limit']:g} "
        f"| {ms['median']:.1f} | {ms['median'] / ms['limit']:.2f} | {ms['p99']:.1f} "
        f"| {ms['max']:.1f} | {row['attempts']:g} |"
    )


async def run(trials: int) -> None:
    """All cells, the table, the file."""
    cells = []
    with progress_bar() as progress:
        task = progress.add_task("", total=len(LOOPS) * len(SKEWS))
        for loop, skew in itertools.product(LOOPS, SKEWS):
            progress.update(task, description=f"{loop}, skew {skew * 1000:g} ms")
            cells.append(await cell(loop, skew, trials))
            progress.advance(task)
    print(HEAD, *map(table_row, cells), sep="\n")
    write_lines("connect.jsonl", [environment(), *cells], quick=trials < TRIALS)


def main() -> None:
    """Read the arguments; run all, or one worker."""
    parser = arguments(__doc__, "fewer trials a cell")
    parser.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        loop, remote, local, at, skew, trials = args.worker
        anyio.run(work, remote, local, float(at), float(skew), int(trials), **LOOPS[loop])
    else:
        require_lab()
        anyio.run(run, QUICK_TRIALS if args.quick else TRIALS)


if __name__ == "__main__":
    main()
