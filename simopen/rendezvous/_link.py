"""One round's connections to the coordinator, all from the port that will be punched.

Theory of operation. A link connects to every address family of the coordinator at once, each from
the same local port, so that the coordinator sees the very mappings that are going to be punched,
and keeps these connections open until the round is over, as the mappings may live no longer (RFC
8489 §6.2.2). The first to be connected is the *primary*: it joins, and the others attach to it
once it is welcomed. If it is lost before that, the next one takes its place: a path may let a
connection through and then lose what is long.
Once welcomed, the link also shows itself to the coordinator's probe ports, from which the
coordinator learns whether a NAT maps by destination.

Nothing in :meth:`Link.run` raises by itself: what went wrong is what :meth:`Link.introduced` says.
Losing the coordinator after the introduction changes nothing.

Invariants:

- Every socket is closed when :meth:`Link.run` ends, however it ends.
- An introduction is taken once; a link ends once, with the first reason.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from simopen._endpoints import IPV4, Endpoint, numeric_address
from simopen.net import _sockets
from simopen.net._addresses import endpoint_of

from ._candidates import parse_observed
from ._channel import BROKEN, CONNECT_TIMEOUT, Channel, connection
from .protocol import (
    Attach,
    Code,
    Dismissed,
    Failed,
    Family,
    Introduced,
    Join,
    Lost,
    Outcome,
    Probe,
    Rejected,
    Welcomed,
    WireError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import ByteStream

    from simopen.net._interfaces import Berth

    from ._url import Rendezvous
    from .protocol import ClientEvent

PARTING_TIMEOUT = 0.2  # seconds for a word to the coordinator; nobody waits longer for it
_FAMILIES = {4: Family.IPV4, 6: Family.IPV6}


class LinkError(Exception):
    """Why there will be no introduction on this link.

    Attributes:
        words: For people.
        code: What the coordinator said, if it said something.
        malformed: Whether what it sent was not of the protocol.
    """

    def __init__(self, words: str, *, code: Code | None = None, malformed: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.code = code
        self.malformed = malformed


class Link:
    """A seat at the coordinator, for one round.

    Args:
        rendezvous: The coordinator.
        berth: The port; the link takes its sockets.
        make_join: Makes the first message, given the link and the families still to come.

    Attributes:
        coordinator: The address it is reached by; empty before that.
        berth: As given.
        local: Our ends of the connections, by the version of IP.
        observed: The same in the coordinator's word.
        join: The first message, once it was made.
        end: Why there will be no introduction, once that is known.
    """

    def __init__(
        self,
        rendezvous: Rendezvous,
        berth: Berth,
        make_join: Callable[[Link, tuple[Family, ...]], Join],
    ) -> None:
        self.coordinator = ""
        self.berth = berth
        self.local: dict[int, Endpoint] = {}
        self.observed: dict[int, Endpoint] = {}
        self.join: Join | None = None
        self.end: LinkError | None = None
        self._rendezvous = rendezvous
        self._make_join = make_join
        self._primary: Channel | None = None
        self._pending: set[int] = set()  # versions of IP that are being connected
        self._in_line = 0  # connections that wait whether they have to join
        self._malformed = False  # whether the primary's other end is no coordinator
        self._failures: list[str] = []
        self._welcomed = anyio.Event()
        self._news = anyio.Event()
        self._introduction: Introduced | None = None
        self._scope = anyio.CancelScope(shield=True)
        self._closed = anyio.Event()

    # -- for its owner ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold the connections until :meth:`close`.

        Nothing else ends it: whoever is cancelled can still say that the seat is free.
        """
        try:
            with self._scope:
                await self._connect_all()
        finally:
            self.berth.close()
            self._closed.set()
            self._fail(LinkError("; ".join(self._failures) or "the link was closed"))

    async def welcomed(self) -> bool:
        """Wait until the coordinator has taken us in, or the link has ended; which?"""
        while not self._welcomed.is_set() and self.end is None:
            await self._news.wait()
        return self._welcomed.is_set()

    async def introduced(self) -> Introduced:
        """Wait for the peer.

        Raises:
            LinkError: Nobody will be introduced here.
        """
        while self._introduction is None:
            if self.end is not None:
                raise self.end
            await self._news.wait()
        return self._introduction

    async def report(self, outcome: Outcome, *, elapsed: float) -> None:
        """Tell the coordinator how the round ended.

        Args:
            outcome: What became of it.
            elapsed: Seconds from the introduction.
        """
        if self._primary is not None and self.end is None:
            self._primary.conversation.result(outcome, elapsed=elapsed)
            await self._flush_primary()

    async def close(self, *, leave: bool) -> None:
        """End the link.

        Args:
            leave: Whether to give up the seat as well; not where another link goes on with it.
        """
        if leave and self._primary is not None and self.end is None:
            self._primary.conversation.leave()
            await self._flush_primary()
        self._scope.cancel()

    async def closed(self) -> None:
        """Wait until no socket of a link that was closed is left."""
        await self._closed.wait()

    # -- connecting ------------------------------------------------------------------------------

    async def _connect_all(self) -> None:
        try:
            with anyio.fail_after(CONNECT_TIMEOUT):
                found = await self._resolve()
        except (OSError, UnicodeError, TimeoutError) as error:
            self._failures.append(f"{self._rendezvous.endpoint.host}: {_words(error)}")
            return
        self._pending = found.keys() & self.berth.sockets.keys()
        if not self._pending:
            self._failures.append("it has no address of a family that we have")
        async with anyio.create_task_group() as group:
            for version in sorted(self._pending):
                group.start_soon(self._hold, version, found[version])

    async def _resolve(self) -> dict[int, Endpoint]:
        """Its first address of each family."""
        host, port = self._rendezvous.endpoint
        hosts = [host]
        if not self._rendezvous.is_literal:
            answers = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            hosts = [str(address[0]) for *_, address in answers]
        found: dict[int, Endpoint] = {}
        for each in hosts:
            version = numeric_address(each.partition("%")[0]).version
            found.setdefault(version, Endpoint(each, port))
        return found

    async def _hold(self, version: int, remote: Endpoint) -> None:
        """Connect one family, and hold its conversation to the end."""
        is_primary = False
        try:
            async with self._connection(self.berth.take(version), remote) as stream:
                self._pending.discard(version)
                self.local[version] = _local_of(stream)
                is_primary = await self._leads()
                await (self._lead if is_primary else self._follow)(version, remote, stream)
        except (OSError, TimeoutError, *BROKEN) as error:
            self._failures.append(f"{remote}: {_words(error)}")
        except WireError as error:
            self._failures.append(f"{remote}: {error}")
            self._malformed = self._malformed or is_primary
        self._pending.discard(version)
        if is_primary:
            self._on_primary_lost()
        elif not self._pending and self._primary is not None:
            self._primary.conversation.settle()
            await self._flush_primary()

    async def _leads(self) -> bool:
        """Whether this connection has to join: the first one, or the next where that was lost."""
        self._in_line += 1
        while self.join is not None and not self._welcomed.is_set():
            await self._news.wait()
        self._in_line -= 1
        return self.join is None

    def _on_primary_lost(self) -> None:
        """Let another connection join in its place, if it was not welcomed and there is one."""
        others = self._in_line or self._pending
        if self.end is not None or self._welcomed.is_set() or not others:
            self._fail(LinkError("; ".join(self._failures), malformed=self._malformed))
            return
        self.join = self._primary = None
        self._malformed = False
        self._tell()

    async def _lead(self, version: int, remote: Endpoint, stream: ByteStream) -> None:
        """Join, and wait for the peer."""
        self.coordinator = remote.host
        families = tuple(_FAMILIES[each] for each in sorted(self._pending))
        self.join = self._make_join(self, families)
        self._primary = Channel(stream, self.join)
        failure: Exception | None = None
        async with anyio.create_task_group() as probes:

            def handle(event: ClientEvent) -> None:
                if isinstance(event, Welcomed):
                    self._note_observed(version, event)
                    self._welcomed.set()
                    for port in event.probe_ports:
                        probes.start_soon(self._probe, version, remote._replace(port=port))
                self._take(event)

            try:
                await self._primary.talk(handle)
            except (WireError, OSError, *BROKEN) as error:
                failure = error  # raised below, not as a group
            probes.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _follow(self, version: int, _remote: Endpoint, stream: ByteStream) -> None:
        """Add another family's endpoint."""
        assert self.join is not None  # noqa: S101 - we have been welcomed
        attach = Attach(tag=self.join.tag, seat=self.join.seat)

        def handle(event: ClientEvent) -> None:
            if isinstance(event, Welcomed):
                self._note_observed(version, event)

        await Channel(stream, attach).talk(handle)

    async def _probe(self, version: int, remote: Endpoint) -> None:
        """Show ourselves to a second port, whatever comes of it."""
        assert self.join is not None  # noqa: S101 - we have been welcomed
        family = socket.AF_INET if version == IPV4 else socket.AF_INET6
        probe = Probe(tag=self.join.tag, seat=self.join.seat)
        with suppress(OSError, TimeoutError, WireError, *BROKEN):
            sock = _sockets.open_punch_socket(family, self.local[version])
            async with self._connection(sock, remote) as stream:
                await Channel(stream, probe).talk(lambda _: None)

    def _connection(
        self, sock: socket.socket, remote: Endpoint
    ) -> AbstractAsyncContextManager[ByteStream]:
        named = self.berth.port_is_named
        return connection(sock, remote, self._rendezvous, port_is_named=named)

    async def _flush_primary(self) -> None:
        if self._primary is not None:
            with anyio.move_on_after(PARTING_TIMEOUT, shield=True), suppress(OSError, *BROKEN):
                await self._primary.flush()

    # -- telling ---------------------------------------------------------------------------------

    def _take(self, event: ClientEvent) -> None:
        match event:
            case Introduced():
                self._introduction = event
            case Rejected() | Failed():
                self._fail(LinkError(event.message or event.code.value, code=event.code))
            case Dismissed():
                self._fail(LinkError("it is shutting down", code=Code.SHUTTING_DOWN))
            case Lost():
                self._failures.append("it is silent" if event.silent else "it has hung up")
        self._tell()

    def _note_observed(self, version: int, event: Welcomed) -> None:
        if (endpoint := parse_observed(event.observed)) is not None:
            self.observed[version] = endpoint

    def _fail(self, error: LinkError) -> None:
        if self.end is None:
            self.end = error
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


def _local_of(stream: ByteStream) -> Endpoint:
    return endpoint_of(stream.extra(SocketAttribute.raw_socket).getsockname())


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    reason = error if isinstance(error, OSError) else error.__cause__
    text = reason.strerror if isinstance(reason, OSError) else None
    return text or str(error) or "the connection broke"
