from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous._admission import Admission
from simopen.rendezvous.protocol import CoordinatorLimits, Limit

HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")


class Table(Admission):
    """Notes which limits are hit.

    Attributes:
        hits: In order.
    """

    def __init__(self, limits: CoordinatorLimits) -> None:
        self.hits: list[Limit] = []
        super().__init__(limits, self.hits.append)


def admission(**limits: float) -> Table:
    """With limits of a test's choice."""
    return Table(CoordinatorLimits(**limits))  # type: ignore[arg-type]


def test_so_many_at_once() -> None:
    """Each address has its own count, and what is released can be used again."""
    table = admission(connections_per_address=1)
    assert table.admit("192.0.2.1", 0)
    assert not table.admit("192.0.2.1", 0)
    assert table.admit("192.0.2.2", 0)
    table.release("192.0.2.1")
    assert table.admit("192.0.2.1", 0)
    assert table.hits == [Limit.CONNECTIONS_PER_ADDRESS]


def test_so_many_a_second() -> None:
    """After the burst the rate counts."""
    table = admission(connection_burst=2, connection_rate=1)
    assert [table.admit("192.0.2.1", now) for now in (0, 0, 0.5, 1.2, 1.3)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert table.hits == [Limit.CONNECTION_RATE] * 2


def test_an_ipv6_customer_is_a_64() -> None:
    """Addresses of one /64 are one; the next /64 is another; a zone is no part of an address."""
    table = admission(connections_per_address=1)
    assert table.admit("2001:db8::1", 0)
    assert not table.admit("2001:db8::ffff:1", 0)
    assert table.admit("2001:db8:0:1::1", 0)
    assert table.admit("fe80::1%2", 0)
    assert not table.admit("fe80::1%3", 0)


def test_many_addresses_are_forgotten_not_kept() -> None:
    """The rate unheard of longest goes first; open connections are never forgotten."""
    table = admission(addresses=2, connection_burst=1, connection_rate=0, connections_per_address=2)
    assert table.admit("192.0.2.1", 0)
    assert table.admit("192.0.2.2", 0)
    assert not table.admit("192.0.2.1", 0)  # heard of again
    assert table.admit("192.0.2.3", 0)  # and so 192.0.2.2 is forgotten
    assert not table.admit("192.0.2.1", 0)
    assert table.hits == [Limit.CONNECTION_RATE, Limit.ADDRESSES, Limit.CONNECTION_RATE]
    assert table.admit("192.0.2.2", 0)


@given(st.lists(st.tuples(st.sampled_from(HOSTS), st.booleans()), max_size=60))
def test_counts_are_exact_and_tables_bounded(steps: list[tuple[str, bool]]) -> None:
    """Whatever comes and goes, nothing is left when all have gone."""
    table = admission(addresses=2, connections_per_address=3)
    admitted: list[str] = []
    for host, comes in steps:
        if comes and table.admit(host, 0):
            admitted.append(host)
        elif not comes and host in admitted:
            admitted.remove(host)
            table.release(host)
        assert len(table._rates) <= 2
        assert table._open.total == len(admitted)
    for host in admitted:
        table.release(host)
    assert not table._open._counts
