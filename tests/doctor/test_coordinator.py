"""Visits at coordinators: what they see of our port, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import simopen
from simopen import CertificateFiles, Coordinator, Endpoint, Rendezvous, doctor, lab
from simopen.doctor import Trouble, Visit
from simopen.doctor._coordinator import visit_all
from simopen.rendezvous.protocol import Code, Join, Leave, Reject, Welcome
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.coordinators import Guest, coordinator, url

pytestmark = pytest.mark.anyio

HERE = [Endpoint("127.0.0.1", 0)]
PORT = 7337
LINK = lab.Link(latency=0.005)


async def visit(*where: str | Rendezvous, local: Sequence[Endpoint] = HERE) -> list[Visit]:
    """Visit coordinators."""
    with anyio.fail_after(20):
        given = [each if isinstance(each, Rendezvous) else Rendezvous(each) for each in where]
        return await visit_all(given, local)


async def test_a_visit_shows_our_port_to_both_ports() -> None:
    """Coordinator and probe port see the same endpoint, and the round trip is known."""
    with no_socket_left():
        async with Coordinator("127.0.0.1:0") as there:
            (visit_,) = await visit(f"tcp://{there.endpoints[0]}")
    assert visit_.trouble is None
    assert visit_.observed == visit_.local
    assert visit_.probed == (visit_.local,)
    assert visit_.round_trip is not None
    assert visit_.round_trip < 1


async def test_the_port_is_the_named_one() -> None:
    """Towards every coordinator."""
    local = Endpoint("127.0.0.1", free_port())
    async with Coordinator("127.0.0.1:0") as one, Coordinator("127.0.0.1:0") as two:
        urls = [f"tcp://{each.endpoints[0]}" for each in (one, two)]
        visits = await visit(*urls, local=[local])
    assert [each.url for each in visits] == urls
    assert {each.observed for each in visits} == {local}


async def test_it_leaves_the_room_in_order() -> None:
    """With a word, after a join whose tag, seat and offer are chance."""
    heard: list[object] = []

    async def play(guest: Guest) -> None:
        await guest.welcome()
        heard.extend([guest.join, await guest.receive()])

    async with coordinator(play) as end:
        await visit(url(end))
        await visit(url(end))
    first, left, second, _ = heard
    assert isinstance(first, Join)
    assert isinstance(second, Join)
    assert left == Leave()
    assert first.tag != second.tag
    assert first.seat != second.seat
    assert first.offer != second.offer


async def test_seats_are_kept_until_the_last_has_answered() -> None:
    """Or a NAT could forget a mapping in between."""
    kept: list[bool] = []
    slow_done = anyio.Event()

    async def play_quick(guest: Guest) -> None:
        await guest.welcome()
        await guest.receive()  # the farewell
        kept.append(slow_done.is_set())

    async def play_slow(guest: Guest) -> None:
        await anyio.sleep(0.2)
        slow_done.set()
        await guest.welcome()
        await guest.receive()

    async with coordinator(play_quick) as quick, coordinator(play_slow) as slow:
        visits = await visit(url(quick), url(slow))
    assert kept == [True]
    assert [each.trouble for each in visits] == [None, None]


async def hang_up(guest: Guest) -> None:
    """A server that closes without a word."""
    await guest.receive()


async def turn_away(guest: Guest) -> None:
    """A coordinator that is full."""
    await guest.receive()
    await guest.send(Reject(code=Code.BUSY, message="it is busy: \x1b[2Jtry again"))


async def talk_nonsense(guest: Guest) -> None:
    """Something else."""
    await guest.stream.send(b"SSH-2.0-something\r\n" + bytes(100))
    await guest.stream.receive()


async def observe_nowhere(guest: Guest) -> None:
    """A coordinator that sees us where nobody can be."""
    await guest.receive()
    await guest.send(Welcome(observed="999.0.0.1:1", idle=60))
    await guest.stream.receive()


@pytest.mark.parametrize(
    ("script", "trouble", "words"),
    [
        (hang_up, Trouble.PROTOCOL, "hangs up"),
        (turn_away, Trouble.REFUSED, "it is busy: ?[2Jtry again"),
        (talk_nonsense, Trouble.PROTOCOL, ""),
        (observe_nowhere, Trouble.PROTOCOL, "no endpoint"),
    ],
)
async def test_what_a_coordinator_may_do_wrong(
    script: object, trouble: Trouble, words: str
) -> None:
    """Each is told apart, and none of what it sends reaches a terminal as it is."""
    async with coordinator(script) as end:  # type: ignore[arg-type]  # one of those above
        (visit_,) = await visit(url(end))
    assert (visit_.trouble, visit_.observed) == (trouble, None)
    assert words in visit_.reason
    assert visit_.reason.isprintable()


async def test_one_that_cannot_be_reached() -> None:
    """Nobody listens; a name that leads nowhere; a family that we have not got."""
    visits = await visit(
        f"tcp://127.0.0.1:{free_port()}", "tcp://no.such.name.invalid", "tcp://[::1]:7337"
    )
    assert [each.trouble for each in visits] == [Trouble.UNREACHABLE, Trouble.NAME, Trouble.NAME]
    assert visits[0].reason == "Connection refused"
    assert "family" in visits[2].reason


@asynccontextmanager
async def encrypted(
    folder: Path, days: tuple[int, int] = (-1, 1)
) -> AsyncIterator[tuple[str, tuple[Path, Path]]]:
    """A coordinator with a self-signed certificate for 127.0.0.1."""
    files = write_certificate(folder, days=days)
    certificate = CertificateFiles(*files)
    async with Coordinator("127.0.0.1:0", certificate=certificate) as there:
        yield f"tls://{there.endpoints[0]}", files


async def test_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    """The visit is as any other."""
    async with encrypted(tmp_path) as (where, files):
        (visit_,) = await visit(Rendezvous(where, ssl_context=client_context(files)))
    assert visit_.trouble is None
    assert visit_.probed == (visit_.local,)


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    """It is said what is wrong with it, not in OpenSSL's numbers."""
    async with encrypted(tmp_path) as (where, _):
        (visit_,) = await visit(where)
    assert (visit_.trouble, visit_.reason) == (
        Trouble.CERTIFICATE,
        "it is signed by itself, and not one that we trust",
    )


