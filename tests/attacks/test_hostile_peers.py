"""Peers that stop in the middle of the proof, that fake it, or whose secret is an old one."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from simopen import (
    Cause,
    Coordinator,
    Invite,
    PeerConnectError,
    PeerNotFoundError,
    PeerTimeoutError,
    PunchOptions,
)
from tests.attacks.victim import SLACK, Friend, Victim, assert_carries
from tests.helpers import no_socket_left
from tests.rendezvous.coordinators import INVITE, STRANGER, Guest, Peer, coordinator, serve_tcp, url

pytestmark = pytest.mark.anyio


# -- peers that stop ------------------------------------------------------------------------------

# What the peer sends, in order, by its part in TLS.
FLIGHTS = {
    "client": ["ClientHello", "certificate and Finished", "HELLO"],
    "server": ["ServerHello to Finished", "ACCEPT"],
}
PORTIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "nothing": lambda flight: flight[:0],
    "half": lambda flight: flight[: len(flight) // 2],
    "all but a byte": lambda flight: flight[:-1],
}


@dataclass(frozen=True)
class Step:
    """Where a peer stops: with a part of one of its flights."""

    role: str
    flight: int
    portion: str


STEPS = [
    Step(role, number, portion)
    for role, flights in FLIGHTS.items()
    for number, _ in enumerate(flights)
    for portion in PORTIONS
]


@dataclass
class Stopping(ByteStream):
    """A stream that sends so many flights and a part of the next; then nothing, or it ends."""

    stream: ByteStream
    step: Step
    end: str
    flights: int = 0
    stopped: bool = False

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The stream's."""
        return self.stream.extra_attributes

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive."""
        return await self.stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send, or stop here."""
        if self.flights < self.step.flight:
            self.flights += 1
            await self.stream.send(item)
            return
        await self.stream.send(PORTIONS[self.step.portion](item))
        self.stopped = True
        if self.end == "reset":
            await anyio.aclose_forcefully(self.stream)
        elif self.end == "end":
            await self.stream.send_eof()
        await anyio.sleep_forever()

    async def send_eof(self) -> None:
        """End what the other side receives."""
        await self.stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self.stream.aclose()


class Stopper:
    """A friend that stops in the first round, and goes on in the second.

    Attributes:
        flights: How many it had sent when it stopped, or when its proof was over.
        stopped: Whether it stopped.
    """

    def __init__(self, step: Step, end: str = "silence") -> None:
        self.flights = 0
        self.stopped = False
        self._friend = Friend(leads=step.role == "client")
        self._friend.turn.set()
        self._step, self._end = step, end

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """The URL of a coordinator that introduces it."""
        async with serve_tcp(self._play) as endpoint:

            async def say(guest: Guest) -> None:
                await guest.welcome()
                await self._friend.introduce(guest, endpoint, round_=guest.join.round)
                await guest.stay()

            async with coordinator(say) as at:
                yield url(at)

    async def _play(self, stream: SocketStream) -> None:
        if self._friend.round > 1:
            await self._friend.play(stream)
            return
        stopping = Stopping(stream, self._step, self._end)
        try:
            await self._friend.prove(stopping)
        finally:
            self.flights = stopping.flights
            self.stopped = self.stopped or stopping.stopped


@pytest.mark.parametrize("role", FLIGHTS)
async def test_the_steps_are_all_there_are(role: str) -> None:
    """A whole proof has as many flights as the table."""
    stopper = Stopper(Step(role, len(FLIGHTS[role]), "nothing"))
    async with stopper.serve() as at, await Victim().call(rendezvous=at):
        pass
    assert stopper.flights == len(FLIGHTS[role])


