"""Calls through coordinators that are honest, broken and hostile, on every loop."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from simopen import (
    Cause,
    Coordinator,
    CoordinatorUnavailable,
    Endpoint,
    Event,
    LocalBindError,
    PeerConnectError,
    PeerNotFoundError,
    PeerProofError,
    PeerStream,
    PeerTimeoutError,
    PunchAttempt,
    PunchOptions,
    ReflectedOfferError,
    RemoteProtocolError,
    RendezvousIntroduced,
    RendezvousJoined,
    RendezvousLost,
    RoomFullError,
    WrongSecretError,
    connect_peer,
)
from simopen.rendezvous import _seat
from simopen.rendezvous.protocol import Bye, Introduce, Leave, Outcome, Ping, Result, Welcome
from simopen.security._certificate import peer_id
from tests.helpers import free_port, no_socket_left, on_cpu, own_address
from tests.rendezvous.clients import Client, join, until
from tests.rendezvous.coordinators import (
    INVITE,
    STRANGER,
    Guest,
    Peer,
    coordinator,
    serve_tcp,
    url,
)

pytestmark = pytest.mark.anyio

PROGRAM = """
import anyio, json, simopen, sys

async def main():
    invite = simopen.Invite.parse(sys.stdin.read())
    async with await simopen.connect_peer(
        rendezvous=sys.argv[1], secret=invite, timeout=20
    ) as stream:
        local, remote = str(stream.report.local), str(stream.report.remote)
        await stream.send(local.encode())
        heard = (await stream.receive()).decode()
        await stream.send_eof()
        try:
            await stream.receive()
        except anyio.EndOfStream:
            told = dict(local=local, remote=remote, heard=heard, encrypted=stream.report.encrypted)
            print(json.dumps(told))

anyio.run(main)
"""

QUICK = PunchOptions(rounds=2, round_time=0.05)


async def call(endpoint: Endpoint, **changes: Any) -> PeerStream:
    """A call through a coordinator."""
    arguments: dict[str, Any] = {"secret": INVITE, "options": QUICK, "timeout": 20} | changes
    return await connect_peer(rendezvous=url(endpoint), **arguments)


class Meeting:
    """A scripted coordinator's side of a call: what it was told, and what it says.

    Attributes:
        guests: Everyone who joined, one for each round.
        results: What they reported.
        left: How many gave up their seat.
    """

    def __init__(self, say: Callable[[Guest, int], Any]) -> None:
        self.guests: list[Guest] = []
        self.results: list[Outcome] = []
        self.left = 0
        self._say = say

    async def __call__(self, guest: Guest) -> None:
        """One client, from its join to its end."""
        await guest.welcome()
        self.guests.append(guest)
        await self._say(guest, len(self.guests))
        said = await guest.stay()
        self.results += [each.outcome for each in said if isinstance(each, Result)]
        self.left += sum(isinstance(each, Leave) for each in said)


class Honest:
    """A peer that proves itself and sends back what it gets."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.ours = self.peer.offer()
        self.theirs = b""
        self.round = 1

    async def introduce(self, guest: Guest, endpoint: Endpoint, round_: int) -> None:
        """Introduce us."""
        self.ours, self.theirs, self.round = self.peer.offer(), guest.join.offer, round_
        await guest.introduce(self.ours, endpoint, round_=round_)

    async def play(self, stream: SocketStream) -> None:
        """On the connection that opened."""
        proven = await self.peer.prove(
            stream, ours=self.ours, theirs=self.theirs, round_=self.round
        )
        await proven.send(await proven.receive())
        await stream.receive()


# -- meeting ---------------------------------------------------------------------------------------


