"""Coordinators that swap, replay, cut, lie, listen in and never stop, against the real call."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from simopen import (
    Cause,
    CoordinatorUnavailable,
    Endpoint,
    Invite,
    PeerConnectError,
    PeerNotFoundError,
    PunchOptions,
    RemoteProtocolError,
    RendezvousJoined,
    RendezvousLost,
    RoundFailed,
    WrongSecretError,
)
from simopen._endpoints import MAX_PORT
from simopen.rendezvous.protocol import (
    Introduce,
    Message,
    Outcome,
    Ping,
    Result,
    Welcome,
    encode_frame,
)
from simopen.rendezvous.protocol._messages import OFFER_LENGTH
from simopen.security._keys import SALT_LENGTH
from tests.attacks.victim import (
    MESSAGE,
    Friend,
    Stranger,
    Tap,
    Victim,
    assert_carries,
    keep_silent,
    spellings,
)
from tests.helpers import free_port, silent_endpoint
from tests.rendezvous.clients import until
from tests.rendezvous.coordinators import (
    BROKEN,
    INVITE,
    STRANGER,
    Guest,
    Peer,
    coordinator,
    serve_tcp,
    url,
)

pytestmark = pytest.mark.anyio

QUICK = PunchOptions(rounds=2, round_time=0.05)
FOUR_ROUNDS = PunchOptions(rounds=4, round_time=0.2)


# -- offers ----------------------------------------------------------------------------------------


async def test_two_rooms_crossed() -> None:
    """Who is handed the offer of another room fires at nobody, on both sides."""
    arrived: list[Guest] = []
    both = anyio.Event()

    async def cross(guest: Guest) -> None:
        await guest.welcome()
        if guest.join.round == 1:
            arrived.append(guest)
            if len(arrived) == 2:
                both.set()
            await both.wait()
            other = arrived[arrived[0] is guest]
            await guest.introduce(other.join.offer, other.observed)
        await guest.stay()

    async def one(invite: Invite) -> None:
        victim, options = Victim(), PunchOptions(rounds=1)
        with pytest.raises(WrongSecretError):
            await victim.call(rendezvous=url(at), secret=invite, options=options)
        assert victim.syns == 0

    async with coordinator(cross) as at, anyio.create_task_group() as group:
        group.start_soon(one, INVITE)
        group.start_soon(one, STRANGER)


@pytest.mark.parametrize("lie", ["our offer of before", "another number"])
@pytest.mark.parametrize("leads", [True, False], ids=["as-server", "as-client"])
async def test_the_two_sides_are_told_different_things(lie: str, *, leads: bool) -> None:
    """The keys are right, and the proof fails all the same; told the truth, they meet."""
    friend, before = Friend(leads=leads), b""
    friend.turn.set()
    outcomes: list[Outcome] = []

    async def say(guest: Guest) -> None:
        nonlocal before
        await guest.welcome()
        number = guest.join.round
        nowhere = Endpoint("127.0.0.1", 80)
        await friend.introduce(guest, nowhere if number == 1 else endpoint, round_=number)
        if number == 2 and lie == "our offer of before":
            friend.theirs = before
        elif number == 2:
            friend.round = 1
        before = guest.join.offer
        said = await guest.stay()
        outcomes.extend(each.outcome for each in said if isinstance(each, Result))

    async with serve_tcp(friend.play) as endpoint, coordinator(say) as at:
        await assert_carries(await Victim().call(rendezvous=url(at), options=FOUR_ROUNDS))
        await anyio.wait_all_tasks_blocked()
    # the friend as the server notices first, and hangs up: that might have been anybody
    lied_to = Outcome.AUTH_FAILED if leads else Outcome.FAILED
    assert outcomes == [Outcome.FAILED, lied_to, Outcome.OK]


async def play_introduction(offer: bytes) -> tuple[Victim, PeerConnectError, int]:
    """How a call ends to which somebody is introduced with this offer, and who was reached."""
    victim, stranger = Victim(), Stranger(keep_silent)

    async def say(guest: Guest) -> None:
        await guest.welcome()
        await guest.introduce(offer, endpoint)
        await guest.stay()

    async with serve_tcp(stranger) as endpoint, coordinator(say) as at:
        error = await victim.fails(PeerConnectError, rendezvous=url(at), options=QUICK)
    return victim, error, stranger.connections


@pytest.mark.parametrize("cut", [1, 16, 1024, OFFER_LENGTH - 32])
async def test_an_offer_whose_end_is_lost(cut: int) -> None:
    """It opens no more, and nobody is fired at."""
    victim, error, reached = await play_introduction(Peer().offer()[:-cut] + bytes(cut))
    assert isinstance(error, WrongSecretError)
    assert (victim.syns, reached) == (0, 0)


WELCOME = Welcome(observed="127.0.0.1:50000", idle=60)
INTRODUCE = Introduce(round=1, delay=0.0, observed=("127.0.0.1:50000",), offer=Peer().offer())


def frame(changes: dict[str, object], *, of: Message = INTRODUCE, without: str = "") -> bytes:
    """A message, changed."""
    fields = json.loads(encode_frame(of)[4:]) | changes
    fields.pop(without, None)
    text = json.dumps(fields).encode()
    return len(text).to_bytes(4, "big") + text


def encoded(size: int) -> str:
    """So many bytes as a message has them."""
    return base64.b64encode(bytes(size)).decode()


NESTED = b'{"type":"introduce","more":' + b"[" * 4000 + b"]" * 4000 + b"}"
MALFORMED = {
    "offer-cut": frame({"offer": encoded(OFFER_LENGTH - 1)}),
    "offer-of-nothing": frame({"offer": ""}),
    "offer-too-long": frame({"offer": encoded(OFFER_LENGTH + 1)}),
    "offer-no-base64": frame({"offer": "?" * 2800}),
    "no-offer": frame({}, without="offer"),
    "nobody-observed": frame({"observed": []}),
    "three-observed": frame({"observed": [f"127.0.0.{n}:5000" for n in range(1, 4)]}),
    "a-name-observed": frame({"observed": ["victim.example:5000"]}),
    "a-url-observed": frame({"observed": ["http://127.0.0.1:5000"]}),
    "round-0": frame({"round": 0}),
    "round-of-another-type": frame({"round": "1"}),
    "delay-of-another-type": frame({"delay": "soon"}),
    "delay-without-end": frame({"delay": 1}).replace(b'"delay": 1', b'"delay":9e999'),
    "nested": len(NESTED).to_bytes(4, "big") + NESTED,
    "no-utf-8": b'\0\0\0\4"\xff\xff"',
    "no-frame": b"\x7f\xff\xff\xff{",
    "of-another-kind": frame({"type": "fire-at-will"}),
}


@pytest.mark.parametrize("introduction", MALFORMED.values(), ids=MALFORMED)
async def test_an_introduction_that_is_none(introduction: bytes) -> None:
    """It ends the call as what it is, at once, and not a SYN leaves."""
    victim = Victim()

    async def say(guest: Guest) -> None:
        await guest.welcome()
        await guest.stream.send(introduction)
        await guest.stay()

    async with coordinator(say) as at:
        await victim.fails(RemoteProtocolError, rendezvous=url(at))
    assert victim.syns == 0


UNWELCOME: dict[str, dict[str, object]] = {
    "five-probe-ports": {"probe": [50001, 50002, 50003, 50004, 50005]},
    "no-port": {"probe": [0]},
    "a-name-observed": {"observed": "victim.example:50000"},
    "silence-for-a-day": {"idle": 86400},
    "no-time-at-all": {"idle": 0},
    "another-version": {"v": 2},
}


@pytest.mark.parametrize("changes", UNWELCOME.values(), ids=UNWELCOME)
async def test_a_welcome_that_is_none(changes: dict[str, object]) -> None:
    """Likewise, and nothing more is sent to the coordinator either."""
    victim = Victim()

    async def say(guest: Guest) -> None:
        await guest.receive()
        await guest.stream.send(frame(changes, of=WELCOME))
        await guest.stay()

    async with coordinator(say) as at:
        await victim.fails(RemoteProtocolError, rendezvous=url(at))
    assert not any(isinstance(event, RendezvousJoined) for event in victim.events)


async def test_an_introduction_cut_in_two() -> None:
    """A coordinator that breaks off in it is lost; when it is back, the friend is met."""
    victim, friend = Victim(), Friend()
    friend.turn.set()

    async def say(guest: Guest) -> None:
        await guest.welcome()
        if guest.join.round == 1:
            await guest.stream.send(frame({})[:-1])
            return
        await friend.introduce(guest, endpoint)
        await guest.stay()

    async with serve_tcp(friend.play) as endpoint, coordinator(say) as at:
        await assert_carries(await victim.call(rendezvous=url(at)))
    (lost,) = (event for event in victim.events if isinstance(event, RendezvousLost))
    assert lost.reason == "it has hung up"


# -- endpoints -------------------------------------------------------------------------------------

ABSURD = [
    "999.999.999.999:50000",
    "127.0.0.1:99999",
    "127.0.0.1:22",
    "0.0.0.0:50000",
    "255.255.255.255:50000",
    "240.0.0.1:50000",
    "169.254.169.254:50000",
    "224.0.0.251:5353",
    "[::]:50000",
    "[:::::]:50000",
    "[::ffff:127.0.0.1]:80",
    "[::ffff:224.0.0.1]:50000",
    "[64:ff9b::a00:1]:50000",
    "[64:ff9b:1::a00:1]:50000",
    "[2002:a00:1::1]:50000",
    "[2002:7f00:1::1]:50000",
    "[fe80::1]:50000",
    "[ff02::1]:50000",
]


async def test_absurd_endpoints_are_fired_at_by_nobody() -> None:
    """Neither on the coordinator's word nor on that of somebody who has the secret."""

    async def one(observed: str) -> None:
        victim = Victim()
        host, _, port = observed.rpartition(":")
        offered = [(host.strip("[]"), int(port))] if int(port) <= MAX_PORT else []

        async def say(guest: Guest) -> None:
            await guest.welcome()
            await guest.introduce(Peer().offer(*offered), observed)
            await guest.stay()

        async with coordinator(say) as at:
            with pytest.raises(PeerConnectError) as caught:
                await victim.call(rendezvous=url(at), options=QUICK)
        assert caught.value.diagnosis.cause is Cause.NO_CANDIDATE, observed
        assert victim.syns == 0, observed

    async with anyio.create_task_group() as group:
        for observed in ABSURD:
            group.start_soon(one, observed)


