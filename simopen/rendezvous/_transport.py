"""One accepted connection as a byte stream: exact backpressure, and sending without waiting.

A stream of our own for the reason that :mod:`simopen.net._stream` has: not a byte leaves the
kernel before it is asked for. Besides, what has to leave now can be given to the kernel at once
(:meth:`Transport.send_now`): that is how an introduction reaches both sides within one turn of the
loop.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute

from simopen.net._sockets import close

LARGEST_RECEIVE = 16384  # bytes; a TLS record, or two of the longest messages

# Milliseconds. A member whose host died must not be introduced to anybody: what we send, our
# pings included, is acknowledged within this or the connection ends (RFC 5482).
USER_TIMEOUT = 20_000

# From the listener by what it accepts (tcp(7)): five system calls less for each connection.
OPTIONS_ARE_INHERITED = sys.platform == "linux"

# Seconds. Only for what has nothing to ping with yet; members are pinged by the protocol.
KEEPALIVE_IDLE = 30
KEEPALIVE_INTERVAL = 10  # seconds


class Transport(ByteStream):
    """An accepted TCP connection.

    Attributes:
        sock: The socket, non-blocking; the stream closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._waiting = 0  # tasks, for the kernel
        sock.setblocking(False)
        if not OPTIONS_ARE_INHERITED:
            set_options(sock)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The typed attributes (see :meth:`anyio.TypedAttributeProvider.extra`)."""
        return {SocketAttribute.raw_socket: lambda: self.sock}

    async def receive(self, max_bytes: int = LARGEST_RECEIVE) -> bytes:
        """Receive at least one byte, and no more than is there.

        Raises:
            anyio.EndOfStream: The client has closed or half-closed.
            anyio.BrokenResourceError: The connection was reset or timed out.
            anyio.ClosedResourceError: This stream is closed.
        """
        data: bytes | None = None
        while data is None:  # waiting first: a client that floods us lets others have their turn
            await self._wait(anyio.wait_readable)
            data = self._receive_now(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def receive_exactly(self, count: int) -> bytes:
        """Receive ``count`` bytes and leave what follows them to the kernel.

        Raises:
            anyio.EndOfStream: They do not come.
        """
        data = b""
        while len(data) < count:
            data += await self.receive(count - len(data))
        return data

    def send_now(self, data: bytes) -> int:
        """Give the kernel what it takes at once.

        Returns:
            How many bytes that were.

        Raises:
            anyio.BrokenResourceError: The connection was reset or timed out.
            anyio.ClosedResourceError: This stream is closed.
        """
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._stream_error() from error

    async def send(self, item: bytes) -> None:
        """Send all of ``item``; when this returns the kernel has it.

        Raises:
            anyio.BrokenResourceError: The connection was reset or timed out.
            anyio.ClosedResourceError: This stream is closed.
        """
        sent = self.send_now(item)
        while sent < len(item):
            await self._wait(anyio.wait_writable)
            sent += self.send_now(item[sent:])

    async def send_eof(self) -> None:
        """Tell the client that no more will come."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._stream_error() from error

    async def aclose(self) -> None:
        """Close at once; what was sent is still delivered."""
        self.close()
        await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """The same without a turn of the loop."""
        if self._waiting:
            close(self.sock)
        else:
            self.sock.close()  # without asking the loop whom there is to wake

    async def _wait(self, until: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._waiting += 1
        try:
            await until(self.sock)
        finally:
            self._waiting -= 1

    def _receive_now(self, max_bytes: int) -> bytes | None:
        try:
            return self.sock.recv(min(max_bytes, LARGEST_RECEIVE))
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._stream_error() from error

    def _stream_error(self) -> Exception:
        is_closed = self.sock.fileno() == -1
        return anyio.ClosedResourceError() if is_closed else anyio.BrokenResourceError()


def set_options(sock: socket.socket) -> None:
    """Set the options of an accepted socket, or of the listener that they are inherited from."""
    # An introduction is one small write, and its moment is what it is about.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
