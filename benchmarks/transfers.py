"""One measurement of a stream between two processes: what each of them does.

The measuring process says what is next (a :class:`Job`) and accepts a connection, the other one
(:func:`serve`) connects, opens the same kind of stream and plays its part. What a stream holds in
memory is measured in the other one, which is new for that.

Whatever the measuring process waits for, it waits no longer once the other one has ended: a
connection that was there breaks, and of one that does not come the pipe between them tells.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from contextlib import AsyncExitStack, aclosing, closing, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import anyio
import anyio.to_thread

from benchmarks import openings
from benchmarks.common import LOOPS
from benchmarks.streams import Side, open_stream, receive_exactly, take_side

HOST = "127.0.0.1"
MESSAGE = bytes(64)
RECEIVE = 65536  # bytes, the most at once of a round trip
FULL = 0.3  # seconds in which the kernel takes nothing: nothing more is swallowed
WARM_UP = 10  # streams that are held before memory is looked at
RESET_ON_CLOSE = struct.pack("@ii", 1, 0)


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        loop: The event loop of both processes.
        tls: Whether over TLS.
        kind: Of stream; one of :data:`~benchmarks.streams.KINDS`.
        what: ``"sends"``, ``"round trip"``, ``"swallowed"``, ``"memory"`` or ``"connections"``.
        size: Bytes of one send.
        count: Sends, round trips, streams or connections.
        first: Number of the first connection, which says its ports.
    """

    loop: str
    tls: bool
    kind: str
    what: str
    size: int
    count: int
    first: int = 0

    @property
    def numbers(self) -> range:
        """Of its connections."""
        return range(self.first, self.first + self.count)


def keep_to_cpu(number: int) -> None:
    """Run on one CPU only: the scheduler's moves are most of the noise."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})


def resident_bytes() -> int:
    """The resident set of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# -- the measuring process -------------------------------------------------------------------------


def measure(job: Job, listener: socket.socket, peer: Connection, side: Side) -> list[float]:
    """The figures of one job: seconds, or bytes.

    Raises:
        EOFError, OSError, anyio.BrokenResourceError: The other process has ended.
    """
    listener.setblocking(True)  # a loop may have changed that
    peer.send(job)
    match job.what:
        case "connections":
            timed = partial(openings.open_timed, job.kind, job.numbers, peer)
            return anyio.run(timed, **LOOPS[job.loop])
        case "memory":
            return anyio.run(hold_ends, job, listener, peer, side, **LOOPS[job.loop])
        case "swallowed":
            return [push(job, accept(listener, peer), peer)]
    run = send_all if job.what == "sends" else ping
    return anyio.run(run, job, accept(listener, peer), side, **LOOPS[job.loop])


def accept(listener: socket.socket, peer: Connection) -> socket.socket:
    """The next connection of the other process, which says nothing before it connects.

    Raises:
        EOFError: It has ended.
    """
    if listener not in wait([listener, peer]):
        raise EOFError("the other process is gone")
    return listener.accept()[0]


async def send_all(job: Job, sock: socket.socket, side: Side) -> list[float]:
    """Seconds until the other process has received everything."""
    data = bytes(job.size)
    async with aclosing(await open_stream(job.kind, sock, side if job.tls else None)) as stream:
        await receive_exactly(stream, 1, 1)
        began = time.perf_counter()
        for _ in range(job.count):
            await stream.send(data)
        await receive_exactly(stream, 1, 1)
        return [time.perf_counter() - began]


async def ping(job: Job, sock: socket.socket, side: Side) -> list[float]:
    """Seconds of each round trip."""
    times = []
    async with aclosing(await open_stream(job.kind, sock, side if job.tls else None)) as stream:
        await receive_exactly(stream, 1, 1)
        for _ in range(job.count):
            began = time.perf_counter()
            await stream.send(MESSAGE)
            await receive_exactly(stream, len(MESSAGE), RECEIVE)
            times.append(time.perf_counter() - began)
    return times


def push(job: Job, sock: socket.socket, peer: Connection) -> float:
    """Bytes the kernel takes from us until it takes no more, or until enough are gone."""
    data, pushed = bytes(job.size), 0
    with closing(sock):
        if not sock.recv(1):
            raise EOFError("the other process is gone")
        sock.settimeout(FULL)
        with suppress(TimeoutError):
            while pushed < job.size * job.count:
                pushed += sock.send(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    peer.send(None)  # that was all
    return pushed


async def hold_ends(job: Job, listener: socket.socket, peer: Connection, side: Side) -> list[float]:
    """Bytes that the other process has grown by for each stream; here are only their ends."""
    async with AsyncExitStack() as held:
        for _ in range(WARM_UP + job.count):
            # In a thread: a loop that stands still sends nothing either.
            sock = await anyio.to_thread.run_sync(accept, listener, peer)
            stream = await open_stream(job.kind, sock, side if job.tls else None)
            held.push_async_callback(stream.aclose)
        return [await anyio.to_thread.run_sync(peer.recv)]


# -- the other process -----------------------------------------------------------------------------


def serve(port: int, commands: Connection) -> None:
    """Be the other end of every job until there are no more."""
    keep_to_cpu(1)
    side = take_side(commands, server_side=True)
    while (job := commands.recv()) is not None:
        match job.what:
            case "connections":
                met = partial(openings.answer, job.kind, job.numbers, commands)
                anyio.run(met, **LOOPS[job.loop])
            case "memory":
                anyio.run(hold, job, port, commands, side, **LOOPS[job.loop])
            case _:
                anyio.run(answer, job, port, commands, side, **LOOPS[job.loop])


async def answer(job: Job, port: int, commands: Connection, side: Side) -> None:
    """The other end of one stream."""
    sock = socket.create_connection((HOST, port))  # nothing else runs
    stream = await open_stream(job.kind, sock, side if job.tls else None)
    await stream.send(b"r")  # ready
    match job.what:
        case "sends":
            await receive_exactly(stream, job.size * job.count, job.size)
            await stream.send(b"d")  # done
        case "round trip":
            for _ in range(job.count):
                await receive_exactly(stream, len(MESSAGE), RECEIVE)
                await stream.send(MESSAGE)
        case _:
            await anyio.to_thread.run_sync(commands.recv)  # nobody reads meanwhile
    await stream.aclose()


async def hold(job: Job, port: int, commands: Connection, side: Side) -> None:
    """Hold many streams at rest, and tell what each takes."""
    before = 0
    async with AsyncExitStack() as held:
        for number in range(WARM_UP + job.count):
            if number == WARM_UP:
                before = resident_bytes()
            sock = socket.create_connection((HOST, port))  # nothing else runs
            stream = await open_stream(job.kind, sock, side if job.tls else None)
            held.push_async_callback(stream.aclose)
        commands.send((resident_bytes() - before) / job.count)
