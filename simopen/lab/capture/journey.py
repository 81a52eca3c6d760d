"""Where each packet went: its records joined into one journey, from interface to interface.

Theory of operation
-------------------
A packet keeps its id wherever it passes, through translation too. It is seen *outbound* where it
leaves a host and where it leaves a site, *inbound* where it comes to a site and where it reaches a
host. Those sightings in time order are its journey; each shows the packet as it was there, so that
comparing two tells what a gateway made of its addresses. The last says where it ended: inbound at
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

from simopen.lab.capture.packets import Endpoint, Packet, Unreachable, parse
from simopen.lab.capture.pcapng import Direction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from simopen.lab.capture.pcapng import Record


class Sighting(NamedTuple):
    """A packet passing an interface.

    Attributes:
        interface: Name of the host, or of the site whose gateway's outside it is.
        direction: Outbound or inbound there.
        time_ns: Nanoseconds since the epoch.
        packet: The packet as it was there.
    """

    interface: str
    direction: Direction
    time_ns: int
    packet: Packet

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Where it comes from and goes to; an ICMP error goes the way back of what it is about."""
        packet = self.packet
        if isinstance(packet, Unreachable):
            return packet.destination, packet.source
        return packet.source, packet.destination


@dataclass(frozen=True, slots=True)
class Journey:
    """All that was seen of one packet.

    Attributes:
        packet_id: Its number in the capture.
        path: The first sighting at each interface each way, in time order, until it arrives.
        arrived: Whether the last of them is its arrival at a host.
        copies: How often it arrived again, because a link had duplicated it.
        from_gateway: Whether it began at a gateway, which answered something by itself.
    """

    packet_id: int
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
    seen: dict[int, list[Sighting]] = {}
    gateways: set[str] = set()
    for record in records:
        if record.gateway:
            gateways.add(record.interface)
        if packet := parse(record.data):
            sighting = Sighting(record.interface, record.direction, record.time_ns, packet)
            seen.setdefault(record.packet_id, []).append(sighting)
    for sightings in seen.values():
        sightings.sort(key=lambda sighting: _order(sighting, gateways))
    if not gateways:
        gateways = {name for sightings in seen.values() for name in _passed(sightings)}
    found = [_journey(packet_id, sightings, gateways) for packet_id, sightings in seen.items()]
    return sorted(found, key=lambda journey: journey.path[0].time_ns)


def _order(sighting: Sighting, gateways: Collection[str]) -> tuple[int, bool, bool]:
    """Return a key for time order; what happens at once happens from the inside out, then in."""
    inbound = sighting.direction is Direction.INBOUND
    return sighting.time_ns, inbound, inbound != (sighting.interface in gateways)


def _passed(sightings: list[Sighting]) -> set[str]:
    """Return the interfaces that a packet passed on its way, and so must be gateways'."""
    path = _firsts(sightings)
    passed = {sighting.interface for sighting in path}
    if path[0].direction is Direction.OUTBOUND:
        passed.discard(path[0].interface)
    if path[-1].direction is Direction.INBOUND:
        passed.discard(path[-1].interface)
    return passed


def _journey(packet_id: int, sightings: list[Sighting], gateways: Collection[str]) -> Journey:
    path = _firsts(sightings)
    arrivals = [
        sighting
        for sighting in sightings
        if sighting.direction is Direction.INBOUND and sighting.interface not in gateways
    ]
    if arrivals:
        path = path[: path.index(arrivals[0]) + 1]
    first = sightings[0]
    return Journey(
        packet_id=packet_id,
        path=tuple(path),
        arrived=bool(arrivals),
        copies=max(len(arrivals) - 1, 0),
        from_gateway=first.direction is Direction.OUTBOUND and first.interface in gateways,
    )


def _firsts(sightings: list[Sighting]) -> list[Sighting]:
    """Return the first sighting at each interface each way."""
    firsts: dict[tuple[str, Direction], Sighting] = {}
    for sighting in sightings:
        firsts.setdefault((sighting.interface, sighting.direction), sighting)
    return list(firsts.values())
