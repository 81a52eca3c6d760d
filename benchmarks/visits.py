"""What the visitors of a soak do to a coordinator, well-behaved and not.

Each *visit* is a function of a :class:`Door` and of chances of its own; it opens its connections,
does one thing, asserts what a coordinator owes it (:class:`AssertionError` where it does not come)
and leaves nothing open. :data:`VISITS` has them all, with how often each comes.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from simopen.rendezvous.protocol import (
    COORDINATOR_MESSAGES,
    Attach,
    Code,
    CoordinatorMessage,
    Error,
    Family,
    FrameReader,
    Introduce,
    Join,
    Leave,
    Message,
    Outcome,
    Ping,
    Pong,
    Probe,
    Probed,
    Reject,
    Result,
    Settled,
    Welcome,
    encode_frame,
)

PATIENCE = 20.0  # seconds for any one answer
LINGER = 3.0  # seconds, at most, between two things that a visitor does
OFFER_BYTES = 32 + 2048 + 16
ENDED = (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError, OSError)
RESET_ON_CLOSE = struct.pack("@ii", 1, 0)

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Door:
    """Where a coordinator is.

    Attributes:
        port: Of members, on 127.0.0.1 and on ::1.
        probe_port: Of probes, likewise.
        tls: Trusts its certificate; None for plain TCP.
    """

    port: int
    probe_port: int
    tls: ssl.SSLContext | None


class Visitor:
    """One connection."""

    def __init__(self, raw: socket.socket, stream: ByteStream) -> None:
        self._raw = raw
        self._stream = stream
        self._reader = FrameReader(COORDINATOR_MESSAGES)
        self._messages: Iterator[CoordinatorMessage] = iter(())

    async def say(self, *messages: Message) -> None:
        """Send messages in one piece."""
        await self.write(b"".join(map(encode_frame, messages)))

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._stream.send(data)

    async def hear(self, kind: type[M]) -> M:
        """The next message, which must be of that kind."""
        with anyio.fail_after(PATIENCE):
            message = next(self._messages, None)
            while message is None:
                self._messages = self._reader.feed(await self._stream.receive())
                message = next(self._messages, None)
        if not isinstance(message, kind):
            raise AssertionError(f"expected {kind.__name__}, heard {message}")  # noqa: TRY004
        return message

    async def hear_end(self) -> None:
        """Read until the coordinator hangs up, which it must."""
        await end_of(self._stream)

    def reset_at_the_end(self) -> None:
        """Close by RST."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def end_of(stream: ByteStream) -> None:
    """Read until a stream ends; never within :data:`ENDED`'s reach, as a TimeoutError is one."""
    with anyio.fail_after(PATIENCE), contextlib.suppress(*ENDED):
        while True:
            await stream.receive()


@asynccontextmanager
async def enter(
    door: Door, *, host: str = "127.0.0.1", probing: bool = False
) -> AsyncIterator[Visitor]:
    """A connection, TLS included, closed at the end without ceremony."""
    port = door.probe_port if probing else door.port
    bare = await anyio.connect_tcp(host, port)
    try:
        raw = bare.extra(SocketAttribute.raw_socket)
        stream: ByteStream = bare
        if door.tls is not None:
            with anyio.fail_after(PATIENCE):
                stream = await TLSStream.wrap(
                    bare, server_side=False, ssl_context=door.tls, standard_compatible=False
                )
        yield Visitor(raw, stream)
    finally:
        await anyio.aclose_forcefully(bare)


def join(
    tag: bytes, *, seat: bytes = b"", number: int = 1, families: tuple[Family, ...] = ()
) -> Join:
    """A join, by default of a new seat."""
    offer = secrets.token_bytes(OFFER_BYTES)
    seat = seat or secrets.token_bytes(16)
    return Join(tag=tag, seat=seat, offer=offer, round=number, families=families)


async def take_seat(visitor: Visitor, asked: Join) -> None:
    """Join and be welcomed."""
    await visitor.say(asked)
    await visitor.hear(Welcome)


async def linger(chances: random.Random) -> None:
    """Do nothing for a while."""
    await anyio.sleep(chances.uniform(0, LINGER))


# -- the well-behaved ------------------------------------------------------------------------------


async def meet(door: Door, chances: random.Random) -> None:
    """Two meet, after up to two rounds that fail."""
    tag, seats = secrets.token_bytes(32), (secrets.token_bytes(16), secrets.token_bytes(16))
    failures = chances.choice((0, 0, 1, 2))
    for number in range(1, failures + 2):
        asked = [join(tag, seat=seat, number=number) for seat in seats]
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(enter(door))
            await take_seat(first, asked[0])
            await linger(chances)
            second = await stack.enter_async_context(enter(door))
            await take_seat(second, asked[1])
            told = [await each.hear(Introduce) for each in (first, second)]
            if [each.offer for each in told] != [asked[1].offer, asked[0].offer]:
                raise AssertionError("introduced to somebody else")
            outcome = Outcome.FAILED if number <= failures else Outcome.OK
            for visitor, introduced in zip((first, second), told, strict=True):
                await visitor.say(Result(round=introduced.round, outcome=outcome, elapsed=0.5))
            if outcome is Outcome.OK:
                await first.hear_end()
                await second.hear_end()
            else:
                await linger(chances)


async def wait_alone(door: Door, chances: random.Random) -> None:
    """Wait for nobody, ping, and leave in order."""
    async with enter(door) as visitor:
        await take_seat(visitor, join(secrets.token_bytes(32)))
        for number in range(chances.randint(1, 4)):
            await linger(chances)
            await visitor.say(Ping(number=number))
            await visitor.hear(Pong)
        await visitor.say(Leave())
        await visitor.hear_end()


