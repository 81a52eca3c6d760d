"""What runs inside a host while a thousand connections are opened at once.

A process holds what it has connected until it is told to let go. Who punches is told when, and both
sides do the same; of plain connects one side listens. What is said of a round is when the last was
connected, on the clock that all namespaces of a machine share.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute

import simopen
from benchmarks.workers import Answer, sleep_until

PUNCHES = 1_000
TIMEOUT = 30.0  # seconds a round may take
FIRST_PORT = 10_000
LISTEN_PORT = 9_000
BACKLOG = 4_096
NOBODY = "203.0.113.99"  # in the lab's internet, where it is dropped
WAITED = 1.0  # seconds until memory is looked at
RESET_ON_CLOSE = struct.pack("@ii", 1, 0)


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
        self._writers: list[asyncio.StreamWriter] = []

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

        await sleep_until(at)
        measured = Measured()
        async with anyio.create_task_group() as group:
            for port in range(FIRST_PORT, FIRST_PORT + PUNCHES):
                group.start_soon(one, port)
        syns = sum(stream.report.attempts for stream in self._streams)
        answer = measured.answer(len(self._streams))
        return answer | {"syns": syns, "failures": failures[:3]}

    async def listen(self, at: float) -> Answer:
        """Accept as many plain connects; when the last was accepted."""
        measured = Measured()
        done = asyncio.Event()

        def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            measured.last = time.monotonic()
            if len(self._writers) == PUNCHES:
                done.set()

        server = await asyncio.start_server(accepted, "0.0.0.0", LISTEN_PORT, backlog=BACKLOG)  # noqa: S104  # a host of the lab
        async with server:
            with anyio.move_on_after(at + TIMEOUT - time.monotonic()):
                await done.wait()
            answer = measured.answer(len(self._writers))
            server.close()
        return answer

    async def connect(self, remote: str, at: float) -> Answer:
        """Connect plainly at a moment, all at once; when the last was connected."""

        async def one() -> None:
            _, writer = await asyncio.open_connection(remote, LISTEN_PORT)
            self._writers.append(writer)
            measured.last = time.monotonic()

        await sleep_until(at)
        measured = Measured()
        with anyio.move_on_after(TIMEOUT):
            async with anyio.create_task_group() as group:
                for _ in range(PUNCHES):
                    group.start_soon(one)
        return measured.answer(len(self._writers))

    async def let_go(self) -> Answer:
        """Reset all that is held, so that the next round finds the ports as this one did."""
        for stream in self._streams:
            reset_on_close(stream.extra(SocketAttribute.raw_socket))  # anyio's, not Django's
            await anyio.aclose_forcefully(stream)
        for writer in self._writers:
            writer.transport.abort()
        self._streams.clear()
        self._writers.clear()
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