async def test_a_certificate_for_somebody_else(tmp_path: Path) -> None:
    """A trusted one, whose name is not the coordinator's."""
    async with encrypted(tmp_path) as (where, files):
        context = client_context(files)
        context.check_hostname = True
        elsewhere = where.replace("127.0.0.1", "localhost")
        (visit_,) = await visit(Rendezvous(elsewhere, ssl_context=context))
    assert (visit_.trouble, visit_.reason) == (Trouble.CERTIFICATE, "it is for another name")


@pytest.mark.parametrize(
    ("days", "words"), [((-9, -2), "it has expired"), ((2, 9), "it is not valid yet")]
)
async def test_a_certificate_of_another_time(
    days: tuple[int, int], words: str, tmp_path: Path
) -> None:
    """And that it may be our clock."""
    async with encrypted(tmp_path, days) as (where, files):
        (visit_,) = await visit(Rendezvous(where, ssl_context=client_context(files)))
    assert visit_.trouble is Trouble.CERTIFICATE
    assert visit_.reason.startswith(words)
    assert "clock" in visit_.reason


async def test_tls_where_there_is_none(tmp_path: Path) -> None:
    """And none where there is: each says what to write instead."""
    async with Coordinator("127.0.0.1:0") as there:
        (plain,) = await visit(f"tls://{there.endpoints[0]}")
    async with encrypted(tmp_path) as (where, _):
        (secret,) = await visit(where.replace("tls://", "tcp://"))
    assert plain.trouble is Trouble.TLS
    assert secret.trouble is Trouble.PROTOCOL
    assert plain.reason
    assert secret.reason


async def test_a_cancelled_visit_leaves_no_socket() -> None:
    """At whatever moment."""

    async def never(guest: Guest) -> None:
        await guest.receive()
        await anyio.sleep_forever()

    with no_socket_left():
        async with coordinator(never) as end:
            with anyio.move_on_after(0.2) as scope:
                await visit(url(end))
            assert scope.cancelled_caught


async def coordinate() -> None:
    """The server: a coordinator."""
    async with simopen.Coordinator([("0.0.0.0", PORT), ("::", PORT)]):
        await anyio.sleep_forever()


async def look(urls: list[str], local: str) -> doctor.Examination:
    """A host: have the doctor look."""
    return await doctor.examine(local=local, rendezvous=urls)


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_every_kind_of_nat() -> None:
    """A port that is kept, moved, or another for each destination, told from behind the NAT."""
    expected = {
        "open": "nat-none",
        "home-router": "nat-keeps-port",
        "kernel": "nat-keeps-port",
        "carrier-grade": "nat-moves-port",
        "symmetric": "nat-varies",
        "address-dependent": "nat-varies",
    }
    found: dict[str, doctor.Examination] = {}
    internet = lab.Site("internet", hosts=["one", "two"], link=LINK)
    homes = [
        lab.Site(f"home-{name}", hosts=[name], gateway=lab.preset(name), link=LINK)
        for name in expected
    ]

    async def observe() -> None:
        async def examine(name: str) -> None:
            urls = [f"tcp://{net[each].ipv4}:{PORT}" for each in ("one", "two")]
            found[name] = await net[name].call(look, urls, "0.0.0.0:20000")

        network = lab.network([*homes, internet], seed=1)
        async with network as net, anyio.create_task_group() as servers:
            for each in ("one", "two"):
                servers.start_soon(net[each].call, coordinate)
                with anyio.fail_after(30):
                    while not any(end.port == PORT for end in net[each].listeners()):  # noqa: ASYNC110
                        await anyio.sleep(0.05)
            async with anyio.create_task_group() as group:
                for name in expected:
                    group.start_soon(examine, name)
            servers.cancel_scope.cancel()

    anyio.run(observe)
    for name, code in expected.items():
        about = [each for each in found[name].findings if each.subject is doctor.Subject.NAT]
        assert [each.code for each in about] == [code], name
        assert found[name].hinders is (code == "nat-varies"), name
        (mapping,) = found[name].mappings
        assert mapping.local.port == 20000
        assert len(mapping.observed) == 4  # two ports of two hosts
    assert found["symmetric"].mappings[0].by_port
    assert not found["address-dependent"].mappings[0].by_port
