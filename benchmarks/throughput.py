"""What a PeerStream costs, plain and with TLS, beside asyncio's streams, anyio's and bare sockets.

``python -m benchmarks.throughput [--quick]`` prints the table and writes
``results/throughput.jsonl``: one line for the environment, then one a figure.

How it is measured
------------------
Two processes, each on a CPU of its own where there are two, and loopback between them; the same
kind of stream at both ends (:mod:`benchmarks.streams`). The kinds take turns within each
repetition, another one first each time, so that a slow minute of the machine meets all of them. A
ratio is taken within a repetition; shown are the median over the repetitions, the least and the
greatest. Where asyncio's streams cannot run, on trio, there is no ratio to them.

- *sends*: bytes a second, from the first send to the word that the other side has received all.
- *round trip*: 64 bytes there and back, the median and p99 of a repetition.
- *swallowed*: bytes a stream takes from a peer while nobody reads, up to enough to call it
  unbounded. Plain, and not for a bare socket, which is the kernel's buffers and nothing else.
- *memory*: growth of the resident set of a new process for each stream it holds at rest, after a
  few that are not counted. With TLS one context is shared; a call makes one of its own. What the
  kernel holds is not in it.
- *connections*: a second, one after the other, until both sides have all; by punching and by
  connecting to a listener (:mod:`benchmarks.openings`). Loopback is the hardest place to cross,
  since a SYN is refused there before ``connect()`` returns; over the lab's wire, and many at once,
  the same is compared by :mod:`benchmarks.concurrency`.
"""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from benchmarks.commands import arguments
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.statistics import around_median, percentile
from benchmarks.streams import KINDS, Side, take_side
from benchmarks.transfers import HOST, MESSAGE, Job, keep_to_cpu, measure, serve

KIB, MIB = 2**10, 2**20
SWALLOWED_AT_ONCE = 64 * KIB  # bytes
JOB_LIMIT = 300.0  # seconds; the longest takes some ten on a machine that does little else


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        repetitions: Of everything.
        bytes_sent: For one figure of *sends*; with TLS half as many.
        round_trips: For one median and one p99.
        most_swallowed: Bytes; enough to call it unbounded.
        held: Streams, for one figure of memory.
        connections: For one figure.
        memory_every: In one repetition of so many memory is measured, which hardly varies.
    """

    repetitions: int
    bytes_sent: int
    round_trips: int
    most_swallowed: int
    held: int
    connections: int
    memory_every: int


FULL = Effort(9, 512 * MIB, 5000, 256 * MIB, held=500, connections=300, memory_every=3)
QUICK = Effort(2, 64 * MIB, 1000, 64 * MIB, held=200, connections=50, memory_every=2)


@dataclass
class Row:
    """The figures of all repetitions.

    Attributes:
        loop: The event loop.
        tls: Whether over TLS.
        measure: What was measured.
        unit: Of the values.
        kind: Of stream.
        values: One of each repetition, in order.
    """

    loop: str
    tls: bool
    measure: str
    unit: str
    kind: str
    values: list[float] = field(default_factory=list)


# -- what is measured ------------------------------------------------------------------------------


def jobs(effort: Effort, repetition: int) -> Iterator[Job]:
    """The jobs of one repetition; which kind comes first changes from one to the next."""
    turn = repetition % len(KINDS)
    kinds = KINDS[turn:] + KINDS[:turn]
    for loop, tls in product(LOOPS, (False, True)):
        sent = effort.bytes_sent // (2 if tls else 1)
        works = [
            ("sends", 64 * KIB, sent // (64 * KIB)),
            ("sends", MIB, sent // MIB),
            ("round trip", len(MESSAGE), effort.round_trips),
        ]
        if repetition % effort.memory_every == 0:
            works.append(("memory", 0, effort.held))
        if not tls:
            swallowed = effort.most_swallowed // SWALLOWED_AT_ONCE
            works.append(("swallowed", SWALLOWED_AT_ONCE, swallowed))
            works.append(("connections", 0, effort.connections))
        for (what, size, count), kind in product(works, kinds):
            job = Job(loop, tls, kind, what, size, count)
            if is_possible(job):
                yield job


def is_possible(job: Job) -> bool:
    """Whether there is such a thing; a blocking socket swallows what the kernel does."""
    if job.kind == "raw":
        return job.what != "swallowed"
    return job.kind != "asyncio" or job.loop != "trio"


def figures(job: Job, values: Sequence[float]) -> Iterator[tuple[str, str, float]]:
    """A job's result: what was measured, the unit, the figure."""
    match job.what:
        case "sends":
            yield f"{job.size // KIB} KiB sends", "GB/s", job.size * job.count / values[0] / 1e9
        case "round trip":
            yield f"{job.size} B round trip, median", "µs", percentile(values, 50) * 1e6
            yield f"{job.size} B round trip, p99", "µs", percentile(values, 99) * 1e6
        case "swallowed":
            yield "swallowed when nobody reads", "MiB", values[0] / MIB
        case "memory":
            yield "memory of a stream", "KiB", values[0] / KIB
        case _:
            yield "connections", "1/s", job.count / values[0]


