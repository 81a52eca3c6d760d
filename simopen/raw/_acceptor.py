"""Accepting connections on a port where nothing listens.

Theory of operation
===================

Whoever waits in :meth:`RawListener.accept` runs the handshakes: it takes segments from the raw
socket, answers them by what :class:`~._half_open.HalfOpenTable` says, keeps its deadlines, and
returns when one of them is established and a kernel socket has it. There is no task in the
background and no queue of connections that nobody has asked for; while nobody accepts, SYNs wait in
the raw socket's buffer, and those that find it full come again.

The hand-over looks through that buffer for what belongs to its connection; what belongs to others
is put aside for the next turn, up to ``MOST_ASIDE`` packets.

Invariants
==========

- Between the last look at the wire and the return of a stream nothing is awaited: a cancelled
  ``accept`` takes no connection with it.
- A connection that cannot be handed over is reset, and harms no other.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import Listener, SocketAttribute, TaskGroup

from simopen._endpoints import Endpoint, EndpointLike
from simopen._errors import UsageError
from simopen.net._stream import TcpStream

from . import _firewall, _repair
from ._filter import MOST_PORTS
from ._half_open import DEFAULT_MOST, HalfOpenTable
from ._handshake import Action, Handshake
from ._host import OfferMaker
from ._lookup import Lookup
from ._resolving import bind_error, endpoint_of, local_address
from ._segments import SYN, Address, Flow, Segment
from ._taking import open_wire, read_segment, take_over
from ._wire import Incoming, Wire

BATCH = 64  # packets before other tasks have a turn
MOST_ASIDE = 1024  # packets; as full as a socket buffer gets with these

_SENDS = frozenset(
    {
        Action.SEND_SYN_ACK,
        Action.SEND_ACK,
        Action.SEND_RESET,
    }
)


class RawListener(Listener[TcpStream]):
    """Gives a stream for each connection; made by :func:`accept`.

    Extra attributes: ``family``, ``local_address`` and ``local_port`` of
    :class:`anyio.abc.SocketAttribute`.

    Attributes:
        local: The endpoint, with the port that was found where 0 was asked for.
        lost: How many connections were reset because no socket could be had for them.
    """

    def __init__(self, local: Endpoint, wire: Wire, table: HalfOpenTable) -> None:
        """Take over an open wire; use :func:`accept`.

        Args:
            local: The endpoint.
            wire: The raw socket of that port.
            table: For the handshakes.
        """
        self.local: Endpoint = local
        self.lost: int = 0
        self._wire = wire
        self._table = table
        self._offers = OfferMaker()
        self._lookup = Lookup()
        self._aside: deque[Incoming] = deque(maxlen=MOST_ASIDE)
        self._accepting = anyio.ResourceGuard("accepting from")
        self._closed = False

    @property
    def half_open(self) -> int:
        """How many handshakes are going on."""
        return len(self._table)

    @property
    def dropped(self) -> int:
        """How many handshakes were dropped to make room for newer ones."""
        return self._table.dropped

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The typed attributes (see :meth:`anyio.TypedAttributeProvider.extra`)."""
        return {
            SocketAttribute.family: lambda: self._wire.family,
            SocketAttribute.local_address: lambda: tuple(self.local),
            SocketAttribute.local_port: lambda: self.local.port,
        }

    async def accept(self) -> TcpStream:
        """Wait for the next connection.

        Raises:
            anyio.BusyResourceError: Another task is accepting.
            anyio.ClosedResourceError: This listener is closed.
        """
        with self._accepting:
            while True:
                await anyio.lowlevel.checkpoint()
                for _ in range(BATCH):
                    if self._closed:
                        raise anyio.ClosedResourceError
                    self._keep_deadlines()
                    if (incoming := self._next()) is None:
                        await self._wait()
                    elif (stream := self._handle(incoming)) is not None:
                        return stream

    async def serve(
        self,
        handler: Callable[[TcpStream], Any],
        task_group: TaskGroup | None = None,
    ) -> None:
        """Accept for ever, and call ``handler`` with each stream in a task of its own.

        Args:
            handler: Takes a stream, and closes it.
            task_group: For the tasks; one of its own if None.

        Raises:
            anyio.BusyResourceError: Another task is accepting.
            anyio.ClosedResourceError: This listener is closed.
        """
        async with AsyncExitStack() as stack:
            if task_group is None:
                task_group = await stack.enter_async_context(anyio.create_task_group())
            while True:
                stream = await self.accept()
                task_group.start_soon(handler, stream)

    async def aclose(self) -> None:
        """Close at once; the port is answered by resets again when :func:`accept` is left."""
        if not self._closed:
            self._closed = True
            self._wire.close()
            self._lookup.close()
        await anyio.lowlevel.checkpoint()

    # -- the wire ----------------------------------------------------------------------------------

    async def _wait(self) -> None:
        deadline = self._table.next_deadline()
        left = None if deadline == math.inf else max(deadline - time.monotonic(), 0.0)
        with anyio.move_on_after(left):
            await self._wire.wait()

    def _next(self) -> Incoming | None:
        return self._aside.popleft() if self._aside else self._wire.receive()

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        if self._table.next_deadline() <= now:
            for handshake, action in self._table.tick(now):
                self._wire.send(handshake.flow, handshake.segment(action, now))
            self._expect()

    def _expect(self) -> None:
        """Have passed on what belongs to a handshake, before the next SYN-ACK asks for it."""
        few = len(self._table) <= MOST_PORTS
        self._wire.expect(self._table.ports(MOST_PORTS) if few else None)

    def _handle(self, incoming: Incoming) -> TcpStream | None:
        flow, segment = incoming.flow, read_segment(incoming)
        if segment is None or not self._is_ours(flow, segment):
            return None
        now = time.monotonic()
        offer = self._offers.offer(flow.remote)
        handshake, action = self._table.receive(flow, segment, offer, now)
        if action is Action.HAND_OVER:
            return self._hand_over(handshake, action, incoming)
        self._expect()
        if action in _SENDS:
            self._wire.send(flow, handshake.segment(action, now, segment))
        return None

    def _is_ours(self, flow: Flow, segment: Segment) -> bool:
        """Whether a segment is of a handshake, or a SYN for which the kernel has no connection."""
        if flow in self._table:
            return True
        return bool(segment.flags & SYN) and not self._lookup.has(flow)

    def _hand_over(self, handshake: Handshake, action: Action, last: Incoming) -> TcpStream | None:
        try:
            return take_over(handshake, action, self._wire, last=last, aside=self._aside)
        except OSError:  # no descriptor left, or a socket has these endpoints already
            self.lost += 1
            now = time.monotonic()
            self._wire.send(handshake.flow, handshake.segment(Action.SEND_RESET, now))
            return None
        finally:
            self._expect()