async def test_a_call_from_the_join_to_the_stream() -> None:
    """The stream is proven and carries bytes; the report and the coordinator have the story."""
    honest, events = Honest(), list[Event]()
    with no_socket_left():
        async with serve_tcp(honest.play) as endpoint:
            meeting = Meeting(lambda guest, number: honest.introduce(guest, endpoint, number))
            async with coordinator(meeting) as at:
                async with await call(at, on_event=events.append) as stream:
                    await stream.send(b"hello")
                    assert await stream.receive() == b"hello"
                    report = stream.report
                (guest,) = meeting.guests
        assert (report.remote, report.local) == (endpoint, guest.observed)
        assert (report.path, report.encrypted) == ("local network", True)
        assert report.meeting is not None
        assert report.meeting.rendezvous == url(at)
        assert report.meeting.observed == (guest.observed,)
        assert report.meeting.peer_observed == (endpoint,)
        assert (report.meeting.rounds, meeting.results) == (1, [Outcome.OK])
        names = [event.name for event in events if event.name != "punch.attempt"]
        assert names == [
            "rendezvous.joined",
            "rendezvous.introduced",
            "punch.started",
            "proof.started",
            "punch.connected",
        ]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_two_programs_meet(host: str) -> None:
    """The very same line on both sides, a real coordinator between them, and bytes both ways."""
    said: list[dict[str, Any]] = []

    async def run(cpu: int, at: Endpoint) -> None:
        line = [*on_cpu(cpu), sys.executable, "-c", PROGRAM, url(at)]
        done = await anyio.run_process(line, input=INVITE.reveal().encode(), stderr=None)
        said.append(json.loads(done.stdout))

    async with Coordinator(f"{host}:0") as server:
        (at,) = server.endpoints
        async with anyio.create_task_group() as group:
            group.start_soon(run, 0, at)
            group.start_soon(run, 1, at)
    one, other = said
    assert (one["local"], one["remote"]) == (other["remote"], other["local"])
    assert (one["heard"], other["heard"]) == (other["local"], one["local"])
    assert one["encrypted"]
    assert other["encrypted"]


async def test_a_round_that_fails_is_followed_by_another() -> None:
    """From a fresh port, with a fresh offer, in the same seat; and the second one connects."""
    honest = Honest()
    async with serve_tcp(honest.play) as endpoint:

        async def say(guest: Guest, number: int) -> None:
            nobody = Endpoint("127.0.0.1", free_port())
            await honest.introduce(guest, nobody if number == 1 else endpoint, number)

        meeting = Meeting(say)
        async with coordinator(meeting) as at:
            async with await call(at) as stream:
                assert stream.report.meeting
                assert stream.report.meeting.rounds == 2
            await anyio.wait_all_tasks_blocked()
    first, second = meeting.guests
    assert meeting.results == [Outcome.FAILED, Outcome.OK]
    assert (first.join.round, second.join.round) == (1, 2)
    assert first.join.seat == second.join.seat
    assert first.join.offer != second.join.offer
    assert first.observed.port != second.observed.port


async def test_a_stranger_costs_a_round_not_the_call() -> None:
    """Who is introduced with another secret is nobody; the peer may come afterwards."""
    honest = Honest()
    async with serve_tcp(honest.play) as endpoint:

        async def say(guest: Guest, number: int) -> None:
            if number == 1:
                await guest.introduce(Peer(STRANGER).offer(), endpoint)
            else:
                await honest.introduce(guest, endpoint, number)

        meeting = Meeting(say)
        async with coordinator(meeting) as at, await call(at) as stream:
            assert stream.report.encrypted
    assert meeting.results[0] is Outcome.AUTH_FAILED


