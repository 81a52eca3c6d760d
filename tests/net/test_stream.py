"""The stream over a punched connection: what every byte stream does, and what only it does."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import tracemalloc

import anyio
import pytest
from anyio.abc import SocketAttribute

from simopen import PeerAttribute, connect_peer
from simopen.net._addresses import endpoint_of
from tests.helpers import no_socket_left
from tests.net.conformance import (
    BIG,
    CHECKS,
    HELLO,
    LOOPBACK,
    PATIENCE,
    Check,
    expect,
    peer_process,
    peer_stream,
    receive_exactly,
    reset,
    stream_pair,
    tcp_pair,
    two_endpoints,
    until_broken,
)

pytestmark = pytest.mark.anyio

BUFFERS = 256 * 1024  # bytes; small enough to be full soon, more than a segment of loopback
FAMILIES = [
    pytest.param(socket.AF_INET, id="ipv4"),
    pytest.param(socket.AF_INET6, id="ipv6"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_byte_stream(check: Check) -> None:
    """A PeerStream does what every byte stream does."""
    with anyio.fail_after(PATIENCE):
        async with stream_pair(buffers=BUFFERS) as (left, right):
            await check(left, right)


# -- resets ----------------------------------------------------------------------------------------


async def test_reset_breaks_receive() -> None:
    """After the peer's reset ``receive`` is broken, and never an orderly end."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        reset(far)
        for _ in range(3):
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()


async def test_reset_breaks_send() -> None:
    """After the peer's reset ``send`` is broken, and stays it."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        reset(far)
        for _ in range(3):
            with pytest.raises(anyio.BrokenResourceError):
                await stream.send(b"x")


async def test_reset_seen_by_send_breaks_receive() -> None:
    """Where ``send`` hears of the reset first, ``receive`` takes it for no orderly end.

    The kernel tells of an error once, and shows an end of the stream from then on.
    """
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        reset(far)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()


async def test_reset_wakes_both() -> None:
    """A waiting send and a waiting receive both break at the peer's reset."""
    near, far = tcp_pair(buffers=BUFFERS)
    async with peer_stream(near) as stream:

        async def send() -> None:
            await stream.send(bytes(BIG))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect(send, anyio.BrokenResourceError))
            tasks.start_soon(expect(stream.receive, anyio.BrokenResourceError))
            await anyio.wait_all_tasks_blocked()
            reset(far)


async def test_data_before_reset() -> None:
    """What came before the reset can still be received, then the stream is broken."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        far.send(b"last words")
        reset(far)
        assert await stream.receive() == b"last words"
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()


async def test_end_before_broken_send() -> None:
    """A peer that said everything and closed has ended the stream, even if a send to it broke."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        far.send(b"goodbye")
        far.close()
        await until_broken(stream)
        assert await stream.receive() == b"goodbye"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_half_close_after_reset() -> None:
    """``send_eof`` after a reset is no error of its own; ``receive`` tells of the reset."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        reset(far)
        await stream.send_eof()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()


async def test_unread_data_resets_peer() -> None:
    """Closing with received bytes unread tells the peer by a reset."""
    near, far = tcp_pair()
    async with peer_stream(near) as left, peer_stream(far) as right:
        await right.send(b"unread")
        await anyio.wait_all_tasks_blocked()
        await left.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await right.receive()


# -- backpressure ----------------------------------------------------------------------------------


async def test_exact_backpressure() -> None:
    """Where nobody receives, the peer is held back by the kernel, and not a byte is read ahead."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        tracemalloc.start()
        try:
            with far:
                pushed = await _push_until_full(far)
                far_holds, near_holds = await _settled(far, near, pushed)
                assert near_holds > 0
                assert far_holds + near_holds == pushed  # all of it is in the two kernel buffers
                assert tracemalloc.get_traced_memory()[0] < 2**20
                assert len(await stream.receive(1000)) == 1000
                assert _in_kernel(near, termios.FIONREAD) == near_holds - 1000
        finally:
            tracemalloc.stop()


async def test_nothing_read_between_receives() -> None:
    """After a receive that had to wait, too, the kernel keeps what is not asked for."""
    near, far = tcp_pair()
    async with peer_stream(near) as stream:
        with far:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.receive, 1)
                await anyio.wait_all_tasks_blocked()
                far.send(bytes(1000))
            await anyio.sleep(0.02)
            assert _in_kernel(near, termios.FIONREAD) == 999


async def test_sender_resumes() -> None:
    """A peer that was held back goes on as soon as there is room, and everything arrives."""
    async with stream_pair() as (left, right):
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(right.send, bytes(2 * BIG))
                await anyio.wait_all_tasks_blocked()
                assert await receive_exactly(left, 2 * BIG, at_most=2**20) == bytes(2 * BIG)


