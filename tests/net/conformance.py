"""What any byte stream of anyio's must do, as a list of checks, and pairs of real TCP streams.

After the idea of trio's ``check_half_closeable_stream``, but one named check per behaviour, and for
``anyio.abc.ByteStream`` on every event loop. Each check gets a fresh pair of connected streams, and
may leave it in any state.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from simopen import Endpoint, PeerStream, PunchReport
from simopen.net._addresses import endpoint_of
from simopen.net._stream import TcpStream
from tests.helpers import PEER, free_port

Check: TypeAlias = Callable[[ByteStream, ByteStream], Awaitable[None]]
T = TypeVar("T")

PATIENCE = 10  # seconds for what takes milliseconds
HELLO = b"00000000"  # what the other process says
BIG = 32 * 1024 * 1024  # bytes; more than both kernel buffers of a pair together
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

CHECKS: list[Check] = []


def _check(check: Check) -> Check:
    CHECKS.append(check)
    return check


# -- pairs of streams ------------------------------------------------------------------------------


def tcp_pair(
    family: socket.AddressFamily = socket.AF_INET, *, buffers: int | None = None
) -> tuple[socket.socket, socket.socket]:
    """Two sockets connected over loopback, set up as a punch leaves them.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        buffers: Bytes of each kernel buffer; None leaves them to the kernel, which lets
            them grow.
    """
    with ExitStack() as failing, socket.socket(family, socket.SOCK_STREAM) as listener:
        near = failing.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if buffers is not None:
            for sock in (listener, near):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        listener.bind((LOOPBACK[family], 0))
        listener.listen(1)
        near.connect(listener.getsockname())
        far = failing.enter_context(listener.accept()[0])
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        failing.pop_all()
    return near, far


def peer_stream(sock: socket.socket) -> PeerStream:
    """A stream over ``sock``, with the report of a punch that met at once."""
    local, remote = endpoint_of(sock.getsockname()), endpoint_of(sock.getpeername())
    return PeerStream(TcpStream(sock), PunchReport(local=local, remote=remote, attempts=1))


@asynccontextmanager
async def stream_pair(
    family: socket.AddressFamily = socket.AF_INET, *, buffers: int | None = None
) -> AsyncIterator[tuple[PeerStream, PeerStream]]:
    """Two connected streams, closed at the end (see :func:`tcp_pair`)."""
    near, far = tcp_pair(family, buffers=buffers)
    async with peer_stream(near) as left, peer_stream(far) as right:
        yield left, right


@asynccontextmanager
async def peer_process(here: Endpoint, there: Endpoint, *, close: str) -> AsyncIterator[None]:
    """Another process that punches from ``there`` to ``here``, and must end well.

    It says ``HELLO``, wants to hear the same, and closes ``"first"`` or ``"last"``, that is after
    our orderly end. SYNs cross on loopback only while two CPUs are at it, the answer to a
    lone one being in before its ``connect()`` returns: so each process gets a CPU of its own.
    """
    first, *others = cpus = os.sched_getaffinity(0)
    if not others:
        pytest.skip("simultaneous open on loopback needs two CPUs")
    command = [*PEER, str(here), str(there), "--close", close]
    async with await anyio.open_process(command, stderr=None) as process:
        os.sched_setaffinity(process.pid, others)
        os.sched_setaffinity(0, {first})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cpus)
        assert await process.wait() == 0


def two_endpoints(family: socket.AddressFamily = socket.AF_INET) -> tuple[Endpoint, Endpoint]:
    """Two loopback endpoints that nobody holds."""
    return Endpoint(LOOPBACK[family], free_port()), Endpoint(LOOPBACK[family], free_port())


def reset(sock: socket.socket) -> None:
    """Close ``sock`` by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    sock.close()


# -- tools -----------------------------------------------------------------------------------------


async def checkpointed(call: Awaitable[T]) -> T:
    """The result of ``call``, which must have given the event loop its turn."""
    turns: list[object] = []
    result = await _noting_turns(call, turns)
    assert turns, "no checkpoint: the event loop had no turn"
    return result


@types.coroutine
def _noting_turns(call: Awaitable[T], turns: list[object]) -> Generator[Any, Any, T]:
    """As ``yield from call.__await__()``, noting what is yielded to the loop."""
    steps = call.__await__()
    resume = partial(steps.send, None)
    while True:
        try:
            turns.append(resume())
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            resume = partial(steps.send, (yield turns[-1]))
        except BaseException as error:  # noqa: BLE001 - a cancellation, on its way in
            resume = partial(steps.throw, error)