async def show_endpoints(door: Door, chances: random.Random) -> None:
    """Join over IPv4, attach IPv6, probe; and then leave, or vanish."""
    asked = join(secrets.token_bytes(32), families=(Family.IPV6,))
    async with AsyncExitStack() as stack:
        visitor = await stack.enter_async_context(enter(door))
        await take_seat(visitor, asked)
        other = await stack.enter_async_context(enter(door, host="::1"))
        await other.say(Attach(tag=asked.tag, seat=asked.seat))
        await other.hear(Welcome)
        probe = await stack.enter_async_context(enter(door, probing=True))
        await probe.say(Probe(tag=asked.tag, seat=asked.seat))
        await probe.hear(Probed)
        await visitor.say(Settled())
        await linger(chances)
        if chances.random() < 0.5:  # noqa: PLR2004 - a coin
            await visitor.say(Leave())
            await other.hear_end()


# -- the unlucky -----------------------------------------------------------------------------------


async def vanish(door: Door, chances: random.Random) -> None:
    """Be gone at any moment, by a FIN or an RST, and leave the peer with a seat to hold."""
    tag = secrets.token_bytes(32)
    step = chances.randrange(4)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(enter(door))
        if chances.random() < 0.5:  # noqa: PLR2004 - a coin
            first.reset_at_the_end()
        if step > 0:
            await take_seat(first, join(tag))
        await linger(chances)
        if step > 1:
            second = await stack.enter_async_context(enter(door))
            await take_seat(second, join(tag))
            await first.hear(Introduce)
            await second.hear(Introduce)
        if step > 2:  # noqa: PLR2004 - the last of four steps
            await linger(chances)
            await second.say(Result(round=1, outcome=Outcome.FAILED, elapsed=1.0))


async def come_again(door: Door, chances: random.Random) -> None:
    """Take the same seat from a new connection while the old one is open."""
    asked = join(secrets.token_bytes(32))
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(enter(door))
        await take_seat(before, asked)
        for _ in range(chances.randint(1, 3)):
            await linger(chances)
            again = await stack.enter_async_context(enter(door))
            await take_seat(again, join(asked.tag, seat=asked.seat))
            if (told := await before.hear(Error)).code is not Code.REPLACED:
                raise AssertionError(f"replaced, and told {told.code}")
            await before.hear_end()
            before = again


async def come_third(door: Door, chances: random.Random) -> None:
    """Come where the round of two others has failed."""
    tag = secrets.token_bytes(32)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(enter(door))
        second = await stack.enter_async_context(enter(door))
        for visitor in (first, second):
            await take_seat(visitor, join(tag))
        for visitor in (first, second):
            await visitor.hear(Introduce)
            await visitor.say(Result(round=1, outcome=Outcome.FAILED, elapsed=1.0))
            await visitor.say(Ping(number=1))
            await visitor.hear(Pong)
        await linger(chances)
        third = await stack.enter_async_context(enter(door))
        await third.say(join(tag))
        if (told := await third.hear(Reject)).code is not Code.ROOM_FULL:
            raise AssertionError(f"the third of two, and told {told.code}")
        await third.hear_end()


async def fall_silent(door: Door, _: random.Random) -> None:
    """Join, and never ping."""
    async with enter(door) as visitor:
        await take_seat(visitor, join(secrets.token_bytes(32)))
        if (told := await visitor.hear(Error)).code is not Code.IDLE:
            raise AssertionError(f"idle, and told {told.code}")
        await visitor.hear_end()


# -- the hostile -----------------------------------------------------------------------------------


async def say_nothing(door: Door, _: random.Random) -> None:
    """Connect, and that is all; where there is TLS, not even that."""
    async with await anyio.connect_tcp("127.0.0.1", door.port) as stream:
        await end_of(stream)


async def drip(door: Door, chances: random.Random) -> None:
    """Send a join byte by byte until cut off."""
    frame = encode_frame(join(secrets.token_bytes(32)))
    async with enter(door) as visitor:
        try:
            for byte in frame:
                await visitor.write(bytes([byte]))
                await anyio.sleep(chances.uniform(0, 0.1))
        except ENDED:
            return
    raise AssertionError("a drip was borne to its end")


async def talk_garbage(door: Door, chances: random.Random) -> None:
    """Send any bytes, before TLS or inside it, and perhaps after a proper join."""
    garbage = chances.randbytes(chances.randint(4, 20_000))
    if chances.random() < 0.5:  # noqa: PLR2004 - a coin
        async with await anyio.connect_tcp("127.0.0.1", door.port) as stream:
            with contextlib.suppress(*ENDED):
                await stream.send(garbage)
            await end_of(stream)
        return
    async with enter(door) as visitor:
        if chances.random() < 0.5:  # noqa: PLR2004 - a coin
            await take_seat(visitor, join(secrets.token_bytes(32)))
        with contextlib.suppress(*ENDED):
            await visitor.write((8193).to_bytes(4) + garbage)
        await visitor.hear_end()


async def flood(door: Door, _: random.Random) -> None:
    """Send more messages than may be, and read none of the answers."""
    async with enter(door) as visitor:
        await take_seat(visitor, join(secrets.token_bytes(32)))
        with contextlib.suppress(*ENDED):
            for number in range(200):
                await visitor.say(Ping(number=number))
        await visitor.hear_end()


Visit = Callable[[Door, random.Random], Coroutine[object, object, None]]

# How often each comes, to each other.
VISITS: dict[Visit, int] = {
    meet: 8,
    wait_alone: 3,
    show_endpoints: 3,
    vanish: 5,
    come_again: 2,
    come_third: 2,
    fall_silent: 1,
    say_nothing: 1,
    drip: 1,
    talk_garbage: 3,
    flood: 1,
}