@pytest.mark.parametrize("bound", ["call", "proof"])
async def test_a_peer_that_stops_is_left_in_time(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stops, and in either part: an error that says so, when the time is over."""
    options = PunchOptions(rounds=1, round_time=0.05)
    if bound == "call":
        monkeypatch.setattr("simopen._meeting.LAST_WORDS", 0.5)  # on a busy machine
    else:
        for module in ("_round", "_proving"):
            monkeypatch.setattr(f"simopen.{module}.PROOF_TIMEOUT", 2.0)

    async def one(step: Step) -> None:
        stopper, victim = Stopper(step), Victim()
        timeout = 4 if bound == "call" else 60  # all of them prove at once, on a busy machine
        async with stopper.serve() as at:
            with pytest.raises(PeerConnectError) as caught:
                await victim.call(rendezvous=at, timeout=timeout, options=options)
        assert isinstance(caught.value, PeerTimeoutError) is (bound == "call"), step
        assert caught.value.diagnosis.cause is Cause.NOT_PROVEN, step
        assert stopper.stopped, step
        assert victim.elapsed < SLACK, step

    with no_socket_left():
        async with anyio.create_task_group() as group:
            for step in STEPS:
                group.start_soon(one, step)


@pytest.mark.parametrize("end", ["end", "reset"])
async def test_a_peer_that_ends_costs_a_round(end: str) -> None:
    """Wherever it hangs up, and in either part, it is met when it comes back."""
    options = PunchOptions(round_time=0.2)

    async def one(step: Step) -> None:
        stopper = Stopper(step, end)
        async with stopper.serve() as at:
            await assert_carries(await Victim().call(rendezvous=at, options=options))
        assert stopper.stopped, step

    with no_socket_left():
        async with anyio.create_task_group() as group:
            for step in STEPS:
                group.start_soon(one, step)


# -- a secret that somebody should not have any more ----------------------------------------------


async def test_who_has_the_old_secret_is_in_another_room() -> None:
    """A real coordinator brings the two together no more, though the room's name is the same."""
    errors: list[PeerNotFoundError] = []

    async def one(invite: Invite) -> None:
        with pytest.raises(PeerNotFoundError) as caught:
            await Victim().call(rendezvous=url(at), secret=invite, timeout=0.5)
        errors.append(caught.value)

    async with Coordinator("127.0.0.1:0") as server, anyio.create_task_group() as group:
        (at,) = server.endpoints
        group.start_soon(one, INVITE)
        group.start_soon(one, STRANGER)
    assert [error.report.meeting and error.report.meeting.rounds for error in errors] == [0, 0]


async def test_firing_at_our_port_is_no_use() -> None:
    """Whoever knows where we are and connects to there is refused, and the friend is met."""
    victim, friend, refused = Victim(), Friend(), 0
    friend.turn.set()

    async def say(guest: Guest) -> None:
        nonlocal refused
        await guest.welcome()
        for _ in range(20):
            with socket.socket() as stranger:
                refused += stranger.connect_ex(guest.observed) == errno.ECONNREFUSED
        await friend.introduce(guest, endpoint)
        await guest.stay()

    async with serve_tcp(friend.play) as endpoint, coordinator(say) as at:
        await assert_carries(await victim.call(rendezvous=url(at)))
    assert refused == 20


async def test_who_has_the_old_secret_and_is_introduced_costs_a_round() -> None:
    """A coordinator that helps him gets not a SYN; the friend comes with the new secret."""
    victim, friend, reached = Victim(), Friend(), 0
    friend.turn.set()
    rounds: list[int] = []

    async def old_friend(_: SocketStream) -> None:
        nonlocal reached
        reached += 1

    async with serve_tcp(friend.play) as endpoint, serve_tcp(old_friend) as elsewhere:

        async def say(guest: Guest) -> None:
            await guest.welcome()
            rounds.append(victim.syns)
            if guest.join.round == 1:
                await guest.introduce(Peer(STRANGER).offer(), elsewhere)
            else:
                await friend.introduce(guest, endpoint, round_=2)
            await guest.stay()

        async with coordinator(say) as at:
            await assert_carries(await victim.call(rendezvous=url(at)))
    assert (rounds, reached) == ([0, 0], 0)