@pytest.mark.parametrize("ports", ["one", "range", "any"])
async def test_the_callers_ports(ports: str) -> None:
    """One port stays for all rounds, a range has one for each, port 0 is another each time."""
    first = next(port for port in iter(free_port, 0) if port % 2 == 0)
    text = {"one": f"{first}", "range": f"{first}-{first + 1}", "any": "0"}[ports]

    async def say(guest: Guest, number: int) -> None:
        await guest.introduce(Peer().offer(), f"127.0.0.1:{free_port()}", round_=number)

    meeting, events = Meeting(say), list[Event]()
    async with coordinator(meeting) as at:
        with pytest.raises(PeerConnectError) as caught:
            await call(at, local=f"127.0.0.1:{text}", on_event=events.append)
    assert not any(isinstance(event, RendezvousLost) for event in events)
    seen = [guest.observed.port for guest in meeting.guests]
    expected = {"one": [first, first], "range": [first, first + 1]}
    assert seen == expected.get(ports, seen)
    assert len(set(seen)) == (1 if ports == "one" else 2)
    assert caught.value.report.meeting
    assert caught.value.report.meeting.rounds == 2


def ports_in_time_wait() -> set[int]:
    """Our ports that a closed connection still occupies."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "06"}


async def test_a_named_port_can_be_used_again_at_once() -> None:
    """A call that has ended leaves no connection in TIME_WAIT that keeps the next one out."""
    port = free_port()

    async def say(guest: Guest, _number: int) -> None:
        await guest.introduce(Peer().offer(), f"127.0.0.1:{free_port()}")

    async with coordinator(Meeting(say)) as at:
        for _ in range(2):
            with pytest.raises(PeerConnectError):
                await call(at, local=f"127.0.0.1:{port}")
        await anyio.wait_all_tasks_blocked()
        assert port not in ports_in_time_wait()


async def test_a_port_that_is_taken_is_told_at_once() -> None:
    """As in a direct call."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalBindError):
            await call(Endpoint("127.0.0.1", free_port()), local=f"127.0.0.1:{port}")


# -- liars -----------------------------------------------------------------------------------------


async def hostile(
    offer: Callable[[Guest], bytes], *observed: Endpoint | str, delay: float = 0.0, **changes: Any
) -> tuple[PeerConnectError, Meeting]:
    """How a call ends where the coordinator introduces somebody each time."""

    async def say(guest: Guest, number: int) -> None:
        await guest.introduce(offer(guest), *observed, delay=delay, round_=number)

    meeting = Meeting(say)
    with no_socket_left():
        async with coordinator(meeting) as at:
            with pytest.raises(PeerConnectError) as caught:
                await call(at, **changes)
            await anyio.wait_all_tasks_blocked()
    return caught.value, meeting


async def unexpected(_: SocketStream) -> None:
    """What must not be reached."""
    raise AssertionError


async def test_an_offer_of_another_secret_is_never_fired_at() -> None:
    """After all rounds it is a WrongSecretError, and not a SYN has left."""
    events: list[Event] = []
    async with serve_tcp(unexpected) as endpoint:
        error, meeting = await hostile(
            lambda _: Peer(STRANGER).offer(), endpoint, on_event=events.append
        )
    assert isinstance(error, WrongSecretError)
    assert error.diagnosis.cause is Cause.NOT_PROVEN
    assert meeting.results == [Outcome.AUTH_FAILED] * 2
    assert not any(event.name.startswith("punch") for event in events)


@pytest.mark.parametrize("garbage", [bytes(2096), b"\xff" * 2096])
async def test_an_offer_that_is_none_is_never_fired_at(garbage: bytes) -> None:
    """It opens as little as another secret's."""
    async with serve_tcp(unexpected) as endpoint:
        error, _ = await hostile(lambda _: garbage, endpoint)
    assert isinstance(error, WrongSecretError)


async def test_our_own_offer_is_recognised() -> None:
    """And never fired at."""
    async with serve_tcp(unexpected) as endpoint:
        error, meeting = await hostile(lambda guest: guest.join.offer, endpoint)
    assert isinstance(error, ReflectedOfferError)
    assert meeting.results == [Outcome.AUTH_FAILED] * 2


async def test_our_offer_of_the_round_before_is_recognised() -> None:
    """It opens, but the certificate in it is our own."""
    offers: list[bytes] = []

    def an_old_one(guest: Guest) -> bytes:
        offers.append(guest.join.offer)
        return offers[0]

    async with serve_tcp(unexpected) as endpoint:
        error, _ = await hostile(an_old_one, endpoint)
    assert isinstance(error, ReflectedOfferError)


