"""Coordinators that do what a test says, and a peer that can be played by hand."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from simopen import Endpoint, Invite
from simopen.net._addresses import endpoint_of
from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    ClientMessage,
    FrameReader,
    Introduce,
    Join,
    Message,
    Welcome,
    encode_frame,
)
from simopen.security._certificate import Identity
from simopen.security._handshake import Handshake
from simopen.security._keys import MODE_RENDEZVOUS
from simopen.security._offer import OfferBody, open_offer, seal_offer
from simopen.security._tls import TlsStream

IDLE = 60.0  # seconds
INVITE = Invite.new("room")
STRANGER = Invite.new("room")  # another secret for a room of the same name
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Guest:
    """A client of a scripted coordinator.

    Attributes:
        stream: The bytes under it.
        observed: Where it comes from.
        join: Its join, once :meth:`welcome` has read it.
    """

    join: Join

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.observed = endpoint_of(stream.extra(SocketAttribute.raw_socket).getpeername())
        self._reader = FrameReader(CLIENT_MESSAGES)
        self._messages: Iterator[ClientMessage] = iter(())

    async def send(self, *messages: Message) -> None:
        """Send them in one piece."""
        await self.stream.send(b"".join(map(encode_frame, messages)))

    async def receive(self) -> ClientMessage:
        """The next message."""
        message = next(self._messages, None)
        while message is None:
            self._messages = self._reader.feed(await self.stream.receive())
            message = next(self._messages, None)
        return message

    async def welcome(self, *, probe: tuple[int, ...] = ()) -> None:
        """Take the join and answer it."""
        message = await self.receive()
        assert isinstance(message, Join)
        self.join = message
        await self.send(Welcome(observed=str(self.observed), probe=probe, idle=IDLE))

    async def introduce(
        self, offer: bytes, *observed: Endpoint | str, delay: float = 0.0, round_: int = 1
    ) -> None:
        """Introduce somebody."""
        seen = tuple(map(str, observed))
        await self.send(Introduce(round=round_, delay=delay, observed=seen, offer=offer))

    async def stay(self) -> list[ClientMessage]:
        """What the client has to say until it hangs up."""
        said = []
        try:
            while True:
                said.append(await self.receive())
        except BROKEN:
            return said


Script = Callable[[Guest], Awaitable[object]]


@asynccontextmanager
async def serve_tcp(
    play: Callable[[SocketStream], Awaitable[object]], *, host: str = "127.0.0.1"
) -> AsyncIterator[Endpoint]:
    """An endpoint where a connection opens at the first SYN, and what is done with each."""

    async def serve(stream: SocketStream) -> None:
        try:
            await play(stream)
        except (OSError, AttributeError, *BROKEN):
            pass  # it has hung up; uvloop has no socket left then, not even to ask for its peer
        finally:
            await anyio.aclose_forcefully(stream)

    listener = await anyio.create_tcp_listener(local_host=host)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield endpoint_of(listener.extra(SocketAttribute.raw_socket).getsockname())
        group.cancel_scope.cancel()


@asynccontextmanager
async def coordinator(
    script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    """A coordinator that runs ``script`` with each of its clients, and hangs up after it."""

    async def play(stream: ByteStream) -> None:
        if tls is not None:
            stream = await TLSStream.wrap(stream, ssl_context=tls, standard_compatible=False)
        await script(Guest(stream))

    async with serve_tcp(play, host=host) as endpoint:
        yield endpoint


def url(endpoint: Endpoint, scheme: str = "tcp") -> str:
    """A coordinator's URL."""
    return f"{scheme}://{endpoint}"


class Peer:
    """The other member of a room, who listens where a real one would punch.

    Attributes:
        endpoint: Where.
        met: How many have come.
    """

    def __init__(self, invite: Invite = INVITE) -> None:
        self.keys = invite.group_keys()
        self.tag = self.keys.room_tag(invite.room)
        self.identity = Identity.generate()

    def offer(self, *candidates: tuple[str, int], round_: int = 1) -> bytes:
        """A fresh sealed offer."""
        body = OfferBody(self.identity.certificate, bytes(32), round_, candidates)
        salt = os.urandom(32)
        return seal_offer(self.keys, body, mode=MODE_RENDEZVOUS, room_tag=self.tag, salt=salt)

    def opened(self, sealed: bytes) -> OfferBody:
        """What the other side's offer says."""
        return open_offer(self.keys, sealed, mode=MODE_RENDEZVOUS, room_tag=self.tag, own=None)

    async def prove(
        self, transport: ByteStream, *, ours: bytes, theirs: bytes, round_: int = 1
    ) -> TlsStream:
        """Do what a real peer does on a connection that has opened."""
        handshake = Handshake(
            keys=self.keys,
            identity=self.identity,
            own_offer=ours,
            peer_offer=theirs,
            peer_body=self.opened(theirs),
            mode=MODE_RENDEZVOUS,
            round=round_,
            room_tag=self.tag,
        )
        return await handshake.authenticate(transport, lane=0, deadline_s=4)
