"""One round's connections to a coordinator, and what each of its misdeeds is called."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.streams.tls import TLSStream

from simopen import Coordinator, Endpoint, Rendezvous
from simopen.net._interfaces import Berth
from simopen.rendezvous import _channel, _link
from simopen.rendezvous._link import Link, LinkError
from simopen.rendezvous._tls_files import CertificateFiles
from simopen.rendezvous.protocol import (
    Bye,
    Code,
    CoordinatorLimits,
    Error,
    Family,
    Introduce,
    Introduced,
    Join,
    Leave,
    Outcome,
    Ping,
    Pong,
    Reject,
    Result,
    Settled,
    Verdict,
    Welcome,
)
from tests.helpers import free_port, no_socket_left, open_sockets, silent_endpoint
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.clients import OFFER, PATIENCE, Client, join, new_tag, until
from tests.rendezvous.coordinators import BROKEN, Guest, coordinator, url

pytestmark = pytest.mark.anyio

V4, V6 = Endpoint("127.0.0.1", 0), Endpoint("::1", 0)
TAG = new_tag()


def make_join(_link: Link, families: tuple[Family, ...]) -> Join:
    """The join of a seat of its own."""
    return Join(tag=TAG, seat=b"s" * 16, offer=OFFER, round=1, families=families)


@asynccontextmanager
async def linked(
    to: Rendezvous | Endpoint, *local: Endpoint, join: Callable[..., Join] = make_join
) -> AsyncIterator[Link]:
    """A link at work, and nothing of it left afterwards."""
    rendezvous = Rendezvous(url(to)) if isinstance(to, Endpoint) else to
    link = Link(rendezvous, Berth(local or (V4,), required=False), join)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(link.run)
            try:
                yield link
            finally:  # nothing else ends it
                with anyio.CancelScope(shield=True):
                    await link.close(leave=True)
            await link.closed()


async def end_of(link: Link) -> LinkError:
    """Why there is no introduction."""
    with pytest.raises(LinkError) as caught:
        await link.introduced()
    return caught.value


# -- the work --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", V4), ("::1", V6)])
async def test_a_welcome_and_an_introduction(host: str, local: Endpoint) -> None:
    """From the berth's own port, and the coordinator sees that port."""

    async def introduce(guest: Guest) -> None:
        await guest.welcome()
        await guest.introduce(OFFER, "192.0.2.1:50000", delay=0.5, round_=7)
        await guest.stay()

    with no_socket_left():
        async with coordinator(introduce, host=host) as at, linked(at, local) as link:
            assert await link.welcomed()
            introduction = await link.introduced()
            assert await link.introduced() is introduction
            version = 6 if ":" in host else 4
            assert link.local == link.observed == {version: link.berth.local[version]}
            assert link.coordinator == host
    assert isinstance(introduction, Introduced)
    assert (introduction.round, introduction.delay, introduction.offer) == (7, 0.5, OFFER)
    assert introduction.observed == ("192.0.2.1:50000",)


async def test_what_the_coordinator_is_told() -> None:
    """The result of the round, then that the seat is free; and pings are answered."""
    said: list[object] = []

    async def listen(guest: Guest) -> None:
        await guest.welcome()
        await guest.send(Ping(number=3))
        await guest.introduce(OFFER, "192.0.2.1:50000", round_=7)
        said.extend(await guest.stay())

    async with coordinator(listen) as at:
        async with linked(at) as link:
            await link.introduced()
            await link.report(Outcome.FAILED, elapsed=1.5)
        await until(lambda: Leave() in said)
    result = Result(round=7, outcome=Outcome.FAILED, elapsed=1.5)
    assert [each for each in said if each != Settled()] == [Pong(number=3), result, Leave()]


async def test_leaving_without_giving_up_the_seat() -> None:
    """Another link goes on with it."""
    said: list[object] = []
    gone = anyio.Event()

    async def listen(guest: Guest) -> None:
        await guest.welcome()
        said.extend(await guest.stay())
        gone.set()

    async with coordinator(listen) as at:
        async with linked(at) as link:
            await link.welcomed()
            await link.close(leave=False)
            await link.closed()
        await gone.wait()
    assert Leave() not in said