async def swallow(stream: SocketStream) -> None:
    """Read and say nothing."""
    while True:
        await stream.receive()


async def babble(stream: SocketStream) -> None:
    """Send what is no TLS."""
    await stream.send(b"SSH-2.0-OpenSSH_9.9\r\n" * 100)
    await swallow(stream)


async def hang_up(stream: SocketStream) -> None:
    """Close at once."""
    await stream.send_eof()


async def pretend(stream: SocketStream) -> None:
    """Do all that the peer would, in its part of TLS, with another key than that in the offer."""
    us = peer_id(Peer().opened(THEIRS[-1]).certificate)
    old = OLD[-1].identity.peer_id < us
    impostor = next(each for each in iter(Peer, None) if (each.identity.peer_id < us) is old)
    await impostor.prove(stream, ours=impostor.offer(), theirs=THEIRS[-1])


THEIRS: list[bytes] = []
OLD: list[Peer] = []


@pytest.mark.parametrize("play", [swallow, babble, hang_up, pretend])
async def test_an_old_offer_proves_nothing(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens once, and whoever is met does not have its key; a second time it is refused."""
    silent = play in (swallow, hang_up)
    if silent:  # the others have time enough, also on a busy machine
        monkeypatch.setattr("simopen._round.PROOF_TIMEOUT", 0.1)
        monkeypatch.setattr("simopen._proving.PROOF_TIMEOUT", 0.1)
    OLD.append(Peer())
    old = OLD[-1].offer()

    def replay(guest: Guest) -> bytes:
        THEIRS.append(guest.join.offer)
        return old

    async def play_quietly(stream: SocketStream) -> None:
        try:
            await play(stream)
        except Exception as error:
            if type(error).__name__ != "ProofError":
                raise

    async with serve_tcp(play_quietly) as endpoint:
        error, meeting = await hostile(replay, endpoint)
    assert isinstance(error, PeerProofError)
    # of who only says nothing, or hangs up, the coordinator does not learn that it was there
    assert meeting.results == [
        Outcome.FAILED if silent else Outcome.AUTH_FAILED,
        Outcome.AUTH_FAILED,
    ]


class Enough(Exception):  # noqa: N818 - no error
    """A test has seen what it wanted."""


@pytest.mark.parametrize(("delay", "least", "most"), [(1e9, 1.5, 2.0), (-1e9, 0.0, 0.0)])
async def test_a_coordinator_cannot_keep_us_waiting(
    delay: float, least: float, most: float
) -> None:
    """Its delay is two seconds at most, and not before now."""
    told: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, RendezvousIntroduced):
            told.append(event.delay)
            raise Enough

    async def say(guest: Guest, _number: int) -> None:
        await guest.introduce(Peer().offer(), "127.0.0.1:40000", delay=delay)

    with no_socket_left():
        async with coordinator(Meeting(say)) as at:
            with pytest.raises(Enough):
                await call(at, on_event=note)
    assert least <= told[0] <= most


@pytest.mark.parametrize(
    "observed", ["127.0.0.1:80", "224.0.0.1:50000", "0.0.0.0:50000", "[ff02::1]:50000"]
)
async def test_a_coordinator_cannot_aim_us(observed: str) -> None:
    """Where nothing of what it says may be punched no SYN leaves, and the diagnosis says so."""
    events: list[Event] = []
    error, meeting = await hostile(lambda _: Peer().offer(), observed, on_event=events.append)
    assert error.diagnosis.cause is Cause.NO_CANDIDATE
    assert meeting.results == [Outcome.FAILED] * 2
    assert not any(isinstance(event, PunchAttempt) for event in events)


async def test_a_peer_cannot_aim_us_either() -> None:
    """An offer's addresses are judged as the coordinator's are."""
    ends = ("127.0.0.1", 80), ("255.255.255.255", 5000), ("fe80::1%nowhere", 5000), ("host", 5000)
    error, _ = await hostile(lambda _: Peer().offer(*ends), "127.0.0.1:80")
    assert error.diagnosis.cause is Cause.NO_CANDIDATE


async def test_our_own_endpoint_is_never_punched() -> None:
    """It would connect to itself."""
    port = free_port()
    error, _ = await hostile(
        lambda _: Peer().offer(("127.0.0.1", port)),
        f"127.0.0.1:{port}",
        local=f"127.0.0.1:{port}",
    )
    assert error.diagnosis.cause is Cause.NO_CANDIDATE


@pytest.mark.parametrize("rounds", [1, 3])
async def test_no_more_introductions_are_taken_than_rounds(rounds: int) -> None:
    """However often a coordinator would introduce somebody."""
    options = PunchOptions(rounds=rounds, round_time=0.01)
    error, meeting = await hostile(
        lambda _: Peer().offer(), f"127.0.0.1:{free_port()}", options=options
    )
    assert len(meeting.guests) == rounds
    assert error.report.meeting
    assert error.report.meeting.rounds == rounds
    assert error.diagnosis.tried.startswith(f"in {rounds} round")


async def test_two_introductions_at_once_are_none() -> None:
    """Who does not keep to the protocol is no coordinator, and nothing is fired at for it."""
    events: list[Event] = []

    async def say(guest: Guest, _number: int) -> None:
        offer = Peer().offer()
        both = [Introduce(round=n, delay=0.0, observed=(seen,), offer=offer) for n in (1, 2)]
        await guest.send(*both)

    async with serve_tcp(unexpected) as endpoint:
        seen = str(endpoint)
        async with coordinator(Meeting(say)) as at:
            with pytest.raises(RemoteProtocolError):
                await call(at, on_event=events.append)
    assert not any(isinstance(event, PunchAttempt) for event in events)


async def arrivals(sniffer: socket.socket, targets: set[int]) -> int:
    """How many first SYNs for these ports a raw socket has seen."""
    count = 0
    while True:
        try:
            packet = sniffer.recv(128)
        except BlockingIOError:
            return count
        segment = packet[(packet[0] & 15) * 4 :]
        count += int.from_bytes(segment[2:4], "big") in targets and segment[13] & 0x12 == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket needs root")
@pytest.mark.parametrize("offered", [0, 8])
async def test_a_round_never_sends_more_than_its_syns(offered: int) -> None:
    """Counted on the wire: all endpoints of a round share its allowance."""
    host = own_address()
    ports = [free_port() for _ in range(offered + 1)]
    options = PunchOptions(rounds=2, round_time=0.25, round_syns=90, syn_rate=1e6)
    peer = Peer()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as sniffer:
        sniffer.setblocking(False)
        sniffer.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
        error, _ = await hostile(
            lambda _: peer.offer(*((host, port) for port in ports[1:])),
            f"{host}:{ports[0]}",
            options=options,
        )
        count = await arrivals(sniffer, set(ports))
    assert error.report.attempts <= 90
    assert max(1, len(error.report.lanes)) == len(ports)
    assert 2 * 40 <= count <= 2 * 90


# -- broken coordinators ---------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that was never reached is given up soon."""
    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.3)
    monkeypatch.setattr(_seat, "AGAIN_FIRST", 0.05)
    monkeypatch.setattr(_seat, "AGAIN_SPREAD", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_a_coordinator_that_is_not_there() -> None:
    """After a few tries, each told, it is unavailable."""
    events: list[Event] = []
    with no_socket_left(), pytest.raises(CoordinatorUnavailable, match="refused") as caught:
        await call(Endpoint("127.0.0.1", free_port()), on_event=events.append)
    waits = [event.again_in for event in events if isinstance(event, RendezvousLost)]
    assert waits == pytest.approx([0.05, 0.1])
    assert caught.value.diagnosis.cause is Cause.COORDINATOR


@pytest.mark.usefixtures("impatient")
async def test_a_coordinator_that_hangs_up() -> None:
    """Likewise."""

    async def nothing(_: Guest) -> None:
        pass

    with no_socket_left():
        async with coordinator(nothing) as at:
            with pytest.raises(CoordinatorUnavailable):
                await call(at)


async def test_a_coordinator_that_is_silent() -> None:
    """The caller's time ends the wait."""
    with no_socket_left():
        async with coordinator(Guest.stay) as at:
            with pytest.raises(CoordinatorUnavailable, match="no answer in the time allowed"):
                await call(at, timeout=0.1)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\2{}", b"\xff" * 99]
)
async def test_what_is_no_coordinator(garbage: bytes) -> None:
    """A protocol error at once: asking again would not help."""

    async def babble_to(guest: Guest) -> None:
        await guest.stream.send(garbage)
        await guest.stay()

    with no_socket_left():
        async with coordinator(babble_to) as at:
            with pytest.raises(RemoteProtocolError, match="is no coordinator"):
                await call(at)