async def receive_exactly(stream: ByteStream, size: int, *, at_most: int = 65536) -> bytes:
    """The next ``size`` bytes."""
    received = bytearray()
    while len(received) < size:
        received += await stream.receive(min(at_most, size - len(received)))
    return bytes(received)


async def until_broken(stream: ByteStream) -> None:
    """Send until the news of the peer's end has come back."""

    async def send_for_ever() -> None:
        while True:
            await stream.send(b"x" * 100)

    with anyio.fail_after(PATIENCE), pytest.raises(anyio.BrokenResourceError):
        await send_for_ever()


def expect(
    call: Callable[[], Awaitable[object]], error: type[BaseException]
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A task for ``call``, which must end with ``error``."""

    async def task() -> None:
        with pytest.raises(error):
            await call()

    return task


# -- sending and receiving -------------------------------------------------------------------------


@_check
async def both_directions(left: ByteStream, right: ByteStream) -> None:
    """What one side sends the other receives, both ways."""
    await left.send(b"to the right")
    await right.send(b"to the left")
    assert await receive_exactly(right, 12) == b"to the right"
    assert await receive_exactly(left, 11) == b"to the left"


@_check
async def every_size(left: ByteStream, right: ByteStream) -> None:
    """Two full streams cross in chunks of all sizes, and arrive as they were."""
    size, longest = 2**20, 2**14
    data = random.Random(0).randbytes(size)

    async def sender(stream: ByteStream, data: bytes, seed: int) -> None:
        chance, sent = random.Random(seed), 0
        while sent < size:
            length = chance.randint(0, longest)
            await stream.send(data[sent : sent + length])
            sent += length

    async def receiver(stream: ByteStream, expected: bytes, seed: int) -> None:
        chance, received = random.Random(seed), bytearray()
        while len(received) < size:
            most = chance.randint(1, longest)
            chunk = await stream.receive(most)
            assert 1 <= len(chunk) <= most
            received += chunk
        assert received == expected

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender, left, data, 1)
        tasks.start_soon(sender, right, data[::-1], 2)
        tasks.start_soon(receiver, left, data[::-1], 3)
        tasks.start_soon(receiver, right, data, 4)


@_check
async def one_byte_at_a_time(left: ByteStream, right: ByteStream) -> None:
    """``receive(1)`` gives one byte, and the rest stays for later."""
    await left.send(b"abc")
    assert [await right.receive(1) for _ in range(3)] == [b"a", b"b", b"c"]


@_check
async def empty_send(left: ByteStream, right: ByteStream) -> None:
    """Sending nothing sends nothing: it is no end of the stream."""
    await left.send(b"")
    await left.send(b"y")
    assert await right.receive() == b"y"


@_check
async def buffers_of_all_kinds(left: ByteStream, right: ByteStream) -> None:
    """What has bytes can be sent: also a bytearray and a memoryview, of a slice or of words."""
    await left.send(bytearray(b"1"))  # type: ignore[arg-type]
    await left.send(memoryview(b"x2x")[1:2])  # type: ignore[arg-type]
    await left.send(memoryview(bytearray(8)).cast("Q"))  # type: ignore[arg-type]
    assert await receive_exactly(right, 10) == b"12" + bytes(8)


@_check
async def bytes_are_what_comes(left: ByteStream, right: ByteStream) -> None:
    """``receive`` returns ``bytes``, not a view that changes later."""
    await left.send(b"x")
    assert type(await right.receive()) is bytes


@_check
async def positive_sizes_only(left: ByteStream, right: ByteStream) -> None:
    """``receive`` of less than one byte is a ValueError, and changes nothing."""
    await left.send(b"x")
    for size in (0, -1):
        with pytest.raises(ValueError, match="positive"):
            await right.receive(size)
    assert await right.receive(1) == b"x"


@_check
async def big_send(left: ByteStream, right: ByteStream) -> None:
    """A send of more than the buffers hold waits for the peer to read, and nothing is lost."""
    data = random.Random(1).randbytes(BIG)
    done = False

    async def sender() -> None:
        nonlocal done
        await left.send(data)
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender)
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep(0.05)
        assert not done
        assert await receive_exactly(right, BIG, at_most=2**20) == data
    assert done


@_check
async def waiting_receive(left: ByteStream, right: ByteStream) -> None:
    """A receive that came first gets what is sent later."""

    async def receiver() -> None:
        assert await right.receive() == b"late"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver)
        await anyio.wait_all_tasks_blocked()
        await left.send(b"late")


# -- ending ----------------------------------------------------------------------------------------


@_check
async def end_of_stream(left: ByteStream, right: ByteStream) -> None:
    """After a close comes what was sent before it, then the end, as often as one asks."""
    await left.send(b"y")
    await left.aclose()
    await anyio.wait_all_tasks_blocked()
    assert await right.receive() == b"y"
    for _ in range(3):
        with pytest.raises(anyio.EndOfStream):
            await right.receive()


@_check
async def end_wakes_receive(left: ByteStream, right: ByteStream) -> None:
    """A receive that waits is told of the end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect(right.receive, anyio.EndOfStream))
        await anyio.wait_all_tasks_blocked()
        await left.aclose()


