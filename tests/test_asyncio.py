"""simopen.asyncio: a punched connection as asyncio's reader and writer."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
import trio
from anyio.abc import SocketAttribute, SocketStream

import simopen.asyncio
from simopen import (
    Endpoint,
    HandshakeTrace,
    PeerStream,
    PeerTimeoutError,
    PunchReport,
    UsageError,
    connect_peer,
    secure_stream,
)
from simopen._asyncio_transport import PIECE
from simopen.asyncio import open_peer
from simopen.security._tls import TlsStream
from tests.conftest import LOOPS
from tests.helpers import free_port, no_socket_left, silent_endpoint
from tests.net.conformance import (
    BIG,
    HELLO,
    PATIENCE,
    peer_process,
    receive_exactly,
    reset,
    tcp_pair,
    two_endpoints,
)
from tests.security.pairs import tls_over_tcp

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", LOOPS[:2], indirect=True),  # asyncio and uvloop
]

SECRET = b"sixteen bytes or more"
REPORT = PunchReport(local=Endpoint("192.0.2.1", 1), remote=Endpoint("192.0.2.2", 2))

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter, TlsStream]


@asynccontextmanager
async def encrypted(
    monkeypatch: pytest.MonkeyPatch, *, limit: int = 65536, buffers: int | None = None
) -> AsyncIterator[Opened]:
    """Reader, writer and the peer's end; no task and no socket is left of them."""
    tasks = asyncio.all_tasks()
    with no_socket_left():
        async with tls_over_tcp(buffers=buffers) as (near, far):

            async def connected(*_: object, **__: object) -> PeerStream:
                return PeerStream(near, REPORT)

            monkeypatch.setattr(simopen.asyncio, "connect_peer", connected)
            reader, writer = await open_peer(
                rendezvous="tcp://192.0.2.3:7000", room="x", secret=SECRET, limit=limit
            )
            yield reader, writer, far
            writer.transport.abort()
            with suppress(ConnectionResetError):
                await asyncio.wait_for(writer.wait_closed(), PATIENCE)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= tasks


# -- a bare connection -----------------------------------------------------------------------------


async def test_echo() -> None:
    """Bytes cross both ways, and our close is the peer's orderly end of the stream."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="last"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE)
        writer.write(await reader.readexactly(len(HELLO)))
        await writer.drain()
        assert writer.get_extra_info("peername") == there
        assert writer.get_extra_info("sockname") == here
        writer.close()
        await writer.wait_closed()


async def test_end_of_stream() -> None:
    """The peer's close is the reader's end of file, after everything that was sent before it."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="first"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE)
        writer.write(HELLO)
        assert await reader.read() == HELLO
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()


async def test_limit() -> None:
    """``limit`` is the reader's: a longer line is refused as asyncio refuses it."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="last"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE, limit=len(HELLO) // 2)
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.readuntil(b"\n")
        writer.write(HELLO)
        writer.close()
        await writer.wait_closed()


async def test_timeout() -> None:
    """Not reaching the peer in time is connect_peer's own error, and leaves no socket."""
    with silent_endpoint() as remote, no_socket_left(), pytest.raises(PeerTimeoutError):
        await open_peer(remote, local=("127.0.0.1", free_port()), timeout=0.05)


