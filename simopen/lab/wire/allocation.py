"""Which mapping a packet from inside uses, and which external port a new one gets.

Theory of operation
-------------------
`Mapper.mapping` finds the mapping for a flow by the mapping axis, or makes one with a port by the
allocation axis. The axes are independent: where mapping depends on the destination, a port that one
destination sees is taken for all others, those of the same host too, so that a `PRESERVING` NAT
shows the internal port to the first one only.

Chance is drawn for random ports, and once for the port each protocol's sequence starts at.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from simopen.lab.nat import LAST_PORT, Nat, PortAllocation
from simopen.lab.nat import Mapping as MappingAxis
from simopen.lab.wire.headers import ICMP, TCP, UDP, Endpoint, Flow
from simopen.lab.wire.mappings import Mapping, MappingTable

_DRAWS = 16  # where half of the ports are taken, all of them fail once in 65,536 times

_MAPPED_BY_BYTES = {  # how much of a remote IPv4 endpoint a mapping hangs on
    MappingAxis.ENDPOINT_INDEPENDENT: 0,
    MappingAxis.ADDRESS_DEPENDENT: 4,
    MappingAxis.ADDRESS_AND_PORT_DEPENDENT: 6,
}


class PortAllocator:
    """Chooses external ports, for each protocol apart; an ICMP identifier is a port as well.

    Args:
        allocation: How.
        first_port: The lowest to choose, where it is not the internal one.
        chance: Where luck comes from.
    """

    def __init__(self, allocation: PortAllocation, first_port: int, chance: random.Random) -> None:
        self._allocation = allocation
        self._first = first_port
        self._chance = chance
        self._next = {protocol: self._draw() for protocol in (TCP, UDP, ICMP)}

    def allocate(self, protocol: int, wish: int, is_taken: Callable[[int], bool]) -> int | None:
        """Choose a port.

        Args:
            protocol: IP's number.
            wish: The internal port.
            is_taken: Says which ports are not free.

        Returns:
            The port; None when none is free.
        """
        if self._allocation is PortAllocation.PRESERVING_WITH_COLLISION:
            return wish
        if self._allocation is PortAllocation.PRESERVING and not is_taken(wish):
            return wish
        if self._allocation is PortAllocation.SEQUENTIAL:
            port = self._free_from(self._next[protocol], is_taken)
            if port is not None:
                self._next[protocol] = self._after(port)
            return port
        for _ in range(_DRAWS):
            if not is_taken(drawn := self._draw()):
                return drawn
        return self._free_from(self._draw(), is_taken)

    def _free_from(self, start: int, is_taken: Callable[[int], bool]) -> int | None:
        """Return the first free port from `start` on, round the end of the range."""
        port = start
        while is_taken(port):
            port = self._after(port)
            if port == start:
                return None
        return port

    def _after(self, port: int) -> int:
        return port + 1 if port < LAST_PORT else self._first

    def _draw(self) -> int:
        return self._chance.randint(self._first, LAST_PORT)


class Mapper:
    """Finds and makes the mappings of a NAT for packets from inside, over IPv4.

    Args:
        spec: What is declared.
        address: The external address.
        mappings: Those there are.
        chance: Where luck comes from.
    """

    def __init__(
        self, spec: Nat, address: bytes, mappings: MappingTable, chance: random.Random
    ) -> None:
        self._address = address
        self._mappings = mappings
        self._limit = spec.ports_per_subscriber
        self._mapped_by_bytes = _MAPPED_BY_BYTES[spec.mapping]
        self._ports = PortAllocator(spec.ports, spec.first_port, chance)

    def mapping(self, flow: Flow) -> Mapping | None:
        """Return the mapping for a flow from inside; None when there is no port left for one.

        A new mapping is not in the table before it has a session.
        """
        scope = flow.source + flow.destination[: self._mapped_by_bytes]
        known = self._mappings.find(flow.protocol, scope)
        if known is not None:
            return known
        external = self._external(flow.protocol, flow.source)
        return None if external is None else Mapping(flow.protocol, flow.source, external, scope)

    def _external(self, protocol: int, internal: Endpoint) -> Endpoint | None:
        """Return an external endpoint that an internal one may have as well."""
        held = self._mappings.held_by(protocol, internal[:-2])
        if self._limit is not None and held >= self._limit:
            return None
        wish = int.from_bytes(internal[-2:], "big")
        port = self._ports.allocate(protocol, wish, partial(self._is_taken, protocol))
        return None if port is None else self._endpoint(port)

    def _is_taken(self, protocol: int, port: int) -> bool:
        return self._mappings.is_taken(protocol, self._endpoint(port))

    def _endpoint(self, port: int) -> Endpoint:
        return self._address + port.to_bytes(2, "big")