# -- plain asyncio's cancellation ------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(4))
async def test_native_cancellation(turns: int, anyio_backend_name: str) -> None:
    """A task cancelled by asyncio's own means, whenever, takes no received byte with it."""
    if anyio_backend_name != "asyncio":
        pytest.skip("trio knows no other cancellation than scopes")
    async with stream_pair() as (left, right):
        await left.send(b"kept")
        await anyio.wait_all_tasks_blocked()
        task = asyncio.ensure_future(right.receive())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with anyio.fail_after(PATIENCE):
            try:
                received = await task
            except asyncio.CancelledError:
                received = await right.receive()
        assert received == b"kept"


# -- what only a punched connection has ------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
async def test_punched(family: socket.AddressFamily) -> None:
    """A stream from connect_peer carries bytes, knows its report, and its socket is ordinary."""
    here, there = two_endpoints(family)
    async with (
        peer_process(here, there, close="last"),
        await connect_peer(there, local=here, timeout=PATIENCE) as stream,
    ):
        await stream.send(HELLO)
        assert await receive_exactly(stream, 8) == HELLO
        extra = stream.extra
        sock = extra(SocketAttribute.raw_socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.calcsize("@ii"))
        assert struct.unpack("@ii", linger)[0] == 0
        assert not sock.getblocking()
        assert stream.report.attempts >= 1
        assert extra(SocketAttribute.local_address) == endpoint_of(sock.getsockname()) == here
        assert extra(SocketAttribute.remote_address) == endpoint_of(sock.getpeername()) == there


@pytest.mark.parametrize("family", FAMILIES)
async def test_attributes(family: socket.AddressFamily) -> None:
    """The stream has all of anyio's socket attributes and the report."""
    near, far = tcp_pair(family)
    host = LOOPBACK[family]
    with far:
        async with peer_stream(near) as stream:
            extra = stream.extra
            port, remote_port = near.getsockname()[1], far.getsockname()[1]
            assert extra(SocketAttribute.family) == family
            assert extra(SocketAttribute.local_address) == (host, port)
            assert extra(SocketAttribute.local_port) == port
            assert extra(SocketAttribute.remote_address) == (host, remote_port)
            assert extra(SocketAttribute.remote_port) == remote_port
            assert extra(SocketAttribute.raw_socket) is near
            assert extra(PeerAttribute.report) is stream.report
            assert set(stream.extra_attributes) == {
                SocketAttribute.family,
                SocketAttribute.local_address,
                SocketAttribute.local_port,
                SocketAttribute.raw_socket,
                SocketAttribute.remote_address,
                SocketAttribute.remote_port,
                PeerAttribute.report,
            }


@pytest.mark.parametrize("end", ["reset", "closed"])
async def test_attributes_outlive_connection(end: str) -> None:
    """Who the peer was can be asked, for a log, after its reset and after closing."""
    near, far = tcp_pair()
    local, remote = near.getsockname(), far.getsockname()
    async with peer_stream(near) as stream:
        reset(far)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        if end == "closed":
            await stream.aclose()
        extra = stream.extra
        assert extra(SocketAttribute.remote_address) == remote
        assert extra(SocketAttribute.remote_port) == remote[1]
        assert extra(SocketAttribute.local_address) == local
        assert extra(SocketAttribute.local_port) == local[1]


async def test_descriptor_is_free_after_close() -> None:
    """Closing under a waiting task gives the descriptor up: the next stream can use its number."""
    numbers = set()
    with no_socket_left():
        for _ in range(3):
            near, far = tcp_pair()
            numbers.add(near.fileno())
            async with peer_stream(near) as stream, anyio.create_task_group() as tasks:
                tasks.start_soon(expect(stream.receive, anyio.ClosedResourceError))
                await anyio.wait_all_tasks_blocked()
                await stream.aclose()
            far.close()
    assert len(numbers) == 1


# -- tools -----------------------------------------------------------------------------------------


async def _push_until_full(sock: socket.socket) -> int:
    """How many bytes the kernel took of a sender without end, until it took no more for a while."""
    chunk, pushed, idle = bytes(65536), 0, 0
    while idle < 10:
        try:
            pushed += sock.send(chunk)
            idle = 0
        except BlockingIOError:
            idle += 1
            await anyio.sleep(0.02)
    return pushed


async def _settled(sender: socket.socket, receiver: socket.socket, pushed: int) -> tuple[int, int]:
    """What the two kernel buffers hold, once what was received is acknowledged too."""
    for _ in range(PATIENCE * 100):
        if _in_kernel(sender, termios.TIOCOUTQ) + _in_kernel(receiver, termios.FIONREAD) <= pushed:
            break
        await anyio.sleep(0.01)
    return _in_kernel(sender, termios.TIOCOUTQ), _in_kernel(receiver, termios.FIONREAD)


def _in_kernel(sock: socket.socket, queue: int) -> int:
    """Bytes in one queue of a socket: ``FIONREAD`` or ``TIOCOUTQ``."""
    count: int = struct.unpack("@i", fcntl.ioctl(sock, queue, bytes(4)))[0]
    return count
