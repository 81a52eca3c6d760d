"""A place in a room: link after link, with growing waits, until the peer is met or hope is gone."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import anyio
import pytest

from simopen import Endpoint, LocalBindError, Rendezvous
from simopen.rendezvous import _seat
from simopen.rendezvous._link import Link, LinkError
from simopen.rendezvous._seat import Seat
from simopen.rendezvous.protocol import Bye, Code, Error, Introduced, Outcome, Reject, Result
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.clients import OFFER, PATIENCE, new_tag, until
from tests.rendezvous.coordinators import Guest, Script, coordinator, url

pytestmark = pytest.mark.anyio

TAG = new_tag()
PEER = "192.0.2.1:50000"


class Notes:
    """What a seat tells its owner."""

    def __init__(self) -> None:
        self.joined: list[tuple[Endpoint, ...]] = []
        self.lost: list[tuple[str, float]] = []
        self.offers: list[tuple[int, tuple[tuple[str, int], ...]]] = []

    def make_offer(self, number: int, candidates: tuple[tuple[str, int], ...]) -> bytes:
        """Note what is offered."""
        self.offers.append((number, candidates))
        return OFFER

    def on_lost(self, reason: str, again_in: float) -> None:
        """Note a loss."""
        self.lost.append((reason, again_in))

    @property
    def waits(self) -> list[float]:
        """Seconds before each further try."""
        return [again_in for _, again_in in self.lost]


@asynccontextmanager
async def seated(
    at: Endpoint, notes: Notes, local: Sequence[Sequence[Endpoint]] | None = None
) -> AsyncIterator[tuple[Seat, anyio.abc.TaskGroup]]:
    """A seat, given up and without a socket at the end."""
    seat = Seat(
        Rendezvous(url(at)),
        tag=TAG,
        local=local,
        make_offer=notes.make_offer,
        on_joined=notes.joined.append,
        on_lost=notes.on_lost,
    )
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            try:
                yield seat, group
            finally:
                await seat.leave()


async def rounds(
    script: Script, notes: Notes, count: int, local: Sequence[Sequence[Endpoint]] | None = None
) -> list[tuple[Link, Introduced]]:
    """So many introductions of one seat."""
    with no_socket_left():
        async with coordinator(script) as at, seated(at, notes, local) as (seat, group):
            return [await seat.introduced(group) for _ in range(count)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test can bear."""
    monkeypatch.setattr(_seat, "AGAIN_FIRST", 0.01)
    monkeypatch.setattr(_seat, "AGAIN_LONGEST", 0.04)
    monkeypatch.setattr(_seat, "AGAIN_SPREAD", 0.0)


async def introduce(guest: Guest) -> None:
    """Introduce somebody at once."""
    await guest.welcome()
    await guest.introduce(OFFER, PEER)
    await guest.stay()


async def test_each_round_has_a_link_of_its_own() -> None:
    """A fresh port and a numbered offer, in one seat; only the newest link stays open."""
    notes, guests = Notes(), list[Guest]()

    async def script(guest: Guest) -> None:
        guests.append(guest)
        await introduce(guest)

    links = [link for link, _ in await rounds(script, notes, 3)]
    assert [number for number, _ in notes.offers] == [1, 2, 3]
    assert [guest.join.round for guest in guests] == [1, 2, 3]
    assert len({guest.join.seat for guest in guests}) == 1
    assert len({guest.observed.port for guest in guests}) == 3
    assert notes.joined == [(guest.observed,) for guest in guests]
    assert len({id(link) for link in links}) == 3
    assert not notes.lost


async def test_the_old_link_lives_until_the_new_one_is_welcomed() -> None:
    """So that the seat is never empty, and two links are open only for that long."""
    open_at_join, live = list[int](), 0

    async def script(guest: Guest) -> None:
        nonlocal live
        live += 1
        try:
            open_at_join.append(live)
            await introduce(guest)
        finally:
            live -= 1

    with no_socket_left():
        async with coordinator(script) as at, seated(at, Notes()) as (seat, group):
            for _ in range(4):
                await seat.introduced(group)
                await until(lambda: live == 1)
    assert open_at_join == [1, 2, 2, 2]


async def test_our_own_addresses_are_offered_with_the_berths_port() -> None:
    """Those we reach the coordinator from first, at most eight."""
    notes = Notes()
    ((link, _),) = await rounds(introduce, notes, 1)
    ((_, candidates),) = notes.offers
    assert candidates[0] == ("127.0.0.1", link.berth.local[4].port)
    assert len(candidates) <= 8
    assert {port for _, port in candidates} <= {end.port for end in link.berth.local.values()}


async def test_a_named_address_alone_is_offered() -> None:
    """Where the caller has chosen one, the others are none of the peer's business."""
    notes, port = Notes(), free_port()
    await rounds(introduce, notes, 1, local=[[Endpoint("127.0.0.1", port)]])
    assert notes.offers == [(1, (("127.0.0.1", port),))]


@pytest.mark.parametrize("ports", [1, 2])
async def test_named_ports_go_round(ports: int) -> None:
    """One for all rounds, or one for each, and from the first again."""
    mine = [Endpoint("127.0.0.1", free_port()) for _ in range(ports)]
    notes = Notes()
    links = [link for link, _ in await rounds(introduce, notes, 3, local=[mine])]
    assert [link.berth.local[4] for link in links] == list(
        itertools.islice(itertools.cycle(mine), 3)
    )
    assert not notes.lost


async def test_the_waits_grow() -> None:
    """Each is twice the one before, up to the longest."""
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        if tries <= 5:
            return  # hang up
        await introduce(guest)

    await rounds(script, notes, 1)
    assert notes.waits == [0.01, 0.02, 0.04, 0.04, 0.04]


