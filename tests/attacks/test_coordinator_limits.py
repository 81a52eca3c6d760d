"""Every limit of a coordinator, hit over loopback on every loop while two others meet."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from simopen import Endpoint
from simopen.rendezvous import _listener, _transport
from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._server import Coordinator
from simopen.rendezvous.protocol import (
    Attach,
    Bye,
    Code,
    CoordinatorLimits,
    Error,
    Family,
    Introduce,
    Outcome,
    Ping,
    Pong,
    Reject,
    Result,
    Welcome,
)
from simopen.rendezvous.protocol._limits import LARGEST_FRAME, Limit
from tests.attacks.attackers import enter, meet, proxy_header
from tests.rendezvous.clients import Client, join, new_tag, until

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.1:0", "[::1]:0")
OFFENDER, OTHERS = "127.0.0.1", "127.0.0.2"
SHORT = 0.3  # seconds; for the limits that are times


class Hits(Metrics):
    """Counts the limits that were hit, and how connections ended."""

    def __init__(self) -> None:
        self.limits: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()

    def limit_hit(self, limit: str) -> None:
        """Count it."""
        self.limits[limit] += 1

    def ended(self, ending: str) -> None:
        """Count it."""
        self.endings[ending] += 1


@dataclass(slots=True, kw_only=True)
class Scene:
    """A coordinator and its offender, whose connections stay open until the scene is over.

    Attributes:
        coordinator: It has started.
        hits: What it counts.
        stack: Closes the offender's connections.
        proxied: Connections begin with a PROXY header.
    """

    coordinator: Coordinator
    hits: Hits
    stack: AsyncExitStack
    proxied: bool

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens on IPv4."""
        return self.coordinator.endpoints[0]

    async def client(self, source: str) -> Client:
        """A connection of somebody else's."""
        client = Client(await anyio.connect_tcp(*self.endpoint, local_host=source))
        if self.proxied:
            await client.stream.send(proxy_header(source))
        return client

    async def offender(self, source: str = OFFENDER) -> Client:
        """One more connection of the offender's."""
        return await self.stack.enter_async_context(await self.client(source))

    async def member(self, tag: bytes | None = None, source: str = OFFENDER) -> Client:
        """The same, with a seat in a room."""
        client = await self.offender(source)
        await client.send(join(tag or new_tag()))
        await client.receive(Welcome)
        return client


# -- the offences: what each gets in the end -------------------------------------------------------


async def one_connection_more(scene: Scene) -> Any:
    """As many as it may, and one."""
    await scene.member()
    await scene.member()
    return (await (await scene.offender()).receive(Error)).code


async def one_connection_too_many(scene: Scene) -> Any:
    """The coordinator has had two others and this one's first."""
    await scene.member()
    return (await (await scene.offender()).receive(Reject)).code


async def many_addresses(scene: Scene) -> Any:
    """A flood of addresses makes the table forget rates, not grow."""
    for number in range(1, 9):
        await scene.member(source=f"127.0.5.{number}")
    assert scene.coordinator._desk is not None
    return len(scene.coordinator._desk._admission._rates)


async def seats_without_connections(scene: Scene) -> Any:
    """A seat outlives its connection while its member meets; it counts all the same."""
    for tag in (new_tag(), new_tag()):
        for client in [await scene.member(tag) for _ in range(2)]:
            await client.receive(Introduce)
            await anyio.aclose_forcefully(client.stream)
    await until(lambda: scene.coordinator.connections == 0)
    client = await scene.offender()
    await client.send(join(new_tag()))
    return (await client.receive(Error)).code


async def one_room_more(scene: Scene) -> Any:
    """The others have a room, and this one's first member another."""
    await scene.member()
    client = await scene.offender()
    await client.send(join(new_tag()))
    return (await client.receive(Reject)).code


async def a_full_queue(scene: Scene) -> Any:
    """Two meet, one may wait for them to leave, and there is no place for the next."""
    tag = new_tag()
    for _ in range(3):
        await scene.member(tag)
    client = await scene.offender()
    await client.send(join(tag))
    return (await client.receive(Reject)).code


async def a_third_member(scene: Scene) -> Any:
    """Two hold a room whose round has failed: nobody meets, and there is nothing to wait for."""
    tag = new_tag()
    members = [await scene.member(tag) for _ in range(2)]
    for client in members:
        told = await client.receive(Introduce)
        await client.send(
            Result(round=told.round, outcome=Outcome.FAILED, elapsed=0), Ping(number=1)
        )
        await client.receive(Pong)  # the result has been heard
    client = await scene.offender()
    await client.send(join(tag))
    return (await client.receive(Reject)).code


async def silence(scene: Scene) -> Any:
    """A connection that asks for nothing."""
    return (await (await scene.offender()).receive(Error)).code


async def silence_in_a_seat(scene: Scene) -> Any:
    """A member that does not ping."""
    return (await (await scene.member()).receive(Error)).code


