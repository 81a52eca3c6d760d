"""A bare echo server: what the framework costs by itself.

One task a connection on anyio and uvloop, over non-blocking sockets with ``wait_readable``, as the
coordinator has them; TLS is anyio's, with the coordinator's settings. It counts nothing, bounds
nothing and keeps nothing.
``python -m benchmarks.echo PORT [CERTIFICATE KEY]``
"""

from __future__ import annotations

import gc
import resource
import socket
import ssl
import sys
from pathlib import Path

import anyio
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.tls import TLSStream

from benchmarks.common import LOOPS
from benchmarks.servers import HOST
from simopen.cli._coordinator import GARBAGE
from simopen.rendezvous._tls_files import server_context

BACKLOG = 4096  # connections, as the coordinator's
RECEIVE = 4096  # bytes at once, as the coordinator's


class BareStream(ByteStream):
    """A non-blocking socket, and nothing more."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def receive(self, max_bytes: int = RECEIVE) -> bytes:
        """Receive what is there, at least one byte."""
        await anyio.wait_readable(self._sock)
        if data := self._sock.recv(max_bytes):
            return data
        raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        """Send all of it."""
        sent = self._sock.send(item)
        while sent < len(item):
            await anyio.wait_writable(self._sock)
            sent += self._sock.send(item[sent:])

    async def send_eof(self) -> None:
        """Tell the other end."""
        self._sock.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close at once."""
        anyio.notify_closing(self._sock)
        self._sock.close()


async def echo(bare: BareStream, context: ssl.SSLContext | None) -> None:
    """Say back what one client says."""
    stream: ByteStream = bare
    try:
        if context is not None:
            stream = await TLSStream.wrap(
                bare, server_side=True, ssl_context=context, standard_compatible=False
            )
        while True:
            await stream.send(await stream.receive(RECEIVE))
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    finally:
        await bare.aclose()


async def accept(listener: socket.socket, context: ssl.SSLContext | None, group: TaskGroup) -> None:
    """Accept for ever."""
    while True:
        await anyio.wait_readable(listener)
        try:
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                group.start_soon(echo, BareStream(sock), context)
        except BlockingIOError:
            pass


async def serve(port: int, context: ssl.SSLContext | None) -> None:
    """Listen and accept."""
    with socket.create_server((HOST, port), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        async with anyio.create_task_group() as group:
            await accept(listener, context, group)


def main() -> None:
    """Read the arguments and serve."""
    port, *files = sys.argv[1:]
    context = None
    if files:
        context = server_context(*map(Path, files))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(GARBAGE)  # as the coordinator's command does
    anyio.run(serve, int(port), context, **LOOPS["uvloop"])


if __name__ == "__main__":
    main()