# -- the run ---------------------------------------------------------------------------------------


class Other(NamedTuple):
    """The other process: how to talk to it, our part in TLS, and itself."""

    commands: Connection
    side: Side
    process: BaseProcess


@contextmanager
def other_process(port: int) -> Iterator[Other]:
    """The other end, ended with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(port, theirs), daemon=True)
    process.start()
    theirs.close()  # so that ours ends with that process
    try:
        yield Other(ours, take_side(ours, server_side=False), process)
        with suppress(BrokenPipeError):  # it has ended already
            ours.send(None)
        process.join(JOB_LIMIT)
    finally:
        process.kill()
        process.join()
        ours.close()


def measured(job: Job, listener: socket.socket, other: Other) -> list[float]:
    """The figures of one job; an error if the other process ends, or does not get on.

    One that does not get on is killed when the time is over, and so has ended.
    """
    timer = threading.Timer(JOB_LIMIT, other.process.kill)
    timer.start()
    try:
        return measure(job, listener, other.commands, other.side)
    finally:
        timer.cancel()


def run(effort: Effort, progress: Callable[[Job], None]) -> list[Row]:
    """All measurements."""
    found: dict[tuple[str, bool, str, str, str], Row] = {}
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with other_process(port) as standing:
            keep_to_cpu(0)
            for job in numbered(effort):
                progress(job)
                if job.what == "memory":
                    with other_process(port) as fresh:
                        values = measured(job, listener, fresh)
                else:
                    values = measured(job, listener, standing)
                for name, unit, value in figures(job, values):
                    key = (job.loop, job.tls, name, unit, job.kind)
                    found.setdefault(key, Row(*key)).values.append(value)
    return list(found.values())


def numbered(effort: Effort) -> Iterator[Job]:
    """All jobs in order; connections have ports that the last ones had not."""
    first = 0
    for repetition in range(effort.repetitions):
        for job in jobs(effort, repetition):
            yield replace(job, first=first)
            first += job.count if job.what == "connections" else 0


# -- telling ---------------------------------------------------------------------------------------

YARDSTICKS = {"asyncio": "asyncio streams", "anyio": "anyio", "raw": "raw socket"}
HEAD = ("loop", "", "what", "unit", "PeerStream", *(f"÷ {name}" for name in YARDSTICKS.values()))


def table_rows(records: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    """The lines of the table, from those of the result file."""
    groups: dict[tuple[str, bool, str, str], dict[str, list[float]]] = {}
    for record in records:
        key = (record["loop"], record["tls"], record["measure"], record["unit"])
        groups.setdefault(key, {})[record["kind"]] = record["values"]
    for (loop, tls, name, unit), kinds in groups.items():
        own = kinds["PeerStream"]
        ratios = [_ratio(own, kinds.get(yardstick)) for yardstick in YARDSTICKS]
        yield [loop, "TLS" if tls else "plain", name, unit, _spread(own, ".3g"), *ratios]


def _ratio(own: Sequence[float], yardstick: Sequence[float] | None) -> str:
    """Taken within each repetition; nothing of nothing."""
    if yardstick is None or not all(yardstick):
        return ""
    return _spread([a / b for a, b in zip(own, yardstick, strict=True)], ".2f")


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, greatest = (_number(each, form) for each in around_median(values))
    return f"{middle} ({least} to {greatest})"


def _number(value: float, form: str) -> str:
    """Without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:{form}}"  # noqa: PLR2004  # three digits


def main() -> None:
    """Measure, keep, print."""
    parser = arguments(__doc__, "a twentieth of the work")
    parser.add_argument("--repetitions", type=int, help="of everything")
    args = parser.parse_args()
    effort = QUICK if args.quick else FULL
    effort = replace(effort, repetitions=args.repetitions or effort.repetitions)
    with progress_bar() as bar:
        task = bar.add_task("", total=sum(1 for _ in numbered(effort)))

        def progress(job: Job) -> None:
            what = f"{job.loop}, {'TLS' if job.tls else 'plain'}, {job.what}, {job.kind}"
            bar.update(task, advance=1, description=what)

        records = [asdict(row) for row in run(effort, progress)]
    print(table(HEAD, table_rows(records)))
    head = {**environment(), "openssl": ssl.OPENSSL_VERSION, **asdict(effort)}
    write_lines("throughput.jsonl", [head, *records], quick=args.quick)


if __name__ == "__main__":
    main()
