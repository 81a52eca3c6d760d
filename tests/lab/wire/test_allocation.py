"""Which mapping, and which port, by the axes."""

from __future__ import annotations

import random

import pytest

from simopen.lab.nat import LAST_PORT, Nat, PortAllocation
from simopen.lab.nat import Mapping as MappingAxis
from simopen.lab.wire.allocation import Mapper, PortAllocator
from simopen.lab.wire.headers import ICMP, TCP, UDP, Flow
from simopen.lab.wire.mappings import Mapping, MappingTable

ADDRESS = b"\xcb\0\x71\1"


def endpoint(host: int, port: int) -> bytes:
    """Return an endpoint of 198.51.100.0/24."""
    return b"\xc6\x33\x64" + bytes([host]) + port.to_bytes(2, "big")


def allocator(allocation: PortAllocation, first: int = 1024) -> PortAllocator:
    """Make an allocator with luck of its own."""
    return PortAllocator(allocation, first, random.Random(1))


def free(_port: int) -> bool:
    """Say that no port is taken."""
    return False


class Hosts:
    """A NAT's mapper, whose mappings all have a session."""

    def __init__(self, **axes: object) -> None:
        self.table = MappingTable()
        spec = Nat(**axes)  # type: ignore[arg-type]
        self.mapper = Mapper(spec, ADDRESS, self.table, random.Random(7))

    def port(self, source: bytes, remote: bytes, protocol: int = TCP) -> int | None:
        """Return the external port by which a source sends to a remote endpoint."""
        mapping = self.mapper.mapping(Flow(protocol, source, remote))
        if mapping is None:
            return None
        assert mapping.external[:-2] == ADDRESS
        self.table.hold(mapping, remote[:-2])
        return int.from_bytes(mapping.external[-2:], "big")


# Who sees the port of the first: the same endpoint, the same address, another one.
@pytest.mark.parametrize(
    ("axis", "same"),
    [
        (MappingAxis.ENDPOINT_INDEPENDENT, [True, True, True]),
        (MappingAxis.ADDRESS_DEPENDENT, [True, True, False]),
        (MappingAxis.ADDRESS_AND_PORT_DEPENDENT, [True, False, False]),
    ],
)
@pytest.mark.parametrize(
    "allocation", [PortAllocation.PRESERVING, PortAllocation.SEQUENTIAL, PortAllocation.RANDOM]
)
def test_destinations_see_one_port_as_the_mapping_says(
    axis: MappingAxis, same: list[bool], allocation: PortAllocation
) -> None:
    """Whatever the allocation, as long as it does not overload."""
    hosts = Hosts(mapping=axis, ports=allocation)
    source, remotes = endpoint(1, 5000), [endpoint(9, 80), endpoint(9, 81), endpoint(8, 80)]
    first = hosts.port(source, remotes[0])
    assert [hosts.port(source, remote) == first for remote in remotes] == same


def test_preserving_gives_the_internal_port_once() -> None:
    """Another host with the same port has to take another one, from the first port up."""
    hosts = Hosts(first_port=60000)
    assert hosts.port(endpoint(1, 5000), endpoint(9, 80)) == 5000
    assert (hosts.port(endpoint(2, 5000), endpoint(9, 80)) or 0) >= 60000
    assert hosts.port(endpoint(3, 5001), endpoint(9, 80)) == 5001


def test_preserving_with_collision_gives_it_to_all() -> None:
    """Port overloading, whatever the mapping."""
    for axis in MappingAxis:
        hosts = Hosts(ports=PortAllocation.PRESERVING_WITH_COLLISION, mapping=axis)
        for host in (1, 2):
            for remote in (8, 9):
                assert hosts.port(endpoint(host, 5000), endpoint(remote, 80)) == 5000


def test_protocols_do_not_share_ports() -> None:
    """TCP, UDP and ICMP each have all of them."""
    hosts = Hosts()
    for protocol, host in ((TCP, 1), (UDP, 2), (ICMP, 3)):
        assert hosts.port(endpoint(host, 5000), endpoint(9, 80), protocol) == 5000


def test_sequential_ports_follow_each_other_round_the_end() -> None:
    """From a start of chance; what is taken is left out."""
    ports = allocator(PortAllocation.SEQUENTIAL, LAST_PORT - 3)
    given = [ports.allocate(TCP, 5000, free) for _ in range(8)]
    cycle = [LAST_PORT - 3, LAST_PORT - 2, LAST_PORT - 1, LAST_PORT]
    start = cycle.index(given[0] or 0)
    assert given == (cycle[start:] + cycle[:start]) * 2
    assert ports.allocate(TCP, 5000, lambda port: port != cycle[start - 1]) == cycle[start - 1]


def test_random_ports_do_not_follow_each_other() -> None:
    """They are drawn from the whole range, evenly enough to come near both of its ends."""
    ports = allocator(PortAllocation.RANDOM, 60000)
    given = [ports.allocate(TCP, 5000, free) or 0 for _ in range(500)]
    assert 60000 <= min(given) < 60100
    assert LAST_PORT - 100 < max(given) <= LAST_PORT


@pytest.mark.parametrize(
    "allocation", [PortAllocation.PRESERVING, PortAllocation.SEQUENTIAL, PortAllocation.RANDOM]
)
def test_the_last_free_port_is_found_and_none_beyond(allocation: PortAllocation) -> None:
    """However full the range is."""
    ports = allocator(allocation)
    assert ports.allocate(UDP, 1, lambda port: port != 31000) == 31000
    assert ports.allocate(UDP, 1, lambda _: True) is None


def test_the_same_seed_gives_the_same_ports() -> None:
    """All chance comes from the generator that was handed in."""
    for allocation in PortAllocation:
        ports, again = allocator(allocation), allocator(allocation)
        assert [ports.allocate(TCP, 1, free) for _ in range(20)] == [
            again.allocate(TCP, 1, free) for _ in range(20)
        ]


def test_a_subscriber_has_no_more_ports_than_it_may() -> None:
    """Each address on its own, each protocol on its own; what it has stays usable."""
    hosts = Hosts(ports_per_subscriber=2)
    remote = endpoint(9, 80)
    assert [hosts.port(endpoint(1, port), remote) for port in (1, 2, 3, 1)] == [1, 2, None, 1]
    assert hosts.port(endpoint(2, 3), remote) == 3
    assert hosts.port(endpoint(1, 3), remote, UDP) == 3


def test_a_port_is_given_back_with_its_mapping() -> None:
    """Then a subscriber may have another."""
    hosts = Hosts(ports_per_subscriber=1)
    source, remote = endpoint(1, 5000), endpoint(9, 80)
    hosts.port(source, remote)
    held = hosts.table.find(TCP, source)
    assert isinstance(held, Mapping)
    hosts.table.release(held, remote[:-2])
    assert hosts.port(endpoint(1, 5001), remote) == 5001