async def test_a_coordinator_that_is_lost_is_joined_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it had us in there is no end to patience but the caller's; here it comes back."""
    monkeypatch.setattr(_seat, "AGAIN_FIRST", 0.01)
    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.0)
    honest, events = Honest(), list[Event]()
    async with serve_tcp(honest.play) as endpoint:

        async def say(guest: Guest, number: int) -> None:
            if number == 1:
                await guest.send(Bye())
            elif number == 2:
                await anyio.aclose_forcefully(guest.stream)
            else:
                await honest.introduce(guest, endpoint, 1)

        async with (
            coordinator(Meeting(say)) as at,
            await call(at, on_event=events.append) as stream,
        ):
            assert stream.report.meeting
            assert stream.report.meeting.rounds == 1
    lost = [event.reason for event in events if isinstance(event, RendezvousLost)]
    assert lost == ["it is shutting down", "it has hung up"]
    assert sum(isinstance(event, RendezvousJoined) for event in events) == 3


async def test_losing_the_coordinator_after_the_introduction_changes_nothing() -> None:
    """It has done its work."""
    honest = Honest()
    async with serve_tcp(honest.play) as endpoint:

        async def say(guest: Guest, number: int) -> None:
            await honest.introduce(guest, endpoint, number)
            await anyio.aclose_forcefully(guest.stream)

        async with coordinator(Meeting(say)) as at, await call(at) as stream:
            assert stream.report.encrypted