async def test_a_report_does_not_tell_what_refuses_from_what_is_silent() -> None:
    """Nor from what hangs up: a coordinator learns no more than that there was no peer."""
    outcomes: dict[str, list[Outcome]] = {}

    async def hang_up(stream: SocketStream) -> None:
        await stream.send_eof()

    async def one(name: str, target: Endpoint) -> None:
        async def say(guest: Guest) -> None:
            await guest.welcome()
            await guest.introduce(Peer().offer(), target)
            said = await guest.stay()
            outcomes[name] = [each.outcome for each in said if isinstance(each, Result)]

        options = PunchOptions(rounds=1, round_time=0.3)
        async with coordinator(say) as at:
            with pytest.raises(PeerConnectError):
                await Victim().call(rendezvous=url(at), options=options)
            await until(lambda: name in outcomes)

    with silent_endpoint() as silent:
        async with serve_tcp(hang_up) as ending, anyio.create_task_group() as group:
            group.start_soon(one, "refuses", Endpoint("127.0.0.1", free_port()))
            group.start_soon(one, "is silent", Endpoint(*silent))
            group.start_soon(one, "hangs up", ending)
    assert set(map(tuple, outcomes.values())) == {(Outcome.FAILED,)}
    assert len(outcomes) == 3


# -- in the middle ---------------------------------------------------------------------------------


