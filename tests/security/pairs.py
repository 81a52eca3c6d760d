"""Pairs of TLS streams over TCP and in memory, and what is needed to break them."""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from simopen.security._certificate import Identity, tls_context
from simopen.security._tls import TlsStream
from tests.net.conformance import stream_pair

CLIENT, SERVER = Identity.generate(), Identity.generate()


class MemoryAttribute(anyio.TypedAttributeSet):
    """What a stream in memory is recognised by."""

    end: MemoryStream = anyio.typed_attribute()


class MemoryStream(ByteStream):
    """One end of a connection in memory (see :func:`memory_pair`).

    Like a socket: sending fills a buffer of ``room`` bytes and waits where that is full; closing
    lets the peer read what was sent.

    Attributes:
        sent: Everything that was ever sent from here.
        tamper: Changes what is sent on its way.
        largest_send: Bytes of the longest single send.
    """

    def __init__(self, room: int) -> None:
        self.sent = bytearray()
        self.tamper: Callable[[bytes], bytes] = bytes
        self.largest_send = 0
        self.peer = self
        self._room = room
        self._arrived = bytearray()
        self._ended = False
        self._broken = False
        self._closed = False
        self._news = anyio.Event()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Itself."""
        return {MemoryAttribute.end: lambda: self}

    @property
    def room(self) -> int:
        """Bytes of what is sent from here that may be unread; who waits for more is told."""
        return self._room

    @room.setter
    def room(self, size: int) -> None:
        self._room = size
        self._tell()

    @property
    def unread(self) -> int:
        """Bytes that have arrived and were not received."""
        return len(self._arrived)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive at least one byte."""
        await anyio.lowlevel.checkpoint()
        while True:
            self._check()
            if self._arrived:
                data = bytes(self._arrived[:max_bytes])
                del self._arrived[:max_bytes]
                self.peer._tell()
                return data
            if self._ended:
                raise anyio.EndOfStream
            await self._news.wait()

    async def send(self, item: bytes) -> None:
        """Send all of it."""
        await anyio.lowlevel.checkpoint()
        self._check()
        self.largest_send = max(self.largest_send, len(item))
        self.sent += item
        rest = self.tamper(item)
        while rest:
            self._check()
            if self.peer._closed:
                raise anyio.BrokenResourceError
            free = max(0, self._room - self.peer.unread)
            self.peer._arrived += rest[:free]
            rest = rest[free:]
            self.peer._tell()
            if rest:
                await self._news.wait()

    async def send_eof(self) -> None:
        """End what the peer receives."""
        self.peer._ended = True
        self.peer._tell()
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close; whoever waits is told."""
        self._closed = True
        self.peer._ended = True
        self._tell()
        self.peer._tell()
        await anyio.lowlevel.checkpoint()

    def break_off(self) -> None:
        """Break both ends, as a reset does."""
        for end in (self, self.peer):
            end._broken = True
            end._tell()

    def _check(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._broken:
            raise anyio.BrokenResourceError

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


def memory_pair(room: int = 65536) -> tuple[MemoryStream, MemoryStream]:
    """Two connected ends, with buffers of ``room`` bytes."""
    left, right = MemoryStream(room), MemoryStream(room)
    left.peer, right.peer = right, left
    return left, right


def client_context() -> ssl.SSLContext:
    """What CLIENT uses to reach SERVER."""
    return tls_context(CLIENT, SERVER.certificate, server_side=False)


def server_context() -> ssl.SSLContext:
    """What SERVER uses to let CLIENT in."""
    return tls_context(SERVER, CLIENT.certificate, server_side=True)


async def open_client(transport: ByteStream) -> TlsStream:
    """CLIENT's end."""
    return await TlsStream.open(
        transport, client_context(), server_side=False, peer_certificate=SERVER.certificate
    )


async def open_server(transport: ByteStream) -> TlsStream:
    """SERVER's end."""
    return await TlsStream.open(
        transport, server_context(), server_side=True, peer_certificate=CLIENT.certificate
    )


async def open_both(left: ByteStream, right: ByteStream) -> tuple[TlsStream, TlsStream]:
    """A client over ``left`` and a server over ``right``, connected."""
    opened: dict[str, TlsStream] = {}

    async def client() -> None:
        opened["client"] = await open_client(left)

    async def server() -> None:
        opened["server"] = await open_server(right)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client)
        tasks.start_soon(server)
    return opened["client"], opened["server"]


def update_key(stream: TlsStream) -> None:
    """Let OpenSSL put a key update that asks for one in return before what ``stream`` sends next.

    The standard library has no call for it, so it is OpenSSL's own, on the ``SSL *`` that
    CPython's object holds behind its head and one pointer.
    """
    library = ctypes.CDLL(_ssl.__file__)
    if sys.version_info >= (3, 14) or not hasattr(library, "SSL_key_update"):
        pytest.skip("where CPython keeps OpenSSL's object is not known here")
    inner: object = stream._session._tls._sslobj  # type: ignore[attr-defined]
    place = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    connection = ctypes.c_void_p.from_address(place)
    assert library.SSL_key_update(connection, 1) == 1
    assert library.SSL_do_handshake(connection) == 1


@asynccontextmanager
async def tls_over_tcp(*, buffers: int | None = None) -> AsyncIterator[tuple[TlsStream, TlsStream]]:
    """A client and a server over loopback TCP."""
    async with stream_pair(buffers=buffers) as (left, right):
        client, server = await open_both(left, right)
        async with client, server:
            yield client, server