async def test_closed_means_that_no_socket_is_left() -> None:
    """So that the same port can be bound and connected to the same place at once."""
    with silent_endpoint() as (host, port):
        before = open_sockets()
        link = Link(Rendezvous(f"tcp://{host}:{port}"), Berth((V4,), required=True), make_join)
        async with anyio.create_task_group() as group:
            group.start_soon(link.run)
            await anyio.wait_all_tasks_blocked()
            assert not open_sockets() <= before
            await link.close(leave=False)
            await link.closed()
            assert open_sockets() <= before


# -- two families ----------------------------------------------------------------------------------


async def test_both_families_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One joins, the other attaches, from the same port; the peer gets both endpoints."""
    port = free_port()
    monkeypatch.setattr(Link, "_resolve", both_families)
    async with Coordinator([f"127.0.0.1:{port}", f"[::1]:{port}"]) as server:
        rendezvous = Rendezvous(f"tcp://localhost:{port}")
        async with (
            linked(rendezvous, V4, V6) as link,
            await Client.connect(server.endpoints[0]) as other,
        ):
            await until(lambda: link.observed == link.berth.local)
            await other.send(join(TAG))
            await other.receive(Welcome)
            told = (await other.receive(Introduce)).observed
            assert {*told} == {str(each) for each in link.local.values()}
            assert len(told) == 2


async def both_families(link: Link) -> dict[int, Endpoint]:
    """What a resolver with both answers."""
    port = link._rendezvous.endpoint.port
    return {4: Endpoint("127.0.0.1", port), 6: Endpoint("::1", port)}


async def test_a_family_that_fails_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator hears of it, and the other family goes on."""
    monkeypatch.setattr(Link, "_resolve", both_families)
    said: list[object] = []

    async def listen(guest: Guest) -> None:
        await guest.welcome()
        said.append(guest.join.families)
        said.append(await guest.receive() if guest.join.families else Settled())
        await guest.introduce(OFFER, "192.0.2.1:50000")
        await guest.stay()

    async with coordinator(listen) as at:
        rendezvous = Rendezvous(f"tcp://localhost:{at.port}")
        async with linked(rendezvous, V4, V6) as link:
            await link.introduced()
            assert link.observed.keys() == {4}
    assert said[-1] == Settled()


