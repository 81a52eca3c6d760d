"""Where everything goes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import pytest
from hypothesis import given

from simopen.capture import ladder
from simopen.capture.folding import Fold, fold
from simopen.capture.journey import Sighting
from simopen.capture.ladder import Step
from simopen.capture.layout import MAX_ITEMS, Layout, lay_out
from simopen.capture.packets import Endpoint, Flags
from simopen.capture.pcapng import Direction, Record
from simopen.capture.view import View
from tests.capture.makers import (
    HOME,
    captures,
    flight,
    journey,
    punching,
    through_nats,
    trip,
)


def _laid_out(records: Sequence[Record]) -> Layout:
    return lay_out(ladder.steps(records))


def _said(layout: Layout, kind: str) -> list[str]:
    return [text.words for text in layout.texts if text.kind == kind]


def test_a_packet_goes_from_column_to_column() -> None:
    """It has a point at every sighting, each lower by its time."""
    layout = _laid_out(trip(0, through_nats("alice"), [0, 4, 16, 20]))
    (line,) = layout.lines.values()
    assert [x for x, _ in line.points] == layout.xs
    heights = [after[1] - before[1] for before, after in pairwise(line.points)]
    assert heights == pytest.approx([heights[0], 3 * heights[0], heights[0]])


def test_times_are_to_scale_where_there_is_room() -> None:
    """Twice the time is twice the height."""
    records = [*journey(0, "a", 0, 20, Flags.SYN), *journey(1, "b", 30, 50, Flags.FIN)]
    one, other = (line.points for line in _laid_out(records).lines.values())
    assert other[0][1] - one[0][1] == pytest.approx(1.5 * (one[1][1] - one[0][1]))


def test_idle_time_is_left_out() -> None:
    """A long pause has the height of its mark, which says how long it was."""
    records = [*journey(0, "a", 0, 20, Flags.SYN), *journey(1, "b", 5020, 5040, Flags.FIN)]
    layout = _laid_out(records)
    assert _said(layout, "break") == ["5.0 s"]
    assert layout.bottom < 400


def test_lost_packets_say_so() -> None:
    """One is dropped where a gateway is, another goes on a little and is lost."""
    layout = _laid_out(
        [
            *trip(0, through_nats("alice"), flight(0, 3)),
            *trip(1, through_nats("alice"), flight(1, 2)),
        ]
    )
    dropped, lost = (line.points for line in layout.lines.values())
    assert [x for x, _ in dropped] == layout.xs[:3]
    assert layout.xs[1] < lost[-1][0] < layout.xs[2]
    assert {"dropped", "lost"} <= set(_said(layout, "note"))


def test_heads_tell_names_and_translations() -> None:
    """Each party has its own endpoint, each gateway what it makes of it."""
    layout = _laid_out(punching())
    assert _said(layout, "name") == ["alice", "home", "office", "bob"]
    assert _said(layout, "note")[:4] == [
        "192.168.1.2:40000",
        "203.0.113.1:40000",
        "198.51.100.1:61001",
        "192.168.1.2:40001",
    ]


def test_a_firewall_that_translates_nothing_says_nothing() -> None:
    """An endpoint that is the same further in is not said again."""
    a, b = Endpoint("2001:db8::1", 1), Endpoint("2001:db8::2", 2)
    stops = [(name, way, a, b) for name, way, *_ in through_nats("alice")]
    layout = _laid_out(trip(0, stops, flight(0)))
    assert _said(layout, "note") == ["[2001:db8::1]:1", "[2001:db8::2]:2"]


def test_another_translation_is_noted_where_it_begins() -> None:
    """A new port is written where it is first seen, a new address with its port."""
    outsides = [HOME, HOME._replace(port=7), HOME._replace(port=7), Endpoint("203.0.113.8", 9)]
    records = chain.from_iterable(
        trip(number, through_nats("alice", outside), flight(20 * number), Flags.FIN)
        for number, outside in enumerate(outsides)
    )
    assert _said(_laid_out(list(records)), "note")[4:] == [":7", "203.0.113.8:9"]


def test_names_and_labels_are_cut_to_their_room() -> None:
    """The longest name a host may have, and the longest label."""
    step = ladder.steps(journey(0, "a", 0, 1, Flags(63)))[0]
    layout = lay_out([step], ["a", "n" * 30, "m" * 30, "o" * 30, "b"])
    assert all(text.box.right <= layout.width for text in layout.texts)
    assert all(text.box.left >= 0 for text in layout.texts)
    assert "nnnnnnnnnnnnnnnnnnn…" in _said(layout, "name")


def test_times_have_room() -> None:
    """Those of a day as well as those of a moment."""
    records = [*journey(0, "a", 0, 0.25, Flags.SYN), *journey(1, "b", 8.64e7, 8.64e7, Flags.FIN)]
    layout = _laid_out(records)
    assert _said(layout, "time") == ["0.00", "0.25", "86,400,000", "ms"]
    assert min(text.box.left for text in layout.texts) >= 0


def _drawn(steps: list[Step]) -> list[Step]:
    return [item for item in fold(steps, MAX_ITEMS) if isinstance(item, Step)]


@given(captures())
def test_earlier_is_never_lower(records: list[Record]) -> None:
    """In one column, in one packet, and in the times at the left."""
    for conversation in ladder.conversations(records):
        layout = lay_out(ladder.steps(records, conversation))
        for line in layout.lines.values():
            heights = [y for _, y in line.points]
            assert heights == sorted(heights)
        for x in layout.xs:
            seen = [
                (line.step.seen_at(sighting), point[1])
                for line in layout.lines.values()
                for sighting, point in zip(line.step.path, line.points, strict=False)
                if point[0] == x
            ]
            assert all(
                low <= high for (early, low) in seen for (late, high) in seen if early < late
            )
        times = [float(text.replace(",", "")) for text in _said(layout, "time")[:-1]]
        assert times == sorted(times)


@given(captures())
def test_every_crossing_has_its_ring(records: list[Record]) -> None:
    """Lines of SYNs that crossed meet in the picture, too."""
    for conversation in ladder.conversations(records):
        steps = ladder.steps(records, conversation)
        layout = lay_out(steps)
        assert len(layout.rings) == len(ladder.crossings(_drawn(steps)))


@given(captures())
def test_everything_is_drawn_or_folded(records: list[Record]) -> None:
    """Each packet that is not in a fold has a line."""
    for conversation in ladder.conversations(records):
        steps = ladder.steps(records, conversation)
        layout = lay_out(steps)
        assert set(layout.lines) == {step.packet_id for step in _drawn(steps)}
        folds = sum(isinstance(item, Fold) for item in fold(steps, MAX_ITEMS))
        assert len(_said(layout, "fold")) == folds


def test_a_view_has_states_and_marks_what_is_reckoned() -> None:
    """States stand at the left, times of the far side have a mark, labels have numbers."""
    records = [*journey(0, "a", 0, 20, Flags.SYN), *journey(1, "b", -5, 40, Flags.SYN)]
    steps = ladder.steps(records)
    view = View(heads=("", ""), states={0: "SYN_SENT", 1: "SYN_RECEIVED"}, numbered={0, 1})
    layout = lay_out(steps, view=view)
    assert {"SYN_SENT", "SYN_RECEIVED"} <= set(_said(layout, "note"))
    assert _said(layout, "label") == ["SYN seq 0", "SYN seq 0"]
    times = _said(layout, "time")
    assert sum(time.startswith("~") for time in times) == 2
    assert layout.reckoned
    assert lay_out(steps).width < layout.width


def test_time_begins_with_the_first_packet_wherever_that_is() -> None:
    """What left before zero is above what left at zero."""
    early = Step(-0.01, 0.01, "b", "SYN", packet_id=0, path=_way("b", "a", -0.01, 0.01))
    own = Step(0.0, 0.02, "a", "SYN", packet_id=1, path=_way("a", "b", 0.0, 0.02))
    layout = lay_out([early, own])
    assert layout.lines[0].points[0][1] < layout.lines[1].points[0][1]


def _way(sender: str, receiver: str, left: float, came: float) -> tuple[Sighting, ...]:
    ends = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)
    return (
        Sighting(sender, Direction.OUTBOUND, round(left * 1e9), *ends),
        Sighting(receiver, Direction.INBOUND, round(came * 1e9), *ends),
    )
