"""One round: from an introduction to a proven stream, without a coordinator."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from simopen import Endpoint, Event, MeetingReport, PeerConnectError, PeerTimeoutError, PunchOptions
from simopen._round import LANE_PACE, Member, Round
from simopen.net._stream import TcpStream
from simopen.rendezvous._candidates import Candidate, Kind
from simopen.rendezvous.protocol import Introduced, Verdict
from simopen.security._errors import ReflectedError, WrongKeyError
from simopen.security._keys import UNKEYED
from simopen.security._tls import TlsStream
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.coordinators import INVITE, STRANGER, Peer, serve_tcp

pytestmark = pytest.mark.anyio

US = Peer(INVITE)
OPTIONS = PunchOptions(round_time=0.1)


def introduced(
    peer: Peer, *observed: Endpoint | str, offered: tuple[tuple[str, int], ...] = (), **changes: Any
) -> tuple[Round, bytes]:
    """A round in which that peer was introduced to us, and our own offer in it."""
    here = Endpoint("127.0.0.1", free_port())
    ours = US.offer()
    link = SimpleNamespace(
        coordinator="127.0.0.1",
        local={4: here},
        observed={4: here},
        berth=SimpleNamespace(local={4: here}),
        join=SimpleNamespace(offer=ours),
    )
    now = time.monotonic()
    arguments: dict[str, Any] = {
        "number": 1,
        "member": Member(US.keys, US.tag, US.identity),
        "link": link,
        "options": OPTIONS,
        "began": now,
        "give_up_at": None,
        "announce": lambda _: None,
        "told": MeetingReport(rendezvous="tcp://127.0.0.1"),
    }
    introduction = Introduced(
        round=1,
        delay=changes.pop("delay", 0.0),
        at=now,
        observed=tuple(map(str, observed)),
        offer=changes.pop("offer", None) or peer.offer(*offered),
        mapping=Verdict.UNKNOWN,
        peer_mapping=Verdict.UNKNOWN,
    )
    return Round(**arguments | changes, introduction=introduction), ours


async def fire(round_: Round) -> tuple[ByteStream, Any]:
    """Do the round."""
    peer = round_.open_offer()
    async with anyio.create_task_group() as group:
        met = await round_.punch(peer, round_.candidates(peer), group)
    return met  # noqa: RET504 - for mypy a task group may swallow an error


@contextmanager
def failing(kind: type[PeerConnectError]) -> Iterator[pytest.ExceptionInfo[ExceptionGroup[Any]]]:
    """Expect one error, out of the round's group."""
    with pytest.raises(ExceptionGroup) as caught:
        yield caught
    (error,) = caught.value.exceptions
    assert type(error) is kind


# -- offers ----------------------------------------------------------------------------------------


async def test_the_peers_offer_is_opened_first() -> None:
    """It says who the peer is."""
    peer = Peer(INVITE)
    round_, _ = introduced(peer, "127.0.0.1:5000")
    assert round_.open_offer().certificate == peer.identity.certificate


async def test_another_secrets_offer_does_not_open() -> None:
    """Whoever introduces it."""
    round_, _ = introduced(Peer(STRANGER), "127.0.0.1:5000")
    with pytest.raises(WrongKeyError):
        round_.open_offer()


async def test_our_own_offers_are_recognised() -> None:
    """The one of this round, and any other that has our certificate in it."""
    for offer in (None, US.offer()):
        round_, ours = introduced(Peer(), "127.0.0.1:5000")
        again, _ = introduced(Peer(), "127.0.0.1:5000", offer=offer or ours, link=round_.link)
        with pytest.raises(ReflectedError):
            again.open_offer()


# -- candidates ------------------------------------------------------------------------------------


def links_of(round_: Round) -> list[tuple[str, str]]:
    """From where to where."""
    found = round_.candidates(round_.open_offer())
    return [(str(pair.local), str(candidate.remote)) for candidate, pair in found]


async def test_each_candidate_has_a_local_end_of_its_family() -> None:
    """Where we have no port of a family its candidates are left out."""
    round_, _ = introduced(Peer(), "[::1]:50000")
    assert links_of(round_) == []


async def test_the_address_that_the_coordinator_saw_is_the_one_to_fire_from() -> None:
    """Into the local network the kernel chooses; everywhere else it is that address."""
    port = free_port()
    link = SimpleNamespace(
        coordinator="198.51.100.1",
        local={4: Endpoint("192.168.7.7", port)},
        observed={4: Endpoint("203.0.113.1", port)},
        berth=SimpleNamespace(local={4: Endpoint("0.0.0.0", port)}),
        join=SimpleNamespace(offer=US.offer()),
    )
    round_, _ = introduced(
        Peer(), "203.0.113.9:50000", offered=(("192.168.1.9", 50000),), link=link
    )
    assert links_of(round_) == [
        (f"192.168.7.7:{port}", "203.0.113.9:50000"),
        (f"0.0.0.0:{port}", "192.168.1.9:50000"),
    ]