@pytest.mark.parametrize("bad", [4, 6])
@pytest.mark.parametrize("misdeed", ["garbage", "hang up", "cut"])
async def test_another_service_at_one_of_the_addresses(
    bad: int, misdeed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever is connected first, the other family goes on, and joins where it has to."""

    async def misbehave(guest: Guest) -> None:
        if misdeed == "garbage":
            await guest.stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await guest.stay()
        else:
            await (hang_up if misdeed == "hang up" else cut)(guest)

    async def introduce(guest: Guest) -> None:
        await guest.welcome()
        await guest.introduce(OFFER, "192.0.2.1:50000")
        await guest.stay()

    scripts = {4: introduce, 6: introduce} | {bad: misbehave}
    async with (
        coordinator(scripts[4]) as at,
        coordinator(scripts[6], host="::1") as at_v6,
    ):

        async def resolve(_: Link) -> dict[int, Endpoint]:
            return {4: at, 6: at_v6}

        monkeypatch.setattr(Link, "_resolve", resolve)
        async with linked(at, V4, V6) as link:
            await link.introduced()
            assert link.coordinator == {4: "::1", 6: "127.0.0.1"}[bad]


async def test_with_nothing_but_other_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is malformed, as with one."""

    async def babble(guest: Guest) -> None:
        await guest.stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await guest.stay()

    async with coordinator(babble) as at, coordinator(babble, host="::1") as at_v6:

        async def resolve(_: Link) -> dict[int, Endpoint]:
            return {4: at, 6: at_v6}

        monkeypatch.setattr(Link, "_resolve", resolve)
        async with linked(at, V4, V6) as link:
            assert (await end_of(link)).malformed


# -- probing ---------------------------------------------------------------------------------------


async def test_the_probe_port_is_shown_the_same_port() -> None:
    """So that the introduction has the verdict on our NAT: here there is none, it is stable."""
    async with Coordinator("127.0.0.1:0") as server:
        (at,) = server.endpoints
        async with linked(at) as link, await Client.connect(at) as other:
            await link.welcomed()
            await anyio.sleep(0.05)  # the probe takes no notice of anybody
            await other.send(join(TAG))
            assert (await link.introduced()).mapping is Verdict.STABLE


@pytest.mark.parametrize("answer", [b"", b"garbage" * 9])
async def test_a_probe_that_fails_changes_nothing(answer: bytes) -> None:
    """It is extra knowledge only."""
    probed = anyio.Event()

    async def babble(guest: Guest) -> None:
        probed.set()
        await guest.stream.send(answer or b"\0")

    async with coordinator(babble) as probe:

        async def introduce(guest: Guest) -> None:
            await guest.welcome(probe=(probe.port, free_port()))
            await probed.wait()
            await guest.introduce(OFFER, "192.0.2.1:50000")
            await guest.stay()

        with no_socket_left():
            async with coordinator(introduce) as at, linked(at) as link:
                await link.introduced()


# -- misdeeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (Reject(code=Code.ROOM_FULL), Code.ROOM_FULL, "room_full"),
        (Reject(code=Code.RATE, message="slow down"), Code.RATE, "slow down"),
        (Error(code=Code.IDLE, message="\x1b[2J"), Code.IDLE, "?[2J"),
        (Bye(), Code.SHUTTING_DOWN, "it is shutting down"),
    ],
)
@pytest.mark.parametrize("welcomed", [True, False])
async def test_what_the_coordinator_says(
    message: Reject | Error | Bye, code: Code, words: str, *, welcomed: bool
) -> None:
    """Its code is kept, and its words without what a terminal would obey."""

    async def refuse(guest: Guest) -> None:
        if welcomed:
            await guest.welcome()
        await guest.send(message)
        await guest.stay()

    async with coordinator(refuse) as at, linked(at) as link:
        assert await link.welcomed() in (welcomed, False)
        end = await end_of(link)
    assert (end.code, end.words, end.malformed) == (code, words, False)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"\0\0\0\2[]", b'\0\0\0\x0e{"type":"who"}']
)
async def test_garbage_is_malformed(garbage: bytes) -> None:
    """And none of it is in the words."""

    async def babble(guest: Guest) -> None:
        await guest.stream.send(garbage)
        await guest.stay()

    async with coordinator(babble) as at, linked(at) as link:
        end = await end_of(link)
    assert end.malformed
    assert "HTTP" not in end.words


async def hang_up(guest: Guest) -> None:
    """Take the join and close."""
    await guest.receive()


async def cut(guest: Guest) -> None:
    """Reset the connection: what was sent is left unread."""
    await anyio.wait_all_tasks_blocked()
    await anyio.sleep(0.01)
    await anyio.aclose_forcefully(guest.stream)


@pytest.mark.parametrize("script", [hang_up, cut])
async def test_a_coordinator_that_goes_away(script: Callable[[Guest], object]) -> None:
    """However it does."""
    async with coordinator(script) as at, linked(at) as link:  # type: ignore[arg-type]
        end = await end_of(link)
    assert (end.code, end.malformed) == (None, False)
    assert end.words


async def test_a_silent_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, before the welcome and after it."""
    monkeypatch.setattr("simopen.rendezvous.protocol._client.WELCOME_TIMEOUT", 0.05)
    async with coordinator(Guest.stay) as at, linked(at) as link:
        assert not await link.welcomed()
        assert (await end_of(link)).words == "it is silent"


async def test_nobody_answers_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """In time that is an end as well."""
    monkeypatch.setattr(_channel, "CONNECT_TIMEOUT", 0.05)
    with silent_endpoint() as (host, port):
        async with linked(Endpoint(host, port)) as link:
            assert "no answer in time" in (await end_of(link)).words


async def test_a_name_that_does_not_resolve() -> None:
    """It is named."""
    async with linked(Rendezvous("tcp://nowhere.invalid:5000")) as link:
        assert (await end_of(link)).words.startswith("nowhere.invalid: ")


async def test_a_family_that_we_do_not_have() -> None:
    """An IPv6 coordinator and an IPv4 port."""
    async with linked(Endpoint("::1", free_port()), V4) as link:
        assert "no address of a family that we have" in (await end_of(link)).words


async def test_a_word_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving waits for a fifth of a second at most."""
    monkeypatch.setattr(_link, "PARTING_TIMEOUT", 0.05)

    async def deaf(guest: Guest) -> None:
        await guest.welcome()
        await anyio.sleep_forever()

    async with coordinator(deaf) as at, linked(at) as link:
        await link.welcomed()
        assert link._primary is not None
        link._primary.conversation._out += bytes(1 << 24)
        with anyio.fail_after(2):
            await link.close(leave=True)
            await link.closed()


