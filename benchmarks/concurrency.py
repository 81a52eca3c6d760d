"""A thousand punches at once: the time they take, beside plain connects, and the memory they hold.

Two hosts, a round trip of 20 ms, one process in each for each loop. Both get the *go*, a moment on
the clock that all namespaces of a machine share, and punch a thousand distinct pairs of ports at
once; the time counts from the go to the last stream on either side. Rounds of it alternate with
rounds of the yardstick, on asyncio whatever the loop: a thousand ``loop.sock_connect`` at once
towards one listener, from the go to the last connect or accept. Everything is reset between rounds.
The wire is a process of its own, in real time, on the same cores: with thousands of packets under
way it takes most of one.

*Memory* is the growth of the resident set from after one punch to a thousand that have waited a
second for an address that nobody has, in a process of its own. What the kernel holds for the
sockets is not in it.

``python -m benchmarks.concurrency [--quick]`` prints the table and writes
``results/concurrency.jsonl``: one line for the environment, then one a loop.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from anyio.abc import SocketAttribute

import simopen
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.workers import Answer, Worker, ask_both, serve
from simopen import lab

RTT = 0.020  # seconds
PUNCHES = 1_000
FIRST_PORT = 10_000
LISTEN_PORT = 9_000
BACKLOG = 4_096
NOBODY = "203.0.113.99"  # in the lab's internet, where it is dropped
LEAD = 0.2  # seconds from the order to the go
WAITED = 1.0  # seconds until memory is looked at
TIMEOUT = 30.0  # seconds a round may take
ROUNDS, QUICK_ROUNDS = 5, 2
RATIO_ASKED = 0.5  # of the yardstick's rate, at least
WARM_UPS = 1  # rounds that are not counted
RESET_ON_CLOSE = struct.pack("@ii", 1, 0)
MODULE = "benchmarks.concurrency"


# --- what runs inside the hosts -------------------------------------------------------------------


def raise_file_limit() -> None:
    """Allow this process as many descriptors as it may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_bytes() -> int:
    """The resident set of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Side:
    """One host's process: it holds what it has connected until it is told to let go."""

    def __init__(self) -> None:
        self._streams: list[simopen.PeerStream] = []
        self._sockets: list[socket.socket] = []

    async def punch(self, remote: str, local: str, at: float) -> Answer:
        """Punch all pairs of ports at a moment; when the last had its stream."""
        failures: list[str] = []

        async def one(port: int) -> None:
            ends = f"{remote}:{port}", f"{local}:{port}"
            try:
                stream = await simopen.connect_peer(ends[0], local=ends[1], timeout=TIMEOUT)
            except simopen.PeerConnectError as error:
                failures.append(str(error))
            else:
                self._streams.append(stream)
                measured.last = time.monotonic()

        await anyio.sleep(at - time.monotonic())
        measured = Measured()
        async with anyio.create_task_group() as group:
            for port in range(FIRST_PORT, FIRST_PORT + PUNCHES):
                group.start_soon(one, port)
        syns = sum(stream.report.attempts for stream in self._streams)
        answer = measured.answer(len(self._streams))
        return answer | {"syns": syns, "failures": failures[:3]}

    async def listen(self, at: float) -> Answer:
        """Accept as many plain connects; when the last was accepted."""
        loop = asyncio.get_running_loop()
        measured = Measured()
        with socket.create_server(("", LISTEN_PORT), backlog=BACKLOG) as listener:
            listener.setblocking(False)
            with anyio.move_on_after(at + TIMEOUT - time.monotonic()):
                while len(self._sockets) < PUNCHES:
                    self._sockets.append((await loop.sock_accept(listener))[0])
                    measured.last = time.monotonic()
        return measured.answer(len(self._sockets))

    async def connect(self, remote: str, at: float) -> Answer:
        """Connect plainly at a moment, all at once; when the last was connected."""
        loop = asyncio.get_running_loop()
        connected = 0

        async def one() -> None:
            nonlocal connected
            sock = socket.socket()
            self._sockets.append(sock)
            sock.setblocking(False)
            await loop.sock_connect(sock, (remote, LISTEN_PORT))
            connected += 1
            measured.last = time.monotonic()

        await anyio.sleep(at - time.monotonic())
        measured = Measured()
        with anyio.move_on_after(TIMEOUT):
            async with anyio.create_task_group() as group:
                for _ in range(PUNCHES):
                    group.start_soon(one)
        return measured.answer(connected)

    async def let_go(self) -> Answer:
        """Reset all that is held, so that the next round finds the ports as this one did."""
        for stream in self._streams:
            reset_on_close(stream.extra(SocketAttribute.raw_socket))  # noqa: S610  # anyio's, not Django's
            await anyio.aclose_forcefully(stream)
        for sock in self._sockets:
            reset_on_close(sock)
            sock.close()
        self._streams.clear()
        self._sockets.clear()
        return {}


class Measured:
    """A round at one side, from its beginning on.

    Attributes:
        last: When the last was connected.
    """

    def __init__(self) -> None:
        self.last = time.monotonic()
        self._cpu = time.process_time()

    def answer(self, connected: int) -> Answer:
        """What the round came to."""
        cpu = time.process_time() - self._cpu
        return {"connected": connected, "last": self.last, "cpu": cpu, "files": open_files()}


