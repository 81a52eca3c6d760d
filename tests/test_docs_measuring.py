"""The page on measuring names every option and every field, and its arithmetic is right."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from simopen.cli._app import measure
from simopen.measure._environment import SYSCTLS
from simopen.measure._records import MOST_EVENTS, SCHEMA, End, Run, Side, Trial
from simopen.measure._statistics import wilson
from simopen.measure._timetable import Timetable

PAGE = (Path(__file__).parent.parent / "docs" / "measuring.md").read_text()
FIELDS = [name for kind in (Run, Trial, Side, End) for name in kind.__struct_fields__]


@pytest.mark.parametrize("name", inspect.signature(measure).parameters)
def test_every_option_has_a_row(name: str) -> None:
    """With its default, where that is a number or a list."""
    shown = "REMOTE" if name == "remote" else f"--{name.replace('_', '-')}"
    row = re.search(rf"^\| `{shown}` \|([^|]*)\|", PAGE, re.MULTILINE)
    assert row, shown
    default = inspect.signature(measure).parameters[name].default
    if isinstance(default, str):
        assert row[1].strip() == f"`{default}`"
    elif default and not isinstance(default, bool):
        assert float(row[1]) == default


@pytest.mark.parametrize("name", [*FIELDS, *SYSCTLS])
def test_every_field_is_named(name: str) -> None:
    """In the part on the result file."""
    assert f"`{name}`" in PAGE.partition("## The result file")[2]


def test_the_numbers() -> None:
    """Of the schema, of events, of slots and of intervals."""
    assert f"schema `{SCHEMA}`" in PAGE
    assert f"the first {MOST_EVENTS}:" in PAGE
    slot = Timetable(20, 10.0, (0.0, 0.05, 0.4)).slot
    assert slot == pytest.approx(15.9)
    assert "one that fails takes\n16 seconds" in PAGE
    assert [round(100 * wilson(n, n)[0], 1) for n in (20, 100, 1000)] == [83.9, 96.3, 99.6]
