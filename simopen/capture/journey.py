"""Where each packet went: its records joined into one journey, from interface to interface.

Theory of operation
-------------------
A packet keeps its id wherever it passes, through translation too. It is seen *outbound* where it
leaves a host and where it leaves a site, *inbound* where it comes to a site and where it reaches a
host. Those sightings in time order are its journey; each has the endpoints as they were there, so
that comparing two tells what a gateway made of them. The last says where it ended: inbound at
a host it arrived, inbound at a gateway it was dropped there, outbound it was lost on the way from
there or dropped by a gateway it had not yet left.

A link may duplicate packets. The copy has the same id, and is seen again wherever it comes by; the
journey's path is made of the first times.

Which interface is a gateway's, the capture says. Where it does not, journeys tell: whatever passes
an interface on its way to or from another one has passed a gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from simopen.capture.packets import Endpoint, Packet, Unreachable, parse
from simopen.capture.pcapng import Direction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from simopen.capture.pcapng import Record


class Sighting(NamedTuple):
    """A packet passing an interface.

    Attributes:
        interface: Name of the host, or of the site whose gateway's outside it is.
        direction: Outbound or inbound there.
        time_ns: Nanoseconds since the epoch.
        source: The endpoint it comes from, as it was there.
        destination: The endpoint it goes to, likewise.
    """

    interface: str
    direction: Direction
    time_ns: int
    source: Endpoint
    destination: Endpoint


@dataclass(frozen=True, slots=True)
class Journey:
    """All that was seen of one packet.

    Attributes:
        packet_id: Its number in the capture.
        packet: What it was when it was first seen.
        path: The first sighting at each interface each way, in time order, until it arrives.
        arrived: Whether the last of them is its arrival at a host.
        copies: How often it arrived again, because a link had duplicated it.
        from_gateway: Whether it began at a gateway, which answered something by itself.
    """

    packet_id: int
    packet: Packet
    path: tuple[Sighting, ...]
    arrived: bool
    copies: int
    from_gateway: bool

    @property
    def origin(self) -> str | None:
        """Name of the host or site where it began; None where that was before the capture."""
        first = self.path[0]
        return first.interface if first.direction is Direction.OUTBOUND else None

    @property
    def destination(self) -> str | None:
        """Name of the host it arrived at; None where it did not arrive."""
        return self.path[-1].interface if self.arrived else None


def journeys(records: Iterable[Record]) -> list[Journey]:
    """Return the journey of every packet that `packets.parse` knows, earliest first.

    Args:
        records: A capture, in any order.
    """
    seen: dict[int, list[Record]] = {}
    gateways: set[str] = set()
    for record in records:
        seen.setdefault(record.packet_id, []).append(record)
        if record.gateway:
            gateways.add(record.interface)
    for same in seen.values():
        same.sort(key=lambda record: _order(record, gateways))
    if not gateways:
        gateways = {name for same in seen.values() for name in _passed(same)}
    found = [journey for same in seen.values() if (journey := _journey(same, gateways))]
    return sorted(found, key=lambda journey: journey.path[0].time_ns)


def _order(record: Record, gateways: Collection[str]) -> tuple[int, bool, bool]:
    """Return a key for time order; what happens at once happens from the inside out, then in."""
    inbound = record.direction is Direction.INBOUND
    return record.time_ns, inbound, inbound != (record.interface in gateways)


def _passed(same: Sequence[Record]) -> set[str]:
    """Return the interfaces that a packet passed on its way, and so must be gateways'."""
    path = _firsts(same)
    passed = {record.interface for record in path}
    if path[0].direction is Direction.OUTBOUND:
        passed.discard(path[0].interface)
    if path[-1].direction is Direction.INBOUND:
        passed.discard(path[-1].interface)
    return passed


def _journey(same: Sequence[Record], gateways: Collection[str]) -> Journey | None:
    """Join the records of one packet, in time order; None when it is nothing we know."""
    path = _firsts(same)
    arrivals = [
        record
        for record in same
        if record.direction is Direction.INBOUND and record.interface not in gateways
    ]
    if arrivals:
        path = path[: path.index(arrivals[0]) + 1]
    packets = [packet for record in path if (packet := parse(record.data))]
    if len(packets) < len(path):
        return None
    first = same[0]
    return Journey(
        packet_id=first.packet_id,
        packet=packets[0],
        path=tuple(map(_sighting, path, packets)),
        arrived=bool(arrivals),
        copies=max(len(arrivals) - 1, 0),
        from_gateway=first.direction is Direction.OUTBOUND and first.interface in gateways,
    )


def _sighting(record: Record, packet: Packet) -> Sighting:
    """Note where a packet was; an ICMP error goes the way back of what it is about."""
    ends = packet.source, packet.destination
    if isinstance(packet, Unreachable):
        ends = ends[::-1]
    return Sighting(record.interface, record.direction, record.time_ns, *ends)


def _firsts(same: Iterable[Record]) -> list[Record]:
    """Return the first record at each interface each way."""
    firsts: dict[tuple[str, Direction], Record] = {}
    for record in same:
        firsts.setdefault((record.interface, record.direction), record)
    return list(firsts.values())
