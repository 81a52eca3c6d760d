"""The table of protections fits the code, and leaves no attacker and no limit out."""

from __future__ import annotations

from collections import Counter

import pytest

from simopen.rendezvous.protocol import Limit
from tests.protections.table import FAULT, ROOT, Protection, attackers, load

TABLE = load()


@pytest.mark.parametrize("protection", TABLE, ids=[each.name for each in TABLE])
def test_a_row_fits_the_code(protection: Protection) -> None:
    """The protection is in the code as its row says, and so are the tests that prove it."""
    text = (ROOT / protection.file).read_text()
    assert protection.removed_from(text) != text
    assert protection.tests
    for test in protection.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        if name:
            assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test


def test_names_are_unique() -> None:
    """A name says which."""
    assert [name for name, count in Counter(each.name for each in TABLE).items() if count > 1] == []


@pytest.mark.parametrize("attacker", attackers())
def test_every_attacker_meets_a_protection(attacker: str) -> None:
    """Each row of the threat model has a protection, whose test is seen to fail without it."""
    assert any(attacker.startswith(each.against) for each in TABLE)


@pytest.mark.parametrize("limit", Limit)
def test_every_limit_is_a_protection(limit: Limit) -> None:
    """A limit of a coordinator, or a number of the protocol's, whose test fails without it."""
    assert any(each.limit == limit for each in TABLE)


def test_a_row_names_no_limit_that_there_is_not() -> None:
    """A limit's name is the one that the metrics have."""
    assert {each.limit for each in TABLE} - {None} <= set(Limit)


def test_every_row_names_an_attacker() -> None:
    """What a protection is against is one of those that the threat model knows, or a fault."""
    for each in TABLE:
        if each.against == FAULT:
            continue
        assert sum(known.startswith(each.against) for known in attackers()) == 1, each.name


def test_a_protection_that_is_not_there_cannot_be_taken_out() -> None:
    """A row that the code has outgrown is an error, and no success."""
    row = Protection(name="x", against="y", file="z", old="a", new="b", tests=("t",))
    assert row.removed_from("1a2") == "1b2"
    for text in ("", "aa"):
        with pytest.raises(ValueError, match="times"):
            row.removed_from(text)
