"""The numbers: their defaults, their ranges, and that each is documented."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.punch import PunchOptions

NAMES = [field.name for field in fields(PunchOptions)]


def make(**changes: object) -> PunchOptions:
    """Make options from values whose types do not matter here."""
    values: dict[str, Any] = changes
    return PunchOptions(**values)


@pytest.mark.parametrize("name", NAMES)
def test_documented_default_is_the_real_one(name: str) -> None:
    """Every number's documentation names the default that is in force."""
    text = inspect.getdoc(PunchOptions) or ""
    entry = re.search(rf"^    {name}: (.*?)(?=^    \w+: |\Z)", text, re.DOTALL | re.MULTILINE)
    assert entry
    documented = re.search(r"Default\s+([\d./]*\d|False)", entry[1])
    assert documented
    value = 0.0 if documented[1] == "False" else float(Fraction(documented[1]))
    assert getattr(PunchOptions(), name) == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, -1e-9, math.nan, math.inf, -math.inf])
def test_numbers_are_finite_and_not_negative(name: str, value: float) -> None:
    """A negative or endless number, or none at all, is refused by name."""
    with pytest.raises(ValueError, match=rf"^{name} must be a finite number >= 0, not {value}$"):
        make(**{name: value})


@pytest.mark.parametrize(
    ("name", "refused", "accepted"),
    [
        ("syn_rate", 0.999, 1),
        ("syn_rate", 0, 1.0),
        ("burst_size", 0, 1),
        ("refresh_growth", 0.999, 1),
        ("beat", 0, 1e-3),
        ("refresh_first", 0, 1e-9),
        ("refresh_spread", 1, 0.999),
    ],
)
def test_ranges_end_where_the_engine_would(name: str, refused: float, accepted: float) -> None:
    """A value with which nothing would ever be sent, or without pause, is refused by name."""
    with pytest.raises(ValueError, match=f"^{name} must be"):
        make(**{name: refused})
    assert getattr(make(**{name: accepted}), name) == accepted


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if name not in {"syn_rate", "beat", "burst_size", "refresh_growth"}
        and not name.startswith("round")
        and not name.startswith(("refresh_first", "refresh_known"))
    ],
)
def test_zero_switches_off(name: str) -> None:
    """Every number without a least value of its own may be zero."""
    assert getattr(make(**{name: 0}), name) == 0


@settings(deadline=None, max_examples=50)
@given(name=st.sampled_from(NAMES), value=st.floats(min_value=1, max_value=1e6))
def test_large_numbers_are_accepted(name: str, value: float) -> None:
    """No number has an upper bound, the spread excepted."""
    if name != "refresh_spread":
        assert getattr(make(**{name: value}), name) == value


def test_options_do_not_change() -> None:
    """Options can be shared between lanes: they are frozen, compare by value, and hash."""
    options: Any = PunchOptions()
    with pytest.raises(FrozenInstanceError):
        options.syn_rate = 1e9
    assert options == PunchOptions()
    assert hash(options) == hash(PunchOptions())


def test_options_are_given_by_name() -> None:
    """A number without its name is refused."""
    make_by_position: Any = PunchOptions
    with pytest.raises(TypeError):
        make_by_position(0.2)