@asynccontextmanager
async def accept(
    endpoint: EndpointLike, *, backlog: int = DEFAULT_MOST
) -> AsyncIterator[RawListener]:
    """Accept connections on a port where nothing listens, with handshakes of our own.

    Needs Linux, nft, CAP_NET_RAW and CAP_NET_ADMIN. Ordinary clients connect, and each connection
    becomes an ordinary kernel socket. While the block runs, a table of nftables keeps the kernel
    from resetting those who connect to this port; it is removed when the block is left.

    ::

        async with raw.accept("0.0.0.0:7777") as listener:
            await listener.serve(handle)

    Args:
        endpoint: ``"host:port"``, ``"[v6]:port"`` or ``(host, port)``, of one version of IP; the
            port may be 0 for any free one.
        backlog: How many handshakes may go on at once; beyond it the oldest is dropped.

    Yields:
        The listener.

    Raises:
        RawUnavailableError: This process or machine cannot do that; the text says what lacks.
        LocalBindError: The port is not to be had: somebody listens or accepts there.
        UsageError: ``endpoint`` is none, or ``backlog`` is not positive.
    """
    if backlog < 1:
        raise UsageError(f"backlog must be positive, not {backlog}")
    with _hold(await local_address(endpoint)) as local:
        table = HalfOpenTable(os.urandom(16), most=backlog)
        async with (
            open_wire(local, _firewall.quiet_port(local)) as wire,
            RawListener(endpoint_of(local), wire, table) as listener,
        ):
            yield listener


@contextmanager
def _hold(local: Address) -> Iterator[Address]:
    """Have the port for ourselves: nobody else listens, accepts, or is given it by the kernel."""
    try:
        sock = _repair.open_socket(local)
    except OSError as error:
        raise bind_error(error, local) from None
    with sock:
        yield local._replace(port=sock.getsockname()[1])
