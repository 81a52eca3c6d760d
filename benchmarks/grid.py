"""The grid: site against site, over every path, started at every distance; how the punch fares.

``python -m benchmarks.grid`` runs a short grid in a few minutes, ``--full`` the whole, ``--rows``
only some of its rows. Both print a table of classes with what is asked of each, and write
``results/grid.jsonl`` (``quick-grid.jsonl`` for the short one): the environment, then a line for
each cell. ``python -m benchmarks.heatmap`` draws it.

How it is measured
------------------
Each *path* (a pair of sites, their players, round trip, loss, jitter) is a network of its own, with
one warm process a side (`benchmarks.puncher`). Its trials run in a random order, a few at once,
each on fresh ports, and begin at moments that both sides were told, one later than the other by the
skew, either side as often. Time counts from the later start to the moment the last side holds its
stream. The *limit* is one round trip where the starts are within one one-way delay, else one and a
half. A trial succeeds when both sides hold a stream and the bytes of each have come through it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.puncher import Outcome, Trial
from benchmarks.statistics import percentile, wilson
from simopen import lab
from simopen.lab.capture import ladder, picture

FIRST_PORT, LAST_PORT = 10_000, 30_000  # below ip_local_port_range
LEAD = 0.05  # seconds from the order to the first start
TIMEOUT = 10.0  # seconds a trial may take
PATIENCE = 30.0  # seconds until a worker that says nothing has failed
LINE_BYTES = 1 << 16

RTTS = (0.002, 0.02, 0.04, 0.1, 0.2, 0.4)  # seconds
SKEWS = (0.0, 0.005, 0.05, 0.4, 1.0)  # seconds

# What stands in front of a site: as a model and as Linux. ICMP at Linux's pace in both.
SITES: dict[str, tuple[lab.Gateway | None, lab.Gateway | None]] = {
    "open": (None, None),
    "drop": (lab.preset("home-router"), lab.preset("kernel")),
    "rst": (lab.preset("home-router-rst"), lab.preset("kernel-rst")),
    "icmp": (lab.preset("home-router-icmp"), lab.preset("kernel-icmp")),
    "blocked": (lab.preset("crossing-blocked"), None),
}
KINDS = ("open", "drop", "rst", "icmp")
PAIRS = tuple(itertools.combinations_with_replacement(KINDS, 2))
SOME_PAIRS = (
    ("drop", "drop"),
    ("open", "open"),
    ("rst", "rst"),
    ("drop", "rst"),
    ("open", "icmp"),
)


@dataclass(frozen=True)
class Path:
    """What a network is made for.

    Attributes:
        row: Which part of the grid it belongs to.
        pair: The two sites.
        kernel: Whether Linux plays their gateways.
        rtt: Round trip from host to host, in seconds, least.
        loss: Chance of each packet to be lost, each way.
        jitter: Most additional one-way delay, in seconds.
    """

    row: str
    pair: tuple[str, str]
    kernel: bool = False
    rtt: float = 0.04
    loss: float = 0.0
    jitter: float = 0.0

    def sites(self) -> list[lab.Site]:
        """The network."""
        up = lab.Link(latency=self.rtt / 2, jitter=self.jitter, loss=self.loss)
        return [
            lab.Site(
                f"site-{name}",
                hosts=[name],
                gateway=SITES[kind][self.kernel],
                link=up,
                downlink=lab.Link(),
            )
            for name, kind in zip("ab", self.pair, strict=True)
        ]

    @property
    def at_once(self) -> int:
        """How many trials may run at the same time without disturbing each other."""
        refused_often = self.rtt < 0.01 and self.pair != ("drop", "drop")  # noqa: PLR2004
        return 1 if refused_often else 4


@dataclass
class Cell:
    """A path with one difference of starts and one kind of application, and what came of it.

    Attributes:
        path: The path.
        skew: Seconds from the earlier start to the later.
        writes: Whether the application writes on connecting.
        naive: Whether it is the bare loop's.
        trials: How many there are.
        succeeded: How many did.
        false: How many sides held a stream that carried nothing.
        times: Of those that succeeded, in seconds, later start to last side connected.
        syns: SYNs of both sides together, of the same.
        failures: What was said of the others.
    """

    path: Path
    skew: float
    writes: bool = True
    naive: bool = False
    trials: int = 0
    succeeded: int = 0
    false: int = 0
    times: list[float] = field(default_factory=list)
    syns: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """The least time possible, in seconds."""
        return self.path.rtt if self.skew <= self.path.rtt / 2 else 1.5 * self.path.rtt

    def count(self, a: Outcome, b: Outcome) -> bool:
        """Take a trial's two outcomes; whether it succeeded."""
        self.false += sum(each.connected is not None and not each.proven for each in (a, b))
        if a.proven and b.proven and a.connected and b.connected:
            self.succeeded += 1
            took = max(a.connected, b.connected) - max(a.began, b.began)
            self.times.append(round(took, 6))
            self.syns.append(a.syns + b.syns)
            return True
        self.failures.append(f"a: {a.failure or 'connected'}; b: {b.failure or 'connected'}")
        return False

    def record(self) -> dict[str, Any]:
        """The cell as a line of the result file."""
        return asdict(self) | {"limit": self.limit}


