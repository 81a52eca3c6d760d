"""The grid: site against site, over every path, started at every distance; how the punch fares.

``python -m benchmarks.grid`` runs the whole, for hours, ``--quick`` a short one, for minutes;
``--rows`` only some of its rows, and then also those of `cells.ON_REQUEST`. All print a table of
classes with what is asked of each (`benchmarks.verdicts`), and write ``results/grid.jsonl``, with
``quick-`` before the name of a short run and the rows' names behind it where there were any: the
environment, then a line for each cell. ``simopen report`` draws it. The first failure
of each cell but the naive loop's is printed packet by packet; a full run keeps it in
``grid-failures.txt``.

How it is measured
------------------
Each *path* (a pair of sites, their players, round trip, loss, jitter) is a network of its own, with
one warm process a side (`benchmarks.puncher`). Its trials run in a random order, a few at once,
each on fresh ports, and begin at moments that both sides were told, one later than the other by the
skew, either side as often. Time counts from the later start to the moment the last side holds its
stream. The *limit* is one round trip where the starts are within one one-way delay, else one and a
half; some trials are faster, where a refused side's next SYN is under way at the right moment. A
trial succeeds when both sides hold a stream and the bytes of each have come through it.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.cells import FULL, ON_REQUEST, ROWS, SHORT, Cell, Path
from benchmarks.commands import Judgement, arguments, conclude, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar
from benchmarks.puncher import Outcome, Trial
from benchmarks.verdicts import aid_table, judge, judgement, table
from simopen import lab
from simopen.capture import ladder, pcapng, picture

FIRST_PORT, LAST_PORT = 10_000, 30_000  # below ip_local_port_range
LEAD = 0.05  # seconds from the order to the first start
TIMEOUT = 10.0  # seconds a trial may take once both sides have begun
PATIENCE = 30.0  # seconds until a worker that says nothing has failed
LINE_BYTES = 1 << 16


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
            timeout=TIMEOUT + cell.skew,
            writes=cell.writes,
            naive=cell.naive,
            aided=cell.aided,
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
                    failed = [cell for cell in group if cell.failures and not cell.naive]
                    listening.cancel_scope.cancel()
            if failed:
                records = pcapng.read(capture.read_bytes(), growing=True)
                self.pictures.extend(drawn(cell, records) for cell in failed)

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


def drawn(cell: Cell, records: Sequence[pcapng.Record]) -> str:
    """The ladder of a cell's first failure, and what the two sides said of it."""
    failure = cell.failures[0]
    port = int(failure.rpartition("(port ")[2].rstrip(")"))
    text = f"{cell.path}, skew {cell.skew:g}: {failure}"
    for conversation in ladder.conversations(records):
        if port in {party.endpoint.port for party in (conversation.first, conversation.second)}:
            return f"{text}\n{picture.draw(ladder.steps(records, conversation))}"
    return f"{text}\n(not a packet of it was seen)"


async def run(found: Sequence[Cell], loop: str) -> list[str]:
    """Run the cells, path after path; the pictures of what failed."""
    paths: dict[Path, list[Cell]] = defaultdict(list)
    for cell in found:
        paths[cell.path].append(cell)
    with progress_bar() as progress:
        task = progress.add_task("trials", total=sum(cell.trials for cell in found))
        runner = Runner(loop, lambda: progress.advance(task))
        for path, group in paths.items():
            what = f"{path.row} {'~'.join(path.pair)} {path.rtt * 1000:g} ms"
            progress.update(task, description=what)
            await runner.path(path, group)
    return runner.pictures


def show(found: Sequence[Cell], pictures: Sequence[str]) -> Judgement:
    """Print tables and pictures; whether what is asked is met."""
    compared = [cell for cell in found if cell.path.row in ON_REQUEST]
    verdicts = judge(cell for cell in found if cell.path.row not in ON_REQUEST)
    tables = [table(verdicts)] if verdicts else []
    if compared:
        tables.append(aid_table(compared))
    print(*tables, *pictures, sep="\n\n")
    return judgement(verdicts)


def keep(
    found: Sequence[Cell], pictures: Sequence[str], name: str, loop: str, *, quick: bool
) -> None:
    """Write the results; of a full run also the pictures of what failed."""
    head = environment() | {"loop": loop}
    path = write_lines(f"{name}.jsonl", [head, *(cell.record() for cell in found)], quick=quick)
    if not quick:
        failures = path.with_name(f"{name}-failures.txt")
        failures.unlink(missing_ok=True)
        if pictures:
            failures.write_text("\n\n".join(pictures) + "\n")


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "a short grid")
    rows = ROWS | ON_REQUEST
    parser.add_argument("--rows", nargs="+", choices=rows, help="only these")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    args = parser.parse_args()
    require_lab()
    found = [cell for row in args.rows or ROWS for cell in rows[row](SHORT if args.quick else FULL)]
    pictures = anyio.run(run, found, args.loop)
    name = "-".join(["grid", *(args.rows or ())])
    keep(found, pictures, name, args.loop, quick=args.quick)
    conclude(show(found, pictures), quick=args.quick)


if __name__ == "__main__":
    main()
