"""secure_stream: any stream becomes encrypted and proven, or is closed."""

from __future__ import annotations

import math
import pickle
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream

import simopen
from simopen import (
    AuthenticationError,
    Cause,
    Endpoint,
    Invite,
    PeerProofError,
    PeerTimeoutError,
    ReflectedOfferError,
    SecretLike,
    UsageError,
    WrongSecretError,
    secure_stream,
)
from simopen.security import _handshake
from tests.helpers import free_port, no_socket_left
from tests.net.conformance import PATIENCE, receive_exactly, stream_pair
from tests.security.pairs import MemoryAttribute, MemoryStream, memory_pair

pytestmark = pytest.mark.anyio

SECRET = b"sixteen bytes or more"
ANOTHER = b"another secret of that length"
OFFER = 2110  # bytes that each side sends first


async def both(left: ByteStream, right: ByteStream, secret: SecretLike) -> list[ByteStream]:
    """Both ends, secured."""
    found: dict[str, ByteStream] = {}

    async def side(name: str, stream: ByteStream) -> None:
        found[name] = await secure_stream(stream, secret=secret, timeout=PATIENCE)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(side, "left", left)
        tasks.start_soon(side, "right", right)
    return [found["left"], found["right"]]


def failing(
    call: Callable[[], Awaitable[object]], kind: type[Exception]
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A task for ``call``, which must fail so."""

    async def task() -> None:
        with pytest.raises(kind):
            await call()

    return task


async def is_closed(stream: ByteStream) -> bool:
    """Whether it is closed on this side."""
    try:
        await stream.send(b"x")
    except anyio.ClosedResourceError:
        return True
    return False


# -- proven ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [SECRET, "a text of twenty characters", Invite.new("any room"), Invite.new("x").reveal()],
    ids=["bytes", "text", "invite", "invite's text"],
)
async def test_both_ways(secret: SecretLike) -> None:
    """With any kind of secret bytes cross both ways over TCP, and the end is an orderly one."""
    with no_socket_left():
        async with stream_pair() as (near, far):
            left, right = await both(near, far, secret)
            await left.send(b"to the right")
            await right.send(b"to the left")
            assert await receive_exactly(right, 12) == b"to the right"
            assert await receive_exactly(left, 11) == b"to the left"
            await left.aclose()
            with pytest.raises(anyio.EndOfStream):
                await right.receive()
            await right.aclose()


async def test_nothing_in_the_clear() -> None:
    """Neither what is said nor the secret is on the stream below."""
    near, far = memory_pair()
    left, right = await both(near, far, SECRET)
    await left.send(b"what is said")
    assert await right.receive() == b"what is said"
    assert b"said" not in near.sent
    assert SECRET not in near.sent + far.sent


async def test_half_close_of_its_own() -> None:
    """The result half-closes without the stream below doing so, and has its attributes."""
    near, far = memory_pair()
    left, right = await both(near, far, SECRET)
    await left.send_eof()
    with pytest.raises(anyio.EndOfStream):
        await right.receive()
    await right.send(b"answer")
    assert await left.receive() == b"answer"
    assert left.extra(MemoryAttribute.end) is near


async def test_cut_off() -> None:
    """An end of the stream below is no end of what is said."""
    near, far = memory_pair()
    left, _ = await both(near, far, SECRET)
    await far.aclose()
    with pytest.raises(anyio.BrokenResourceError):
        await left.receive()


async def test_with_connect_peer() -> None:
    """It is what connect_peer does in direct mode: one can be at the other's end."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        there = Endpoint("127.0.0.1", listener.extra(SocketAttribute.local_port))

        async def serve(stream: SocketStream) -> None:
            async with await secure_stream(stream, secret=SECRET) as secured:
                await secured.send(await secured.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            async with await simopen.connect_peer(
                there,
                local=f"127.0.0.1:{free_port()}",
                secret=SECRET,
                timeout=PATIENCE,
            ) as stream:
                await stream.send(b"echo")
                assert await stream.receive() == b"echo"
                assert stream.report.encrypted
            tasks.cancel_scope.cancel()


async def test_through_one_another() -> None:
    """A secured stream is a stream, and can be secured."""
    near, far = memory_pair()
    outer_left, outer_right = await both(near, far, SECRET)
    left, right = await both(outer_left, outer_right, ANOTHER)
    await left.send(b"deep")
    assert await right.receive() == b"deep"


# -- not proven ------------------------------------------------------------------------------------


async def test_another_secret() -> None:
    """Both sides are told that their secrets differ, and both streams are closed."""
    with no_socket_left():
        async with stream_pair() as (near, far):
            async with anyio.create_task_group() as tasks:
                for stream, secret in ((near, SECRET), (far, ANOTHER)):
                    call = lambda on=stream, of=secret: secure_stream(on, secret=of)  # noqa: E731
                    tasks.start_soon(failing(call, WrongSecretError))
            assert await is_closed(near)
            assert await is_closed(far)


async def test_the_error_tells() -> None:
    """An error has the report of a stream that was not punched, and says what to do."""
    async with stream_pair() as (near, far):
        ends = Endpoint(*near.extra(SocketAttribute.local_address)), near.report.remote
        await far.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(WrongSecretError, match="call secure_stream") as caught:
            await secure_stream(near, secret=SECRET)
        error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
        assert error.diagnosis.cause is Cause.NOT_PROVEN
        assert error.diagnosis.came_back == "the peer sent no sealed certificate"
        assert (error.report.local, error.report.remote) == ends
        assert (error.report.path, error.report.attempts) == ("given", 0)
        assert error.report.elapsed > 0


async def test_no_offer() -> None:
    """A stream that ends before the offer is complete brought none."""
    for said in (b"", b"simo", b"simopen/1\0"):
        near, far = memory_pair()
        await far.send(said)
        await far.aclose()
        with pytest.raises((WrongSecretError, PeerProofError)):
            await secure_stream(near, secret=SECRET)
        assert await is_closed(near)


async def test_reflected() -> None:
    """A mirror is no peer."""
    near, far = memory_pair()

    async def mirror() -> None:
        with suppress(anyio.EndOfStream):
            while True:
                await far.send(await far.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror)
        with pytest.raises(ReflectedOfferError):
            await secure_stream(near, secret=SECRET, timeout=PATIENCE)
        tasks.cancel_scope.cancel()
    assert await is_closed(near)


@pytest.mark.parametrize("side", [0, 1])
async def test_replayed(side: int) -> None:
    """All that a true peer has sent is worth nothing when it is sent again."""
    ends = memory_pair()
    await both(*ends, SECRET)
    near, far = memory_pair()
    await far.send(bytes(ends[side].sent))
    with pytest.raises(PeerProofError):
        await secure_stream(near, secret=SECRET, timeout=PATIENCE)
    assert await is_closed(near)


async def test_broken_before_the_proof() -> None:
    """A stream that breaks, at whatever point, is an AuthenticationError, and none of anyio's."""
    ends = memory_pair()
    await both(*ends, SECRET)
    whole = bytes(ends[0].sent)
    for length in (0, 5, OFFER - 1, OFFER, OFFER + 100):
        near, far = memory_pair()
        await far.send(whole[:length])

        async def break_off(end: MemoryStream = far) -> None:
            await anyio.wait_all_tasks_blocked()
            end.break_off()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(break_off)
            with pytest.raises(AuthenticationError):
                await secure_stream(near, secret=SECRET)
        assert near._closed


@pytest.mark.parametrize("length", [0, 5, OFFER])
async def test_timeout(length: int) -> None:
    """A peer that falls silent, at whatever point, is a PeerTimeoutError when the time is over."""
    ends = memory_pair()
    await both(*ends, SECRET)
    near, far = memory_pair()
    await far.send(bytes(ends[0].sent[:length]))
    with pytest.raises(PeerTimeoutError, match="no proof in the time allowed") as caught:
        await secure_stream(near, secret=SECRET, timeout=0.05)
    assert caught.value.report.remote == Endpoint("0.0.0.0", 0)  # in memory there are none
    assert await is_closed(near)


async def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the timeout ends it: the stream may be slower than any punched one."""
    deadlines = []
    at_most = _handshake._at_most

    def noting(seconds: float, otherwise: str) -> AbstractContextManager[None]:
        deadlines.append(seconds)
        return at_most(seconds, otherwise)

    monkeypatch.setattr(_handshake, "_at_most", noting)
    await both(*memory_pair(), SECRET)
    assert deadlines == [math.inf] * 3  # TLS on both sides, and ACCEPT on one


async def test_closed_before() -> None:
    """A stream that is closed already is anyio's own error: nobody was there to prove anything."""
    with no_socket_left():
        async with stream_pair() as (near, _):
            bare = near._transport
            await bare.aclose()
            with pytest.raises(anyio.ClosedResourceError):
                await secure_stream(bare, secret=SECRET)


async def test_slow_to_close() -> None:
    """A stream that takes its time to close in order does not hold the error up."""

    class Slow(MemoryStream):
        async def aclose(self) -> None:
            await super().aclose()
            await anyio.sleep_forever()

    stream = Slow(0)
    stream.break_off()
    with anyio.fail_after(PATIENCE), pytest.raises(PeerProofError):
        await secure_stream(stream, secret=SECRET)
    assert stream._closed


@pytest.mark.parametrize(
    ("secret", "timeout", "words"),
    [
        (b"short", None, "at least 16"),
        (None, None, "NoneType"),
        (SECRET, 0, "timeout"),
        (SECRET, float("nan"), "timeout"),
    ],
)
async def test_wrong_use(secret: Any, timeout: float | None, words: str) -> None:
    """A UsageError before anything is sent; the stream is closed as after any failure."""
    near, far = memory_pair()
    with pytest.raises(UsageError, match=words):
        await secure_stream(near, secret=secret, timeout=timeout)
    assert not near.sent
    with pytest.raises(anyio.EndOfStream):
        await far.receive()


async def test_cancelled() -> None:
    """Cancelled at any turn the stream is closed, and the other side is not left waiting."""
    turns, done = 0, False
    while not done:
        near, far = memory_pair()
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(in_vain, far)
                done = await ended_within(turns, near)
                assert done or near._closed
        turns += 1
    assert turns > 10


async def in_vain(stream: ByteStream) -> None:
    """Be the other side of one who may not come."""
    with suppress(AuthenticationError):
        await secure_stream(stream, secret=SECRET)


async def ended_within(turns: int, stream: ByteStream) -> bool:
    """Whether it was done when it was cancelled after so many turns of the loop."""
    done = False

    async def call() -> None:
        nonlocal done
        await secure_stream(stream, secret=SECRET)
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return done