class Relay:
    """A coordinator's own endpoint, where it passes everything on, or not quite.

    Args:
        tamper: Changes a piece, given which way it goes and its number.

    Attributes:
        onward: Where to.
        seen: All that passed.
    """

    def __init__(self, tamper: Callable[[str, int, bytes], bytes] = lambda *_: _[2]) -> None:
        self.onward = Endpoint("", 0)
        self.seen = bytearray()
        self._tamper = tamper

    async def __call__(self, stream: SocketStream) -> None:
        """On a connection that has opened."""
        onward = await anyio.connect_tcp(*self.onward)
        async with onward, anyio.create_task_group() as group:
            group.start_soon(self._pump, "out", stream, onward)
            await self._pump("back", onward, stream)
            group.cancel_scope.cancel()

    async def _pump(self, way: str, source: ByteStream, sink: ByteStream) -> None:
        with suppress(*BROKEN):
            for number in itertools.count():
                piece = await source.receive()
                self.seen += piece
                await sink.send(self._tamper(way, number, piece))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """The URL of a coordinator that introduces a friend behind it."""
        friend = Friend()
        friend.turn.set()

        async def say(guest: Guest) -> None:
            await guest.welcome()
            await friend.introduce(guest, middle, round_=guest.join.round)
            await guest.stay()

        async with (
            serve_tcp(friend.play) as self.onward,
            serve_tcp(self) as middle,
            coordinator(say) as at,
        ):
            yield url(at)