# -- encryption ------------------------------------------------------------------------------------


async def test_an_encrypted_coordinator(tmp_path: Path) -> None:
    """With a certificate that we trust everything is as without."""
    files = write_certificate(tmp_path)
    with no_socket_left():
        async with Coordinator("127.0.0.1:0", certificate=CertificateFiles(*files)) as server:
            (at,) = server.endpoints
            trusting = Rendezvous(url(at, "tls"), ssl_context=client_context(files))
            async with linked(trusting) as link:
                assert await link.welcomed()
                assert link.observed == link.local


@pytest.mark.parametrize("context", ["system", "name"])
async def test_an_encrypted_coordinator_that_we_do_not_trust(context: str, tmp_path: Path) -> None:
    """Neither one of an unknown authority nor one of another name is told our room."""
    files = write_certificate(tmp_path)
    other = client_context(files)
    other.check_hostname = True
    async with Coordinator(
        ["127.0.0.1:0"], certificate=CertificateFiles(*files), limits=CoordinatorLimits()
    ) as server:
        (at,) = server.endpoints
        place = f"tls://{at}" if context == "system" else f"tls://localhost:{at.port}"
        rendezvous = Rendezvous(place, ssl_context=other if context == "name" else None)
        async with linked(rendezvous) as link:
            end = await end_of(link)
            assert link.join is None
    assert "certificate verify failed" in end.words


async def test_a_record_that_was_changed_on_the_way(tmp_path: Path) -> None:
    """Is a lost link like another, and is tried again."""
    files = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    async def change(guest: Guest) -> None:
        await guest.welcome()
        assert isinstance(guest.stream, TLSStream)
        await guest.stream.transport_stream.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await anyio.sleep(PATIENCE)

    with no_socket_left():
        async with coordinator(change, tls=context) as at:
            trusting = Rendezvous(url(at, "tls"), ssl_context=client_context(files))
            async with linked(trusting) as link:
                end = await end_of(link)
    assert (end.code, end.malformed) == (None, False)
    assert end.words


async def test_plain_and_encrypted_do_not_mix(tmp_path: Path) -> None:
    """A coordinator without TLS is none to who asks for it."""
    context = client_context(write_certificate(tmp_path))

    async def babble(guest: Guest) -> None:
        await guest.stream.send(b"\0\0\0\2{}")
        with contextlib.suppress(*BROKEN):
            while True:
                await guest.stream.receive()

    async with coordinator(babble) as at:
        place = Rendezvous(url(at, "tls"), ssl_context=context)
        async with linked(place) as link:
            end = await end_of(link)
        assert link.join is None
    assert end.words


# -- closed ----------------------------------------------------------------------------------------


async def test_closed_at_any_time() -> None:
    """No socket is left."""

    async def introduce(guest: Guest) -> None:
        await guest.welcome(probe=(free_port(),))
        await guest.introduce(OFFER, "192.0.2.1:50000")
        await guest.stay()

    with no_socket_left():
        async with coordinator(introduce) as at:
            for tick in range(20):
                before = open_sockets()
                link = Link(Rendezvous(url(at)), Berth((V4,), required=True), make_join)
                mine = open_sockets() - before
                async with anyio.create_task_group() as group:
                    group.start_soon(link.run)
                    await anyio.sleep(tick * 0.0005)
                    await link.close(leave=False)
                assert not mine & open_sockets()
