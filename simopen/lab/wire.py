"""The wire between hosts, without a clock and without a file descriptor.

Theory of operation
-------------------
A `Link` is one direction of a cable: what is pushed at time *t* falls due at *t + delay*, in order.
It holds a bounded number of packets; one pushed into a full link is lost (tail drop) and counted.
A `Wire` joins numbered ports by links. It gives every packet a serial number, so that a recorder
can say "this arrival is that departure" without comparing bytes, also once something on the way
rewrites them.

Time is an argument, in integer nanoseconds of any one monotonic clock, and nothing here waits: the
executor asks `Wire.next_due` when to come back, `Wire.push` with what it has read, and writes
what `Wire.pop_due` returns. Jitter, loss and address translation are other links and other wires
behind the same three methods.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_CAPACITY = 20_000
"""Packets in flight in one direction: 30 MB of full-sized ones, 50,000 packets/s for 0.4 s."""


class Parcel(NamedTuple):
    """A packet on its way.

    Attributes:
        serial: Number of the packet on its wire, counted from 0 over all ports.
        packet: The raw IP packet.
    """

    serial: int
    packet: bytes


class Delivery(NamedTuple):
    """A packet that has reached its end of the wire.

    Attributes:
        port: The port it comes out of.
        parcel: What comes out.
    """

    port: int
    parcel: Parcel


@dataclass(slots=True)
class Counts:
    """What became of the packets of one link.

    Attributes:
        accepted: Packets taken in.
        overflowed: Packets lost because the link was full.
    """

    accepted: int = 0
    overflowed: int = 0


class Link:
    """One direction of a cable: constant delay, first in first out, bounded.

    Args:
        delay_ns: Time from push to due, in nanoseconds.
        capacity: Packets in flight beyond which further ones are lost.
    """

    def __init__(self, delay_ns: int, capacity: int = DEFAULT_CAPACITY) -> None:
        self.counts: Counts = Counts()
        self._delay_ns = delay_ns
        self._capacity = capacity
        self._flight: deque[tuple[int, Parcel]] = deque()

    def push(self, parcel: Parcel, now_ns: int) -> None:
        """Take a parcel in at `now_ns`, or lose it when the link is full."""
        if len(self._flight) >= self._capacity:
            self.counts.overflowed += 1
            return
        self.counts.accepted += 1
        self._flight.append((now_ns + self._delay_ns, parcel))

    def pop_due(self, now_ns: int) -> list[tuple[int, Parcel]]:
        """Take out what is due at `now_ns`: pairs of due time and parcel, oldest first."""
        flight = self._flight
        due = []
        while flight and flight[0][0] <= now_ns:
            due.append(flight.popleft())
        return due

    def next_due(self) -> int | None:
        """Return the time the next parcel falls due, or None when the link is empty."""
        return self._flight[0][0] if self._flight else None


class Wire:
    """Numbered ports joined by links.

    Args:
        links: For each port that packets enter by, the port they leave by and the link between.
    """

    def __init__(self, links: Mapping[int, tuple[int, Link]]) -> None:
        self._links = dict(links)
        self._next_serial = 0

    @classmethod
    def cable(cls, delay_ns: int, capacity: int = DEFAULT_CAPACITY) -> Wire:
        """Make the wire of two hosts: ports 0 and 1, the same delay both ways."""
        return cls({0: (1, Link(delay_ns, capacity)), 1: (0, Link(delay_ns, capacity))})

    def push(self, port: int, packet: bytes, now_ns: int) -> int:
        """Send a packet into `port`; return the serial number it travels under."""
        serial = self._next_serial
        self._next_serial = serial + 1
        self._links[port][1].push(Parcel(serial, packet), now_ns)
        return serial

    def pop_due(self, now_ns: int) -> list[Delivery]:
        """Take out every packet due at `now_ns`, in the order they fell due."""
        due = [
            (due_ns, Delivery(exit_port, parcel))
            for exit_port, link in self._links.values()
            for due_ns, parcel in link.pop_due(now_ns)
        ]
        due.sort(key=itemgetter(0))
        return [delivery for _, delivery in due]

    def next_due(self) -> int | None:
        """Return the earliest due time of any packet, or None when nothing is in flight."""
        times = [due for _, link in self._links.values() if (due := link.next_due()) is not None]
        return min(times, default=None)

    def counts(self) -> dict[int, Counts]:
        """Return what became of the packets, by the port they entered."""
        return {port: link.counts for port, (_, link) in self._links.items()}
