"""The streams over a connected socket: the bare one, and what the caller holds.

:class:`TcpStream` is a byte stream of our own over the raw socket rather than anyio's
``SocketStream``, because of its backpressure: on asyncio and uvloop a transport reads ahead without
bound until the first blocked ``receive()``, while here not a byte leaves the kernel before somebody
asks for it (``benchmarks/throughput.py`` has both). :class:`PeerStream` adds how it was opened, and
is the same over a bare connection and an encrypted one.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute

from simopen._report import PunchReport

from ._sockets import close

if TYPE_CHECKING:
    from simopen.trace import HandshakeTrace

DEFAULT_RECEIVE = 65536  # bytes; anyio's own default
# Bytes that one receive takes however much is asked for: a buffer that stays in the processor's
# cache moves twice as much as one that malloc maps afresh each time (from 128 KiB).
LARGEST_RECEIVE = 65536


class PeerAttribute(anyio.TypedAttributeSet):
    """Typed attributes that only a punched stream has."""

    report: PunchReport = anyio.typed_attribute()


class TcpStream(ByteStream):
    """A connected socket as a byte stream; its methods are those of :class:`PeerStream`."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a socket.

        Args:
            sock: Connected and non-blocking; the stream closes it.
        """
        self._sock = sock
        self._closed = False
        self._sent_eof = False
        self._broken = False
        self._sending = anyio.ResourceGuard("sending to")
        self._receiving = anyio.ResourceGuard("receiving from")

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The typed attributes (see :meth:`anyio.TypedAttributeProvider.extra`)."""
        return {
            SocketAttribute.family: lambda: self._sock.family,
            SocketAttribute.local_address: self._sock.getsockname,
            SocketAttribute.local_port: lambda: self._sock.getsockname()[1],
            SocketAttribute.raw_socket: lambda: self._sock,
            SocketAttribute.remote_address: self._sock.getpeername,
            SocketAttribute.remote_port: lambda: self._sock.getpeername()[1],
        }

    async def receive(self, max_bytes: int = DEFAULT_RECEIVE) -> bytes:
        """Receive at least one byte.

        Args:
            max_bytes: The most to receive; positive.
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be positive, not {max_bytes}")
        with self._receiving:
            # Before and not after: what is received is returned at once, out of reach even of
            # asyncio's own cancellation; and shielded checkpoints are dear.
            await anyio.lowlevel.checkpoint()
            self._check_open()
            while (data := self._receive_now(max_bytes)) is None:
                await anyio.wait_readable(self._sock)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send all of ``item``; when this returns the kernel has it.

        Args:
            item: What to send.
        """
        with self._sending, memoryview(item).cast("B") as rest:
            await anyio.lowlevel.checkpoint()
            self._check_open()
            if self._sent_eof:
                raise anyio.ClosedResourceError
            sent = self._send_now(rest)
            while sent < len(rest):
                await anyio.wait_writable(self._sock)
                with rest[sent:] as chunk:
                    sent += self._send_now(chunk)

    async def send_eof(self) -> None:
        """Half-close."""
        with self._sending:
            await anyio.lowlevel.checkpoint()
            self._check_open()
            if self._sent_eof:
                return
            self._sent_eof = True
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:  # already reset: receive() will say so
                    raise self._stream_error(error) from error

    async def aclose(self) -> None:
        """Close at once, without waiting for the peer."""
        if not self._closed:
            self._closed = True
            close(self._sock)
        await anyio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError

    def _receive_now(self, max_bytes: int) -> bytes | None:
        """What the kernel has: bytes, empty at the end of the stream, None for nothing yet."""
        try:
            data = self._sock.recv(min(max_bytes, LARGEST_RECEIVE))
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._stream_error(error) from error
        if not data and self._broken:  # the kernel tells of an error once, then shows an end
            raise anyio.BrokenResourceError
        return data

    def _send_now(self, data: memoryview) -> int:
        """How many bytes the kernel takes at once."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._stream_error(error) from error

    def _stream_error(self, error: OSError) -> Exception:
        if self._closed or error.errno == errno.EBADF:
            return anyio.ClosedResourceError()
        if error.errno != errno.EPIPE:  # that one leaves the peer's own end of stream valid
            self._broken = True
        return anyio.BrokenResourceError()


class PeerStream(ByteStream):
    """A direct TCP connection to a peer: an :class:`anyio.abc.ByteStream`.

    One task may send while another receives. ``TCP_NODELAY`` is set. Nothing is read ahead: what
    nobody receives stays in the kernel's buffers and holds the peer back.

    While nothing is said the kernel asks after 30 s whether the peer is there (keep-alive), which
    keeps routers from forgetting the connection; a peer that does not answer for another 30 s is a
    ``BrokenResourceError``. What was sent and is not acknowledged is repeated for longer (on Linux
    a quarter of an hour): who sends to a peer that may vanish sets a time limit of its own.

    Extra attributes: all of :class:`anyio.abc.SocketAttribute` and :class:`PeerAttribute`. The
    addresses are the report's, and outlive the connection.

    Attributes:
        report: How the connection was opened.
        trace: Its handshake, packet by packet, where ``trace=`` asked for that.
    """

    def __init__(self, transport: ByteStream, report: PunchReport) -> None:
        """Take over what carries the bytes.

        Args:
            transport: The connected stream, bare or encrypted; this one closes it.
            report: How it was opened.
        """
        self.report = report
        self.trace: HandshakeTrace | None = None
        self._transport = transport

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The typed attributes (see :meth:`anyio.TypedAttributeProvider.extra`)."""
        return {
            **self._transport.extra_attributes,
            SocketAttribute.local_address: lambda: tuple(self.report.local),
            SocketAttribute.local_port: lambda: self.report.local.port,
            SocketAttribute.remote_address: lambda: tuple(self.report.remote),
            SocketAttribute.remote_port: lambda: self.report.remote.port,
            PeerAttribute.report: lambda: self.report,
        }

    async def receive(self, max_bytes: int = DEFAULT_RECEIVE) -> bytes:
        """Receive at least one byte.

        Args:
            max_bytes: The most to receive, in bytes; positive. More than 64 KiB is not received
                at once.

        Raises:
            anyio.EndOfStream: The peer has sent everything and closed or half-closed.
            anyio.BrokenResourceError: The connection was reset or timed out, or an encrypted one
                ended without the peer's word that this is the end.
            anyio.ClosedResourceError: This stream is closed.
            anyio.BusyResourceError: Another task is receiving.
            ValueError: ``max_bytes`` is not positive.
        """
        return await self._transport.receive(max_bytes)

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send all of ``item``; when this returns the kernel has it.

        Cancelled half-way, an unknown part has been sent, and the stream is good for
        nothing but closing.

        Args:
            item: What to send.

        Raises:
            anyio.BrokenResourceError: The connection was reset or timed out.
            anyio.ClosedResourceError: This stream is closed, or its sending half is.
            anyio.BusyResourceError: Another task is sending.
        """
        await self._transport.send(item)  # type: ignore[arg-type]  # both take any buffer

    async def send_eof(self) -> None:
        """Half-close: tell the peer that no more will come; receiving goes on. Idempotent.

        Raises:
            anyio.ClosedResourceError: This stream is closed.
            anyio.BusyResourceError: Another task is sending.
        """
        await self._transport.send_eof()

    async def aclose(self) -> None:
        """Close at once, without waiting for the peer; what was sent is still delivered.

        Whoever is waiting in ``receive`` or ``send`` gets a ``ClosedResourceError``. Where
        received bytes are left unread, the kernel tells the peer by a reset (RFC 9293 §3.6.1).
        """
        await self._transport.aclose()
