"""A peer's stream as a transport: what the protocol is told, and what becomes of the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute

from simopen import Endpoint, PeerStream, PunchReport, _asyncio_transport
from simopen._asyncio_transport import HIGH_WATER, PIECE, PeerTransport
from simopen.security._tls import TlsStream
from tests.conftest import LOOPS
from tests.helpers import no_socket_left
from tests.net.conformance import BIG, PATIENCE, receive_exactly, reset, stream_pair
from tests.security.pairs import tls_over_tcp

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", LOOPS[:2], indirect=True),  # asyncio and uvloop
]

SMALL = 4096  # bytes of a kernel buffer, so that a peer that takes nothing is soon noticed
REPORT = PunchReport(local=Endpoint("192.0.2.1", 1), remote=Endpoint("192.0.2.2", 2))


class Recorder(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, *, keep_open: bool = True) -> None:
        self.told: list[str] = []
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._keep_open = keep_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The beginning."""
        assert isinstance(transport, PeerTransport)
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self.told.append("data")
        self.received += data

    def eof_received(self) -> bool:
        """The peer's end."""
        self.told.append("eof")
        return self._keep_open

    def pause_writing(self) -> None:
        """Too much."""
        self.told.append("pause")

    def resume_writing(self) -> None:
        """No longer too much."""
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; a second one would be an InvalidStateError."""
        self.told.append("lost")
        self.lost.set_result(exc)

    async def ended(self) -> Exception | None:
        """What the connection ended with."""
        return await asyncio.wait_for(asyncio.shield(self.lost), PATIENCE)


@asynccontextmanager
async def transport(
    protocol: Callable[[], Recorder] = Recorder, *, buffers: int | None = None
) -> AsyncIterator[tuple[PeerTransport, Recorder, TlsStream]]:
    """A transport, its protocol, and the peer's end; no task and no socket is left of it."""
    tasks = asyncio.all_tasks()
    with no_socket_left():
        async with tls_over_tcp(buffers=buffers) as (near, far):
            recorder = protocol()
            opened = PeerTransport(PeerStream(near, REPORT), recorder)
            yield opened, recorder, far
            opened.abort()
            await recorder.ended()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= tasks
            with pytest.raises(anyio.ClosedResourceError):
                await near.receive()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it is so."""
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it is the loop that has to run
            await asyncio.sleep(0.001)


async def settle() -> None:
    """Let everything happen that is going to."""
    await asyncio.sleep(0.05)


# -- receiving -------------------------------------------------------------------------------------


async def test_received_in_order() -> None:
    """The protocol is told of the connection, of the bytes, of their end, and of the close."""
    async with transport() as (opened, recorder, far):
        await far.send(b"hello")
        await until(lambda: recorder.received == b"hello")
        await far.send_eof()
        await until(lambda: "eof" in recorder.told)
        opened.close()
        assert await recorder.ended() is None
        assert recorder.told == ["made", "data", "eof", "lost"]


async def test_open_after_the_peers_end() -> None:
    """After the peer's half-close our half goes on, where the protocol wants it to."""
    async with transport() as (opened, recorder, far):
        await far.send_eof()
        await until(lambda: "eof" in recorder.told)
        assert not opened.is_closing()
        opened.write(b"still here")
        assert await far.receive() == b"still here"


async def test_closed_after_the_peers_end() -> None:
    """A protocol that does not want to keep it open need not close it."""
    async with transport(lambda: Recorder(keep_open=False)) as (_, recorder, far):
        await far.send_eof()
        assert await recorder.ended() is None
        with pytest.raises(anyio.EndOfStream):
            await far.receive()


async def test_paused_reading() -> None:
    """While reading is paused nothing is handed over, and the peer is held back; then all is."""
    async with transport() as (opened, recorder, far):
        opened.pause_reading()
        assert not opened.is_reading()
        sending = asyncio.ensure_future(far.send(bytes(BIG)))
        await settle()
        assert not recorder.received
        assert not sending.done()
        opened.resume_reading()
        assert opened.is_reading()
        await sending
        await until(lambda: recorder.received == bytes(BIG))


@pytest.mark.parametrize("what", ["data", "eof"])
async def test_paused_while_waiting(what: str) -> None:
    """What comes after pausing waits, where it was being waited for before."""
    async with transport() as (opened, recorder, far):
        await settle()  # the stream is being awaited
        opened.pause_reading()
        await (far.send(b"x") if what == "data" else far.send_eof())
        await settle()
        assert recorder.told == ["made"]
        opened.resume_reading()
        await until(lambda: recorder.told == ["made", what])


