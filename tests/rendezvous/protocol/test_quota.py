"""How many there are of each address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import Quota, counted_address


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%2", "fe80::1%eth0", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:  # noqa: FBT001  # a column
    """An IPv4 address or an IPv6 /64, whatever the zone."""
    assert (counted_address(one) == counted_address(other)) is same


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_counts_are_exact(steps: list[tuple[str, bool]]) -> None:
    """An address is full with as many as may be, and leaves nothing when all have gone."""
    quota = Quota(2)
    held: list[str] = []
    for address, comes in steps:
        assert quota.is_full(address) == (held.count(address) == 2)
        if comes and not quota.is_full(address):
            quota.take(address)
            held.append(address)
        elif not comes and address in held:
            quota.release(address)
            held.remove(address)
        assert quota.total == len(held)
    for address in held:
        quota.release(address)
    assert quota.total == len(quota._counts) == 0
