"""The coordinator: a server that introduces two hosts to each other, and is not trusted by them.

Theory of operation. Clients connect from the port that they will punch from, so that the address
they are seen with is the one their peer must aim at; therefore the coordinator must be reached
directly, or through a load balancer that speaks PROXY protocol v2. A second port lets a client show
whether its NAT maps every destination alike.

==========================  ======================================================
:mod:`._listener`           accepts
:mod:`._session`            one connection, one task
:mod:`._desk`               connects sessions and rooms
:mod:`.protocol`            what all of it means, pure
:mod:`._health`             the operator's HTTP port
:mod:`._tls_files`          the certificate and its renewal
==========================  ======================================================

Invariant: after ``async with`` no task, socket or file of the coordinator is left, however it
ended.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

import anyio
from anyio.abc import TaskGroup

from simopen._endpoints import Endpoint, EndpointLike, parse_listener
from simopen._errors import UsageError
from simopen.net._addresses import endpoint_of
from simopen.net._sockets import close

from ._desk import Desk
from ._health import Health
from ._listener import accept_forever, listen
from ._log import log
from ._metrics import Metrics
from ._tls_files import CertificateFiles
from .protocol import MOST_PROBE_PORTS, CoordinatorLimits, Rooms, RoomStore

DEFAULT_PORT = 7337  # as clients take it where a URL has none
LAST_PORT = 65_535  # it has no neighbour for probes

Listen: TypeAlias = EndpointLike | Sequence[EndpointLike]


class Coordinator:
    """Introduces hosts to each other; an ``async with`` block is its life.

    Example::

        async with Coordinator("127.0.0.1:0") as coordinator:
            endpoint, = coordinator.endpoints
            ...

    Attributes:
        endpoints: Where it listens, once started.
        probe_endpoints: Where it takes probes.
        health_endpoints: Where it answers its operator.
    """

    def __init__(  # noqa: PLR0913 - the parts of a server, mostly by keyword
        self,
        listen: Listen = (("0.0.0.0", DEFAULT_PORT), ("::", DEFAULT_PORT)),  # noqa: S104
        *,
        probe_listen: Listen | None = (),
        certificate: CertificateFiles | ssl.SSLContext | None = None,
        proxy_protocol: bool = False,
        limits: CoordinatorLimits | None = None,
        store: RoomStore | None = None,
        health_listen: Listen | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Describe a coordinator; nothing is opened yet.

        Args:
            listen: ``"host:port"`` or several; port 0 for any free one.
            probe_listen: The second port, likewise, at the listeners' addresses: clients are told
                ports alone, four at most. Default: each listener's next port, or any free one
                where that is free to choose; None for none.
            certificate: Speak TLS with it; None for plain TCP, which shows room tags to whoever
                is on the path.
            proxy_protocol: Every connection begins with a PROXY protocol v2 header. Only for
                listeners that nobody but the load balancer can reach.
            limits: What it bears.
            store: Where rooms are kept. Default: in memory.
            health_listen: Answer ``/metrics``, ``/healthz`` and ``/readyz`` there, over HTTP.
            metrics: Told of everything.

        Raises:
            UsageError: An endpoint cannot be read.
        """
        self.endpoints: tuple[Endpoint, ...] = ()
        self.probe_endpoints: tuple[Endpoint, ...] = ()
        self.health_endpoints: tuple[Endpoint, ...] = ()
        self._listen = _endpoints(listen, "listen")
        self._probe_listen = None if probe_listen is None else _endpoints(probe_listen, "probe")
        self._health_listen = [] if health_listen is None else _endpoints(health_listen, "health")
        self._certificate = certificate
        self._proxied = proxy_protocol
        self._limits = limits or CoordinatorLimits()
        self._store = store
        self._metrics = metrics or Metrics()
        self._stack = AsyncExitStack()
        self._desk: Desk | None = None

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start: bind everything, then serve.

        Raises:
            LocalBindError: An endpoint cannot be had.
            UsageError: The certificate cannot be used, a listener has no next port for probes, or
                probes are taken on more ports than clients can be told.
        """
        if self._desk is not None:
            raise RuntimeError("a coordinator starts once; make another")
        async with AsyncExitStack() as stack:
            if isinstance(self._certificate, CertificateFiles):
                self._certificate.load()
            opened = [
                (asked, sock) for asked in self._listen for sock in await _open(stack, [asked])
            ]
            listeners = [sock for _, sock in opened]
            self.endpoints = _bound(listeners)
            probes = await _open(stack, self._probe_targets([asked for asked, _ in opened]))
            self.probe_endpoints = _bound(probes)
            probe_ports = _announced(self.probe_endpoints)
            watched = await _open(stack, self._health_listen)
            self.health_endpoints = _bound(watched)
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            rooms = Rooms(self._limits, probe_ports=probe_ports, store=self._store)
            self._serve(group, rooms, listeners, probes, watched)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Stop at once; connections are closed without a word.

        What the block raised comes out as it is, whatever tasks have run beside it.

        Raises:
            ExceptionGroup: Errors of the coordinator's own tasks.
        """
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            known = () if error is None else tuple(_leaves(error))
            cancelled = anyio.get_cancelled_exc_class()
            if all(each in known or isinstance(each, cancelled) for each in _leaves(group)):
                return False  # the block's own error, which goes on by itself
            raise

    async def drain(self) -> None:
        """Stop in order, before leaving the block: nobody new, and meetings may end.

        Takes ``limits.drain`` seconds and a moment at most.
        """
        log.info("coordinator.stopping", connections=self._running.connections)
        await self._running.drain()

    async def reload_certificate(self) -> None:
        """Read the certificate's files again; open connections keep the old one."""
        if isinstance(self._certificate, CertificateFiles):
            await self._certificate.reload()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._running.connections

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _running(self) -> Desk:
        if self._desk is None:
            raise RuntimeError("this coordinator has not been started")
        return self._desk

    def _probe_targets(self, asked: Sequence[Endpoint]) -> list[Endpoint]:
        """The second port: as asked for, or next to each of the first.

        Args:
            asked: What each of the first was asked for as; a name may have brought several.
        """
        if self._probe_listen is None:
            return []
        return self._probe_listen or list(map(_next, asked, self.endpoints))

    def _serve(
        self,
        group: TaskGroup,
        rooms: Rooms,
        listeners: Sequence[socket.socket],
        probes: Sequence[socket.socket],
        watched: Sequence[socket.socket],
    ) -> None:
        self._desk = desk = Desk(
            self._limits,
            rooms,
            metrics=self._metrics,
            certificate=self._certificate,
            proxied=self._proxied,
            group=group,
        )
        health = Health(self._exposition, lambda: not desk.is_stopping, group)
        group.start_soon(desk.run)
        for socks, on_connection in (
            (listeners, partial(desk.take, probing=False)),
            (probes, partial(desk.take, probing=True)),
            (watched, health.on_connection),
        ):
            for sock in socks:
                group.start_soon(accept_forever, sock, on_connection)
        if isinstance(self._certificate, CertificateFiles):
            group.start_soon(self._certificate.watch)

    def _exposition(self) -> tuple[str, bytes]:
        desk = self._running
        self._metrics.sizes(
            connections=desk.connections,
            members=desk.rooms.members,
            waiting=desk.rooms.waiting,
            rooms=desk.rooms.rooms,
        )
        return self._metrics.exposition()