@_check
async def iteration(left: ByteStream, right: ByteStream) -> None:
    """``async for`` gives everything and stops at the end."""
    await left.send(b"all of it")
    await left.aclose()
    assert b"".join([chunk async for chunk in right]) == b"all of it"


@_check
async def half_close(left: ByteStream, right: ByteStream) -> None:
    """After ``send_eof`` the peer sees the end and can go on sending for as long as it likes."""
    await left.send(b"question")
    await checkpointed(left.send_eof())
    assert await receive_exactly(right, 8) == b"question"
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await right.receive()
    for _ in range(3):
        await right.send(b"answer")
        assert await receive_exactly(left, 6) == b"answer"
    await right.send_eof()
    with pytest.raises(anyio.EndOfStream):
        await left.receive()


@_check
async def half_close_twice(left: ByteStream, right: ByteStream) -> None:
    """``send_eof`` again does nothing more, before and after the peer's own end."""
    await left.send_eof()
    await checkpointed(left.send_eof())
    await right.send_eof()
    with pytest.raises(anyio.EndOfStream):
        await left.receive()
    await left.send_eof()


@_check
async def no_send_after_half_close(left: ByteStream, right: ByteStream) -> None:
    """Sending after ``send_eof``, even nothing, is a ClosedResourceError; receiving goes on."""
    await left.send_eof()
    for data in (b"x", b""):
        with pytest.raises(anyio.ClosedResourceError):
            await left.send(data)
    await right.send(b"still")
    assert await receive_exactly(left, 5) == b"still"


@_check
async def no_half_close_during_send(left: ByteStream, right: ByteStream) -> None:  # noqa: ARG001
    """``send_eof`` while a send waits is a BusyResourceError."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(left.send, bytes(BIG))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await left.send_eof()
        tasks.cancel_scope.cancel()


@_check
async def use_after_close(left: ByteStream, right: ByteStream) -> None:
    """Everything on a closed stream is a ClosedResourceError, also where data had come."""
    await right.send(b"unread")
    await left.aclose()
    calls: list[Callable[[], Awaitable[object]]] = [
        left.receive,
        left.send_eof,
        lambda: left.send(b"x"),
        lambda: left.send(b""),
    ]
    for call in calls:
        with pytest.raises(anyio.ClosedResourceError):
            await call()


@_check
async def close_repeatedly(left: ByteStream, right: ByteStream) -> None:
    """Closing again is allowed and harmless, and each time a checkpoint."""
    for stream in (left, right, left, right):
        await checkpointed(stream.aclose())


@_check
async def close_cancelled(left: ByteStream, right: ByteStream) -> None:
    """A cancelled close closes all the same, and passes the cancellation on."""
    for stream in (left, right):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.aclose()
        assert scope.cancelled_caught
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"x")
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()


@_check
async def close_wakes_receive(left: ByteStream, right: ByteStream) -> None:  # noqa: ARG001
    """Closing a stream wakes its own waiting receive with a ClosedResourceError."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect(left.receive, anyio.ClosedResourceError))
        await anyio.wait_all_tasks_blocked()
        await left.aclose()


