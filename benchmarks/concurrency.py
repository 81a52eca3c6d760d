"""A thousand punches at once: the time they take, beside plain connects, and the memory they hold.

Two hosts, one process in each for each loop (:mod:`benchmarks.many_at_once`). Both get the *go*, a
moment on the clock that all namespaces of a machine share, and punch a thousand distinct pairs of
ports at once; the time counts from the go to the last stream on either side. The hosts stand
*open*, so that each refuses a SYN that comes before its own, or behind *firewalls* that drop it.
Rounds alternate with rounds of the yardstick, on asyncio whatever the loop and between open hosts:
a thousand ``asyncio.open_connection`` at once towards one ``asyncio.start_server``, from the go to
the last stream on either side. Everything is reset between rounds. The wire is a process of its
own, in real time, on the same cores: with thousands of packets under way it takes most of one.

*Memory* is the growth of the resident set from after one punch to a thousand that have waited a
second for an address that nobody has, in a process of its own. What the kernel holds for the
sockets is not in it.

``python -m benchmarks.concurrency [--quick]`` prints the table and writes
``results/concurrency.jsonl``: one line for the environment, then one a row.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import anyio

from benchmarks.commands import Judgement, all_of, arguments, conclude, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.many_at_once import PUNCHES, TIMEOUT, Side, raise_file_limit, waiting
from benchmarks.workers import Answer, Worker, ask_both, serve
from simopen import lab

RTTS = (0.020, 0.100)  # seconds
SITES: dict[str, lab.Gateway | None] = {"open": None, "firewalls": lab.Firewall()}
FAST = lab.Link()
LEAD = 0.2  # seconds from the order to the go
ROUNDS, QUICK_ROUNDS = 4, 2
RATIO_ASKED = 0.5  # of the yardstick's rate, at least
WARM_UPS = 1  # rounds that are not counted
MODULE = "benchmarks.concurrency"


@dataclass
class Rounds:
    """All rounds of one kind.

    Attributes:
        times: Of each round, in seconds from the go to the last; None: not all were connected.
        connected: How many were connected, by both sides' count, in each.
        cpu: Seconds of both processes together, in each.
        syns: A side, on average, in each; 0 for plain connects.
        failures: What was said of punches that failed.
    """

    times: list[float | None] = field(default_factory=list)
    connected: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    syns: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def count(self, at: float, answers: Sequence[Answer]) -> None:
        """Take what both sides answered."""
        connected = min(answer["connected"] for answer in answers)
        last = max(answer["last"] for answer in answers)
        self.connected.append(connected)
        self.times.append(last - at if connected == PUNCHES else None)
        self.cpu.append(sum(answer["cpu"] for answer in answers))
        self.syns.append(sum(answer.get("syns", 0) for answer in answers) / len(answers) / PUNCHES)
        for answer in answers:
            self.failures += answer.get("failures", [])

    @property
    def median(self) -> float:
        """Seconds; a round in which not all were connected counts as the time allowed."""
        return median(TIMEOUT if each is None else each for each in self.times)

    @property
    def rate(self) -> float:
        """Connections a second."""
        return PUNCHES / self.median

    def cells(self) -> list[str]:
        """As a part of the table's line."""
        whole = len(self.times) * PUNCHES
        met = f"{sum(self.connected):,}/{whole:,}"
        return [met, f"{self.median:.3f}", f"{self.rate:,.0f}", f"{median(self.cpu):.2f}"]


@dataclass
class Cell:
    """What one loop did over one path.

    Attributes:
        loop: The event loop.
        sites: What stands in front of the hosts.
        rtt: The round trip, in seconds.
        punches: Its rounds.
        plain: The yardstick's, between them.
        resident: Bytes before the punches that wait, and with them.
        files: The most descriptors a process had.
    """

    loop: str
    sites: str
    rtt: float
    punches: Rounds = field(default_factory=Rounds)
    plain: Rounds = field(default_factory=Rounds)
    resident: tuple[int, int] = (0, 0)
    files: int = 0

    @property
    def ratio(self) -> float:
        """Of the rates."""
        return self.punches.rate / self.plain.rate

    @property
    def judgement(self) -> Judgement:
        """Whether every punch came about, and soon; all of it takes a processor that is free."""
        every = None not in self.punches.times
        return Judgement(every and self.ratio >= RATIO_ASKED, sound=True)

    def row(self) -> list[str]:
        """As a line of the table."""
        met = "yes" if self.judgement.met else "NO"
        return [
            *(self.loop, self.sites, f"{self.rtt * 1000:g}"),
            *(*self.punches.cells(), f"{median(self.punches.syns):.1f}"),
            *(*self.plain.cells(), f"{self.ratio:.2f}", f"{RATIO_ASKED:g}", met),
            f"{(self.resident[1] - self.resident[0]) / PUNCHES / 1024:.1f}",
        ]


