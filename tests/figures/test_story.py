from __future__ import annotations

import msgspec
import pytest

from simopen.figures._story import FIRST, LAST, LATEST, Mark, tell
from simopen.measure._records import MOST_EVENTS, Moment, Side, Trial
from tests.figures.makers import RTT, trial


def of_side(marks: tuple[Mark, ...], *, right: bool) -> list[tuple[str, float]]:
    """What is said at one of the sides, and when in milliseconds."""
    return [(mark.words, round(mark.at * 1000, 3)) for mark in marks if mark.right is right]


def lonely(*events: Moment, ok: bool = True) -> Trial:
    """A trial of which only our side is known."""
    side = Side(ok=ok, elapsed=1.0, events=events, cause=None if ok else "silence")
    return Trial(run="r", number=1, ok=ok, ours=side)


@pytest.mark.parametrize("skew", [0.05, -0.05])
def test_the_later_side_is_put_later(skew: float) -> None:
    """Both sides' times count from the earlier call."""
    story = tell(trial(1, skew=skew))
    assert story.aligned
    late, early = (of_side(story.marks, right=right) for right in (skew < 0, skew > 0))
    assert [at for _, at in late][:2] == [50.0, 50.0]
    assert [at for _, at in early][:2] == [0.0, 0.0]
    assert late[-1] == ("connected", 110.0)
    assert early[-1] == ("connected", 110.0)


def test_what_is_sent_arrives_half_a_round_trip_later() -> None:
    """A SYN's arrival is reckoned, and nothing else arrives."""
    sent = [mark for mark in tell(trial(1)).marks if mark.arrives is not None]
    assert {mark.kind for mark in sent} == {"syn"}
    assert [mark.arrives for mark in sent] == pytest.approx(
        [mark.at + RTT / 2 for mark in sent], abs=1e-6
    )


def test_without_a_skew_nothing_crosses() -> None:
    """Where it is not known who began when, no arrival is drawn."""
    unknown = msgspec.structs.replace(trial(1), skew=None)
    story = tell(unknown)
    assert not story.aligned
    assert all(mark.arrives is None for mark in story.marks)
    assert {mark.at for mark in story.marks if mark.kind == "call"} == {0.0}


def test_a_side_that_was_never_told() -> None:
    """There is only ours then."""
    story = tell(lonely(Moment(0.5, "punch.refused", 0), ok=False))
    assert not story.told
    assert of_side(story.marks, right=False) == [
        ("call", 0.0),
        ("refused", 500.0),
        ("gave up: silence", 1000.0),
    ]
    assert of_side(story.marks, right=True) == []


def test_pairs_are_named_where_there_are_several() -> None:
    """With one pair of endpoints its number says nothing."""
    story = tell(lonely(Moment(0.1, "punch.attempt", 0), Moment(0.2, "punch.attempt", 1)))
    assert [words for words, _ in of_side(story.marks, right=False)][1:3] == [
        "SYN 1, pair 1",
        "SYN 1, pair 2",
    ]


def test_many_events_are_folded() -> None:
    """The first and the last stay, and what lies between is counted."""
    events = []
    for number in range(50):
        events += [
            Moment(number * 0.01, "punch.attempt", 0),
            Moment(number * 0.01, "punch.refused"),
        ]
    marks = tell(lonely(*events)).marks
    assert len(marks) == FIRST + LAST + 1
    (fold,) = [mark for mark in marks if mark.kind == "fold"]
    assert fold.words == "… 43 SYNs, 44 refusals"
    assert marks[FIRST] is fold
    assert marks[-1].words == "connected"


@pytest.mark.parametrize(
    ("events", "attempts", "words"),
    [
        (MOST_EVENTS, 1_500, "… 1,300 more SYNs, not recorded"),
        (MOST_EVENTS, MOST_EVENTS, "… more, not recorded"),
        (0, 3, "… 3 more SYNs, not recorded"),
        (3, 3, None),
        (0, 0, None),
    ],
)
def test_events_that_were_not_recorded(events: int, attempts: int, words: str | None) -> None:
    """It is said that there were some, after the last that was, and how many of them SYNs."""
    moments = [Moment(number / 1000, "punch.attempt", 0) for number in range(events)]
    one = lonely(*moments)
    one = msgspec.structs.replace(one, ours=msgspec.structs.replace(one.ours, attempts=attempts))
    said = [mark.words for mark in tell(one).marks]
    assert said[-1] == "connected"
    if words is None:
        assert not any("not recorded" in each for each in said)
    else:
        assert said[-2] == words


def test_events_of_another_version_are_named() -> None:
    """What is not known here is shown by its name, without what cannot be drawn."""
    story = tell(lonely(Moment(0.1, "punch.\x1bnew")))
    assert story.marks[1].words == "punch.?new"


def test_marks_of_a_side_are_in_order_and_apart() -> None:
    """No two marks of a side share a moment, and no time is without end."""
    story = tell(lonely(Moment(1e300, "late"), Moment(0.5, "a"), Moment(0.5, "b")))
    moments = [mark.at for mark in story.marks]
    assert moments == sorted(set(moments))
    assert moments[-1] == pytest.approx(LATEST)