def flipped(piece: bytes) -> bytes:
    """With one bit in its middle changed."""
    middle = len(piece) // 2
    return piece[:middle] + bytes([piece[middle] ^ 1]) + piece[middle + 1 :]


async def test_in_the_middle_there_is_nothing_to_read() -> None:
    """A coordinator that names itself as the peer's endpoint passes on what it cannot read."""
    relay = Relay()
    async with relay.serve() as at:
        await assert_carries(await Victim().call(rendezvous=at))
    assert len(relay.seen) > 1000
    assert MESSAGE not in relay.seen


@pytest.mark.parametrize("way", ["out", "back"])
async def test_in_the_middle_nothing_can_be_changed(way: str) -> None:
    """A bit that is changed in the stream breaks it; no byte comes that was not sent."""
    handed_over = False
    relay = Relay(lambda which, _, piece: flipped(piece) if handed_over and which == way else piece)
    async with relay.serve() as at, await Victim().call(rendezvous=at) as stream:
        handed_over = True
        await stream.send(MESSAGE)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()


async def test_in_the_middle_no_part_of_the_proof_can_be_changed() -> None:
    """Whichever piece it is, the round fails; left alone, the friend is met in the next."""

    async def one(way: str, number: int) -> None:
        victim = Victim()

        def tamper(which: str, count: int, piece: bytes) -> bytes:
            failed = any(isinstance(event, RoundFailed) for event in victim.events)
            return piece if failed or (which, count) != (way, number) else flipped(piece)

        async with Relay(tamper).serve() as at:
            stream = await victim.call(rendezvous=at, options=FOUR_ROUNDS)
            assert stream.report.meeting is not None
            assert stream.report.meeting.rounds > 1, (way, number)
            await assert_carries(stream)

    async with anyio.create_task_group() as group:
        for way, number in itertools.product(("out", "back"), range(2)):
            group.start_soon(one, way, number)


# -- listening in, and never stopping --------------------------------------------------------------


async def test_all_that_a_coordinator_hears() -> None:
    """No room's name, no secret, no address of ours; nothing that two calls share but the tag."""
    invite = Invite.new("the canary's room")
    heard, offers, seats = bytearray(), list[bytes](), set[bytes]()

    async def listen(stream: SocketStream) -> None:
        guest = Guest(Tap(stream, heard))
        await guest.welcome()
        offers.append(guest.join.offer)
        seats.add(guest.join.seat)
        await guest.introduce(Peer(invite).offer(), f"127.0.0.1:{free_port()}")
        await guest.stay()

    async with serve_tcp(listen) as at:
        for _ in range(2):
            await Victim().fails(
                PeerConnectError,
                rendezvous=url(at),
                secret=invite,
                options=QUICK,
                local="127.0.0.1:0",
            )
    assert len(seats) == 2
    assert len({offer[:SALT_LENGTH] for offer in offers}) == 4
    assert {len(offer) for offer in offers} == {OFFER_LENGTH}
    keys = invite.group_keys()
    secrets = [invite.reveal()[-20:], invite.room, "127.0.0.1", *spellings(keys._prk)]
    text = heard.decode()
    assert not [each for each in secrets if each in text]
    assert not [each for each in secrets for offer in offers if each.encode() in offer]


async def test_a_coordinator_that_only_talks() -> None:
    """Pings without end, whose answers it does not read: the call ends in its time."""
    victim = Victim()
    pings = b"".join(encode_frame(Ping(number=number)) for number in range(1000))

    async def talk(guest: Guest) -> None:
        await guest.welcome()
        with suppress(*BROKEN):
            while True:
                await guest.stream.send(pings)

    async with coordinator(talk) as at:
        await victim.fails(PeerNotFoundError, rendezvous=url(at), timeout=0.5)


@pytest.mark.parametrize("before", [0, 4, 40])
async def test_a_coordinator_whose_welcome_never_ends(before: int) -> None:
    """A byte now and then is no welcome; the call ends in its time."""
    victim, welcome = Victim(), encode_frame(WELCOME)

    async def drip(guest: Guest) -> None:
        await guest.receive()
        await guest.stream.send(welcome[:before])
        for byte in welcome[before:-1]:
            await guest.stream.send(bytes([byte]))
            await anyio.sleep(0.02)
        await guest.stay()

    async with coordinator(drip) as at:
        await victim.fails(CoordinatorUnavailable, rendezvous=url(at), timeout=0.4)
    assert not any(isinstance(event, RendezvousJoined) for event in victim.events)