async def _open(stack: AsyncExitStack, endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    listeners = await listen(endpoints)
    for sock in listeners:
        stack.callback(close, sock)
    return listeners


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """An error, or those that a group is of; a loop may regroup, but never copies one."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _bound(listeners: Sequence[socket.socket]) -> tuple[Endpoint, ...]:
    return tuple(endpoint_of(sock.getsockname()) for sock in listeners)


def _next(asked: Endpoint, bound: Endpoint) -> Endpoint:
    """Where a listener's probes go unless somebody says otherwise."""
    if not asked.port:
        return Endpoint(bound.host, 0)
    if bound.port == LAST_PORT:
        raise UsageError(f"{asked} has no next port for probes: say where they go, or that none do")
    return Endpoint(bound.host, bound.port + 1)


def _announced(probes: Sequence[Endpoint]) -> tuple[int, ...]:
    """The ports that clients are told to probe: all of them, as each is of some listener."""
    ports = tuple(dict.fromkeys(each.port for each in probes))
    if len(ports) > MOST_PROBE_PORTS:
        raise UsageError(
            f"clients can be told of {MOST_PROBE_PORTS} ports for probes, and these are "
            f"{len(ports)}: let several addresses have the same one, or take no probes"
        )
    return ports


def _endpoints(value: Listen, role: str) -> list[Endpoint]:
    """One endpoint or several, read."""
    match value:
        case str() | (str(), int()):
            return [parse_listener(value, role=role)]  # type: ignore[arg-type]  # told apart here
        case _:
            return [parse_listener(each, role=role) for each in value]
