"""What a PeerStream costs, against anyio's own SocketStream and plain asyncio streams.

Two processes, each on a CPU of its own where there are two, one connection over loopback TCP for
each measurement, the same kind of stream at both ends. The kinds take turns within each
repetition, so that a slow minute of the machine meets all of them; a ratio is taken within a
repetition. Shown: the median over the repetitions, and the least and the greatest. Where plain
asyncio streams cannot run, on trio, the ratio is to anyio's SocketStream.

``python -m benchmarks.stream [--quick]`` prints the table and writes ``results/stream.jsonl``: one
line for the environment, then one a row.

Chosen: a stream of our own over the raw socket. With nobody reading it lets 2.75 MiB go, all of
it in the kernel, where anyio's SocketStream on asyncio and uvloop swallows whatever is sent (256 of
256 MiB). In throughput it is at par with asyncio streams or above: median ratios of 2.1 and 1.7 on
asyncio for 64 KiB and 1 MiB sends, 1.5 and 1.8 on uvloop (64 KiB sends in other runs: 1.0 to 1.9
and 1.0 to 1.1); round trips take 0.9 to 1.1 of theirs. The price: those on trio take 1.1 to 1.4 of
SocketStream's.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing.connection import Connection
from statistics import median, quantiles
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketStream

from benchmarks.common import LOOPS, environment, write_lines
from simopen import Endpoint, PeerStream, PunchReport
from simopen.net._stream import TcpStream

KINDS = ("PeerStream", "SocketStream", "asyncio streams")
KIB, MIB = 2**10, 2**20
MESSAGE = bytes(64)
FULL = 0.3  # seconds in which the kernel takes nothing: nothing more is swallowed


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    repetitions: int
    bytes_sent: int  # for one figure of throughput
    round_trips: int  # for one median and one p99
    most_swallowed: int  # bytes; enough to call it unbounded


@dataclass(frozen=True)
class Job:
    """One measurement."""

    loop: str
    kind: str
    what: str  # "throughput", "round trips" or "swallowed"
    size: int  # bytes of one send
    count: int  # sends


@dataclass(frozen=True)
class Row:
    """One line of the table: figures of all repetitions."""

    loop: str
    kind: str
    measure: str
    unit: str
    values: list[float]
    ratios: list[float]  # to the loop's reference


class Stream(Protocol):
    """What the measurements need of a stream."""

    async def send(self, data: bytes, /) -> None:
        """Send all of it."""

    async def receive(self, most: int, /) -> bytes:
        """Receive some."""

    async def aclose(self) -> None:
        """Close."""


class AsyncioStream:
    """asyncio's reader and writer as one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write and wait until the buffer is below its limit."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, most: int) -> bytes:
        """Receive some."""
        return await self._reader.read(most)

    async def aclose(self) -> None:
        """Close without waiting for what was not sent."""
        self._writer.transport.abort()


async def open_stream(kind: str, sock: socket.socket) -> Stream:
    """A stream of one kind over a connected socket."""
    if kind == "asyncio streams":
        return AsyncioStream(*await asyncio.open_connection(sock=sock))
    stream: ByteStream
    if kind == "SocketStream":
        stream = await SocketStream.from_socket(sock)
    else:
        local, remote = Endpoint(*sock.getsockname()), Endpoint(*sock.getpeername())
        stream = PeerStream(TcpStream(sock), PunchReport(local=local, remote=remote))
    return stream


def keep_to_cpu(number: int) -> None:
    """Run on one CPU only: the scheduler's moves are most of the noise."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})


def ready(sock: socket.socket) -> socket.socket:
    """As a punch leaves its socket."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


async def receive_exactly(stream: Stream, size: int, most: int) -> None:
    """Receive and forget ``size`` bytes."""
    while size:
        received = len(await stream.receive(min(most, size)))
        if not received:
            raise EOFError("the other process is gone")
        size -= received


# -- the measuring process -------------------------------------------------------------------------


async def send_all(job: Job, sock: socket.socket) -> list[float]:
    """Seconds until the other process has received everything."""
    stream = await open_stream(job.kind, sock)
    data = bytes(job.size)
    await receive_exactly(stream, 1, 1)
    began = time.perf_counter()
    for _ in range(job.count):
        await stream.send(data)
    await receive_exactly(stream, 1, 1)
    elapsed = time.perf_counter() - began
    await stream.aclose()
    return [elapsed]


async def ping(job: Job, sock: socket.socket) -> list[float]:
    """Seconds of each round trip."""
    stream = await open_stream(job.kind, sock)
    await receive_exactly(stream, 1, 1)
    times = []
    for _ in range(job.count):
        began = time.perf_counter()
        await stream.send(MESSAGE)
        await receive_exactly(stream, len(MESSAGE), 65536)
        times.append(time.perf_counter() - began)
    await stream.aclose()
    return times


def push(job: Job, sock: socket.socket) -> float:
    """Bytes the kernel takes from us until it takes no more, or until enough are gone."""
    data, pushed = bytes(job.size), 0
    while not sock.recv(1):
        pass
    sock.settimeout(FULL)
    try:
        while pushed < job.size * job.count:
            pushed += sock.send(data)
    except TimeoutError:
        pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    sock.close()
    return pushed


