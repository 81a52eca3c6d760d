"""Direct calls with a secret, to a peer that is played by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from simopen import (
    AuthenticationError,
    Cause,
    Endpoint,
    Event,
    Invite,
    PeerProofError,
    PeerStream,
    PeerTimeoutError,
    ReflectedOfferError,
    WrongSecretError,
    connect_peer,
    secure_stream,
)
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.coordinators import INVITE, STRANGER, serve_tcp

pytestmark = pytest.mark.anyio

TEXT = "a text of some length"  # as a secret, which takes a tenth of a second to stretch
Play = Callable[[SocketStream], Awaitable[object]]


async def call(at: Endpoint, invite: Invite = INVITE, **changes: Any) -> PeerStream:
    """A call in direct mode to where somebody listens, which for the engine is a peer."""
    arguments: dict[str, Any] = {
        "local": f"127.0.0.1:{free_port()}",
        "secret": invite,
        "timeout": 5.0,
    } | changes
    stream: PeerStream = await connect_peer(str(at), **arguments)
    return stream


def secured(invite: Invite) -> Play:
    """A peer with that secret, which sends back what it gets."""

    async def play(stream: SocketStream) -> None:
        peer = await secure_stream(stream, secret=invite, timeout=5)
        await peer.send(await peer.receive())
        await peer.receive()

    return play


async def test_a_proven_stream() -> None:
    """Encrypted, and said to be in the report."""
    events: list[Event] = []
    with no_socket_left():
        async with (
            serve_tcp(secured(INVITE)) as at,
            await call(at, on_event=events.append) as stream,
        ):
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
            assert stream.report.encrypted
            assert (stream.report.remote, stream.report.path) == (at, "direct")
            assert stream.report.meeting is None
    assert "proof.started" in [event.name for event in events]


async def swallow(stream: SocketStream) -> None:
    """Say nothing."""
    while True:
        await stream.receive()


async def reflect(stream: SocketStream) -> None:
    """Say what was said."""
    while True:
        await stream.send(await stream.receive())


async def greet(stream: SocketStream) -> None:
    """Be a server of another kind."""
    await stream.send(b"220 mail.example ESMTP\r\n")
    await swallow(stream)


async def vanish(stream: SocketStream) -> None:
    """Reset each connection."""
    await anyio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        (secured(STRANGER), WrongSecretError),
        (greet, WrongSecretError),
        (reflect, ReflectedOfferError),
    ],
    ids=["another-secret", "no-secret", "reflected"],
)
async def test_who_is_not_the_peer(play: Play, kind: type[AuthenticationError]) -> None:
    """Is told apart, with a report and a diagnosis, and nothing is left open."""

    async def quietly(stream: SocketStream) -> None:
        with contextlib.suppress(AuthenticationError):  # the stranger sees it too
            await play(stream)

    with no_socket_left():
        async with serve_tcp(quietly) as at:
            with pytest.raises(kind) as caught:
                await call(at)
    assert caught.value.diagnosis.cause is Cause.NOT_PROVEN
    assert caught.value.report.remote == at
    assert caught.value.report.attempts == 1


async def test_a_peer_that_never_proves_itself() -> None:
    """The caller's time ends it, and what is told is what was lacking."""
    with no_socket_left():
        async with serve_tcp(swallow) as at:
            with pytest.raises(PeerTimeoutError, match="no proof in the time") as caught:
                await call(at, timeout=0.2)
    assert caught.value.diagnosis.cause is Cause.NOT_PROVEN


async def test_a_slow_proof_costs_a_connection_and_not_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The peer was only held up: at the next connection it answers."""
    monkeypatch.setattr("simopen._proving.PROOF_TIMEOUT", 0.1)
    connections = 0

    async def wake_up(stream: SocketStream) -> None:
        nonlocal connections
        connections += 1
        await (secured(INVITE) if connections > 1 else swallow)(stream)

    with no_socket_left():
        async with serve_tcp(wake_up) as at, await call(at) as stream:
            await stream.send(b"still there?")
            assert await stream.receive() == b"still there?"
    assert connections == 2


async def test_the_timeout_covers_the_stretching_of_a_text() -> None:
    """Twenty calls want a second and more of a processor; each ends in its time."""
    errors: list[PeerTimeoutError] = []

    async def one() -> None:
        with pytest.raises(PeerTimeoutError) as caught:
            await call(Endpoint("127.0.0.1", free_port()), timeout=0.2, secret=TEXT)
        errors.append(caught.value)

    with no_socket_left():
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
    causes = {error.diagnosis.cause for error in errors}
    assert Cause.TOO_SHORT in causes


async def test_a_peer_that_hangs_up_each_time() -> None:
    """Is no peer after a few times."""
    with no_socket_left():
        async with serve_tcp(vanish) as at:
            with pytest.raises((PeerProofError, WrongSecretError)):
                await call(at, timeout=1)


async def test_nobody_there_is_a_timeout_and_no_accusation() -> None:
    """Where no connection opened nobody failed to prove anything."""
    with no_socket_left(), pytest.raises(PeerTimeoutError):
        await call(Endpoint("127.0.0.1", free_port()), timeout=0.1)


async def test_cancelled_whenever_it_may_be() -> None:
    """No socket is left, from the first moment to the last."""
    connected, delay = False, 0.0
    with no_socket_left():
        async with serve_tcp(secured(INVITE)) as at:
            while not connected:
                with anyio.move_on_after(delay):
                    stream = await call(at)
                    connected = True
                    await stream.aclose()
                delay += 0.0005
    assert delay > 0.001
