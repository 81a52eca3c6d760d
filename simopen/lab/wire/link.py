"""One direction of a link: when what is sent arrives, if it does.

Theory of operation
-------------------
`LinkModel.transmit` is told of a packet and answers with the moments at which it comes out: none
(lost, or no room), one, or two (duplicated). Time passes in this order: a packet waits until the
ones before it have been put on the line (`rate`), travels for the latency, and for as much more as
jitter draws. Order is kept by letting a packet that would overtake arrive together with the one
before it; only a packet drawn for `reordering` is held back and waited for by nobody.

Time is integer nanoseconds of any monotonic clock. Chance is drawn only for what is declared, once
a packet, so that the same seed and the same packets give the same fate.

Invariants: no packet arrives earlier than its latency allows; at most `capacity` packets are inside
(a held-back one may be counted somewhat longer than it is).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from simopen.lab.topology import Link

_NS_PER_S = 1_000_000_000
_BITS_PER_BYTE = 8


@dataclass(slots=True)
class LinkCounts:
    """What became of the packets sent into one direction of a link.

    Attributes:
        accepted: Taken in.
        overflowed: Lost because the link was full.
        lost: Taken in and lost on the way.
        duplicated: Taken in and delivered twice.
        reordered: Taken in and held back.
    """

    accepted: int = 0
    overflowed: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


class LinkModel:
    """Decides the fate of each packet of one direction.

    Args:
        link: What was declared.
        chance: Where its luck comes from.
    """

    def __init__(self, link: Link, chance: random.Random) -> None:
        self.counts: LinkCounts = LinkCounts()
        self._link = link
        self._chance = chance.random
        self._latency_ns = round(link.latency * _NS_PER_S)
        self._jitter_ns = round(link.jitter * _NS_PER_S)
        self._hold_ns = round(link.reordering_delay * _NS_PER_S)
        self._ns_per_byte = _BITS_PER_BYTE * _NS_PER_S / link.rate if link.rate else 0.0
        self._line_free_ns = 0
        self._latest_ns = 0  # no packet but a held-back one arrives before this
        self._inside: deque[int] = deque()  # when each packet leaves the link

    @property
    def instant(self) -> bool:
        """Whether every packet comes out as it goes in, so that there is nothing to decide."""
        link = self._link
        delays = (link.latency, link.jitter, link.rate)
        chances = (link.loss, link.duplication, link.reordering)
        return not any(delays) and not any(chances)

    def transmit(self, length: int, now_ns: int) -> tuple[int, ...]:
        """Send a packet of `length` bytes; return when it comes out, in nanoseconds."""
        inside, counts = self._inside, self.counts
        while inside and inside[0] <= now_ns:
            inside.popleft()
        if len(inside) >= self._link.capacity:
            counts.overflowed += 1
            return ()
        counts.accepted += 1
        due_ns = self._serialise(length, now_ns) + self._latency_ns
        if self._link.loss and self._chance() < self._link.loss:
            counts.lost += 1
            return ()
        if self._jitter_ns:
            due_ns += round(self._chance() * self._jitter_ns)
        due_ns = self._order(due_ns)
        inside.append(due_ns)
        if self._link.duplication and self._chance() < self._link.duplication:
            counts.duplicated += 1
            return (due_ns, due_ns)
        return (due_ns,)

    def _serialise(self, length: int, now_ns: int) -> int:
        """Return when the last bit of the packet is on the line."""
        if not self._ns_per_byte:
            return now_ns
        begin_ns = max(now_ns, self._line_free_ns)
        self._line_free_ns = begin_ns + round(length * self._ns_per_byte)
        return self._line_free_ns

    def _order(self, due_ns: int) -> int:
        if self._link.reordering and self._chance() < self._link.reordering:
            self.counts.reordered += 1
            return due_ns + self._hold_ns
        self._latest_ns = max(self._latest_ns, due_ns)
        return self._latest_ns
