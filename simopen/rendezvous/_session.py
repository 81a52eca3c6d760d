"""One connection of a client, from accepting to closing: one task.

Theory of operation. Whoever connects has ``limits.handshake`` seconds for everything up to the
first message: the PROXY header, TLS, the message itself. Then the protocol's end of the connection
(:class:`~simopen.rendezvous.protocol.ServerConnection`) says what bytes mean and when time is up;
what it asks of the rooms, and what they send, goes through the :class:`Desk`.

Round trips come from the kernel, where it knows them and they are the client's; behind a proxy,
or without a sample, the protocol measures its own.

States: greeting (PROXY, TLS), talking, leaving (what was sent may still leave, for
:data:`FAREWELL` seconds), closed.

Invariants: whatever a client does ends this task at most; the socket is closed when the task has
ended, also when it was cancelled.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from simopen._endpoints import Endpoint
from simopen.net._tcp_info import min_round_trip

from ._outbox import STREAM_ERRORS, Outbox
from ._proxy import FIXED, ProxyError, parse_client, parse_fixed
from ._transport import Transport
from .protocol import (
    Asked,
    Code,
    CoordinatorLimits,
    CoordinatorMessage,
    Error,
    Family,
    Hangup,
    Hit,
    Limit,
    Path,
    Reply,
    Request,
    ServerConnection,
    Step,
    encode_frame,
)

RECEIVE = 4096  # bytes at once; the longest usual message, a join, has 2,900
FAREWELL = 1.0  # seconds in which the last words may leave
TOO_MANY = Error(code=Code.RATE, message="too many connections from your address")


class Ending(enum.StrEnum):
    """Why a connection ended; a closed set, for the metrics."""

    LEFT = "left"  # the client closed, or its connection broke
    HUNG_UP = "hung_up"  # we had no more to say
    UNREAD = "unread"  # the client did not read what it was sent, or could not be sent to
    PROXY = "proxy"  # no usable PROXY header
    TLS = "tls"  # the TLS handshake failed
    SLOW = "slow"  # header and TLS took too long
    REFUSED = "refused"  # the address has too many connections
    CRASHED = "crashed"  # an error of ours
    STOPPED = "stopped"  # the coordinator has stopped


class Desk(Protocol):
    """What a session needs from the coordinator (:class:`~._desk.Desk` is it).

    Attributes:
        limits: The coordinator's.
        proxied: Connections begin with a PROXY header.
    """

    limits: CoordinatorLimits
    proxied: bool

    def tls(self) -> ssl.SSLContext | None:
        """The certificate for a new connection; None for plain TCP."""

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task that may outlive a turn of the loop."""

    def admit(self, session: Session, now: float) -> bool:
        """Count one more connection of this address, or refuse it."""

    def note(self, message: CoordinatorMessage) -> None:
        """Tell the metrics of a message that is sent."""

    def hit(self, limit: Limit) -> None:
        """Tell the metrics that a limit was hit."""

    def request(self, session: Session, message: Asked, now: float) -> None:
        """Give a client's request to the rooms."""


