"""The coordinator's limits, and how a rate is held."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import Allowance, CoordinatorLimits, Limit


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(CoordinatorLimits)])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_limits_are_finite_numbers(field: str, value: float) -> None:
    """A value that is no limit is refused by name."""
    wrong: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=f"^{field} must be"):
        CoordinatorLimits(**wrong)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 0) for name in ("connections", "connection_burst", "addresses", "rooms")),
        *((name, 0) for name in ("connections_per_address", "members_per_address")),
        *((name, 0) for name in ("message_burst", "meeting")),
        *(("idle", value) for value in (0.5, 3601)),
        *(("handshake", 0), ("outbox", 0)),
    ],
)
def test_limits_leave_something(field: str, value: float) -> None:
    """A coordinator that could serve nobody is refused."""
    wrong: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=f"^{field} must be"):
        CoordinatorLimits(**wrong)


def test_every_limit_has_a_name() -> None:
    """A field each, where a burst is hit as its rate, and two numbers that are not to be chosen."""
    fields = {each.name for each in dataclasses.fields(CoordinatorLimits)}
    named = {each.replace("_burst", "_rate") for each in fields}
    assert set(Limit) == named | {Limit.FRAME, Limit.MEMBERS_PER_ROOM}
    assert not {Limit.FRAME, Limit.MEMBERS_PER_ROOM} & fields


def test_every_limit_says_what_it_is() -> None:
    """Each field has its meaning and its default in the docstring, and the reason for it."""
    text = " ".join((CoordinatorLimits.__doc__ or "").split())
    for field in dataclasses.fields(CoordinatorLimits):
        assert re.search(rf"\b{field.name}: ", text)
        stated = re.escape(f"{field.default:,g}")
        assert re.search(rf"\b{field.name}: [^:]*?Default {stated}(\.0)?: \w", text), field.name


@given(
    st.lists(st.floats(min_value=0, max_value=2), max_size=60),
    st.integers(min_value=1, max_value=5),
    st.floats(min_value=0, max_value=10),
)
def test_an_allowance_is_never_exceeded(gaps: list[float], burst: int, rate: float) -> None:
    """From any moment on no more is taken than the burst and the rate since then."""
    now, taken = 0.0, []
    allowance = Allowance(rate=rate, burst=burst, now=now)
    for gap in gaps:
        now += gap
        if allowance.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], 1):
            assert count <= burst + (end - start) * rate + 1e-6


def test_an_allowance_recovers() -> None:
    """After a burst the rate alone is left."""
    allowance = Allowance(rate=2, burst=3, now=0.0)
    assert [allowance.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(0.4)
    assert allowance.take(0.5)
    assert not allowance.take(0.5)
