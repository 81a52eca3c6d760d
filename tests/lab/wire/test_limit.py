"""How many ICMP errors an address is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.lab.wire.limit import ICMP_BURST, MAX_ADDRESSES, IcmpLimit


def test_without_an_interval_there_is_no_limit() -> None:
    """Every error is sent, and nothing is remembered."""
    limit = IcmpLimit(None)
    assert all(limit.allows(b"a", 0.0) for _ in range(1_000))
    assert len(limit) == 0


def test_a_burst_and_then_one_an_interval() -> None:
    """Six at once, then one each second; after a long silence six again."""
    limit = IcmpLimit(1.0)
    sent = [now / 10 for now in range(100) if limit.allows(b"a", now / 10)]
    assert sent == pytest.approx(
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9], abs=0.11
    )
    assert sum(limit.allows(b"a", 100.0) for _ in range(20)) == ICMP_BURST


def test_addresses_are_counted_apart() -> None:
    """What one is sent does not count for another."""
    limit = IcmpLimit(1.0)
    assert sum(limit.allows(b"a", 0.0) for _ in range(20)) == ICMP_BURST
    assert limit.allows(b"b", 0.0)


@given(st.lists(st.integers(0, 5_000), max_size=200))
def test_memory_is_bounded(addresses: list[int]) -> None:
    """However many addresses there are, few are remembered."""
    limit = IcmpLimit(1.0)
    for address in (*addresses, *range(MAX_ADDRESSES + 50)):
        limit.allows(address.to_bytes(4, "big"), 0.0)
        assert len(limit) <= MAX_ADDRESSES
