"""What a connection costs whose handshake is done in user space, beside a listened one.

``python -m benchmarks.raw [--quick]`` prints the table and writes ``results/raw.jsonl``: one line
for the environment, then one a figure. Needs the lab.

How it is measured
------------------
Two hosts of the lab with a client in one and a server in the other, each a process of its own; or
both in one host, over its loopback, where the kernel alone is measured. The server is simopen's
``raw.accept`` or an ordinary listening socket, on the same loop, with the same stream over its
sockets and the same handler; they take turns within each repetition, the other one first each time.
The client is a plain blocking socket. A ratio is taken within a repetition; shown are the median
over the repetitions, the least and the greatest.

- *connections*: a second, one after the other: connect, four bytes there and back, both ends.
- *to us*, *from us*: bytes a second of one connection, from the first to the last.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import anyio
from anyio.abc import ByteStream

from benchmarks.commands import arguments, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import table
from benchmarks.statistics import around_median
from simopen import lab, raw

PORT = 7777
LOOP = "uvloop"
KINDS = ("raw", "listened")
PLACES = ("wire", "loopback")
BLOCK = bytes(2**20)
STARTED = 60.0  # seconds for a server to come up


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        repetitions: Of everything.
        connections: For one figure.
        megabytes: MiB over the wire for one figure; over loopback ten times as many.
    """

    repetitions: int
    connections: int
    megabytes: int


FULL = Effort(repetitions=9, connections=300, megabytes=100)
QUICK = Effort(repetitions=3, connections=150, megabytes=50)


@dataclass
class Row:
    """The figures of all repetitions.

    Attributes:
        place: Where: over the lab's wire, or loopback.
        measure: What was measured.
        unit: Of the values.
        kind: Of server.
        values: One of each repetition, in order.
    """

    place: str
    measure: str
    unit: str
    kind: str
    values: list[float] = field(default_factory=list)


# -- in the hosts ----------------------------------------------------------------------------------


async def serve(kind: str, host: str) -> None:
    """Be a server of one kind."""
    if kind == "raw":
        async with raw.accept((host, PORT)) as listener:
            await listener.serve(answer)
    else:
        await listen(host)


async def listen(host: str) -> None:
    """Be a server with an ordinary listener, whose sockets get the same stream."""
    with socket.create_server((host, PORT), backlog=128) as listener:
        listener.setblocking(False)
        async with anyio.create_task_group() as group:
            while True:
                await anyio.wait_readable(listener)
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                group.start_soon(answer, raw.TcpStream(sock))


async def answer(stream: ByteStream) -> None:
    """Take a word: ``ping`` is sent back, after ``take`` all is received, after ``give`` sent."""
    with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
        async with stream:
            word = await stream.receive(4)
            if word == b"give":
                for _ in range(int.from_bytes(await stream.receive(4), "big")):
                    await stream.send(BLOCK)
                return
            if word == b"take":
                async for _ in stream:
                    pass
            await stream.send(word)


def connect_often(host: str, count: int) -> float:
    """Seconds for so many connections, one after the other."""
    began = time.perf_counter()
    for _ in range(count):
        with socket.create_connection((host, PORT)) as sock:
            sock.sendall(b"ping")
            if sock.recv(4) != b"ping" or sock.recv(4):
                raise RuntimeError("the server does not follow")
    return time.perf_counter() - began


def send_much(host: str, blocks: int) -> float:
    """Seconds until the server has so many MiB."""
    with socket.create_connection((host, PORT)) as sock:
        sock.sendall(b"take")
        began = time.perf_counter()
        for _ in range(blocks):
            sock.sendall(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        if sock.recv(4) != b"take":
            raise RuntimeError("the server does not follow")
        return time.perf_counter() - began


def receive_much(host: str, blocks: int) -> float:
    """Seconds until so many MiB are here."""
    with socket.create_connection((host, PORT)) as sock:
        sock.sendall(b"give")
        began = time.perf_counter()
        sock.sendall(blocks.to_bytes(4, "big"))
        left = blocks * len(BLOCK)
        while left and (data := sock.recv(min(left, 2**18))):
            left -= len(data)
        if left:
            raise RuntimeError("the server does not follow")
        return time.perf_counter() - began


def is_up(host: str) -> None:
    """Wait until a server is there."""
    until = time.monotonic() + STARTED
    while time.monotonic() < until:
        with socket.socket() as sock:
            if sock.connect_ex((host, PORT)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("the server has not come up")


# -- the run ---------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(host: lab.Host, kind: str, address: str) -> AsyncIterator[None]:
    """A server in a host for as long as the block runs."""
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await host.call(serve, kind, address, **LOOPS[LOOP])

        group.start_soon(run)
        await host.call(is_up, address)
        yield
        group.cancel_scope.cancel()


async def measure(effort: Effort, place: str, kind: str) -> list[tuple[str, str, float]]:
    """All figures of one kind of server in one place: what was measured, the unit, the figure."""
    async with lab.two_hosts() as net:
        client, address = (net.a, net.b.ipv4) if place == "wire" else (net.b, "127.0.0.1")
        blocks = effort.megabytes * (1 if place == "wire" else 10)
        async with serving(net.b, kind, address):
            often = await client.call(connect_often, address, effort.connections)
            there = await client.call(send_much, address, blocks)
            back = await client.call(receive_much, address, blocks)
    size = blocks * len(BLOCK)
    return [
        ("connections", "1/s", effort.connections / often),
        ("to us", "MB/s", size / there / 1e6),
        ("from us", "MB/s", size / back / 1e6),
    ]


async def run(effort: Effort) -> list[Row]:
    """All measurements."""
    found: dict[tuple[str, str, str, str], Row] = {}
    for repetition in range(effort.repetitions):
        print(f"repetition {repetition + 1} of {effort.repetitions}", file=sys.stderr)
        kinds = KINDS if repetition % 2 else KINDS[::-1]
        for place, kind in product(PLACES, kinds):
            for name, unit, value in await measure(effort, place, kind):
                key = (place, name, unit, kind)
                found.setdefault(key, Row(*key)).values.append(value)
    return list(found.values())


HEAD = ("where", "what", "unit", *KINDS, "ratio")


def table_rows(records: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    """The lines of the table, from those of the result file."""
    groups: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for record in records:
        key = (record["place"], record["measure"], record["unit"])
        groups.setdefault(key, {})[record["kind"]] = record["values"]
    for where, kinds in groups.items():
        ratios = [ours / theirs for ours, theirs in zip(*(kinds[k] for k in KINDS), strict=True)]
        yield [*where, *(_spread(kinds[each], ",.0f") for each in KINDS), _spread(ratios, ".2f")]


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, greatest = (f"{each:{form}}" for each in around_median(values))
    return f"{middle} ({least} to {greatest})"


def main() -> None:
    """Measure, keep, print."""
    parser = arguments(__doc__, "a third of the repetitions, and half the work in each")
    quick = parser.parse_args().quick
    require_lab()
    effort = QUICK if quick else FULL
    records = [asdict(row) for row in anyio.run(run, effort)]
    print(table(HEAD, table_rows(records)))
    write_lines("raw.jsonl", [{**environment(), **asdict(effort)}, *records], quick=quick)


if __name__ == "__main__":
    main()