def reset_on_close(sock: socket.socket) -> None:
    """Have its close leave nothing in the kernel."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def waiting(local: str) -> Answer:
    """Wait for nobody, a thousandfold; the resident set before and meanwhile, in bytes."""
    return {"before": await resident(local, 1), "with": await resident(local, PUNCHES)}


async def resident(local: str, punches: int) -> int:
    """Have so many punches wait; the resident set meanwhile, in bytes."""

    async def one(port: int) -> None:
        await simopen.connect_peer(f"{NOBODY}:{port}", local=f"{local}:{port}", timeout=TIMEOUT)

    async with anyio.create_task_group() as group:
        for port in range(FIRST_PORT, FIRST_PORT + punches):
            group.start_soon(one, port)
        await anyio.sleep(WAITED)
        found = resident_bytes()
        group.cancel_scope.cancel()
    return found


# --- what is measured -----------------------------------------------------------------------------


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
    """What one loop did.

    Attributes:
        loop: The event loop.
        punches: Its rounds.
        plain: The yardstick's, between them.
        resident: Bytes before the punches that wait, and with them.
        files: The most descriptors a process had.
    """

    loop: str
    punches: Rounds = field(default_factory=Rounds)
    plain: Rounds = field(default_factory=Rounds)
    resident: tuple[int, int] = (0, 0)
    files: int = 0

    def row(self) -> list[str]:
        """As a line of the table."""
        ratio = self.punches.rate / self.plain.rate
        met = ratio >= RATIO_ASKED and None not in self.punches.times
        return [
            *(self.loop, *self.punches.cells(), f"{median(self.punches.syns):.1f}"),
            *(*self.plain.cells(), f"{ratio:.2f}", f"{RATIO_ASKED:g}", "yes" if met else "NO"),
            f"{(self.resident[1] - self.resident[0]) / PUNCHES / 1024:.1f}",
        ]


HEAD = (
    *("loop", "punches met", "median, s", "a second", "CPU, s", "SYNs each a side"),
    *("plain connects", "median, s", "a second", "CPU, s"),
    *("ratio", "asked", "met", "KiB a waiting punch"),
)


class Bench:
    """The processes of one loop, and of its yardstick, in two hosts."""

    def __init__(self, net: lab.TwoHosts, cell: Cell) -> None:
        self._net = net
        self._cell = cell

    async def start(self) -> None:
        """Bring them up."""
        hosts = self._net.a, self._net.b
        self._punchers = await pair(hosts, self._cell.loop)
        self._plain = await pair(hosts, "asyncio")

    async def punch(self) -> None:
        """One round of punches."""
        a, b = self._net.a.ipv4, self._net.b.ipv4
        await self._round(
            self._punchers,
            self._cell.punches,
            {"what": "punch", "remote": b, "local": a},
            {"what": "punch", "remote": a, "local": b},
        )

    async def connect(self) -> None:
        """One round of the yardstick."""
        connect = {"what": "connect", "remote": self._net.b.ipv4}
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
        worker = await Worker.start(self._net.a, MODULE, self._cell.loop)
        answer = await worker.ask("waiting", local=self._net.a.ipv4)
        self._cell.resident = answer["before"], answer["with"]


async def pair(hosts: Iterable[lab.Host], loop: str) -> tuple[Worker, Worker]:
    """A process in each host."""
    first, second = [await Worker.start(host, MODULE, loop) for host in hosts]
    return first, second


async def measure(loop: str, rounds: int, progress: Callable[[], None]) -> Cell:
    """All of one loop."""
    cell = Cell(loop)
    async with lab.two_hosts(RTT / 2) as net:
        bench = Bench(net, cell)
        await bench.start()
        for number in range(WARM_UPS + rounds):
            if number == WARM_UPS:
                cell.punches, cell.plain = Rounds(), Rounds()
            await bench.punch()
            await bench.connect()
            progress()
        await bench.wait()
        progress()
    return cell


async def run(loops: Sequence[str], rounds: int) -> None:
    """All loops, the table, the file."""
    found: list[Cell] = []
    with progress_bar() as progress:
        task = progress.add_task("", total=len(loops) * (WARM_UPS + rounds + 1))
        for loop in loops:
            progress.update(task, description=loop)
            found.append(await measure(loop, rounds, lambda: progress.advance(task)))
    print(table(HEAD, (cell.row() for cell in found)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(cell.files for cell in found)
    print(
        f"\nopen files: {most:,} in one process; limits here: {limits[0]:,} and {limits[1]:,} hard"
    )
    head = environment() | {"punches": PUNCHES, "rtt": RTT, "open_files_limit": limits}
    write_lines("concurrency.jsonl", [head, *map(asdict, found)], quick=rounds < ROUNDS)


def main() -> None:
    """Read the arguments; run all, or one worker."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="only these")
    parser.add_argument("--worker", choices=LOOPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        raise_file_limit()
        side = Side()
        handlers = (side.punch, side.listen, side.connect, side.let_go, waiting)
        anyio.run(serve, *handlers, **LOOPS[args.worker])
    elif reason := lab.why_unavailable():
        sys.exit(f"this benchmark needs the lab: {reason}")
    else:
        anyio.run(run, args.loops, QUICK_ROUNDS if args.quick else ROUNDS)


if __name__ == "__main__":
    main()