@_check
async def close_wakes_send(left: ByteStream, right: ByteStream) -> None:  # noqa: ARG001
    """Closing a stream wakes its own waiting send with a ClosedResourceError."""

    async def sender() -> None:
        await left.send(bytes(BIG))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect(sender, anyio.ClosedResourceError))
        await anyio.wait_all_tasks_blocked()
        await left.aclose()


@_check
async def peer_closed(left: ByteStream, right: ByteStream) -> None:
    """Sending to a peer that has closed breaks sooner or later, and stays broken."""
    await right.aclose()
    await until_broken(left)
    for _ in range(2):
        with pytest.raises(anyio.BrokenResourceError):
            await left.send(b"x")
    await left.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await left.send(b"x")


@_check
async def peer_closed_during_send(left: ByteStream, right: ByteStream) -> None:
    """A send that waits breaks when the peer closes."""

    async def sender() -> None:
        await left.send(bytes(BIG))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect(sender, anyio.BrokenResourceError))
        await anyio.wait_all_tasks_blocked()
        await right.aclose()


# -- tasks -----------------------------------------------------------------------------------------


@_check
async def one_receive_at_a_time(left: ByteStream, right: ByteStream) -> None:
    """A second receive at the same time is a BusyResourceError; the first is not disturbed."""

    async def receiver() -> None:
        assert await right.receive() == b"first"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await right.receive()
        await left.send(b"first")


@_check
async def one_send_at_a_time(left: ByteStream, right: ByteStream) -> None:
    """A second send at the same time is a BusyResourceError; the first is not disturbed."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(left.send, bytes(BIG))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await left.send(b"x")
        assert await receive_exactly(right, BIG, at_most=2**20) == bytes(BIG)


@_check
async def send_while_receiving(left: ByteStream, right: ByteStream) -> None:
    """One task sends while another receives on the same stream."""

    async def receiver() -> None:
        assert await receive_exactly(left, 6) == b"answer"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(left.send, bytes(BIG))
        await anyio.wait_all_tasks_blocked()
        await right.send(b"answer")
        await receive_exactly(right, BIG, at_most=2**20)


@_check
async def checkpoints(left: ByteStream, right: ByteStream) -> None:
    """Every call gives other tasks a turn, even where it could have ended at once."""
    await checkpointed(left.send(b"x"))
    await checkpointed(left.send(b""))
    await left.send(b"y")
    await anyio.wait_all_tasks_blocked()
    assert await checkpointed(right.receive(1)) == b"x"
    assert await checkpointed(right.receive(1)) == b"y"
    await checkpointed(left.send_eof())
    await checkpointed(left.aclose())


@_check
async def cancelled_before(left: ByteStream, right: ByteStream) -> None:
    """In a cancelled scope every call is cancelled, where data is ready too, and does nothing."""
    await left.send(b"ready")
    await anyio.wait_all_tasks_blocked()
    calls: list[Callable[[], Awaitable[object]]] = [
        right.receive,
        right.send_eof,
        lambda: right.send(b"x"),
    ]
    for call in calls:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught
    assert await right.receive() == b"ready"
    await right.send(b"y")
    assert await left.receive() == b"y"


@_check
async def cancelled_receive(left: ByteStream, right: ByteStream) -> None:
    """A waiting receive that is cancelled takes nothing with it."""
    with anyio.move_on_after(0.01) as scope:
        await right.receive()
    assert scope.cancelled_caught
    await left.send(b"kept")
    assert await right.receive() == b"kept"


@_check
async def cancelled_as_data_comes(left: ByteStream, right: ByteStream) -> None:
    """However cancellation and data race, each byte is received once and in order."""
    total, received = 200, bytearray()

    async def receiver(scope: anyio.CancelScope) -> None:
        with scope:
            received.extend(await right.receive(1))

    for number in range(total):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()
            tasks.start_soon(receiver, scope)
            for _ in range(number % 4):
                await anyio.lowlevel.checkpoint()
            await left.send(bytes([number]))
            for _ in range(number // 4 % 4):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    received += await receive_exactly(right, total - len(received))
    assert received == bytes(range(total))


@_check
async def cancelled_send(left: ByteStream, right: ByteStream) -> None:  # noqa: ARG001
    """A waiting send can be cancelled, and the stream closed after it."""
    with anyio.move_on_after(0.01) as scope:
        await left.send(bytes(BIG))
    assert scope.cancelled_caught
    await left.aclose()
