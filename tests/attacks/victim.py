"""A client under attack: the real call, the friend it is to meet, and who gets in between."""

from __future__ import annotations

import base64
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream
from anyio.streams.tls import TLSStream

from simopen import Endpoint, Event, PeerStream, PunchAttempt, SimopenError, connect_peer
from simopen.security._certificate import ALPN, Identity, peer_id
from simopen.security._errors import SecurityError
from tests.helpers import open_sockets
from tests.rendezvous.clients import until
from tests.rendezvous.coordinators import BROKEN, INVITE, Guest, Peer, serve_tcp

SLACK = 15.0  # seconds that a busy machine may add to a call's own time
MESSAGE = b"for your eyes only, my friend"
GREETING = 1024  # bytes that whoever accepts a connection may get: one side's part in TLS

E = TypeVar("E", bound=SimopenError)


# -- the victim ------------------------------------------------------------------------------------


def spellings(value: bytes) -> list[str]:
    """How bytes may look in a text; a part is enough."""
    return [repr(value)[2:18], value.hex()[:16], base64.b64encode(value).decode()[:16]]


_KEYS = INVITE.group_keys()
SECRETS = [
    INVITE.reveal()[-20:],
    *spellings(_KEYS._prk),
    *spellings(_KEYS.room_tag(INVITE.room)),
    *spellings(_KEYS.room_tag(None)),
]


def assert_discreet(error: BaseException, events: list[Event]) -> None:
    """Fail if an error, with the variables of its frames, or an event has something secret."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    told = f"{''.join(trace.format())}{error!r}{vars(error)}{events!r}"
    assert not [each for each in SECRETS if each in told]


class Victim:
    """One call with everything that it told.

    Attributes:
        events: All of them.
        elapsed: Seconds that the call took.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.elapsed = 0.0

    @property
    def syns(self) -> int:
        """How many SYNs it sent, as far as it knows."""
        return sum(isinstance(event, PunchAttempt) for event in self.events)

    async def call(self, *, timeout: float = 30.0, **changes: Any) -> PeerStream:
        """Connect; whatever happens, within the time allowed."""
        arguments: dict[str, Any] = {"secret": INVITE, "on_event": self.events.append} | changes
        began = time.monotonic()
        try:
            with anyio.fail_after(timeout + SLACK):
                stream: PeerStream = await connect_peer(timeout=timeout, **arguments)
                return stream
        except SimopenError as error:
            assert_discreet(error, self.events)
            raise
        finally:
            self.elapsed = time.monotonic() - began

    async def fails(self, kind: type[E], **changes: Any) -> E:
        """How a call fails that cannot succeed; it leaves no socket behind."""
        before = open_sockets()
        with pytest.raises(kind) as caught:
            await self.call(**changes)
        await until(lambda: open_sockets() <= before)  # those of the attackers as well
        return caught.value


async def assert_carries(stream: PeerStream) -> None:
    """Fail unless the stream is the friend's, who sends back what it gets."""
    async with stream:
        assert stream.report.encrypted
        await stream.send(MESSAGE)
        assert await stream.receive() == MESSAGE


# -- the friend ------------------------------------------------------------------------------------


class Friend:
    """The peer that is to be met: it listens, proves itself and sends back what it gets.

    Args:
        leads: Whether it is to be the TLS client.

    Attributes:
        peer: Its keys and its certificate.
        ours: The offer of its latest introduction.
        theirs: The victim's in that.
        round: The number of that.
        turn: Set when it may answer; it lets others go first.
    """

    def __init__(self, *, leads: bool = False) -> None:
        self.peer = Peer()
        self.ours = self.theirs = b""
        self.round = 1
        self.turn = anyio.Event()
        self._leads = leads

    async def introduce(
        self,
        guest: Guest,
        *observed: Endpoint | str,
        offered: tuple[tuple[str, int], ...] = (),
        round_: int = 1,
    ) -> None:
        """Let a coordinator introduce it."""
        self.theirs, self.round = guest.join.offer, round_
        victim = peer_id(self.peer.opened(self.theirs).certificate)
        while (self.peer.identity.peer_id < victim) is not self._leads:
            self.peer.identity = Identity.generate()
        self.ours = self.peer.offer(*offered)
        await guest.introduce(self.ours, *observed, round_=round_)

    async def prove(self, stream: ByteStream) -> ByteStream:
        """Its part in the proof."""
        return await self.peer.prove(stream, ours=self.ours, theirs=self.theirs, round_=self.round)

    async def play(self, stream: SocketStream) -> None:
        """On a connection that has opened."""
        await self.turn.wait()
        with suppress(SecurityError):  # another connection may have been chosen
            proven = await self.prove(stream)
            while True:
                await proven.send(await proven.receive())


# -- strangers -------------------------------------------------------------------------------------