def measure(job: Job, listener: socket.socket, peer: Connection) -> list[float]:
    """The figures of one job."""
    peer.send(job)
    sock, _ = listener.accept()
    if job.what == "swallowed":
        pushed = push(job, sock)
        peer.send(None)  # that was all
        return [pushed]
    run = send_all if job.what == "throughput" else ping
    return anyio.run(run, job, ready(sock), **LOOPS[job.loop])


# -- the other process -----------------------------------------------------------------------------


def serve(port: int, commands: Connection) -> None:
    """Be the other end of every job until there are no more."""
    keep_to_cpu(1)
    while True:
        job = commands.recv()
        if job is None:
            return
        sock = ready(socket.create_connection(("127.0.0.1", port)))
        anyio.run(answer, job, sock, commands, **LOOPS[job.loop])


async def answer(job: Job, sock: socket.socket, commands: Connection) -> None:
    """The other end of one job."""
    stream = await open_stream(job.kind, sock)
    await stream.send(b"r")  # ready
    match job.what:
        case "throughput":
            await receive_exactly(stream, job.size * job.count, job.size)
            await stream.send(b"d")  # done
        case "round trips":
            for _ in range(job.count):
                await receive_exactly(stream, len(MESSAGE), 65536)
                await stream.send(MESSAGE)
        case _:
            await anyio.to_thread.run_sync(commands.recv)  # nobody reads meanwhile
    await stream.aclose()


# -- the run ---------------------------------------------------------------------------------------


def figures(job: Job, values: list[float]) -> Iterator[tuple[str, str, float]]:
    """A job's result as rows: measure, unit, figure."""
    match job.what:
        case "throughput":
            speed = job.size * job.count / values[0] / 1e9
            yield f"{job.size // KIB} KiB sends", "GB/s", speed
        case "round trips":
            yield f"{job.size} B round trip, median", "us", median(values) * 1e6
            yield f"{job.size} B round trip, p99", "us", quantiles(values, n=100)[-1] * 1e6
        case _:
            yield "swallowed when nobody reads", "MiB", values[0] / MIB


def jobs(effort: Effort, repetition: int) -> Iterator[Job]:
    """The jobs of one repetition; which kind comes first changes from one to the next."""
    turn = repetition % len(KINDS)
    works = (
        ("throughput", 64 * KIB, effort.bytes_sent // (64 * KIB)),
        ("throughput", MIB, effort.bytes_sent // MIB),
        ("round trips", len(MESSAGE), effort.round_trips),
        ("swallowed", 64 * KIB, effort.most_swallowed // (64 * KIB)),
    )
    for loop, work, kind in product(LOOPS, works, KINDS[turn:] + KINDS[:turn]):
        if loop != "trio" or kind != "asyncio streams":
            yield Job(loop, kind, *work)


def run(effort: Effort) -> list[Row]:
    """All measurements."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = context.Process(target=serve, args=(port, theirs), daemon=True)
        process.start()
        keep_to_cpu(0)
        for repetition in range(effort.repetitions):
            print(f"repetition {repetition + 1} of {effort.repetitions}", file=sys.stderr)
            for job in jobs(effort, repetition):
                for name, unit, value in figures(job, measure(job, listener, ours)):
                    found.setdefault((job.loop, name, unit, job.kind), []).append(value)
        ours.send(None)
        process.join()
    return [
        Row(
            loop,
            kind,
            name,
            unit,
            values,
            _ratios(values, found[loop, name, unit, _reference(loop)]),
        )
        for loop, name, unit, kind in sorted(found, key=_order)
        for values in [found[loop, name, unit, kind]]
    ]


def _order(key: tuple[str, str, str, str]) -> tuple[int, str, str, int]:
    loop, name, unit, kind = key
    return list(LOOPS).index(loop), unit, name, KINDS.index(kind)


def _reference(loop: str) -> str:
    return "SocketStream" if loop == "trio" else "asyncio streams"


def _ratios(values: list[float], reference: list[float]) -> list[float]:
    return [ours / theirs for ours, theirs in zip(values, reference, strict=True)]


def show(rows: list[Row]) -> None:
    """Print the table."""
    print("| loop | what | unit | stream | median | min-max | ratio |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        spread = f"{min(row.values):,.3g}-{max(row.values):,.3g}"
        print(
            f"| {row.loop} | {row.measure} | {row.unit} | {row.kind} | {median(row.values):,.3g} "
            f"| {spread} | {median(row.ratios):.2f} |"
        )


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description="The cost of a PeerStream.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    effort = (
        Effort(repetitions=2, bytes_sent=128 * MIB, round_trips=1000, most_swallowed=64 * MIB)
        if quick
        else Effort(repetitions=9, bytes_sent=512 * MIB, round_trips=5000, most_swallowed=256 * MIB)
    )
    rows = run(effort)
    head = {**environment(), **asdict(effort)}
    write_lines("stream.jsonl", [head, *map(asdict, rows)], quick=quick)
    show(rows)


if __name__ == "__main__":
    main()
