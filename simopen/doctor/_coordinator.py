"""Visits coordinators: takes a seat in a room of its own, shows itself, and leaves.

Theory of operation. The tag of the room, the seat and the offer are random, so that nobody can be
in the room or come to it. The welcome says where the coordinator sees the connection come from; so
does the answer of each of its probe ports to a connection from the same local port. All
coordinators see the same local port, and all seats are kept until the last has answered: a NAT may
forget a mapping with its connection, and would then seem to give another each time.

Invariants: the seats are given up and every socket is closed when :func:`visit_all` ends, however
it ends. What a coordinator says is an endpoint or a reason, printable and bounded, or it is
trouble.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

import anyio
from anyio.abc import ByteStream, SocketAttribute

from simopen._endpoints import Endpoint, numeric_address
from simopen.net import _sockets
from simopen.net._addresses import endpoint_of
from simopen.net._interfaces import Berth
from simopen.net._tcp_info import min_round_trip
from simopen.rendezvous._candidates import parse_observed
from simopen.rendezvous._channel import BROKEN, CONNECT_TIMEOUT, Channel, connection
from simopen.rendezvous._link import PARTING_TIMEOUT
from simopen.rendezvous._url import Rendezvous
from simopen.rendezvous.protocol import (
    ClientEvent,
    Dismissed,
    Failed,
    Join,
    Probe,
    ProbeAnswered,
    Rejected,
    Welcomed,
    WireError,
)
from simopen.rendezvous.protocol._messages import OFFER_LENGTH, SEAT_LENGTH, TAG_LENGTH

from ._facts import Trouble, Visit

# What OpenSSL's verification codes mean for whoever reads the finding (x509_vfy.h).
CERTIFICATE_TROUBLES: Mapping[int, str] = MappingProxyType({
    9: "it is not valid yet (or the clock of this host is slow)",
    10: "it has expired (or the clock of this host is fast)",
    18: "it is signed by itself, and not one that we trust",
    19: "the authority at the end of its chain is not one that we trust",
    20: "its authority is not one that we trust, or a certificate of its chain is missing",
    21: "its authority is not one that we trust, or a certificate of its chain is missing",
    62: "it is for another name",
    64: "it is for another address",
})  # fmt: skip


class _TurnedAwayError(Exception):
    """A visit leads to nothing.

    Attributes:
        trouble: Of which kind.
        reason: In words.
    """

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason


async def visit_all(rendezvous: Sequence[Rendezvous], local: Sequence[Endpoint]) -> list[Visit]:
    """Visit all coordinators at once, over every family that they and we have, from one port.

    Args:
        rendezvous: The coordinators.
        local: Our endpoints, one of each family, their port 0 for any.

    Returns:
        The visits in the order of ``rendezvous``.

    Raises:
        LocalBindError: None of the endpoints can be had.
    """
    berth = Berth(local, required=False)  # it holds the port all the while
    try:
        return await _Tour(berth).run(rendezvous)
    finally:
        berth.close()


class _Tour:
    """All visits from one port.

    Args:
        berth: The port.
    """

    def __init__(self, berth: Berth) -> None:
        self._berth = berth
        self._found: dict[int, Visit] = {}
        self._awaited = 0
        self._complete = anyio.Event()

    async def run(self, rendezvous: Sequence[Rendezvous]) -> list[Visit]:
        """Go everywhere."""
        stops = [stop for each in rendezvous for stop in await self._stops(await each.loaded())]
        self._awaited = len(stops)
        async with anyio.create_task_group() as group:
            for number, (where, remote) in enumerate(stops):
                group.start_soon(self._stop_at, number, where, remote)
        return [visit for _, visit in sorted(self._found.items(), key=lambda item: item[0])]

    async def _stops(self, rendezvous: Rendezvous) -> list[tuple[Rendezvous, Endpoint | Visit]]:
        """Where to go: its first address of each family that we have; or why nowhere."""
        host, port = rendezvous.endpoint
        try:
            with anyio.fail_after(CONNECT_TIMEOUT):
                answers = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            return [(rendezvous, _unfound(rendezvous, _words(error)))]
        ends = [endpoint_of(address) for *_, address in answers]
        found: dict[int, Endpoint] = {}
        for end in ends:
            found.setdefault(_version(end), end)
        ours = [found[version] for version in sorted(found) if version in self._berth.local]
        if not ours:
            reason = "it has no address of a family that we have"
            return [(rendezvous, _unfound(rendezvous, reason))]
        return [(rendezvous, end) for end in ours]

    async def _stop_at(self, number: int, rendezvous: Rendezvous, remote: Endpoint | Visit) -> None:
        """Visit one coordinator over one family; stay until all have been visited."""
        if isinstance(remote, Visit):
            self._note(number, remote)
            return
        local = self._berth.local[_version(remote)]
        way = _Way(rendezvous, remote, local, self._berth.port_is_named)
        try:
            async with _seated(way) as visit:
                self._note(number, visit)
                await self._complete.wait()
        except (OSError, TimeoutError, WireError, _TurnedAwayError, *BROKEN) as error:
            if number not in self._found:  # or it has let us go early
                trouble, reason = _trouble(error, encrypted=rendezvous.encrypted)
                failed = Visit(url=rendezvous.url, remote=remote, trouble=trouble, reason=reason)
                self._note(number, failed)

    def _note(self, number: int, visit: Visit) -> None:
        self._found[number] = visit
        if len(self._found) == self._awaited:
            self._complete.set()


@dataclass(frozen=True, slots=True)
class _Way:
    """How a coordinator is reached over one family.

    Attributes:
        rendezvous: The coordinator.
        remote: Its numeric endpoint.
        local: What to connect from.
        port_is_named: Whether the caller has named the port.
    """

    rendezvous: Rendezvous
    remote: Endpoint
    local: Endpoint
    port_is_named: bool

    @asynccontextmanager
    async def stream(self, port: int | None = None) -> AsyncIterator[ByteStream]:
        """A connection, to another port if one is given."""
        family = socket.AF_INET6 if ":" in self.local.host else socket.AF_INET
        sock = _sockets.open_punch_socket(family, self.local)
        remote = self.remote if port is None else self.remote._replace(port=port)
        named = self.port_is_named
        async with connection(sock, remote, self.rendezvous, port_is_named=named) as stream:
            yield stream


@asynccontextmanager
async def _seated(way: _Way) -> AsyncIterator[Visit]:
    """A seat in an empty room, and what the coordinator has seen of us; then leave."""
    tag, seat = os.urandom(TAG_LENGTH), os.urandom(SEAT_LENGTH)
    join = Join(tag=tag, seat=seat, offer=os.urandom(OFFER_LENGTH), round=1)
    async with way.stream() as stream:
        sock = stream.extra(SocketAttribute.raw_socket)
        local, round_trip = endpoint_of(sock.getsockname()), min_round_trip(sock)
        channel = Channel(stream, join)
        welcome = await _answer(channel)
        if not isinstance(welcome, Welcomed):
            raise _refusal(welcome)
        if (observed := parse_observed(welcome.observed)) is None:
            raise _TurnedAwayError(Trouble.PROTOCOL, "it sees us at no endpoint")
        probe = Probe(tag=tag, seat=seat)
        seen = [await _probe(way, port, probe) for port in welcome.probe_ports]
        try:
            yield Visit(
                url=way.rendezvous.url,
                remote=way.remote,
                local=local,
                observed=observed,
                probed=tuple(end for end in seen if end is not None),
                round_trip=round_trip,
            )
        finally:
            channel.conversation.leave()
            with anyio.move_on_after(PARTING_TIMEOUT, shield=True), suppress(OSError, *BROKEN):
                await channel.flush()


async def _probe(way: _Way, port: int, probe: Probe) -> Endpoint | None:
    """Where a probe port sees us, if it says so."""
    with suppress(OSError, TimeoutError, WireError, *BROKEN):
        async with way.stream(port) as stream:
            answer = await _answer(Channel(stream, probe))
        if isinstance(answer, ProbeAnswered):
            return parse_observed(answer.observed)
    return None


async def _answer(channel: Channel) -> ClientEvent:
    """The first thing that the coordinator says."""
    said: list[ClientEvent] = []
    with anyio.CancelScope() as scope:

        def handle(event: ClientEvent) -> None:
            said.append(event)
            scope.cancel()

        await channel.talk(handle)
    return said[0]


def _refusal(answer: ClientEvent) -> _TurnedAwayError:
    match answer:
        case Rejected() | Failed():
            return _TurnedAwayError(Trouble.REFUSED, answer.message or answer.code.value)
        case Dismissed():
            return _TurnedAwayError(Trouble.REFUSED, "it is shutting down")
        case _:
            return _TurnedAwayError(Trouble.PROTOCOL, "it says nothing, or hangs up at once")


def _trouble(error: Exception, *, encrypted: bool) -> tuple[Trouble, str]:
    match error:
        case _TurnedAwayError():
            return error.trouble, error.reason
        case ssl.SSLCertVerificationError():
            known = CERTIFICATE_TROUBLES.get(error.verify_code)
            return Trouble.CERTIFICATE, known or error.verify_message
        case ssl.SSLError():
            return Trouble.TLS, (error.reason or "unknown error").lower().replace("_", " ")
        case WireError():
            return Trouble.PROTOCOL, str(error)
        case TimeoutError() | OSError():
            return Trouble.UNREACHABLE, _words(error)
        case _:
            return (Trouble.TLS if encrypted else Trouble.PROTOCOL), "it hangs up at once"


def _unfound(rendezvous: Rendezvous, reason: str) -> Visit:
    remote = rendezvous.endpoint
    return Visit(url=rendezvous.url, remote=remote, trouble=Trouble.NAME, reason=reason)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)


def _version(end: Endpoint) -> int:
    return numeric_address(end.host.partition("%")[0]).version