async def test_nobody_comes() -> None:
    """In time a PeerNotFoundError, which is a TimeoutError, and says where we were seen."""
    with no_socket_left():
        async with Coordinator("127.0.0.1:0") as server:
            with pytest.raises(PeerNotFoundError, match="it sees us at 127") as caught:
                await call(server.endpoints[0], timeout=0.15)
    assert isinstance(caught.value, TimeoutError)


async def test_a_third_finds_the_room_full() -> None:
    """At once, not when its time is over."""
    tag = Peer().tag
    with no_socket_left():
        async with Coordinator("127.0.0.1:0") as server:
            (at,) = server.endpoints
            clients = [await Client.connect(at) for _ in range(5)]
            for client in clients:
                await client.send(join(tag))
            await clients[0].receive(Welcome)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RoomFullError) as caught:
                await call(at)
            for client in clients:
                await anyio.aclose_forcefully(client.stream)
    assert caught.value.diagnosis.cause is Cause.ROOM_FULL


async def test_the_time_allowed_covers_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in what the last punch saw."""
    monkeypatch.setattr("simopen._meeting.LAST_WORDS", 0.4)  # on a machine that others use, too
    events: list[Event] = []
    options = PunchOptions(round_time=60)
    error, _ = await hostile(
        lambda _: Peer().offer(),
        f"127.0.0.1:{free_port()}",
        options=options,
        timeout=0.7,
        on_event=events.append,
    )
    assert isinstance(error, PeerTimeoutError)
    assert error.diagnosis.cause is Cause.NOT_CONNECTING
    assert 0.3 <= error.report.elapsed < 30
    assert events[-1].name == "rendezvous.failed"


# -- leaving nothing behind ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "rendezvous.joined",
        "rendezvous.introduced",
        "punch.started",
        "punch.attempt",
        "proof.started",
        "punch.connected",
        "rendezvous.round_failed",
    ],
)
async def test_an_exception_of_the_callback_ends_the_call(name: str) -> None:
    """It comes out as itself and leaves nothing behind, whenever it comes."""
    honest = Honest()

    def fail(event: Event) -> None:
        if event.name == name:
            raise Enough

    with no_socket_left():
        async with serve_tcp(honest.play) as endpoint:

            async def say(guest: Guest, number: int) -> None:
                nobody = Endpoint("127.0.0.1", free_port())
                await honest.introduce(guest, nobody if number == 1 else endpoint, number)

            async with coordinator(Meeting(say)) as at:
                with pytest.raises(Enough):
                    await call(at, on_event=fail)


@pytest.mark.parametrize("ended_by", ["failure", "time", "cancellation"])
async def test_the_seat_is_given_up(ended_by: str) -> None:
    """In words, so that the room is free at once, however the call ends."""

    async def say(guest: Guest, _number: int) -> None:
        if ended_by == "failure":
            await guest.introduce(Peer().offer(), "127.0.0.1:80")

    meeting = Meeting(say)
    options = PunchOptions(rounds=1)
    async with coordinator(meeting) as at:
        # Time enough to be welcomed on a busy machine: before that there is no seat to give up.
        with anyio.move_on_after(1 if ended_by == "cancellation" else 20):
            with pytest.raises(PeerConnectError):
                await call(at, options=options, timeout=1 if ended_by == "time" else 30)
            assert ended_by != "cancellation"
        await until(lambda: meeting.left == 1)


@pytest.mark.parametrize("ended_by", ["time", "cancellation"])
async def test_a_connection_that_comes_too_late_is_dropped(
    ended_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the call ends between the proof and the hand-over nobody has the stream."""
    honest, reported = Honest(), anyio.Event()

    async def hang(*_: object) -> None:
        reported.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(_seat.Seat, "report", hang)
    with no_socket_left():
        async with serve_tcp(honest.play) as endpoint:
            meeting = Meeting(lambda guest, number: honest.introduce(guest, endpoint, number))
            async with coordinator(meeting) as at:
                with anyio.move_on_after(0.3 if ended_by == "cancellation" else 10) as scope:
                    with pytest.raises(PeerTimeoutError):
                        await call(at, timeout=0.3 if ended_by == "time" else 20)
                assert scope.cancelled_caught is (ended_by == "cancellation")
    assert reported.is_set()


async def test_cancelled_whenever_it_may_be() -> None:
    """No socket is left and the port is free again, from the first moment to the last."""
    honest, connected, delay = Honest(), False, 0.0
    port = free_port()
    options = PunchOptions(rounds=2, round_time=0.01)
    with no_socket_left():
        async with serve_tcp(honest.play) as endpoint:

            async def say(guest: Guest, number: int) -> None:
                await guest.send(Ping(number=1))
                nobody = Endpoint("127.0.0.1", free_port())
                seen = endpoint if guest.join.round == 2 else nobody
                await honest.introduce(guest, seen, number)

            async with coordinator(Meeting(say)) as at:
                while not connected:
                    with anyio.move_on_after(delay):
                        stream = await call(at, local=f"127.0.0.1:{port}", options=options)
                        connected = True
                        await stream.aclose()
                    delay += 0.0007
                    with socket.socket() as probe:
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        probe.bind(("127.0.0.1", port))
                        probe.listen()  # refused where anybody else has the port
    assert delay > 0.01  # it was cancelled now and then