async def many_messages(scene: Scene) -> Any:
    """More pings than may come at once."""
    client = await scene.offender()
    await client.send(*[Ping(number=1)] * 5)
    for _ in range(4):
        await client.receive(Pong)
    return (await client.receive(Error)).code


async def no_pong(scene: Scene) -> Any:
    """A client that does not let its round trip be measured is served all the same, later."""
    client = await scene.offender()
    await client.receive(Ping)
    began = anyio.current_time()
    await client.send(join(new_tag()))
    await client.receive(Welcome)
    took = anyio.current_time() - began
    return SHORT / 2 < took < CoordinatorLimits().handshake / 2


async def no_attach(scene: Scene) -> Any:
    """Two promise each other's family and never bring it: they are introduced as they are."""
    tag = new_tag()
    clients = [
        await scene.offender(),
        Client(await anyio.connect_tcp(*scene.coordinator.endpoints[1])),
    ]
    await scene.stack.enter_async_context(clients[1])
    for client in clients:
        await client.send(join(tag, families=(Family.IPV4, Family.IPV6)))
        await client.receive(Welcome)
    return [len((await client.receive(Introduce)).observed) for client in clients]


async def a_meeting_without_end(scene: Scene) -> Any:
    """Two who are introduced, never say how that ended, and are there all the time."""
    tag = new_tag()
    members = [await scene.member(tag) for _ in range(2)]
    for client in members:
        await client.receive(Introduce)
    return [(await client.receive(Error)).code for client in members]


async def vanishing_while_they_meet(scene: Scene) -> Any:
    """Seats that nobody comes back to are free again."""
    tag = new_tag()
    for client in [await scene.member(tag) for _ in range(2)]:
        await client.receive(Introduce)
        await anyio.aclose_forcefully(client.stream)
    await until(lambda: scene.hits.limits[Limit.GRACE] == 2)
    assert scene.coordinator._desk is not None
    return scene.coordinator._desk.rooms.members


async def reading_nothing(scene: Scene) -> Any:
    """Answers pile up, first in the kernel and then in the outbox, and the client is given up."""
    client = await scene.offender()
    with contextlib.suppress(anyio.BrokenResourceError):
        for _ in range(20):
            await client.send(*[Ping(number=1)] * 250)
    await until(scene.hits.endings.total)
    return [*scene.hits.endings]


async def a_long_frame(scene: Scene) -> Any:
    """A length is refused before anything follows it."""
    client = await scene.offender()
    await client.stream.send(struct.pack("!I", LARGEST_FRAME + 1))
    return (await client.receive(Error)).code


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """How a limit is hit.

    Attributes:
        play: What the offender does; returns what came of it.
        gets: What that has to be.
        limits: Limits within its reach.
        before: The others have come before it, as the limit is of all together.
        proxied: A load balancer stands in front.
    """

    play: Callable[[Scene], Awaitable[Any]]
    gets: Any
    limits: dict[str, float] = field(default_factory=dict)
    before: bool = False
    proxied: bool = False


OFFENCES = {
    Limit.CONNECTIONS: Offence(
        play=one_connection_too_many,
        gets=Code.BUSY,
        limits={"connections": 3},
        before=True,
    ),
    Limit.CONNECTIONS_PER_ADDRESS: Offence(
        play=one_connection_more, gets=Code.RATE, limits={"connections_per_address": 2}
    ),
    Limit.CONNECTION_RATE: Offence(
        play=one_connection_more,
        gets=Code.RATE,
        limits={"connection_rate": 0, "connection_burst": 2},
    ),
    Limit.ADDRESSES: Offence(play=many_addresses, gets=3, limits={"addresses": 3}),
    Limit.MEMBERS_PER_ADDRESS: Offence(
        play=seats_without_connections, gets=Code.RATE, limits={"members_per_address": 4}
    ),
    Limit.ROOMS: Offence(
        play=one_room_more, gets=Code.ROOMS_FULL, limits={"rooms": 2}, before=True
    ),
    Limit.QUEUE: Offence(play=a_full_queue, gets=Code.ROOM_FULL, limits={"queue": 1}),
    Limit.MEMBERS_PER_ROOM: Offence(play=a_third_member, gets=Code.ROOM_FULL),
    Limit.HANDSHAKE: Offence(play=silence, gets=Code.TIMEOUT, limits={"handshake": 1}),
    Limit.IDLE: Offence(play=silence_in_a_seat, gets=Code.IDLE, limits={"idle": 2}),
    Limit.MESSAGE_RATE: Offence(
        play=many_messages, gets=Code.RATE, limits={"message_rate": 0, "message_burst": 4}
    ),
    Limit.ROUND_TRIP_WAIT: Offence(
        play=no_pong, gets=True, limits={"round_trip_wait": SHORT}, proxied=True
    ),
    Limit.FAMILY_WAIT: Offence(play=no_attach, gets=[1, 1], limits={"family_wait": SHORT}),
    Limit.MEETING: Offence(
        play=a_meeting_without_end, gets=[Code.TIMEOUT] * 2, limits={"meeting": 1}
    ),
    Limit.GRACE: Offence(play=vanishing_while_they_meet, gets=0, limits={"grace": SHORT}),
    Limit.OUTBOX: Offence(
        play=reading_nothing,
        gets=["unread"],
        limits={"outbox": 1000, "message_burst": 1_000_000},
    ),
    Limit.FRAME: Offence(play=a_long_frame, gets=Code.MALFORMED),
}