async def test_cancelled_punch() -> None:
    """A punch that asyncio cancels leaves no socket."""
    with silent_endpoint() as remote, no_socket_left():
        task = asyncio.ensure_future(open_peer(remote, local=("127.0.0.1", free_port())))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_hand_over(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while asyncio takes the connected socket over, at any turn, none is left."""
    with no_socket_left():
        near, far = tcp_pair()

        async def punched(*_: object, **__: object) -> socket.socket:
            return near

        monkeypatch.setattr(simopen.asyncio, "connect_peer_socket", punched)
        task = asyncio.ensure_future(open_peer("192.0.2.1:1", local="0.0.0.0:1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            _, writer = await task
        except asyncio.CancelledError:
            if not turns:  # never began
                near.close()
        else:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.01)  # transports close in the turn after
        far.close()


# -- an encrypted connection -----------------------------------------------------------------------


async def test_encrypted_call() -> None:
    """With a secret the pair is encrypted: the other end is whoever has proven the same secret."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        there = Endpoint("127.0.0.1", listener.extra(SocketAttribute.local_port))

        async def serve(stream: SocketStream) -> None:
            async with await secure_stream(stream, secret=SECRET) as secured:
                await secured.send(await secured.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            reader, writer = await open_peer(
                there,
                local=f"127.0.0.1:{free_port()}",
                secret=SECRET,
                timeout=PATIENCE,
            )
            writer.write(b"echo\n")
            await writer.drain()
            assert await reader.readline() == b"echo\n"
            assert await reader.read() == b""
            report = writer.get_extra_info("report")
            assert report.encrypted
            assert writer.get_extra_info("peername") == there == report.remote
            writer.close()
            await writer.wait_closed()
            tasks.cancel_scope.cancel()


async def test_encrypted_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes cross both ways, and our close is the peer's orderly end of the stream."""
    async with encrypted(monkeypatch) as (reader, writer, far):
        await far.send(b"line\nrest")
        writer.write(await reader.readline())
        await writer.drain()
        assert await far.receive() == b"line\n"
        writer.close()
        await writer.wait_closed()
        assert writer.is_closing()
        with pytest.raises(anyio.EndOfStream):
            await far.receive()


async def test_half_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """``write_eof`` works although it is TLS: the peer gets its end, and its answer arrives."""
    async with encrypted(monkeypatch) as (reader, writer, far):
        assert writer.can_write_eof()
        writer.write(b"question")
        writer.write_eof()
        assert await receive_exactly(far, 8) == b"question"
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        await far.send(b"answer")
        await far.send_eof()
        assert await reader.read() == b"answer"


async def test_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """``drain`` waits while the peer takes nothing, and returns when it has."""
    async with encrypted(monkeypatch, buffers=4096) as (_, writer, far):
        writer.write(bytes(2**20))
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        await receive_exactly(far, 2**20)
        await asyncio.wait_for(draining, PATIENCE)


async def test_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends on and on fills twice the limit and a piece, and is then held back."""
    limit = 1000
    async with encrypted(monkeypatch, limit=limit) as (reader, _, far):
        sending = asyncio.ensure_future(far.send(bytes(BIG)))
        await asyncio.sleep(0.1)
        assert not sending.done()
        held = len(reader._buffer)  # type: ignore[attr-defined]
        assert 0 < held <= 2 * limit + PIECE
        assert await reader.readexactly(BIG) == bytes(BIG)
        await sending


@pytest.mark.parametrize("how", ["reset", "truncated"])
async def test_broken(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A reset and an end without the peer's word are a ConnectionResetError wherever one waits."""
    async with encrypted(monkeypatch) as (reader, writer, far):
        reading = asyncio.ensure_future(reader.read())
        await asyncio.sleep(0.01)
        if how == "reset":
            reset(far.extra(SocketAttribute.raw_socket))
        else:
            await anyio.aclose_forcefully(far)
        for waiting in (reading, writer.wait_closed(), writer.drain()):
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(waiting, PATIENCE)


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_encrypted_hand_over(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled as the encrypted stream is handed over, at any turn, nothing is left."""
    tasks = asyncio.all_tasks()
    with no_socket_left():
        async with tls_over_tcp() as (near, _):

            async def connected(*_: object, **__: object) -> PeerStream:
                for _turn in range(3):
                    try:
                        await asyncio.sleep(0)
                    except asyncio.CancelledError:
                        await anyio.aclose_forcefully(near)
                        raise
                return PeerStream(near, REPORT)

            monkeypatch.setattr(simopen.asyncio, "connect_peer", connected)
            task = asyncio.ensure_future(open_peer("192.0.2.1:1", local="0.0.0.0:1", secret=SECRET))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                _, writer = await task
            except asyncio.CancelledError:
                assert turns <= 3
            else:
                writer.close()
                await writer.wait_closed()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= tasks


# -- the call --------------------------------------------------------------------------------------


async def test_wrong_use() -> None:
    """What is wrong with the arguments is told as connect_peer tells it."""
    with pytest.raises(TypeError, match="rendezvous"):
        await open_peer()  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="room"):
        await open_peer("192.0.2.1:1", local="0.0.0.0:1", room="x")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="at least 16"):
        await open_peer("192.0.2.1:1", local="0.0.0.0:1", secret=b"short")


async def test_the_arguments_of_connect_peer() -> None:
    """It takes what connect_peer takes, and the reader's limit."""
    ours = list(inspect.signature(open_peer).parameters)
    assert ours == [*inspect.signature(connect_peer).parameters, "limit"]


@pytest.mark.parametrize("secret", [None, SECRET])
def test_trio(anyio_backend: object, secret: bytes | None) -> None:  # noqa: ARG001
    """On trio's loop it says so at once, and what to use there."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"simopen\.connect_peer"):
            await open_peer("192.0.2.1:1", local="0.0.0.0:1", secret=secret, timeout=PATIENCE)

    with no_socket_left():
        trio.run(main)


async def test_a_trace_is_filled() -> None:
    """The object that was given; a call that fails fills it as well."""
    trace = HandshakeTrace()
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(PeerTimeoutError):
        await open_peer(remote, local=local, timeout=0.05, trace=trace)
    assert trace.attempts > 0