async def test_nothing_received_after_close() -> None:
    """A closed transport hands nothing over, while it still sends."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(2**20))
        opened.close()
        assert not opened.is_reading()
        await far.send(b"too late")
        await settle()
        assert recorder.told == ["made", "pause"]


# -- sending ---------------------------------------------------------------------------------------


async def test_written_in_order() -> None:
    """Whatever sizes are written arrive as one stream."""
    async with transport() as (opened, _, far):
        parts = [bytes([number]) * number**2 for number in range(256)]
        for part in parts:
            opened.write(part)
        opened.writelines([bytearray(b"an"), memoryview(b"d")])
        expected = b"".join(parts) + b"and"
        assert await receive_exactly(far, len(expected)) == expected


async def test_written_bytes_are_copied() -> None:
    """A caller may reuse its buffer when write returns."""
    async with transport() as (opened, _, far):
        buffer = bytearray(b"before")
        opened.write(buffer)
        buffer[:] = b"behind"
        assert await far.receive() == b"before"


async def test_water_marks() -> None:
    """Above the high mark the protocol pauses, once; at the low one it resumes, once."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        assert opened.get_write_buffer_limits() == (HIGH_WATER // 4, HIGH_WATER)
        opened.write(bytes(HIGH_WATER))
        assert recorder.told == ["made"]
        for _ in range(2):
            opened.write(bytes(2**20))
        assert recorder.told == ["made", "pause"]
        assert opened.get_write_buffer_size() == HIGH_WATER + 2**21
        await receive_exactly(far, HIGH_WATER + 2**21)
        await until(lambda: recorder.told == ["made", "pause", "resume"])
        assert opened.get_write_buffer_size() == 0


async def test_low_water_mark() -> None:
    """Writing is resumed when so many bytes are left, and not before."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.set_write_buffer_limits(high=4 * PIECE, low=2 * PIECE)
        opened.write(bytes(20 * PIECE))
        sizes = []
        while "resume" not in recorder.told:
            sizes.append(opened.get_write_buffer_size())
            await far.receive(SMALL)
            await asyncio.sleep(0)
        assert min(sizes) > 2 * PIECE >= opened.get_write_buffer_size()


async def test_limits_from_one_mark() -> None:
    """One mark makes the other; those that make no sense are refused."""
    async with transport() as (opened, recorder, _):
        opened.set_write_buffer_limits(high=100)
        assert opened.get_write_buffer_limits() == (25, 100)
        opened.set_write_buffer_limits(low=100)
        assert opened.get_write_buffer_limits() == (100, 400)
        with pytest.raises(ValueError, match="5 and 6"):
            opened.set_write_buffer_limits(high=5, low=6)
        opened.write(bytes(300))
        opened.set_write_buffer_limits(high=0)
        assert recorder.told[:2] == ["made", "pause"]


async def test_write_eof() -> None:
    """The peer gets all that was written and then the end, and goes on sending."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        assert opened.can_write_eof()
        opened.write(bytes(2**20))
        opened.write_eof()
        opened.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            opened.write(b"x")
        await receive_exactly(far, 2**20)
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        await far.send(b"answer")
        await until(lambda: recorder.received == b"answer")


# -- the end ---------------------------------------------------------------------------------------


async def test_close_sends_everything() -> None:
    """Everything written before the close arrives, and then the end; nothing written after it."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(2**20))
        opened.close()
        opened.close()
        assert opened.is_closing()
        opened.write(b"too late")
        assert "lost" not in recorder.told
        await receive_exactly(far, 2**20)
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        assert await recorder.ended() is None


async def test_close_at_once() -> None:
    """A transport may be closed before its tasks have begun, and by its protocol first of all."""

    class Closing(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            transport.close()

    async with transport(Closing) as (_, recorder, far):
        assert await recorder.ended() is None
        with pytest.raises(anyio.EndOfStream):
            await far.receive()


async def test_close_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes nothing does not hold the close up; it sees the connection cut off."""
    monkeypatch.setattr(_asyncio_transport, "STALLED", 0.1)
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(2**20))
        await settle()  # a piece is under way
        opened.close()
        assert isinstance(await recorder.ended(), TimeoutError)
        with pytest.raises(anyio.BrokenResourceError):
            await receive_exactly(far, 2**20)


