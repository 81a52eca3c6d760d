"""Who is in a picture, in order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simopen.capture import ladder
from simopen.capture.columns import MAX_COLUMNS, Column, columns
from simopen.capture.ladder import Step
from simopen.capture.packets import Endpoint, Flags
from simopen.capture.pcapng import Record
from tests.capture.makers import (
    ALICE,
    HAIRPIN,
    HOME,
    NESTED,
    NESTED_BACK,
    OFFICE,
    OUT,
    journey,
    punching,
    through_nats,
    trip,
)


def _names(records: Sequence[Record]) -> list[str]:
    return [column.name for column in columns(ladder.steps(records))]


def test_two_hosts_are_two_columns() -> None:
    """Without gateways there are only the parties."""
    found = columns(ladder.steps(journey(0, "b", 0, 1, Flags.SYN)))
    assert found == [Column("a", gateway=False, of_left=True), Column("b", False, of_left=False)]


def test_gateways_stand_between_the_parties() -> None:
    """Each belongs to the party whose packets go out there."""
    assert columns(ladder.steps(punching())) == [
        Column("alice", gateway=False, of_left=True),
        Column("home", gateway=True, of_left=True),
        Column("office", gateway=True, of_left=False),
        Column("bob", gateway=False, of_left=False),
    ]


@pytest.mark.parametrize("stops", range(3, 6))
@pytest.mark.parametrize("reverse", [False, True])
def test_what_both_have_seen_is_put_together(stops: int, *, reverse: bool) -> None:
    """From each side only a part of the way is known, and the order is that of the way."""
    there = trip(0, NESTED, [0, 1, 2, 3, 4][:stops])
    back = trip(1, NESTED_BACK, [10, 11, 12, 13, 14][: 6 - stops])
    if reverse:
        back = trip(1, NESTED_BACK, [-10, -9, -8, -7, -6][: 6 - stops])
    records = there + back + trip(2, NESTED, [99, 100, 101, 102, 103])
    assert _names(records) == ["alice", "home", "carrier", "office", "bob"]


def test_a_gateways_answer_alone_shows_the_way() -> None:
    """The gateway that speaks is further from who hears it than those on the way."""
    records = trip(0, through_nats("alice"), [0])
    records += trip(1, through_nats("office"), [12, 24, 25], None)
    assert _names(records) == ["alice", "home", "office", "198.51.100.1:61001"]


def test_a_hairpin_has_no_gateway() -> None:
    """Nothing was seen outside."""
    assert _names(trip(0, HAIRPIN, [0, 1])) == ["alice", "carol"]


def test_there_are_not_too_many() -> None:
    """Of a way through very many gateways the first are shown."""
    sites = [(f"site-{n}", OUT, HOME, OFFICE) for n in range(20)]
    found = _names(trip(0, [("alice", OUT, ALICE, OFFICE), *sites], list(range(21))))
    assert len(found) == MAX_COLUMNS
    assert found[:3] == ["alice", "site-0", "site-1"]


def test_the_order_may_be_given() -> None:
    """Then only what is named is there."""
    found = columns(ladder.steps(punching()), ["bob", "office", "alice"])
    assert [(column.name, column.of_left) for column in found] == [
        ("bob", True),
        ("office", True),
        ("alice", False),
    ]


def test_a_gateway_shows_its_own_party() -> None:
    """Whichever way a packet goes, the endpoint is that of the party on the gateway's side."""
    steps: list[Step] = ladder.steps(punching())
    home, office = columns(steps)[1:3]

    def shown(column: Column, step: Step) -> Endpoint:
        (sighting,) = (s for s in step.path if s.interface == column.name)
        return column.endpoint(sighting, from_left=step.leaves("alice"))

    assert [shown(home, step) for step in steps] == [HOME] * len(steps)
    assert [shown(office, step) for step in steps] == [OFFICE] * len(steps)
