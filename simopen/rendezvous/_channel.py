"""One connection to a coordinator, and one conversation on it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.streams.tls import TLSStream

from simopen.net import _sockets
from simopen.net._addresses import socket_address
from simopen.net._stream import TcpStream

from .protocol import ClientConversation, Introduced, Welcomed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import ByteStream

    from simopen._endpoints import Endpoint

    from ._url import Rendezvous
    from .protocol import ClientEvent, Opening

CONNECT_TIMEOUT = 5.0  # seconds for a connection to the coordinator, its TLS included
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
_CHUNK = 16384  # bytes
_USER_TIMEOUT_MS = 60_000  # a coordinator that acknowledges nothing for so long is gone


@asynccontextmanager
async def connection(
    sock: socket.socket, remote: Endpoint, rendezvous: Rendezvous, *, port_is_named: bool
) -> AsyncIterator[ByteStream]:
    """A stream to the coordinator over a bound socket, which is closed at the end.

    Args:
        sock: Bound and non-blocking.
        remote: The coordinator.
        rendezvous: How it is spoken to.
        port_is_named: Whether the caller has named the port. Then it is closed by a reset: a
            TIME_WAIT would keep the next round, or the next call, from reaching the coordinator
            from that port for a minute.

    Raises:
        OSError: There is no connection, or its encryption fails (``ssl.SSLError``).
        TimeoutError: Not in time.
    """
    try:
        with anyio.fail_after(CONNECT_TIMEOUT):
            await _connect(sock, remote)
            stream: ByteStream = TcpStream(sock)
            if (context := rendezvous.context()) is not None:
                stream = await TLSStream.wrap(
                    stream,
                    server_side=False,
                    hostname=rendezvous.server_name,
                    ssl_context=context,
                    standard_compatible=False,
                )
        if not port_is_named:
            _sockets.keep(sock)
        yield stream
    finally:
        _sockets.close(sock)


class Channel:
    """A conversation on a stream. One task runs :meth:`talk`; any may :meth:`flush`."""

    def __init__(self, stream: ByteStream, opening: Opening) -> None:
        self.conversation = ClientConversation(opening, now=time.monotonic())
        self._stream = stream
        self._sending = anyio.Lock()

    async def talk(self, handle: Callable[[ClientEvent], None]) -> None:
        """Carry the conversation until one side ends it, which is the last event.

        Raises:
            WireError: The other end is no coordinator.
            anyio.BrokenResourceError: The connection was reset or timed out.
        """
        ended = False
        while not ended:
            await self.flush()
            data = await self._receive()
            now = time.monotonic()
            talk = self.conversation
            for event in talk.tick(now) if data is None else talk.receive(data, now):
                handle(event)
                ended = not isinstance(event, Welcomed | Introduced)

    async def flush(self) -> None:
        """Send what the conversation has to say."""
        async with self._sending:
            if data := self.conversation.data_to_send():
                await self._stream.send(data)

    async def _receive(self) -> bytes | None:
        """What arrives: empty at the end, None where the conversation wants to act before."""
        wait = self.conversation.next_deadline() - time.monotonic()
        with anyio.move_on_after(max(0.0, wait)):
            try:
                return await self._stream.receive(_CHUNK)
            except anyio.EndOfStream:
                return b""
        return None


async def _connect(sock: socket.socket, remote: Endpoint) -> None:
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    try:
        sock.connect(socket_address(remote))
    except BlockingIOError:
        await anyio.wait_writable(sock)
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
