"""A peer's stream as a transport of asyncio's.

Theory of operation
===================

asyncio calls back where anyio is awaited, so two tasks stand between. The receiver awaits the
stream and tells the protocol; the sender takes what ``write`` has put into the buffer, and it alone
ends the connection. Both work a piece at a time.

States
======

=======  =====================================  ====================================================
state    meaning                                left by
=======  =====================================  ====================================================
open     bytes go both ways                     ``close``; ``abort`` or an error
closing  nothing is received, what was written  the end of the buffer; ``abort``, an error, or
         is being sent                          ``STALLED`` seconds in which no piece was taken
closed   final: the stream has been closed and the protocol has been told; no task is left
=======  =====================================  ====================================================

``write_eof`` ends our half behind what was written, and changes nothing else.

Invariants
==========

- While reading is paused nothing is handed to the protocol, and at most one piece is held.
- The stream ends in order only where everything written has been sent. Else it is cut off, which
  the peer of an encrypted one sees.
- ``connection_lost`` is called once, when the stream has been closed.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from .net._stream import PeerStream

HIGH_WATER = 65536  # bytes; asyncio's own default, as is a quarter of it for the low mark
PIECE = 65536  # bytes that are received or sent at once
# Seconds that closing waits for the peer to take one more piece: what asyncio allows for the whole
# end of a TLS connection, but here a slow peer that goes on taking gets everything.
STALLED = 30.0


class PeerTransport(asyncio.Transport):
    """A stream for protocols of asyncio's; made in a task of the loop that it shall run in.

    Its extra information: ``"peername"``, ``"sockname"``, ``"socket"`` (to look at and to set
    options of; its bytes are the transport's), and ``"report"``, how the connection was opened.
    """

    def __init__(self, stream: PeerStream, protocol: asyncio.Protocol) -> None:
        """Take over a stream and begin.

        Args:
            stream: Closed by the transport.
            protocol: Told of everything, of the connection at once.
        """
        super().__init__(
            {
                "peername": stream.extra(SocketAttribute.remote_address),
                "sockname": stream.extra(SocketAttribute.local_address),
                "socket": stream.extra(SocketAttribute.raw_socket),
                "report": stream.report,
            }
        )
        self._stream = stream
        self._protocol = protocol
        self._closing = False
        self._error: Exception | None = None
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._buffer = bytearray()
        self._eof = False
        self._news = asyncio.Event()  # for the sender: there is something to do
        self._flushing = anyio.CancelScope()
        self._flushed = False
        self._aborted = False
        self._held_back = False  # the protocol has been asked to pause writing
        self.set_write_buffer_limits()
        self._loop = asyncio.get_running_loop()
        self._receiver = self._loop.create_task(self._receive())
        self._sender = self._loop.create_task(self._send())
        protocol.connection_made(self)

    def get_protocol(self) -> asyncio.Protocol:
        """The protocol that is told."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Tell another one from now on.

        Raises:
            TypeError: It is no streaming protocol.
        """
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError(f"a stream needs an asyncio.Protocol, not {type(protocol).__name__}")
        self._protocol = protocol

    # -- receiving -------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol may be handed bytes now."""
        return self._unpaused.is_set() and not self._closing

    def pause_reading(self) -> None:
        """Hand over nothing until reading is resumed; the peer is held back before long."""
        self._unpaused.clear()

    def resume_reading(self) -> None:
        """Hand over what has come and what comes."""
        self._unpaused.set()

    async def _receive(self) -> None:
        try:
            while piece := await self._receive_piece():
                self._protocol.data_received(piece)
            if not self._protocol.eof_received():
                self.close()
        except Exception as error:  # noqa: BLE001 - the protocol's own, too, end the connection
            self._cut_off(error)

    async def _receive_piece(self) -> bytes:
        """What has come, empty at the end; kept back while reading is paused."""
        try:
            piece = await self._stream.receive(PIECE)
        except anyio.EndOfStream:
            piece = b""
        await self._unpaused.wait()
        return piece

    # -- sending ---------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send this behind everything that was written before; never waits.

        Raises:
            RuntimeError: Our half has been ended.
        """
        if self._eof:
            raise RuntimeError("write() after write_eof()")
        if self._closing:  # as asyncio does: connection_lost() tells, or has told
            return
        self._buffer += data
        self._news.set()
        self._hold_back()

    def can_write_eof(self) -> bool:
        """Whether there is a half-close: there is."""
        return True

    def write_eof(self) -> None:
        """Half-close behind everything that was written; receiving goes on."""
        self._eof = True
        self._news.set()

    def get_write_buffer_size(self) -> int:
        """Bytes that were written and that the stream has not taken."""
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and the high water mark, in bytes."""
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is asked to pause writing, and when to resume.

        Args:
            high: More bytes than this in the buffer pause; None for four times ``low``, or 64 KiB.
            low: So many or fewer resume; None for a quarter of ``high``.

        Raises:
            ValueError: Not ``high >= low >= 0``.
        """
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"water marks must be high >= low >= 0, not {high} and {low}")
        self._high_water, self._low_water = high, low
        self._hold_back()

    def _hold_back(self) -> None:
        """Ask the protocol to pause or resume, where a mark has been passed."""
        size = len(self._buffer)
        if size > self._high_water and not self._held_back:
            self._held_back = True
            self._protocol.pause_writing()
        elif size <= self._low_water and self._held_back:
            self._held_back = False
            self._protocol.resume_writing()

    async def _send(self) -> None:
        try:
            with self._flushing:
                await self._send_written()
                self._flushed = not self._aborted  # which empties the buffer, too
            if not self._flushed:
                self._cut_off(TimeoutError(f"the peer took nothing for {STALLED:g} s"))
        except Exception as error:  # noqa: BLE001 - likewise
            self._cut_off(error)
        finally:
            await self._end()

    async def _send_written(self) -> None:
        """Send until all is sent and the transport is closing."""
        while True:
            while self._buffer:
                await self._send_piece()
            if self._eof:
                await self._stream.send_eof()  # again and again, but once is all it does
            if self._closing:
                return
            self._news.clear()
            await self._news.wait()

    async def _send_piece(self) -> None:
        piece = self._buffer[:PIECE]
        await self._stream.send(piece)
        del self._buffer[: len(piece)]
        if self._closing:
            self._allow_time()
        self._hold_back()

    # -- the end ---------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Receive no more, send what was written, and close.

        The protocol is told a ``TimeoutError`` where the peer takes nothing for 30 seconds.
        """
        if not self._closing:
            self._closing = True
            self._receiver.cancel()
            self._allow_time()
            self._news.set()

    def abort(self) -> None:
        """Close at once; what was written and not sent is lost. The peer sees it cut off."""
        self._cut_off(None)

    def _allow_time(self) -> None:
        self._flushing.deadline = self._loop.time() + STALLED

    def _cut_off(self, error: Exception | None) -> None:
        """End at once; the first to call says why."""
        if not self._aborted:
            self._aborted = True
            self._error = _told(error)
        self._closing = True
        self._buffer.clear()
        self._receiver.cancel()
        self._flushing.cancel()

    async def _end(self) -> None:
        """Close the stream, and only then tell the protocol."""
        self._closing = True  # also where the event loop is stopping and cancels everything
        self._receiver.cancel()
        if self._flushed:
            await self._stream.aclose()
        else:
            await anyio.aclose_forcefully(self._stream)
        self._protocol.connection_lost(self._error)


def _told(error: Exception | None) -> Exception | None:
    """The error as asyncio's programs know it."""
    if not isinstance(error, anyio.BrokenResourceError):
        return error
    reset = ConnectionResetError(errno.ECONNRESET, "the connection to the peer is broken")
    reset.__cause__ = error
    return reset
