"""Many connections between two processes over loopback: punched, or by connecting to a listener.

One side calls :func:`open_all`, the other :func:`meet_all`, which says when it is ready and when it
has all. Connections are opened one after the other, and all are held until the last is there, so
that no closing is in the time. Two sides that punch are in step by themselves: who is done with a
pair of ports goes on to the next, and fires there until the other comes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

import anyio
from anyio.abc import SocketAttribute, SocketStream

import simopen

HOST = "127.0.0.1"
OUR_PORTS, THEIR_PORTS = 10_000, 20_000  # the first of each side, below ip_local_port_range
PORTS = 10_000  # of each side
TIMEOUT = 30.0  # seconds that a connection may take
BACKLOG = 1024  # connections
RESET_ON_CLOSE = struct.pack("@ii", 1, 0)

Open = Callable[[int, AsyncExitStack], Awaitable[None]]


def reset_on_close(sock: socket.socket) -> None:
    """Have its close leave nothing in the kernel, so that its port can be used again at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def abort(writer: asyncio.StreamWriter) -> None:
    """Reset; until then the writer is held, which closes when it is forgotten."""
    writer.transport.abort()


def punching(ours: int, theirs: int) -> Open:
    """Opens by simultaneous open, from and to a port for each number."""

    async def punch(number: int, held: AsyncExitStack) -> None:
        port = number % PORTS
        remote, local = f"{HOST}:{theirs + port}", f"{HOST}:{ours + port}"
        stream = await simopen.connect_peer(remote, local=local, timeout=TIMEOUT)
        reset_on_close(stream.extra(SocketAttribute.raw_socket))  # anyio's, not Django's
        held.push_async_callback(stream.aclose)

    return punch


def connecting(kind: str, port: int) -> Open:
    """Opens by connecting to the other side's listener."""

    async def connect(_number: int, held: AsyncExitStack) -> None:
        match kind:
            case "raw":
                sock = socket.create_connection((HOST, port))  # nothing else runs
                held.callback(sock.close)
            case "anyio":
                stream = await anyio.connect_tcp(HOST, port)
                held.push_async_callback(anyio.aclose_forcefully, stream)
            case _:
                _, writer = await asyncio.open_connection(HOST, port)
                held.callback(abort, writer)

    return connect


async def open_all(opens: Open, numbers: range, held: AsyncExitStack) -> None:
    """Open all, one after the other."""
    for number in numbers:
        await opens(number, held)


async def accept_all(kind: str, count: int, commands: Connection, held: AsyncExitStack) -> None:
    """Listen, tell the port, and accept all."""
    done = anyio.Event()
    accepted = 0

    def one_more() -> None:
        nonlocal accepted
        accepted += 1
        if accepted == count:
            done.set()

    match kind:
        case "raw":
            with socket.create_server((HOST, 0), backlog=BACKLOG) as listening:
                commands.send(listening.getsockname()[1])
                for _ in range(count):
                    held.enter_context(listening.accept()[0])
        case "anyio":

            async def take(stream: SocketStream) -> None:  # a handler is async
                held.push_async_callback(anyio.aclose_forcefully, stream)
                one_more()

            listener = await anyio.create_tcp_listener(local_host=HOST, backlog=BACKLOG)
            async with listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, take)
                commands.send(listener.extra(SocketAttribute.local_port))
                await done.wait()
                group.cancel_scope.cancel()
        case _:

            def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                held.callback(abort, writer)
                one_more()

            server = await asyncio.start_server(keep, HOST, 0, backlog=BACKLOG)
            commands.send(server.sockets[0].getsockname()[1])
            await done.wait()
            server.close()


async def open_timed(kind: str, numbers: range, commands: Connection) -> list[float]:
    """Seconds until both sides have all connections; the other calls :func:`answer`."""
    port = commands.recv()  # it is ready
    opens = punching(OUR_PORTS, THEIR_PORTS) if port is None else connecting(kind, port)
    async with AsyncExitStack() as held:
        began = time.perf_counter()
        await open_all(opens, numbers, held)
        commands.recv()  # it has all
        elapsed = time.perf_counter() - began
        commands.send(None)
    return [elapsed]


async def answer(kind: str, numbers: range, commands: Connection) -> None:
    """Be the other side of :func:`open_timed`."""
    async with AsyncExitStack() as held:
        if kind == "PeerStream":
            commands.send(None)
            await open_all(punching(THEIR_PORTS, OUR_PORTS), numbers, held)
        else:
            await accept_all(kind, len(numbers), commands, held)
        commands.send(None)
        commands.recv()  # the time is taken