async def test_a_coordinator_on_this_host_binds_nobody_to_loopback() -> None:
    """From there no peer elsewhere could be reached."""
    port = free_port()
    link = SimpleNamespace(
        coordinator="127.0.0.1",
        local={4: Endpoint("127.0.0.1", port)},
        observed={4: Endpoint("127.0.0.1", port)},
        berth=SimpleNamespace(local={4: Endpoint("0.0.0.0", port)}),
        join=SimpleNamespace(offer=US.offer()),
    )
    round_, _ = introduced(Peer(), "203.0.113.9:50000", link=link)
    assert links_of(round_) == [(f"0.0.0.0:{port}", "203.0.113.9:50000")]


async def test_lanes_start_together_but_for_the_late_ones() -> None:
    """The first of these waits for the lane delay, once."""
    round_, _ = introduced(Peer(), "127.0.0.1:5000")
    early = Candidate(Endpoint("192.0.2.1", 5000), Kind.IPV4, late=False)
    late = Candidate(Endpoint("192.168.1.1", 5000), Kind.LOCAL, late=True)
    delay = OPTIONS.lane_delay
    assert round_._waits([early, early, late, late]) == [0.0, LANE_PACE, delay, LANE_PACE]
    assert round_._waits([late]) == [0.0]


# -- firing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plaintext", [True, False])
async def test_a_peer_is_met(*, plaintext: bool) -> None:
    """Proven and encrypted, or, where the caller insists, neither."""
    peer = Peer(INVITE)
    theirs = peer.offer()

    async def play(stream: ByteStream) -> None:
        if not plaintext:
            stream = await peer.prove(stream, ours=theirs, theirs=ours)
        await stream.send(await stream.receive())

    with no_socket_left():
        async with serve_tcp(play) as at:
            options = PunchOptions(round_time=0.5, plaintext=plaintext)
            round_, ours = introduced(peer, at, offer=theirs, options=options)
            stream, report = await fire(round_)
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
            await stream.aclose()
    assert isinstance(stream, TcpStream if plaintext else TlsStream)
    assert report.encrypted is not plaintext
    assert (report.path, report.remote) == ("local network", at)
    assert report.meeting is round_.told


async def test_nothing_leaves_before_the_moment_that_was_agreed_on() -> None:
    """The delay counts from the introduction."""
    events: list[Event] = []
    nobody = Endpoint("127.0.0.1", free_port())
    round_, _ = introduced(Peer(), nobody, delay=0.15, announce=events.append)
    with failing(PeerTimeoutError):
        await fire(round_)
    first = next(event for event in events if event.name == "punch.attempt")
    assert 0.15 <= first.at < 1


@pytest.mark.parametrize(("number", "least"), [(1, 0.1), (3, 0.225)])
async def test_each_round_is_half_as_long_again(number: int, least: float) -> None:
    """A path that the first was too short for has time in a later one."""
    round_, _ = introduced(Peer(), f"127.0.0.1:{free_port()}", number=number)
    with failing(PeerTimeoutError):
        await fire(round_)
    assert least <= time.monotonic() - round_.began < least + 1


async def test_a_round_ends_with_the_call() -> None:
    """However long it would have been."""
    end = time.monotonic() + 0.1
    options = PunchOptions(round_time=60)
    round_, _ = introduced(Peer(), f"127.0.0.1:{free_port()}", options=options, give_up_at=end)
    with failing(PeerTimeoutError):
        await fire(round_)
    assert time.monotonic() - end < 1


async def test_only_a_peer_on_this_very_host_has_no_limit() -> None:
    """It is nobody that we could harm; one endpoint elsewhere, and all share the limit."""
    round_, _ = introduced(Peer(), "127.0.0.1:5000")
    here = round_.candidates(round_.open_offer())
    elsewhere = [(Candidate(Endpoint("192.0.2.1", 5000), Kind.IPV4, late=False), here[0][1])]
    assert round_.most_syns(here) == math.inf
    for candidates in (elsewhere, here + elsewhere):
        assert round_.most_syns(candidates) == OPTIONS.round_syns


async def test_a_stranger_on_the_port_is_no_peer() -> None:
    """It costs the round, and what was wrong is kept."""

    async def babble(stream: ByteStream) -> None:
        await stream.send(b"220 mail.example ESMTP\r\n" * 9)
        await stream.receive()

    with no_socket_left():
        async with serve_tcp(babble) as at:
            round_, _ = introduced(Peer(), at)
            with failing(PeerConnectError):
                await fire(round_)
    assert len(round_.unproven) == 1


async def test_an_offer_without_a_certificate_proves_nothing() -> None:
    """A member of the room can write what it likes; it ends as a failed proof."""
    peer = Peer(INVITE)
    peer.identity = SimpleNamespace(certificate=b"none", peer_id=bytes(32))  # type: ignore[assignment]

    async def swallow(stream: ByteStream) -> None:
        await stream.receive()

    with no_socket_left():
        async with serve_tcp(swallow) as at:
            round_, _ = introduced(peer, at)
            with failing(PeerConnectError):
                await fire(round_)
    assert len(round_.unproven) == 1


async def test_a_member_shows_neither_keys_nor_tag() -> None:
    """Whoever knows the tag can take our seat."""
    shown = repr(Member(UNKEYED, b"T" * 32, US.identity))
    assert "TTT" not in shown
