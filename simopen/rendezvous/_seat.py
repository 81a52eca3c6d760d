"""Our place in a room, for one call: one link after the other, until the peer is met.

Theory of operation. A seat is sixteen random bytes that only we and the coordinator know. Each
round has a link of its own (:mod:`._link`), with a fresh port where the caller has not named one;
the seat goes with us from link to link, so that nobody else can take our place in between. A link
that cannot be opened, or is lost before the introduction, is opened again, a little later each
time, as long as that may help; how much later is partly chance, as all others have lost the same
coordinator at the same moment.

Invariants:

- At most two links are open, and two only until the newer one is welcomed.
- :meth:`Seat.leave` leaves nothing behind.
"""

from __future__ import annotations

import os
import random
import time
from itertools import zip_longest
from typing import TYPE_CHECKING

import anyio

from simopen._endpoints import Endpoint, numeric_address
from simopen.net._interfaces import Berth, host_addresses

from ._candidates import MOST_OFFERED, usable_addresses
from ._link import Link, LinkError
from .protocol import Code, Family, Introduced, Join, Outcome
from .protocol._messages import SEAT_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from ._url import Rendezvous

FIRST_PATIENCE = 3.0  # seconds that a coordinator which was never reached is tried for
AGAIN_FIRST = 0.2  # seconds until a lost coordinator is tried again
AGAIN_LONGEST = 5.0  # seconds; each wait doubles up to this
AGAIN_SPREAD = 0.5  # part of each wait that chance may take off it

_ANY = (Endpoint("0.0.0.0", 0), Endpoint("::", 0))  # noqa: S104 - the kernel chooses the source
# What only a coordinator that is there says: it has none to spare, or the way there loses too much.
_PASSING = (Code.BUSY, Code.TIMEOUT)
# What trying again does not help against.
_HOPELESS = (Code.ROOM_FULL, Code.VERSION, Code.MALFORMED, Code.UNEXPECTED)


class Seat:
    """A member of a room.

    Args:
        rendezvous: The coordinator.
        tag: The room's.
        local: Our endpoints, at most one a family, each with one port for all rounds or one for
            each; None for any address and a fresh port in each round.
        make_offer: Seals an offer, given the number of the join and our own addresses.
        on_joined: Told where the coordinator sees us, each time that it has taken us in.
        on_lost: Told why the coordinator is lost, and in how many seconds it is tried again.
    """

    def __init__(
        self,
        rendezvous: Rendezvous,
        *,
        tag: bytes,
        local: Sequence[Sequence[Endpoint]] | None,
        make_offer: Callable[[int, tuple[tuple[str, int], ...]], bytes],
        on_joined: Callable[[tuple[Endpoint, ...]], None],
        on_lost: Callable[[str, float], None],
    ) -> None:
        self._link: Link | None = None
        self._rendezvous = rendezvous
        self._tag = tag
        self._seat = os.urandom(SEAT_LENGTH)
        self._local = local
        self._make_offer = make_offer
        self._on_joined = on_joined
        self._on_lost = on_lost
        self._joins = 0
        self._rounds = 0
        self._tries = 0
        self._ever_welcomed = False
        self._began = time.monotonic()

    async def introduced(self, group: TaskGroup) -> tuple[Link, Introduced]:
        """Take the seat, or come back to it for another round, and wait for the peer.

        Args:
            group: Where the link runs; not beyond :meth:`leave`.

        Returns:
            The round's link, and the introduction.

        Raises:
            LinkError: The coordinator does not take us, and asking again will not help.
            LocalBindError: The local endpoint cannot be had.
        """
        wait = AGAIN_FIRST
        while True:
            link = await self._open_link(group)
            began = time.monotonic()
            if await link.welcomed():
                self._ever_welcomed = True
                self._on_joined(tuple(link.observed.values()))
            try:
                introduction = await link.introduced()
            except LinkError as end:
                if time.monotonic() - began > AGAIN_LONGEST:
                    wait = AGAIN_FIRST  # not for being welcomed: it may drop us each time
                await self._pause(end, wait)
                wait = min(2 * wait, AGAIN_LONGEST)
            else:
                self._rounds += 1
                return link, introduction

    async def _open_link(self, group: TaskGroup) -> Link:
        """The next link; the one before ends when the new one is welcomed, or has failed."""
        previous = self._link
        wanted = self._next_local()
        if previous is not None and previous.berth.has_any(wanted):
            await previous.close(leave=False)  # two links cannot have the same two ends
            await previous.closed()
        berth = Berth(wanted, required=self._local is not None)
        self._link = link = Link(self._rendezvous, berth, self._make_join)
        self._tries += 1
        group.start_soon(link.run)
        try:
            await link.welcomed()
        finally:
            if previous is not None:
                await previous.close(leave=False)
        if previous is not None:
            await previous.closed()  # a later round may have its port again
        return link

    async def report(self, outcome: Outcome, introduction: Introduced) -> None:
        """Tell the coordinator how the round ended."""
        if self._link is not None:
            await self._link.report(outcome, elapsed=time.monotonic() - introduction.at)

    async def leave(self) -> None:
        """Give up the seat."""
        if self._link is not None:
            await self._link.close(leave=True)

    async def _pause(self, end: LinkError, wait: float) -> None:
        """Wait before the coordinator is tried again, where that may help."""
        gone = time.monotonic() - self._began
        # Connected at the first try, and not welcomed: our address may have changed in between.
        cut_off = self._tries == 1 and self._joins > 0
        there = self._ever_welcomed or cut_off or end.code in _PASSING
        never = not there and gone + wait > FIRST_PATIENCE
        if end.malformed or end.code in _HOPELESS or never:
            raise end
        wait *= 1 - random.uniform(0, AGAIN_SPREAD)
        self._on_lost(end.words, wait)
        await anyio.sleep(wait)

    def _next_local(self) -> Sequence[Endpoint]:
        if self._local is None:
            return _ANY
        return [ends[self._rounds % len(ends)] for ends in self._local]

    def _make_join(self, link: Link, families: tuple[Family, ...]) -> Join:
        self._joins += 1
        offer = self._make_offer(self._joins, _own_candidates(link))
        return Join(
            tag=self._tag, seat=self._seat, offer=offer, round=self._joins, families=families
        )


def _own_candidates(link: Link) -> tuple[tuple[str, int], ...]:
    """Our addresses with the port that is punched from, those we reach the coordinator by first."""
    ports = {version: end.port for version, end in link.berth.local.items()}
    named = [end.host for end in link.berth.local.values()]
    others = [host for host in named if not numeric_address(host).is_unspecified]
    if len(others) < len(named):
        others += host_addresses()
    on_loopback = numeric_address(link.coordinator).is_loopback
    leading = [end.host for end in link.local.values()]
    usable = dict.fromkeys(usable_addresses(leading + others, on_loopback=on_loopback))
    found = [(host, numeric_address(host).version) for host in usable]
    by_family = [[host for host, each in found if each == version] for version in ports]
    # A family in turn, so that many addresses of one do not crowd out the other.
    mixed = [host for several in zip_longest(*by_family) for host in several if host is not None]
    return tuple((host, ports[numeric_address(host).version]) for host in mixed[:MOST_OFFERED])
