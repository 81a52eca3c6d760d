"""What a TlsStream costs, against anyio's own TLSStream and asyncio's streams with TLS.

As :mod:`benchmarks.stream`: two processes on a CPU each, one connection over loopback TCP for each
measurement, TLS 1.3 and the same kind of stream at both ends, the kinds taking turns within a
repetition and every ratio taken within one. Where asyncio's streams cannot run, on trio, the ratio
is to anyio's TLSStream over a SocketStream. A TlsStream runs over a TcpStream, as it does in use.

``python -m benchmarks.tls [--quick]`` prints the table and writes ``results/tls.jsonl``: one line
for the environment, then one a row.

Found, on a machine with others at work: in throughput at par with asyncio's streams (median ratios
of 0.9 to 1.1), and on trio with anyio's TLSStream (0.8 and 1.1); round trips take 1.15 to 1.3 of
theirs, which on trio is the PeerStream below (:mod:`benchmarks.stream`). Encrypting 64 KiB at a
time beats 128 KiB by a fifth on long sends, and asking OpenSSL for one record at a time beats
asking for as much as there is by a tenth: buffers that stay in the processor's cache.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing.connection import Connection
from ssl import OPENSSL_VERSION, SSLContext

import anyio
from anyio.abc import SocketStream
from anyio.streams.tls import TLSStream

from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.stream import (
    KIB,
    MESSAGE,
    MIB,
    AsyncioStream,
    Job,
    Row,
    Stream,
    figures,
    keep_to_cpu,
    ready,
    receive_exactly,
    show,
)
from simopen.net._stream import TcpStream
from simopen.security._certificate import Identity, tls_context
from simopen.security._tls import TlsStream

KINDS = ("TlsStream", "TLSStream", "asyncio streams")


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    repetitions: int
    bytes_sent: int  # for one figure of throughput
    round_trips: int  # for one median and one p99


@dataclass(frozen=True)
class Side:
    """One process's part in TLS."""

    context: SSLContext
    server_side: bool
    peer_certificate: bytes


def take_side(commands: Connection, *, server_side: bool) -> Side:
    """Make an identity and exchange certificates with the other process."""
    identity = Identity.generate()
    commands.send(identity.certificate)
    peer_certificate = commands.recv()
    context = tls_context(identity, peer_certificate, server_side=server_side)
    return Side(context, server_side, peer_certificate)


async def open_stream(kind: str, sock: socket.socket, side: Side) -> Stream:
    """A stream of one kind over a connected socket, after its handshake."""
    if kind == "asyncio streams":
        return await _asyncio_stream(sock, side)
    if kind == "TLSStream":
        return await TLSStream.wrap(
            await SocketStream.from_socket(sock),
            server_side=side.server_side,
            ssl_context=side.context,
            standard_compatible=False,
        )
    return await TlsStream.open(
        TcpStream(sock),
        side.context,
        server_side=side.server_side,
        peer_certificate=side.peer_certificate,
    )


async def _asyncio_stream(sock: socket.socket, side: Side) -> AsyncioStream:
    if not side.server_side:
        # A name is asked for, sent, and means nothing here.
        name = "simopen"
        streams = await asyncio.open_connection(sock=sock, ssl=side.context, server_hostname=name)
        return AsyncioStream(*streams)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=side.context)
    return AsyncioStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


# -- the measuring process -------------------------------------------------------------------------


async def send_all(job: Job, sock: socket.socket, side: Side) -> list[float]:
    """Seconds until the other process has received everything."""
    stream = await open_stream(job.kind, sock, side)
    data = bytes(job.size)
    await receive_exactly(stream, 1, 1)
    began = time.perf_counter()
    for _ in range(job.count):
        await stream.send(data)
    await receive_exactly(stream, 1, 1)
    elapsed = time.perf_counter() - began
    await stream.aclose()
    return [elapsed]


