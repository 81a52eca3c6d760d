"""Somebody is first at the endpoint that we punch, and the call meets the friend all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from simopen import AuthenticationError, PunchOptions, secure_stream
from simopen.security._handshake import HEAD
from simopen.security._offer import SEALED_LENGTH
from tests.attacks.victim import (
    STRANGERS,
    Friend,
    Stranger,
    Victim,
    assert_carries,
    keep_silent,
    open_tls,
    open_tls_slowly,
    strangers_at,
)
from tests.helpers import free_port, own_address
from tests.rendezvous.coordinators import INVITE, STRANGER, Guest, coordinator, serve_tcp, url

pytestmark = pytest.mark.anyio

Play = Callable[[Stranger, ByteStream], Awaitable[None]]


async def after(strangers: list[Stranger], turn: anyio.Event) -> None:
    """Let the friend answer when every stranger has had its time, or only waits for us."""
    with anyio.move_on_after(0.3):
        for each in strangers:
            await each.met.wait()
    turn.set()


@pytest.mark.parametrize("leads", [True, False], ids=["as-server", "as-client"])
@pytest.mark.parametrize("play", STRANGERS)
async def test_a_stranger_costs_a_candidate(play: Play, *, leads: bool) -> None:
    """Whatever it does, in either part of TLS: in the same round the friend is met elsewhere."""
    victim, friend, host = Victim(), Friend(leads=leads), own_address()
    async with (
        strangers_at(1, play, host) as (strangers, (first,)),
        serve_tcp(friend.play, host=host) as second,
    ):

        async def say(guest: Guest) -> None:
            await guest.welcome()
            await friend.introduce(guest, first, offered=(second,))
            await guest.stay()

        async with coordinator(say) as at, anyio.create_task_group() as group:
            group.start_soon(after, strangers, friend.turn)
            stream = await victim.call(rendezvous=url(at))
            assert stream.report.meeting is not None
            assert (stream.report.remote, stream.report.meeting.rounds) == (second, 1)
            await assert_carries(stream)
        (stranger,) = strangers
        stranger.assert_told_nothing()
        if leads and play not in (open_tls, open_tls_slowly):
            assert not stranger.heard  # a server waits to be spoken to


async def test_strangers_everywhere_but_at_one_endpoint() -> None:
    """The coordinator names one, the offer seven more; the friend is at the last place."""
    victim, friend, host = Victim(), Friend(), own_address()
    async with (
        strangers_at(8, keep_silent, host) as (strangers, (first, *others)),
        serve_tcp(friend.play, host=host) as last,
    ):

        async def say(guest: Guest) -> None:
            await guest.welcome()
            await friend.introduce(guest, first, offered=(*others, last))
            await guest.stay()

        async with coordinator(say) as at, anyio.create_task_group() as group:
            group.start_soon(after, strangers, friend.turn)
            stream = await victim.call(rendezvous=url(at))
            assert stream.report.remote == last
            await assert_carries(stream)
    for each in strangers:
        each.assert_told_nothing()


@pytest.mark.parametrize("leads", [True, False], ids=["as-server", "as-client"])
async def test_a_stranger_costs_a_round(*, leads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is but one endpoint, the friend is met at that very one in the next round."""
    for module in ("_round", "_proving"):  # a silent stranger has less time than in life
        monkeypatch.setattr(f"simopen.{module}.PROOF_TIMEOUT", 0.6)

    async def one(play: Play) -> None:
        friend, stranger = Friend(leads=leads), Stranger(play)
        friend.turn.set()

        async def serve(stream: SocketStream) -> None:
            await (stranger if friend.round == 1 else friend.play)(stream)

        async with serve_tcp(serve) as endpoint:

            async def say(guest: Guest) -> None:
                await guest.welcome()
                await friend.introduce(guest, endpoint, round_=guest.join.round)
                await guest.stay()

            async with coordinator(say) as at:
                options = PunchOptions(round_time=0.05)
                stream = await Victim().call(rendezvous=url(at), options=options)
                assert stream.report.meeting is not None
                assert stream.report.meeting.rounds >= 2, play
                await assert_carries(stream)
        stranger.assert_told_nothing()

    async with anyio.create_task_group() as group:
        for play in STRANGERS:
            group.start_soon(one, play)


# -- direct mode: there the sealed offer crosses the connection first -----------------------------


async def reflect(stranger: Stranger, stream: ByteStream) -> None:
    """Say what was said."""
    while True:
        await stream.send(await stream.receive())
        stranger.met.set()


async def begin_an_offer(stranger: Stranger, stream: ByteStream) -> None:
    """Promise an offer, and send it so slowly that it never ends."""
    stranger.met.set()
    await stream.send(HEAD)
    while True:
        await stream.send(b"\0")
        await anyio.sleep(0.02)


async def send_an_offer_of_noise(stranger: Stranger, stream: ByteStream) -> None:
    """What has the form of an offer, and opens with no secret."""
    await stream.send(HEAD + bytes(SEALED_LENGTH))
    await stranger.listen(stream)


async def use_an_old_secret(_: Stranger, stream: ByteStream) -> None:
    """Be somebody who had the secret before it was renewed."""
    with suppress(AuthenticationError):  # the other way round we are no friend either
        await secure_stream(stream, secret=STRANGER)


PLAYS = [*STRANGERS, reflect, begin_an_offer, send_an_offer_of_noise, use_an_old_secret]


async def test_a_stranger_costs_a_lane() -> None:
    """All it gets is an offer that it cannot open; on the other lane the friend is met."""

    async def one(play: Play) -> None:
        turn = anyio.Event()

        async def befriend(stream: SocketStream) -> None:
            await turn.wait()
            friend = await secure_stream(stream, secret=INVITE)
            while True:
                await friend.send(await friend.receive())

        async with (
            strangers_at(1, play, "127.0.0.1") as (strangers, (first,)),
            serve_tcp(befriend) as second,
            anyio.create_task_group() as group,
        ):
            group.start_soon(after, strangers, turn)
            local = f"127.0.0.1:{free_port()}"
            stream = await Victim().call(remote=[first, second], local=local)
            assert stream.report.remote == second, play
            await assert_carries(stream)
        (stranger,) = strangers
        assert len(stranger.heard) <= stranger.connections * len(HEAD + bytes(SEALED_LENGTH))
        assert not stranger.read

    async with anyio.create_task_group() as group:
        for play in PLAYS:
            group.start_soon(one, play)
