"""Connections that were punched, and what a prover says of what is at their other end."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.abc import ByteStream

from simopen import (
    AuthenticationError,
    Event,
    PeerProofError,
    ReflectedOfferError,
    WrongSecretError,
    _proving,
)
from simopen._proving import MOST_LOSSES, Prover, authentication_error
from simopen.net._executor import Verdict
from simopen.security._certificate import Identity
from simopen.security._errors import (
    OfferError,
    ProofError,
    ReflectedError,
    UnableError,
    WrongKeyError,
)
from simopen.security._handshake import Handshake, exchange_offers
from simopen.security._keys import MODE_DIRECT, GroupKeys
from tests.helpers import no_socket_left

pytestmark = pytest.mark.anyio

KEYS = GroupKeys.from_material(b"k" * 20)
TAG = KEYS.room_tag(None)


async def offers(transport: ByteStream) -> Handshake:
    """As in direct mode."""
    return await exchange_offers(
        transport, KEYS, Identity.generate(), mode=MODE_DIRECT, room_tag=TAG
    )


def prover(
    prepare: Callable[[ByteStream], Awaitable[Handshake]] = offers,
    *,
    allowed: float | None = 5.0,
    events: list[Event] | None = None,
) -> Prover:
    """A prover that has so many seconds."""
    now = time.monotonic()
    announce = (lambda _: None) if events is None else events.append
    return Prover(
        prepare, end=None if allowed is None else now + allowed, began=now, announce=announce
    )


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    for each in (ours, theirs):
        each.setblocking(False)
    return ours, theirs


async def test_two_provers_prove_each_other() -> None:
    """Both have the stream, over the very sockets they were given."""
    events: list[Event] = []
    one, other = prover(events=events), prover()
    verdicts: list[Verdict] = []

    async def prove(who: Prover, sock: socket.socket) -> None:
        verdicts.append(await who(3, sock))

    with no_socket_left():
        ours, theirs = pair()
        async with anyio.create_task_group() as group:
            group.start_soon(prove, one, ours)
            group.start_soon(prove, other, theirs)
        assert verdicts == [Verdict.PROVEN] * 2
        assert one.stream is not None
        assert other.stream is not None
        await one.stream.send(b"hello")
        assert await other.stream.receive() == b"hello"
        await one.stream.aclose()
        await other.stream.aclose()
    assert [event.name for event in events] == ["proof.started"]
    assert not one.failures


async def verdict_on(
    sent: bytes, *, closed: bool = False, allowed: float | None = 5.0
) -> tuple[Verdict, Prover, list[Event]]:
    """What is said of a connection that only sends this."""
    events: list[Event] = []
    judge = prover(allowed=allowed, events=events)
    with no_socket_left():
        ours, theirs = pair()
        with ours, theirs:
            theirs.send(sent) if sent else None
            if closed:
                theirs.shutdown(socket.SHUT_WR)
            return await judge(0, ours), judge, events


async def test_a_stranger_is_false() -> None:
    """And the event says why, once."""
    verdict, judge, events = await verdict_on(b"HTTP/1.1 400 Bad Request\r\n")
    assert verdict is Verdict.FALSE
    assert isinstance(judge.failures[0], OfferError)
    assert [event.name for event in events] == ["proof.started", "proof.failed"]


@pytest.mark.parametrize("allowed", [0.05, -1.0])
async def test_a_silent_stranger_is_left_in_time(allowed: float) -> None:
    """It may be the peer all the same; no time left is no time at all."""
    began = time.monotonic()
    verdict, judge, _ = await verdict_on(b"", allowed=allowed)
    assert verdict is Verdict.LOST
    assert not judge.failures
    assert isinstance(judge.doubts[0], ProofError)
    assert time.monotonic() - began < 1


async def test_without_an_end_there_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a peer for ever does not wait for a stranger for ever."""
    monkeypatch.setattr(_proving, "LONGEST_PROOF", 0.05)
    verdict, _, _ = await verdict_on(b"", allowed=None)
    assert verdict is Verdict.LOST


async def lose(judge: Prover, lane: int) -> Verdict:
    """A connection that is reset before it says anything."""
    ours, theirs = pair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        return await judge(lane, ours)


async def test_a_connection_that_is_lost_is_punched_again_a_few_times() -> None:
    """Then it is somebody else's; each lane is counted by itself."""
    judge = prover()
    verdicts = [await lose(judge, 0) for _ in range(MOST_LOSSES)]
    assert verdicts == [Verdict.LOST] * (MOST_LOSSES - 1) + [Verdict.FALSE]
    assert len(judge.doubts) == MOST_LOSSES
    assert not judge.failures
    assert await lose(judge, 1) is Verdict.LOST


async def test_without_descriptors_there_is_no_proof() -> None:
    """What is lacking is said, and the connection is no stranger's."""

    async def lack(_: ByteStream) -> Handshake:
        raise OSError(errno.EMFILE, "Too many open files")

    judge = prover(lack)
    ours, theirs = pair()
    with ours, theirs:
        assert await judge(0, ours) is Verdict.LOST
    assert isinstance(judge.doubts[0], UnableError)
    assert "Too many open files" in str(judge.doubts[0])


async def test_a_prover_that_is_cancelled_leaves_the_socket_alone() -> None:
    """It is its lane's to close."""
    ours, theirs = pair()
    with ours, theirs:
        with anyio.move_on_after(0.02):
            await prover()(0, ours)
        assert ours.fileno() != -1


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        ([ProofError("a")], PeerProofError),
        ([ProofError("a"), WrongKeyError("b")], WrongSecretError),
        ([OfferError("a"), ProofError("b")], WrongSecretError),
        ([ProofError("a"), OfferError("b"), ReflectedError("c")], ReflectedOfferError),
    ],
)
def test_of_several_failures_the_one_that_says_most(
    failures: list[Exception], kind: type[AuthenticationError]
) -> None:
    """Our own offer, then a wrong secret, then a missing proof."""
    found, failure = authentication_error(failures)  # type: ignore[arg-type]
    assert found is kind
    assert failure in failures
