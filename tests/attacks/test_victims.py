"""Coordinators that aim a client at somebody: what arrives there, counted on the lab's wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from simopen import lab
from simopen.capture import packets
from simopen.capture.packets import Flags, Segment
from simopen.capture.pcapng import Direction
from tests.rendezvous.coordinators import Guest, Peer

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORT = 7337
DEFAULTS = simopen.PunchOptions()
SITES = [
    lab.Site("home", hosts=["client", "neighbour"], gateway="home-router"),
    lab.Site("internet", hosts=["server", "victim"]),
]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop."""
    return request.param


async def lie(secret: str, targets: list[str]) -> None:
    """The server: introduce the peer, whose offer is real, at another place in each round."""
    invite = simopen.Invite.parse(secret)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        guest = Guest(stream)
        await guest.welcome()
        number = guest.join.round
        await guest.introduce(Peer(invite).offer(), targets[(number - 1) % len(targets)])
        await guest.stay()

    listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=PORT)
    await listener.serve(serve)


async def believe(rendezvous: str, secret: str, options: dict[str, Any]) -> tuple[str, int]:
    """The client: what its call ended in, and after how many rounds."""
    with pytest.raises(simopen.PeerConnectError) as caught:
        await simopen.connect_peer(
            rendezvous=rendezvous,
            secret=secret,
            local="0.0.0.0:0",
            timeout=60,
            options=simopen.PunchOptions(**options),
        )
    assert caught.value.report.meeting is not None
    return caught.value.diagnosis.cause.name, caught.value.report.meeting.rounds


@asynccontextmanager
async def network(path: Path) -> AsyncIterator[lab.Network]:
    """A home, a server and somebody else."""
    async with lab.network(SITES, capture=path, seed=1) as net:
        yield net


async def deceive(net: lab.Network, targets: list[str], **options: Any) -> tuple[str, int]:
    """Let the client believe a coordinator that names these targets."""
    secret = simopen.Invite.new("room").reveal()
    async with anyio.create_task_group() as group:
        group.start_soon(net["server"].call, lie, secret, targets)
        while not any(each.port == PORT for each in net["server"].listeners()):  # noqa: ASYNC110
            await anyio.sleep(0.02)
        url = f"tcp://{net['server'].ipv4}:{PORT}"
        ended: tuple[str, int] = await net["client"].call(believe, url, secret, options)
        group.cancel_scope.cancel()
    return ended


async def syns(net: lab.Network, host: str, direction: Direction) -> Counter[packets.Endpoint]:
    """How many SYNs, kernels' repetitions among them, a host has sent or received, by target."""
    found = Counter[packets.Endpoint]()
    for record in await net.records():
        segment = packets.parse(record.data)
        if (record.interface, record.direction) == (host, direction) and isinstance(
            segment, Segment
        ):
            found[segment.destination] += segment.flags & (Flags.SYN | Flags.ACK) == Flags.SYN
    return +found


async def test_a_coordinator_outside_points_at_nobody_inside(tmp_path: Path) -> None:
    """Not at the neighbour, the host itself or a carrier's network: no SYN but to itself."""
    async with network(tmp_path / "wire.pcapng") as net:
        inside = [net["neighbour"].ipv4, net["client"].ipv4, "127.0.0.1", "10.9.9.9", "100.64.0.1"]
        ended = await deceive(net, [f"{host}:50000" for host in inside], round_time=0.1)
        sent = await syns(net, "client", Direction.OUTBOUND)
        assert ended == ("NO_CANDIDATE", DEFAULTS.rounds)
        assert set(sent) == {(net["server"].ipv4, PORT)}


async def test_a_scan_is_one_port_a_round(tmp_path: Path) -> None:
    """However many endpoints of a victim a coordinator would have tried: five, and then no more."""
    async with network(tmp_path / "wire.pcapng") as net:
        victim = net["victim"].ipv4
        ended = await deceive(net, [f"{victim}:{5000 + n}" for n in range(50)], round_time=0.1)
        reached = await syns(net, "victim", Direction.INBOUND)
    assert ended[1] == DEFAULTS.rounds
    assert set(reached) == {(victim, 5000 + number) for number in range(DEFAULTS.rounds)}


async def test_a_flood_is_as_many_syns_a_round_as_stated(tmp_path: Path) -> None:
    """A victim that refuses at once, as nothing provokes more, gets these and not one more."""
    async with network(tmp_path / "wire.pcapng") as net:
        target = f"{net['victim'].ipv4}:5000"
        ended = await deceive(net, [target], rounds=2, round_syns=100, round_time=0.8)
        (count,) = (await syns(net, "victim", Direction.INBOUND)).values()
    assert ended[1] == 2
    assert 50 < count <= 2 * 100