HEAD = (
    *("loop", "sites", "RTT, ms"),
    *("punches met", "median, s", "a second", "CPU, s", "SYNs each a side"),
    *("plain connects", "median, s", "a second", "CPU, s"),
    *("ratio", "asked", "met", "KiB a waiting punch"),
)


class Bench:
    """The processes of one loop in two hosts, and those of the yardstick in two others."""

    def __init__(self, net: lab.Network, plain: lab.TwoHosts, cell: Cell) -> None:
        self._hosts = net["a"], net["b"]
        self._plain_hosts = plain.a, plain.b
        self._cell = cell

    async def start(self) -> None:
        """Bring them up."""
        self._punchers = await pair(self._hosts, self._cell.loop)
        self._plain = await pair(self._plain_hosts, "asyncio")

    async def punch(self) -> None:
        """One round of punches."""
        a, b = (host.ipv4 for host in self._hosts)
        await self._round(
            self._punchers,
            self._cell.punches,
            {"what": "punch", "remote": b, "local": a},
            {"what": "punch", "remote": a, "local": b},
        )

    async def connect(self) -> None:
        """One round of the yardstick."""
        connect = {"what": "connect", "remote": self._plain_hosts[1].ipv4}
        await self._round(self._plain, self._cell.plain, connect, {"what": "listen"})

    async def _round(
        self, workers: tuple[Worker, Worker], rounds: Rounds, *orders: dict[str, Any]
    ) -> None:
        at = time.monotonic() + LEAD
        first, second = ({"at": at, **order} for order in orders)
        answers = await ask_both(workers, first, second)
        rounds.count(at, answers)
        self._cell.files = max(self._cell.files, *(answer["files"] for answer in answers))
        await ask_both(workers, {"what": "let_go"}, {"what": "let_go"})

    async def wait(self) -> None:
        """Look at the memory of punches that wait."""
        worker = await Worker.start(self._hosts[0], MODULE, self._cell.loop)
        answer = await worker.ask("waiting", local=self._hosts[0].ipv4)
        self._cell.resident = answer["before"], answer["with"]


async def pair(hosts: Iterable[lab.Host], loop: str) -> tuple[Worker, Worker]:
    """A process in each host."""
    first, second = [await Worker.start(host, MODULE, loop) for host in hosts]
    return first, second


async def measure(cell: Cell, rounds: int, progress: Callable[[], None]) -> None:
    """All rounds of one cell."""
    link = lab.Link(latency=cell.rtt / 2)
    sites = [
        lab.Site(f"site-{name}", hosts=[name], gateway=SITES[cell.sites], link=link, downlink=FAST)
        for name in "ab"
    ]
    async with lab.network(sites) as net, lab.two_hosts(cell.rtt / 2) as plain:
        bench = Bench(net, plain, cell)
        await bench.start()
        for number in range(WARM_UPS + rounds):
            if number == WARM_UPS:
                cell.punches, cell.plain = Rounds(), Rounds()
            await bench.punch()
            await bench.connect()
            progress()
        await bench.wait()
        progress()


async def run(loops: Sequence[str], rounds: int) -> list[Cell]:
    """All loops and paths, the table, the file."""
    found = [Cell(loop, sites, rtt) for loop, sites, rtt in itertools.product(loops, SITES, RTTS)]
    with progress_bar() as progress:
        task = progress.add_task("", total=len(found) * (WARM_UPS + rounds + 1))
        for cell in found:
            what = f"{cell.loop}, {cell.sites}, {cell.rtt * 1000:g} ms"
            progress.update(task, description=what)
            await measure(cell, rounds, lambda: progress.advance(task))
    print(table(HEAD, (cell.row() for cell in found)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(cell.files for cell in found)
    print(
        f"\nopen files: {most:,} in one process; limits here: {limits[0]:,} and {limits[1]:,} hard"
    )
    head = environment() | {"punches": PUNCHES, "open_files_limit": limits}
    write_lines("concurrency.jsonl", [head, *map(asdict, found)], quick=rounds < ROUNDS)
    return found


def main() -> None:
    """Read the arguments; run all, or one worker."""
    parser = arguments(__doc__, "fewer rounds")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="only these")
    parser.add_argument("--worker", choices=LOOPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        raise_file_limit()
        side = Side()
        handlers = (side.punch, side.listen, side.connect, side.let_go, waiting)
        anyio.run(serve, *handlers, **LOOPS[args.worker])
    else:
        require_lab()
        cells = anyio.run(run, args.loops, QUICK_ROUNDS if args.quick else ROUNDS)
        conclude(all_of(cell.judgement for cell in cells), quick=args.quick)


if __name__ == "__main__":
    main()
