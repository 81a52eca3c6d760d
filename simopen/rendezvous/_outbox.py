"""What is to be sent on one connection: at once where the kernel takes it, else bounded, in order.

Theory of operation. :meth:`Outbox.put` never waits, so that one member who reads nothing cannot
keep a message from another. What the kernel does not take at once waits here, and a task of its own
sends it on; there is such a task only while something waits. Over TLS the encryption may have to
wait, so there that task does all of it, from the loop's next turn on.

Invariants: bytes leave in the order they were put; no more than ``limit`` of them wait; after a
failure nothing is sent or kept, and ``on_failure`` has been called once.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteStream

from ._transport import Transport
from .protocol import Limit

# What a stream raises when it cannot go on; Busy: a TLS client that makes us write while reading.
STREAM_ERRORS = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.BusyResourceError,
    ssl.SSLError,
)

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class Outbox:
    """The sending half of one connection."""

    __slots__ = ("_emptied", "_failed", "_limit", "_on_failure", "_pending", "_spawn", "_stream")

    def __init__(
        self,
        stream: ByteStream,
        limit: int,
        spawn: Spawn,
        on_failure: Callable[[Limit | None], None],
    ) -> None:
        """Send on a stream.

        Args:
            stream: A :class:`Transport`, or TLS over one.
            limit: The most that may wait, in bytes.
            spawn: Starts the task that sends what waits.
            on_failure: Told when the connection is of no more use: which limit was hit, or None
                where it is broken.
        """
        self._stream = stream
        self._limit = limit
        self._spawn = spawn
        self._on_failure = on_failure
        self._pending = b""
        self._emptied: anyio.Event | None = None  # while a task is sending
        self._failed = False

    def put(self, data: bytes) -> None:
        """Send ``data`` after everything that was put before."""
        if self._failed:
            return
        if not self._pending and isinstance(self._stream, Transport):
            data = self._send_now(self._stream, data)
        if len(self._pending) + len(data) > self._limit:
            self._fail(Limit.OUTBOX)
            return
        self._pending += data
        if self._pending and self._emptied is None:
            self._emptied = anyio.Event()
            self._spawn(self._send_pending)

    @property
    def is_sending(self) -> bool:
        """Whether something still waits to leave."""
        return self._emptied is not None

    async def emptied(self) -> None:
        """Wait until everything has left, or never will."""
        if self._emptied is not None:
            await self._emptied.wait()

    def _send_now(self, stream: Transport, data: bytes) -> bytes:
        """What the kernel has not taken."""
        try:
            return data[stream.send_now(data) :]
        except STREAM_ERRORS:
            self._fail()
            return b""

    async def _send_pending(self) -> None:
        emptied = self._emptied
        try:
            while self._pending:
                data = self._pending
                await self._stream.send(data)
                self._pending = self._pending[len(data) :]
        except STREAM_ERRORS:
            self._fail()
        finally:
            self._emptied = None
            if emptied is not None:
                emptied.set()

    def _fail(self, limit: Limit | None = None) -> None:
        if not self._failed:
            self._failed = True
            self._pending = b""
            self._on_failure(limit)
