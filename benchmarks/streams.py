"""The kinds of streams that are compared, plain and with TLS, each at both ends of a connection.

``PeerStream`` is what a call hands over: over a bare connection, or over TLS. ``anyio`` is anyio's
SocketStream, with its own TLSStream; ``asyncio`` is asyncio's reader and writer, with its own TLS;
``raw`` is a blocking socket, or OpenSSL's over one: what the kernel and Python give without a loop.
TLS is 1.3 with the settings of :mod:`simopen.security` and one context for all streams of a side.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from anyio.abc import ByteStream, SocketStream
from anyio.streams.tls import TLSStream

from simopen import Endpoint, PeerStream, PunchReport
from simopen.net._stream import TcpStream
from simopen.security._certificate import Identity, tls_context
from simopen.security._tls import TlsStream

KINDS = ("PeerStream", "asyncio", "anyio", "raw")
NAME = "simopen"  # asyncio and OpenSSL ask for one, send it, and it means nothing here


class Stream(Protocol):
    """What the measurements need of a stream."""

    async def send(self, data: bytes, /) -> None:
        """Send all of it."""

    async def receive(self, most: int, /) -> bytes:
        """Receive some."""

    async def aclose(self) -> None:
        """Close."""


class AsyncioStream:
    """asyncio's reader and writer as one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write and wait until the buffer is below its limit."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, most: int) -> bytes:
        """Receive some."""
        return await self._reader.read(most)

    async def aclose(self) -> None:
        """Close without waiting for what was not sent."""
        self._writer.transport.abort()


class RawStream:
    """A blocking socket: nothing else runs meanwhile, so nothing else has to."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    async def receive(self, most: int) -> bytes:
        """Receive some."""
        return self._sock.recv(most)

    async def aclose(self) -> None:
        """Close."""
        self._sock.close()


@dataclass(frozen=True)
class Side:
    """One process's part in TLS.

    Attributes:
        context: For all its streams.
        server_side: Whether it is the server.
        peer_certificate: What the other process presents, DER.
    """

    context: ssl.SSLContext
    server_side: bool
    peer_certificate: bytes


def take_side(commands: Connection, *, server_side: bool) -> Side:
    """Make an identity and exchange certificates with the other process."""
    identity = Identity.generate()
    commands.send(identity.certificate)
    peer_certificate = commands.recv()
    context = tls_context(identity, peer_certificate, server_side=server_side)
    return Side(context, server_side, peer_certificate)


async def open_stream(kind: str, sock: socket.socket, side: Side | None) -> Stream:
    """A stream over a connected socket, after its handshake.

    Args:
        kind: One of :data:`KINDS`.
        sock: Connected, in any mode.
        side: Our part in TLS; None without.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as a punch leaves it
    sock.setblocking(kind == "raw")
    match kind:
        case "PeerStream":
            return await _peer_stream(sock, side)
        case "asyncio":
            return await _asyncio_stream(sock, side)
        case "anyio":
            return await _anyio_stream(sock, side)
        case _:
            return RawStream(_raw_socket(sock, side))


async def _peer_stream(sock: socket.socket, side: Side | None) -> Stream:
    local, remote = Endpoint(*sock.getsockname()), Endpoint(*sock.getpeername())
    report = PunchReport(local=local, remote=remote, encrypted=side is not None)
    stream: ByteStream = TcpStream(sock)
    if side is not None:
        stream = await TlsStream.open(
            stream,
            side.context,
            server_side=side.server_side,
            peer_certificate=side.peer_certificate,
        )
    return PeerStream(stream, report)


async def _asyncio_stream(sock: socket.socket, side: Side | None) -> Stream:
    if side is None:
        return AsyncioStream(*await asyncio.open_connection(sock=sock))
    if not side.server_side:
        streams = await asyncio.open_connection(sock=sock, ssl=side.context, server_hostname=NAME)
        return AsyncioStream(*streams)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=side.context)
    return AsyncioStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _anyio_stream(sock: socket.socket, side: Side | None) -> Stream:
    stream = await SocketStream.from_socket(sock)
    if side is None:
        return stream
    return await TLSStream.wrap(
        stream,
        server_side=side.server_side,
        ssl_context=side.context,
        standard_compatible=False,
    )


def _raw_socket(sock: socket.socket, side: Side | None) -> socket.socket:
    if side is None:
        return sock
    name = None if side.server_side else NAME
    return side.context.wrap_socket(sock, server_side=side.server_side, server_hostname=name)


async def receive_exactly(stream: Stream, size: int, most: int) -> None:
    """Receive and forget ``size`` bytes."""
    while size:
        received = len(await stream.receive(min(most, size)))
        if not received:
            raise EOFError("the other process is gone")
        size -= received