async def ping(job: Job, sock: socket.socket, side: Side) -> list[float]:
    """Seconds of each round trip."""
    stream = await open_stream(job.kind, sock, side)
    await receive_exactly(stream, 1, 1)
    times = []
    for _ in range(job.count):
        began = time.perf_counter()
        await stream.send(MESSAGE)
        await receive_exactly(stream, len(MESSAGE), 65536)
        times.append(time.perf_counter() - began)
    await stream.aclose()
    return times


def measure(job: Job, listener: socket.socket, peer: Connection, side: Side) -> list[float]:
    """The figures of one job."""
    peer.send(job)
    sock, _ = listener.accept()
    run = send_all if job.what == "throughput" else ping
    return anyio.run(run, job, ready(sock), side, **LOOPS[job.loop])


# -- the other process -----------------------------------------------------------------------------


def serve(port: int, commands: Connection) -> None:
    """Be the other end of every job until there are no more."""
    keep_to_cpu(1)
    side = take_side(commands, server_side=True)
    while True:
        job = commands.recv()
        if job is None:
            return
        sock = ready(socket.create_connection(("127.0.0.1", port)))
        anyio.run(answer, job, sock, side, **LOOPS[job.loop])


async def answer(job: Job, sock: socket.socket, side: Side) -> None:
    """The other end of one job."""
    stream = await open_stream(job.kind, sock, side)
    await stream.send(b"r")  # ready
    if job.what == "throughput":
        await receive_exactly(stream, job.size * job.count, job.size)
        await stream.send(b"d")  # done
    else:
        for _ in range(job.count):
            await receive_exactly(stream, len(MESSAGE), 65536)
            await stream.send(MESSAGE)
    await stream.aclose()


# -- the run ---------------------------------------------------------------------------------------


def jobs(effort: Effort, repetition: int) -> Iterator[Job]:
    """The jobs of one repetition; which kind comes first changes from one to the next."""
    turn = repetition % len(KINDS)
    works = (
        ("throughput", 64 * KIB, effort.bytes_sent // (64 * KIB)),
        ("throughput", MIB, effort.bytes_sent // MIB),
        ("round trips", len(MESSAGE), effort.round_trips),
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
        side = take_side(ours, server_side=False)
        for repetition in range(effort.repetitions):
            print(f"repetition {repetition + 1} of {effort.repetitions}", file=sys.stderr)
            for job in jobs(effort, repetition):
                for name, unit, value in figures(job, measure(job, listener, ours, side)):
                    found.setdefault((job.loop, name, unit, job.kind), []).append(value)
        ours.send(None)
        process.join()
    return [
        Row(loop, kind, name, unit, values, _ratios(values, found, (loop, name, unit)))
        for loop, name, unit, kind in sorted(found, key=_order)
        for values in [found[loop, name, unit, kind]]
    ]


def _order(key: tuple[str, str, str, str]) -> tuple[int, str, str, int]:
    loop, name, unit, kind = key
    return list(LOOPS).index(loop), unit, name, KINDS.index(kind)


def _ratios(
    values: list[float],
    found: dict[tuple[str, str, str, str], list[float]],
    measured: tuple[str, str, str],
) -> list[float]:
    """Each figure's to the loop's reference, in the same repetition."""
    reference = "TLSStream" if measured[0] == "trio" else "asyncio streams"
    return [a / b for a, b in zip(values, found[*measured, reference], strict=True)]


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description="The cost of a TlsStream.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    effort = (
        Effort(repetitions=2, bytes_sent=64 * MIB, round_trips=1000)
        if quick
        else Effort(repetitions=9, bytes_sent=256 * MIB, round_trips=5000)
    )
    rows = run(effort)
    head = {**environment(), "openssl": OPENSSL_VERSION, **asdict(effort)}
    write_lines("tls.jsonl", [head, *map(asdict, rows)], quick=quick)
    show(rows)


if __name__ == "__main__":
    main()