# --- what is tried --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extent:
    """How much of the grid is run.

    Attributes:
        rtts: Round trips, in seconds.
        skews: Differences of starts, in seconds.
        losses: Chances of loss.
        lates: Great differences of starts, in seconds.
        few: Trials of a cell, where its class has many cells.
        many: Trials of a cell, where it has few.
    """

    rtts: Sequence[float]
    skews: Sequence[float]
    losses: Sequence[float]
    lates: Sequence[float]
    few: int
    many: int


SHORT = Extent((0.02, 0.2), (0.0, 0.05, 0.4), (0.05,), (2.0,), few=3, many=6)
FULL = Extent(RTTS, SKEWS, (0.01, 0.05, 0.1, 0.3), (2.0, 5.0, 10.0), few=12, many=50)


def clean(extent: Extent) -> Iterator[Cell]:
    """No loss: every pair, model and kernel."""
    for pair, kernel in itertools.product(PAIRS, (False, True)):
        if kernel and pair == ("open", "open"):
            continue  # there is nothing that a kernel could play
        trials = extent.many if pair == ("drop", "drop") else extent.few
        for rtt, skew in itertools.product(extent.rtts, extent.skews):
            yield Cell(Path("clean", pair, kernel, rtt), skew, trials=trials)


def blocked(extent: Extent) -> Iterator[Cell]:
    """One site lets no crossing SYN in."""
    rtts = [rtt for rtt in extent.rtts if rtt >= 0.02]  # noqa: PLR2004  # what is asked begins there
    for rtt, skew in itertools.product(rtts, extent.skews):
        yield Cell(Path("blocked", ("blocked", "drop"), rtt=rtt), skew, trials=extent.many // 2)


def loss(extent: Extent) -> Iterator[Cell]:
    """Loss, for applications that write on connecting and for silent ones."""
    for pair, chance in itertools.product(SOME_PAIRS, extent.losses):
        for skew, writes in itertools.product((0.0, 0.05), (True, False)):
            yield Cell(Path("loss", pair, loss=chance), skew, writes, trials=extent.many)


def jitter(extent: Extent) -> Iterator[Cell]:
    """Jitter of up to half the round trip."""
    for pair, rtt, skew in itertools.product(SOME_PAIRS, extent.rtts[1:], (0.0, 0.05)):
        yield Cell(Path("jitter", pair, rtt=rtt, jitter=rtt / 4), skew, trials=extent.few)


def late(extent: Extent) -> Iterator[Cell]:
    """One side comes seconds after the other."""
    for pair, skew in itertools.product(SOME_PAIRS, extent.lates):
        yield Cell(Path("late", pair), skew, trials=extent.few)


def naive(extent: Extent) -> Iterator[Cell]:
    """The yardstick."""
    for pair, chance, skew in itertools.product(SOME_PAIRS, (0.0, 0.05), (0.0, 0.05, 0.4)):
        yield Cell(Path("naive", pair, loss=chance), skew, naive=True, trials=extent.few)


ROWS = {row.__name__: row for row in (clean, blocked, loss, jitter, late, naive)}


# --- how it is run --------------------------------------------------------------------------------


class Worker:
    """The warm process in one host."""

    def __init__(self, host: lab.Host, peer: lab.Host) -> None:
        self._host = host
        self._peer = peer
        self._process: Process | None = None
        self._lines: BufferedByteReceiveStream | None = None
        self._answers: dict[int, Outcome] = {}
        self._told: dict[int, anyio.Event] = {}

    async def start(self, loop: str) -> None:
        """Bring it up."""
        command = [sys.executable, "-m", "benchmarks.puncher", loop]
        self._process = await self._host.popen(command, stderr=None)
        assert self._process.stdout is not None  # noqa: S101  # a pipe, as asked for
        self._lines = BufferedByteReceiveStream(self._process.stdout)
        await self._lines.receive_until(b"\n", LINE_BYTES)

    async def listen(self) -> None:
        """Take its answers until it ends."""
        assert self._lines is not None  # noqa: S101  # it was started
        while True:
            line = await self._lines.receive_until(b"\n", LINE_BYTES)
            outcome = Outcome(**json.loads(line))
            self._answers[outcome.number] = outcome
            self._told.pop(outcome.number).set()

    async def run(self, trial: Trial) -> Outcome:
        """Have it run a trial."""
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018
        told = self._told[trial.number] = anyio.Event()
        await self._process.stdin.send(json.dumps(asdict(trial)).encode() + b"\n")
        with anyio.fail_after(PATIENCE + trial.timeout):
            await told.wait()
        return self._answers.pop(trial.number)

    def trial(self, cell: Cell, number: int, port: int, at: float) -> Trial:
        """What this side has to do in a trial."""
        return Trial(
            number=number,
            remote=f"{self._peer.public_ipv4}:{port}",
            local=f"0.0.0.0:{port}",
            at=at,
            timeout=TIMEOUT,
            writes=cell.writes,
            naive=cell.naive,
        )


@dataclass
class Runner:
    """Runs paths, one after the other, and keeps the picture of the first failure of each cell.

    Attributes:
        loop: On which event loop the workers run.
        progress: Told of every trial.
        pictures: Ladders of failed trials, by cell.
    """

    loop: str
    progress: Any
    pictures: list[str] = field(default_factory=list)

    async def path(self, path: Path, group: Sequence[Cell]) -> None:
        """Run all trials of one path."""
        chances = random.Random(repr(path))
        order = [cell for cell in group for _ in range(cell.trials)]
        chances.shuffle(order)
        with tempfile.TemporaryDirectory() as folder:
            capture = FilePath(folder) / "wire.pcapng"
            async with lab.network(path.sites(), seed=1, capture=capture) as net:
                workers = Worker(net["a"], net["b"]), Worker(net["b"], net["a"])
                async with anyio.create_task_group() as listening:
                    for worker in workers:
                        await worker.start(self.loop)
                        listening.start_soon(worker.listen)
                    await self._trials(order, workers, path.at_once, chances)
                    failed = [cell for cell in group if cell.failures]
                    listening.cancel_scope.cancel()
            if failed:
                self._draw(failed[0], capture)

    async def _trials(
        self,
        order: Sequence[Cell],
        workers: tuple[Worker, Worker],
        at_once: int,
        chances: random.Random,
    ) -> None:
        queue = iter(enumerate(order))

        async def lane() -> None:
            for number, cell in queue:
                await self._trial(cell, number, workers, chances)
                self.progress()

        async with anyio.create_task_group() as lanes:
            for _ in range(at_once):
                lanes.start_soon(lane)

    async def _trial(
        self, cell: Cell, number: int, workers: tuple[Worker, Worker], chances: random.Random
    ) -> None:
        port = FIRST_PORT + number % (LAST_PORT - FIRST_PORT)
        at = time.monotonic() + LEAD + chances.uniform(0, cell.path.rtt)
        starts = [at, at + cell.skew]
        chances.shuffle(starts)
        outcomes: dict[int, Outcome] = {}

        async def side(which: int) -> None:
            trial = workers[which].trial(cell, number, port, starts[which])
            outcomes[which] = await workers[which].run(trial)

        async with anyio.create_task_group() as sides:
            sides.start_soon(side, 0)
            sides.start_soon(side, 1)
        if not cell.count(outcomes[0], outcomes[1]):
            cell.failures[-1] += f" (port {port})"

    def _draw(self, cell: Cell, capture: FilePath) -> None:
        """Keep the ladder of a cell's first failure."""
        from simopen.lab.capture import pcapng  # noqa: PLC0415  # only where something failed

        port = int(cell.failures[0].rpartition("(port ")[2].rstrip(")"))
        records = pcapng.read(capture.read_bytes(), growing=True)
        for conversation in ladder.conversations(records):
            if port in {party.endpoint.port for party in (conversation.first, conversation.second)}:
                steps = ladder.steps(records, conversation)
                self.pictures.append(f"{cell.path}, skew {cell.skew}:\n{picture.draw(steps)}")
                return


# --- what is asked of it --------------------------------------------------------------------------


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

    def row(self) -> tuple[list[str], bool]:
        """A line of the table, and whether all that is asked is met."""
        trials = sum(cell.trials for cell in self.cells)
        succeeded = sum(cell.succeeded for cell in self.cells)
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


def judge(found: Iterable[Cell]) -> list[Verdict]:
    """Group cells into classes, each with what is asked of it."""
    classes: dict[str, Verdict] = {}
    for cell in found:
        verdict = asked(cell)
        classes.setdefault(verdict.name, replace(verdict, cells=[])).cells.append(cell)
    return list(classes.values())


def asked(cell: Cell) -> Verdict:
    """What is asked of one cell, under the name of its class."""
    path, limit = cell.path, cell.limit
    ms = f"rtt {path.rtt * 1000:g}, skew {cell.skew * 1000:g}"
    tail = 2 * limit + (0.020 if path.rtt <= 0.005 else 0.005)  # noqa: PLR2004
    refusing = path.pair != ("drop", "drop")
    match path.row:
        case "clean" if not refusing:
            return Verdict(f"silent, {ms}", [], 1.0, 1.10 * limit + 0.002, tail)
        case "clean":
            paced = cell.skew > 0.5  # noqa: PLR2004  # the engine's free period
            median = limit + 0.010 if paced else 1.35 * limit + 0.002
            return Verdict(f"refusing, {ms}", [], 1.0, max(median, 1.35 * limit + 0.002), tail)
        case "blocked":
            return Verdict(f"blocked, {ms}", [], 1.0, limit + 0.75, None)
        case "loss":
            kind = "writes" if cell.writes else "silent"
            name = f"loss {path.loss:.0%}, {kind}"
            rate = {0.1: 0.999, 0.3: 0.99}.get(path.loss, 1.0)
            more = 0.6 if cell.writes else 1.2
            p99 = limit + more if path.loss <= 0.05 else None  # noqa: PLR2004
            return Verdict(name, [], rate, None, p99)
        case "naive":
            return Verdict(f"naive loop, loss {path.loss:.0%}", [], 0.0, None, None)
        case _:
            return Verdict(f"{path.row}, {ms}", [], 1.0, None, None)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def table(verdicts: Iterable[Verdict]) -> str:
    """The classes as Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *(verdict.row()[0] for verdict in verdicts)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


async def run(rows: Sequence[str], loop: str, *, full: bool) -> int:
    """Run the grid; 1 if something that is asked is not met."""
    extent = FULL if full else SHORT
    found = [cell for row in rows for cell in ROWS[row](extent)]
    paths: dict[Path, list[Cell]] = defaultdict(list)
    for cell in found:
        paths[cell.path].append(cell)
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("trials", total=sum(cell.trials for cell in found))
        runner = Runner(loop, lambda: progress.advance(task))
        for path, group in paths.items():
            what = f"{path.row} {'~'.join(path.pair)} {path.rtt * 1000:g} ms"
            progress.update(task, description=what)
            await runner.path(path, group)
    verdicts = judge(found)
    print(table(verdicts))
    for text in runner.pictures:
        print(f"\n{text}")
    write_lines(
        "grid.jsonl",
        [environment() | {"loop": loop}, *(cell.record() for cell in found)],
        quick=not full,
    )
    return int(not all(verdict.row()[1] for verdict in verdicts))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the whole grid; takes an hour")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    args = parser.parse_args()
    if reason := lab.why_unavailable():
        sys.exit(f"this benchmark needs the lab: {reason}")
    sys.exit(anyio.run(lambda: run(args.rows, args.loop, full=args.full)))


if __name__ == "__main__":
    main()