def test_every_limit_is_hit() -> None:
    """There is an offence for each; that of a stop is a test of its own, below."""
    assert set(Limit) - set(OFFENCES) == {Limit.DRAIN}


@pytest.fixture(autouse=True)
def _small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel take little for a client that does not read."""
    set_options = _transport.set_options

    def set_small(sock: socket.socket) -> None:
        set_options(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that there is

    monkeypatch.setattr(_listener, "set_options", set_small)


@pytest.mark.parametrize("limit", OFFENCES)
async def test_a_limit(limit: Limit) -> None:
    """Whoever hits it gets what it is for, it is counted, and two others meet meanwhile."""
    offence = OFFENCES[limit]
    bearing: Any = offence.limits
    hits = Hits()
    async with (
        Coordinator(
            LOOPBACK,
            limits=CoordinatorLimits(**bearing),
            metrics=hits,
            proxy_protocol=offence.proxied,
        ) as coordinator,
        AsyncExitStack() as stack,
    ):
        scene = Scene(coordinator=coordinator, hits=hits, stack=stack, proxied=offence.proxied)
        tag = new_tag()
        if offence.before:
            async with await scene.client(OTHERS) as a, await scene.client(OTHERS) as b:
                await enter(a, tag)
                assert await offence.play(scene) == offence.gets
                await enter(b, tag)
                await meet(a, b)
        else:
            assert await offence.play(scene) == offence.gets
            async with await scene.client(OTHERS) as a:
                await enter(a, tag, measured=offence.proxied)
                async with await scene.client(OTHERS) as b:
                    await enter(b, tag, measured=offence.proxied)
                    await meet(a, b)
        assert hits.limits[limit]


async def test_a_meeting_that_does_not_end_for_a_stop() -> None:
    """It is given its time and dismissed; another ends in order meanwhile."""
    hits = Hits()
    limits = CoordinatorLimits(drain=2)
    async with (
        Coordinator(LOOPBACK, limits=limits, metrics=hits) as coordinator,
        AsyncExitStack() as stack,
        anyio.create_task_group() as group,
    ):
        scene = Scene(coordinator=coordinator, hits=hits, stack=stack, proxied=False)
        tag, other = new_tag(), new_tag()
        members = [await scene.member(tag) for _ in range(2)]
        async with await scene.client(OTHERS) as a, await scene.client(OTHERS) as b:
            await enter(a, other)
            await enter(b, other)
            group.start_soon(coordinator.drain)
            await meet(a, b)
        for client in members:
            await client.receive(Introduce)
            await client.receive(Bye)
        assert hits.limits[Limit.DRAIN] == 2


async def test_one_connection_of_a_seat_for_each_family() -> None:
    """Each new one replaces the last, however many come: a seat holds two at most."""
    hits = Hits()
    async with Coordinator(LOOPBACK, metrics=hits) as coordinator, AsyncExitStack() as stack:
        scene = Scene(coordinator=coordinator, hits=hits, stack=stack, proxied=False)
        joining = join(new_tag(), families=(Family.IPV6,))
        first = await scene.offender()
        await first.send(joining)
        await first.receive(Welcome)
        for _ in range(20):
            stream = await anyio.connect_tcp(*coordinator.endpoints[1])
            client = await stack.enter_async_context(Client(stream))
            await client.send(Attach(tag=joining.tag, seat=joining.seat))
            await client.receive(Welcome)
        await until(lambda: coordinator.connections == 2)
        assert hits.endings == {"hung_up": 19}


async def test_last_words_to_who_does_not_read() -> None:
    """They are given a moment to leave; then the connection is closed, read or not."""
    hits = Hits()
    limits = CoordinatorLimits(message_rate=0, message_burst=15_000, outbox=1_000_000)
    async with Coordinator(LOOPBACK, limits=limits, metrics=hits) as coordinator:
        async with Client(await anyio.connect_tcp(*coordinator.endpoints[0])) as client:
            with contextlib.suppress(anyio.BrokenResourceError):
                for _ in range(60):
                    await client.send(*[Ping(number=1)] * 250)
                await client.send(Ping(number=1))
            await until(lambda: coordinator.connections == 0)
        assert hits.limits[Limit.MESSAGE_RATE] == 1
        assert hits.endings == {"hung_up": 1}