async def test_close_waits_for_a_slow_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that goes on taking gets everything, however long that is in all."""
    monkeypatch.setattr(_asyncio_transport, "STALLED", 0.5)
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(12 * PIECE))
        opened.close()
        for _ in range(10):
            assert not recorder.lost.done()
            await asyncio.sleep(0.1)
            await receive_exactly(far, PIECE)
        await receive_exactly(far, 2 * PIECE)
        assert await recorder.ended() is None


@pytest.mark.parametrize("closing", [False, True])
async def test_abort(closing: bool) -> None:  # noqa: FBT001
    """It ends at once; what was not sent is lost, and the peer sees that something is missing."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(2**20))
        await settle()
        if closing:
            opened.close()
        opened.abort()
        opened.abort()
        assert opened.is_closing()
        assert not opened.get_write_buffer_size()
        assert "lost" not in recorder.told  # never from within the call
        assert await recorder.ended() is None
        with pytest.raises(anyio.BrokenResourceError):
            await receive_exactly(far, 2**20)


async def test_abort_of_an_idle_connection() -> None:
    """Also where everything has been sent an abort is no orderly end."""
    async with transport() as (opened, recorder, far):
        opened.abort()
        assert await recorder.ended() is None
        with pytest.raises(anyio.BrokenResourceError):
            await far.receive()


async def test_reset() -> None:
    """A reset is a ConnectionResetError, and what it came from hangs on it."""
    async with transport() as (opened, recorder, far):
        reset(far.extra(SocketAttribute.raw_socket))
        error = await recorder.ended()
        assert isinstance(error, ConnectionResetError)
        assert isinstance(error.__cause__, anyio.BrokenResourceError)
        assert opened.is_closing()


async def test_truncation() -> None:
    """An end without the peer's word for it is a ConnectionResetError, and no end of file."""
    async with transport() as (_, recorder, far):
        await far.send(b"half a mess")
        await anyio.aclose_forcefully(far)
        assert isinstance(await recorder.ended(), ConnectionResetError)
        assert recorder.told == ["made", "data", "lost"]


async def test_broken_while_sending() -> None:
    """A connection that breaks under a write is a ConnectionResetError, with reading paused too."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.pause_reading()
        await settle()
        opened.write(bytes(2**20))
        reset(far.extra(SocketAttribute.raw_socket))
        assert isinstance(await recorder.ended(), ConnectionResetError)


async def test_error_of_the_protocol() -> None:
    """An exception in the protocol ends the connection, and is what it is told."""

    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            raise KeyError(data)

    async with transport(Failing) as (_, recorder, far):
        await far.send(b"x")
        assert isinstance(await recorder.ended(), KeyError)


async def test_loop_that_stops() -> None:
    """When the loop cancels all tasks the stream is cut off, not ended as if all were sent."""
    async with transport(buffers=SMALL) as (opened, recorder, far):
        opened.write(bytes(PIECE))
        await settle()
        for task in (opened._receiver, opened._sender):
            task.cancel()
        assert await recorder.ended() is None
        assert opened.is_closing()
        with pytest.raises(anyio.BrokenResourceError):
            await receive_exactly(far, PIECE + 1)


async def test_over_a_bare_stream() -> None:
    """A stream that is not encrypted is carried likewise: both ways, half-closed, to its end."""
    with no_socket_left():
        async with stream_pair() as (near, far):
            recorder = Recorder()
            opened = PeerTransport(near, recorder)
            opened.write(b"question")
            opened.write_eof()
            assert await receive_exactly(far, 8) == b"question"
            with pytest.raises(anyio.EndOfStream):
                await far.receive()
            await far.send(b"answer")
            await until(lambda: recorder.received == b"answer")
            reset(far.extra(SocketAttribute.raw_socket))
            assert isinstance(await recorder.ended(), ConnectionResetError)


# -- the rest --------------------------------------------------------------------------------------


async def test_extra_information() -> None:
    """Addresses and report are those of the punch, and outlive the connection."""
    async with transport() as (opened, recorder, _):
        sock = opened.get_extra_info("socket")
        assert sock.getsockname()[0] == "127.0.0.1"
        opened.close()
        await recorder.ended()
        assert opened.get_extra_info("peername") == REPORT.remote
        assert opened.get_extra_info("sockname") == REPORT.local
        assert opened.get_extra_info("report") is REPORT
        assert opened.get_extra_info("nonsense", 7) == 7


async def test_another_protocol() -> None:
    """A protocol may be replaced by another one for streams, and by nothing else."""
    async with transport() as (opened, first, far):
        second = Recorder()
        opened.set_protocol(second)
        assert opened.get_protocol() is second
        await far.send(b"x")
        await until(lambda: second.received == b"x")
        assert first.told == ["made"]
        with pytest.raises(TypeError, match="DatagramProtocol"):
            opened.set_protocol(asyncio.DatagramProtocol())
        opened.set_protocol(first)