class Tap(ByteStream):
    """A stream of which everything received is noted.

    Args:
        stream: What it goes over.
        heard: Where that is noted.
        pause: Seconds after each byte that is sent; 0 to send all at once.
    """

    def __init__(self, stream: ByteStream, heard: bytearray, pause: float = 0.0) -> None:
        self._stream = stream
        self._heard = heard
        self._pause = pause

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The stream's."""
        return self._stream.extra_attributes

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive and note."""
        data = await self._stream.receive(max_bytes)
        self._heard += data
        return data

    async def send(self, item: bytes) -> None:
        """Send, slowly if so wanted."""
        pieces = [item[n : n + 1] for n in range(len(item))] if self._pause else [item]
        for piece in pieces:
            await self._stream.send(piece)
            await anyio.sleep(self._pause)

    async def send_eof(self) -> None:
        """End what the other side receives."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()


class Stranger:
    """Somebody who is first at an endpoint, and not the peer.

    Args:
        play: What it does with each connection.

    Attributes:
        met: Set when it has played its part, or as much of it as counts.
        heard: All bytes that it was sent.
        read: What it could decrypt of them.
    """

    def __init__(self, play: Callable[[Stranger, ByteStream], Awaitable[None]]) -> None:
        self.met = anyio.Event()
        self.heard = bytearray()
        self.read = bytearray()
        self.connections = 0
        self._play = play

    async def __call__(self, stream: SocketStream) -> None:
        """On a connection that has opened."""
        self.connections += 1
        try:
            await self._play(self, Tap(stream, self.heard))
        finally:
            self.met.set()

    async def listen(self, stream: ByteStream) -> None:
        """Hear out whoever is there."""
        with suppress(*BROKEN):
            while True:
                await stream.receive()

    def assert_told_nothing(self) -> None:
        """Fail unless all it was sent is one side's part in TLS, without anything inside."""
        assert not self.read
        assert len(self.heard) <= GREETING * self.connections


async def keep_silent(stranger: Stranger, stream: ByteStream) -> None:
    """Hold the connection open and say nothing."""
    stranger.met.set()
    await stranger.listen(stream)


async def babble(stranger: Stranger, stream: ByteStream) -> None:
    """Say what is no TLS."""
    await stream.send(b"SSH-2.0-OpenSSH_9.9\r\n" * 100)
    await stranger.listen(stream)


async def hang_up(stranger: Stranger, stream: ByteStream) -> None:
    """End it at once, and hear what there is."""
    await stream.send_eof()
    await stranger.listen(stream)


async def reset(_: Stranger, stream: ByteStream) -> None:
    """End it at once."""
    await anyio.aclose_forcefully(stream)


def own_tls(*, server: bool) -> ssl.SSLContext:
    """TLS as the peer would speak it, with a certificate of one's own, trusting anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    Identity.generate().load_into(context)
    return context


async def _speak_tls(
    stranger: Stranger, stream: ByteStream, *, server: bool, pause: float = 0.0
) -> None:
    slow = Tap(stream, bytearray(), pause)
    if pause:
        stranger.met.set()  # it would take for ever
    with suppress(ssl.SSLError, *BROKEN):
        secured = await TLSStream.wrap(
            slow, server_side=server, ssl_context=own_tls(server=server), standard_compatible=False
        )
        stranger.read += await secured.receive()
    stranger.met.set()
    await stranger.listen(stream)


async def serve_tls(stranger: Stranger, stream: ByteStream) -> None:
    """Be a TLS server with a certificate of one's own."""
    await _speak_tls(stranger, stream, server=True)


async def open_tls(stranger: Stranger, stream: ByteStream) -> None:
    """Be a TLS client with a certificate of one's own."""
    await _speak_tls(stranger, stream, server=False)


async def serve_tls_slowly(stranger: Stranger, stream: ByteStream) -> None:
    """The same, byte by byte."""
    await _speak_tls(stranger, stream, server=True, pause=0.01)


async def open_tls_slowly(stranger: Stranger, stream: ByteStream) -> None:
    """The same, byte by byte."""
    await _speak_tls(stranger, stream, server=False, pause=0.01)


async def talk_for_ever(_: Stranger, stream: ByteStream) -> None:
    """Send a first message of TLS that has no end: a server's to who greets, else a client's."""
    greeted = b""
    with anyio.move_on_after(0.1):
        greeted = await stream.receive()
    first = (b"\2" if greeted else b"\1") + (2**24 - 1).to_bytes(3, "big")
    record = b"\x16\3\3\x10\0"
    with suppress(*BROKEN):
        await stream.send(record + first + bytes(4092))
        await stream.send(100 * (record + bytes(4096)))


STRANGERS = [
    keep_silent,
    babble,
    hang_up,
    reset,
    serve_tls,
    open_tls,
    serve_tls_slowly,
    open_tls_slowly,
    talk_for_ever,
]


@asynccontextmanager
async def strangers_at(
    count: int, play: Callable[[Stranger, ByteStream], Awaitable[None]], host: str
) -> AsyncIterator[tuple[list[Stranger], list[Endpoint]]]:
    """Several strangers and their endpoints."""
    strangers = [Stranger(play) for _ in range(count)]
    async with AsyncExitStack() as stack:
        places = [serve_tcp(each, host=host) for each in strangers]
        yield strangers, [await stack.enter_async_context(each) for each in places]