class Session:
    """A client's connection.

    Attributes:
        number: Names it to the rooms.
        client: Where it comes from: what its NAT shows to the world.
        is_admitted: Whether its address has been counted.
        ending: Why it ended, once it has.
    """

    __slots__ = (
        "_accepted_at", "_conversation", "_desk", "_is_proxied", "_outbox", "_path", "_probing",
        "_round_trip", "_scope", "_transport", "client", "ending", "is_admitted", "number",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        client: Endpoint,
        desk: Desk,
        *,
        probing: bool,
        now: float,
    ) -> None:
        """Take an accepted connection.

        Args:
            number: Never used twice.
            sock: The session closes it.
            client: Where the connection comes from.
            desk: The coordinator.
            probing: It came in on the second port.
            now: Seconds on the loop's clock.
        """
        self.number = number
        self.client = client
        self.is_admitted = False
        self.ending: Ending | None = None
        self._desk = desk
        self._probing = probing
        self._accepted_at = now
        self._is_proxied = False
        self._path: Path | None = None
        self._round_trip: float | None = None  # seconds; the kernel's, before the first word
        self._transport = Transport(sock)
        self._conversation: ServerConnection | None = None
        self._outbox: Outbox | None = None
        self._scope: anyio.CancelScope | None = None  # while it waits for the client

    # -- the task ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until one of us has had enough."""
        if (stream := await self._greet()) is None:
            return
        limits = self._desk.limits
        self._outbox = Outbox(stream, limits.outbox, self._desk.spawn, self._on_unread)
        if not self._is_proxied:
            self._round_trip = min_round_trip(self._transport.sock)
        self._conversation = ServerConnection(
            limits,
            now=self._accepted_at,
            probing=self._probing,
            measuring=self._round_trip is None,
        )
        await self._talk(stream, self._conversation)

    async def farewell(self) -> None:
        """Let what was sent leave, for a moment."""
        if (
            self._outbox is not None
            and self._outbox.is_sending
            and self.ending is not Ending.UNREAD
        ):
            with anyio.move_on_after(FAREWELL):
                await self._outbox.emptied()

    def close(self) -> None:
        """Close the connection at once."""
        if self._conversation is not None:
            self._conversation.end()
        self._outbox = None  # which knows us: what is left would wait for the garbage collector
        self._transport.close()

    # -- for the desk ------------------------------------------------------------------------------

    def path(self) -> Path:
        """How the client is seen, as of its first request."""
        if self._path is None:
            self._path = self._look()
        return self._path

    def _look(self) -> Path:
        host = self.client.host.partition("%")[0]
        family = Family.IPV6 if ":" in host else Family.IPV4
        return Path(family, str(Endpoint(host, self.client.port)), self._best_round_trip())

    def send(self, frames: bytes) -> None:
        """Send messages, without waiting."""
        if self._outbox is not None:
            self._outbox.put(frames)

    def hang_up(self, why: Ending) -> None:
        """End the connection when what was sent has left."""
        self.ending = self.ending or why
        if self._scope is not None:
            self._scope.cancel()

    # -- greeting ----------------------------------------------------------------------------------

    async def _greet(self) -> ByteStream | None:
        """Read the PROXY header, count the address, shake hands; None where that fails."""
        tls = self._desk.tls()
        if tls is None and not self._desk.proxied:
            return self._transport if self._is_admissible(tls, self._accepted_at) else None
        failure = Ending.PROXY
        try:
            with anyio.CancelScope(deadline=self._accepted_at + self._desk.limits.handshake):
                if self._desk.proxied:
                    await self._read_proxy_header()
                if not self._is_admissible(tls, anyio.current_time()):
                    return None
                if tls is None:
                    return self._transport
                failure = Ending.TLS
                return await TLSStream.wrap(
                    self._transport, server_side=True, ssl_context=tls, standard_compatible=False
                )
            self.ending = Ending.SLOW
            self._desk.hit(Limit.HANDSHAKE)
        except (ProxyError, *STREAM_ERRORS):
            self.ending = failure
        return None

    def _is_admissible(self, tls: ssl.SSLContext | None, now: float) -> bool:
        """Count the address; whoever is refused is told so where that takes no handshake."""
        self.is_admitted = self._desk.admit(self, now)
        if not self.is_admitted:
            self.ending = Ending.REFUSED
            if tls is None:
                with contextlib.suppress(*STREAM_ERRORS):
                    self._transport.send_now(encode_frame(TOO_MANY))
                    self._desk.note(TOO_MANY)
        return self.is_admitted

    async def _read_proxy_header(self) -> None:
        fixed = parse_fixed(await self._transport.receive_exactly(FIXED))
        rest = await self._transport.receive_exactly(fixed.rest)
        if (client := parse_client(fixed, rest)) is not None:
            self.client = client
            self._is_proxied = True

    # -- talking -----------------------------------------------------------------------------------

    async def _talk(self, stream: ByteStream, conversation: ServerConnection) -> None:
        if self._round_trip is None:
            now = anyio.current_time()
            self._do(conversation.start(now), now)
        while self.ending is None:
            with anyio.CancelScope(deadline=conversation.next_deadline()) as scope:
                await self._read(stream, conversation, scope)
            if self.ending is None:
                now = anyio.current_time()
                self._do(conversation.tick(now), now)

    async def _read(
        self, stream: ByteStream, conversation: ServerConnection, scope: anyio.CancelScope
    ) -> None:
        """Receive until the connection ends, or the scope's deadline cancels."""
        while True:
            self._scope = scope
            try:
                data = await stream.receive(RECEIVE)
            except STREAM_ERRORS:
                self.ending = self.ending or Ending.LEFT
                return
            finally:
                self._scope = None
            now = anyio.current_time()
            self._do(conversation.receive(data, now), now)
            if self.ending is not None:
                return
            if (due := conversation.next_deadline()) < scope.deadline:
                scope.deadline = due  # a later one is set when this has come: once, not each time

    def _do(self, steps: list[Step], now: float) -> None:
        for step in steps:
            if self.ending is not None:
                return
            match step:
                case Request(message):
                    self._desk.request(self, message, now)
                case Reply(message):
                    self._desk.note(message)
                    self.send(encode_frame(message))
                case Hit(limit):
                    self._desk.hit(limit)
                case Hangup():
                    self.hang_up(Ending.HUNG_UP)

    def _on_unread(self, limit: Limit | None) -> None:
        if limit is not None:
            self._desk.hit(limit)
        self.hang_up(Ending.UNREAD)

    def _best_round_trip(self) -> float | None:
        if self._round_trip is not None:
            return self._round_trip
        measured = self._conversation.round_trip if self._conversation else None
        by_kernel = None if self._is_proxied else min_round_trip(self._transport.sock)
        return min((each for each in (measured, by_kernel) if each is not None), default=None)