async def test_a_coordinator_that_takes_us_in_and_drops_us_is_not_hammered() -> None:
    """Being welcomed alone does not make the waits short again."""
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        await guest.welcome()
        if tries <= 4:
            await guest.send(Bye())
        else:
            await guest.introduce(OFFER, PEER)
        await guest.stay()

    await rounds(script, notes, 1)
    assert notes.waits == [0.01, 0.02, 0.04, 0.04]
    assert len(notes.joined) == 5


async def test_a_herd_does_not_come_back_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is drawn between half of it and all, and no two of many are the same."""
    monkeypatch.setattr(_seat, "AGAIN_SPREAD", 0.5)
    herd = [Notes() for _ in range(10)]

    async def one(at: Endpoint, notes: Notes) -> None:
        async with seated(at, notes) as (seat, group):
            with pytest.raises(LinkError):
                await seat.introduced(group)

    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.5)
    async with anyio.create_task_group() as group:
        for notes in herd:
            group.start_soon(one, Endpoint("127.0.0.1", free_port()), notes)
    firsts = [notes.waits[0] for notes in herd]
    assert all(0.005 <= wait <= 0.01 for wait in firsts)
    assert all(0.01 <= notes.waits[1] <= 0.02 for notes in herd)
    assert len(set(firsts)) == len(herd)


async def test_a_link_that_has_lasted_makes_the_waits_short_again() -> None:
    """What has worked for a while has failed for another reason."""
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        await guest.welcome()
        if tries == 3:
            await anyio.sleep(0.06)
        if tries <= 3:
            await guest.send(Bye())
        else:
            await guest.introduce(OFFER, PEER)
        await guest.stay()

    await rounds(script, notes, 1)
    assert notes.waits == [0.01, 0.02, 0.01]


async def test_patience_with_a_coordinator_that_was_never_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends, and what it ends with is what was wrong."""
    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.1)
    notes = Notes()
    began = time.monotonic()
    with no_socket_left():
        async with seated(Endpoint("127.0.0.1", free_port()), notes) as (seat, group):
            with pytest.raises(LinkError) as caught:
                await seat.introduced(group)
    assert "refused" in caught.value.words
    assert 0.05 < time.monotonic() - began < 1
    assert notes.waits[:3] == [0.01, 0.02, 0.04]


@pytest.mark.parametrize("cut_off", [1, 2])
async def test_a_first_connection_that_is_cut_off(
    cut_off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to the coordinator may have changed in between: once more, and no oftener."""
    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.0)
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        if tries > cut_off:
            await introduce(guest)

    async with coordinator(script) as at, seated(at, notes) as (seat, group):
        with pytest.raises(LinkError) if cut_off == 2 else nullcontext():
            await seat.introduced(group)
    assert tries == 2


@pytest.mark.parametrize(
    "word",
    [
        Reject(code=Code.BUSY, message="it is busy"),
        Error(code=Code.TIMEOUT, message="no request came"),
    ],
)
async def test_patience_with_a_coordinator_that_is_there(
    word: Reject | Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is busy, or our join was lost too often: the call alone says how long to go on asking."""
    monkeypatch.setattr(_seat, "FIRST_PATIENCE", 0.0)
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            await guest.send(word)
            await guest.stay()
        else:
            await introduce(guest)

    await rounds(script, notes, 1)
    assert [reason for reason, _ in notes.lost] == [word.message] * 3


@pytest.mark.parametrize(
    ("code", "hopeless"),
    [
        (Code.ROOM_FULL, True),
        (Code.VERSION, True),
        (Code.MALFORMED, True),
        (Code.UNEXPECTED, True),
        (Code.ROOMS_FULL, False),
        (Code.BUSY, False),
        (Code.SHUTTING_DOWN, False),
        (Code.RATE, False),
        (Code.IDLE, False),
    ],
)
async def test_what_asking_again_helps_against(code: Code, *, hopeless: bool) -> None:
    """A full room, and what is no coordinator of ours, end it at once; the rest passes."""
    notes, tries = Notes(), 0

    async def script(guest: Guest) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await guest.send(Reject(code=code))
            await guest.stay()
        else:
            await introduce(guest)

    if hopeless:
        async with coordinator(script) as at, seated(at, notes) as (seat, group):
            with pytest.raises(LinkError) as caught:
                await seat.introduced(group)
        assert caught.value.code is code
        assert tries == 1
    else:
        assert len(await rounds(script, notes, 1)) == 1
        assert tries == 2


async def test_results_are_reported_to_the_link_of_their_round() -> None:
    """Each with its introduction's number."""
    said: list[object] = []

    async def script(guest: Guest) -> None:
        await guest.welcome()
        await guest.introduce(OFFER, PEER, round_=10 + guest.join.round)
        said.extend(await guest.stay())

    async with coordinator(script) as at:
        async with seated(at, Notes()) as (seat, group):
            for outcome in (Outcome.FAILED, Outcome.OK):
                _, introduction = await seat.introduced(group)
                await seat.report(outcome, introduction)
        await until(lambda: sum(isinstance(each, Result) for each in said) == 2)
    results = [each for each in said if isinstance(each, Result)]
    assert [(each.round, each.outcome) for each in results] == [
        (11, Outcome.FAILED),
        (12, Outcome.OK),
    ]


async def test_a_port_that_cannot_be_had() -> None:
    """Is told at once."""
    at = Endpoint("127.0.0.1", free_port())
    with no_socket_left():
        async with seated(at, Notes(), local=[[Endpoint("192.0.2.77", 0)]]) as (seat, group):
            with pytest.raises(LocalBindError):
                await seat.introduced(group)
