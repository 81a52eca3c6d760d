"""What runs in the lab's hosts: servers where nothing listens, and stock clients."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream

from benchmarks.common import LOOPS
from simopen import lab, raw

PORT = 7777
PATIENCE = 60  # seconds for what takes a few
PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
BLOCK = random.Random(8).randbytes(2**20)


async def echo(stream: ByteStream) -> None:
    """Send back whatever comes, as long as somebody is there."""
    with contextlib.suppress(anyio.BrokenResourceError):
        async with stream:
            async for data in stream:
                await stream.send(data)
            await stream.send_eof()


async def page(stream: ByteStream) -> None:
    """Be a web server of one page."""
    async with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive()
        await stream.send(PAGE)


async def digest(stream: ByteStream) -> None:
    """Receive everything, say what its hash is, and send as much."""
    async with stream:
        seen, count = hashlib.sha256(), 0
        async for data in stream:
            seen.update(data)
            count += len(data)
        await stream.send(seen.digest())
        for _ in range(count // len(BLOCK)):
            await stream.send(BLOCK)


async def greet(stream: ByteStream) -> None:
    """Speak first."""
    async with stream:
        await stream.send(b"welcome\n")
        async for _ in stream:
            pass


HANDLERS = {each.__name__: each for each in (echo, page, digest, greet)}


async def serve(endpoint: str, handler: str, backlog: int = 4096) -> None:
    """Accept for ever."""
    async with raw.accept(endpoint, backlog=backlog) as listener:
        await listener.serve(HANDLERS[handler])


async def tables(host: lab.Host) -> list[str]:
    """The tables of nftables in a host."""
    done = await host.run(["nft", "list", "tables"])
    return done.stdout.decode().splitlines()


async def until_ready(host: lab.Host, before: list[str]) -> None:
    """Wait until a table is there that was not there before."""
    with anyio.fail_after(PATIENCE):
        while not set(await tables(host)) - set(before):  # noqa: ASYNC110 - of another process
            await anyio.sleep(0.05)


@asynccontextmanager
async def serving(
    host: lab.Host,
    *endpoints: str,
    handler: str = "echo",
    loop: str = "asyncio",
    backlog: int = 4096,
) -> AsyncIterator[None]:
    """Servers in a host, killed at the end of the block."""
    async with anyio.create_task_group() as group:
        for endpoint in endpoints:

            async def run(endpoint: str = endpoint) -> None:
                await host.call(serve, endpoint, handler, backlog, **LOOPS[loop])

            before = await tables(host)
            group.start_soon(run)
            await until_ready(host, before)
        yield
        group.cancel_scope.cancel()


# -- stock clients ---------------------------------------------------------------------------------


def ask(host: str, count: int) -> list[float]:
    """Connect one after the other, say something, hear it again; the seconds each took."""
    times = []
    for number in range(count):
        began = time.monotonic()
        with socket.create_connection((host, PORT), timeout=PATIENCE) as sock:
            said = b"this is %d" % number
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            heard = b""
            while data := sock.recv(100):
                heard += data
            assert heard == said, heard
        times.append(time.monotonic() - began)
    return times


def listen(host: str, message: bytes) -> None:
    """Connect and hear who speaks first."""
    with socket.create_connection((host, PORT), timeout=PATIENCE) as sock:
        assert sock.recv(100) == message


def leave_in_a_hurry(host: str, count: int) -> None:
    """Connect some times, and reset at once."""
    for _ in range(count):
        sock = socket.create_connection((host, PORT), timeout=PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
        sock.close()


def exchange(host: str, blocks: int) -> float:
    """Send many bytes and receive as many; the seconds it took."""
    began = time.monotonic()
    with socket.create_connection((host, PORT), timeout=PATIENCE) as sock:
        sent, heard = hashlib.sha256(), hashlib.sha256()
        for _ in range(blocks):
            sock.sendall(BLOCK)
            sent.update(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while len(said) < sent.digest_size:
            said += sock.recv(sent.digest_size - len(said))
        assert said == sent.digest()
        while data := sock.recv(2**20):
            heard.update(data)
        assert heard.digest() == sent.digest()
    return time.monotonic() - began


def tcp_info(sock: socket.socket) -> dict[str, Any]:
    """What the kernel knows of a connection that a handshake agrees on."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 24)
    stamps = info[5] & 1
    mss = int.from_bytes(info[16:20], "little")
    return {
        "state": info[0],
        "options": info[5] & 0b111,  # timestamps, SACK, window scaling; not ECN
        "scales": info[6],
        # Without timestamps the kernel reckons it from case to case (docs/raw.md).
        "send mss": mss if stamps else None,
        "nodelay": bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
    }
