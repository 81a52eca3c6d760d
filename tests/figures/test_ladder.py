from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.figures import _ladder
from simopen.figures._story import tell
from simopen.measure._records import Moment, Side, Trial
from tests.figures.makers import trial

SVG = "{http://www.w3.org/2000/svg}"

moments = st.builds(
    Moment,
    st.floats(0, 30) | st.floats(0, 1e300),
    st.sampled_from(["punch.attempt", "punch.refused", "punch.half_open", "other"]),
    st.none() | st.integers(0, 3),
)
sides = st.builds(
    Side,
    ok=st.booleans(),
    elapsed=st.floats(0, 1e6),
    round_trip=st.none() | st.floats(0, 1e6),
    events=st.lists(moments, max_size=60).map(tuple),
)
trials = st.builds(
    Trial,
    run=st.just("r"),
    number=st.just(1),
    ok=st.booleans(),
    skew=st.none() | st.floats(-1e9, 1e9),
    ours=sides,
    theirs=st.none() | sides,
)


def drawn(one: Trial, names: tuple[str, str] = ("alice", "bob")) -> ET.Element:
    """The picture, parsed."""
    return ET.fromstring(_ladder.draw(tell(one), names, "a trial"))  # noqa: S314  # our own


def texts(picture: ET.Element) -> list[tuple[str, float, str]]:
    """What is written, how far down, and on which side."""
    return [
        (each.text or "", float(each.attrib["y"]), each.attrib["text-anchor"])
        for each in picture.iter(f"{SVG}text")
    ]


def test_time_goes_down() -> None:
    """What comes later stands lower, on both sides by the same measure."""
    found = {words: y for words, y, _ in texts(drawn(trial(1)))}
    assert found["0.0 ms\u2002call"] < found["50.0 ms\u2002call"]
    assert found["50.0 ms\u2002call"] < found["110.0 ms\u2002connected"]


def test_every_syn_is_an_arrow_to_the_other_side() -> None:
    """One head for each, which points down."""
    heads = list(drawn(trial(1)).iter(f"{SVG}polygon"))
    assert len(heads) == 2
    for head in heads:
        (tip, *back) = [
            tuple(map(float, each.split(","))) for each in head.attrib["points"].split()
        ]
        assert all(tip[1] > y - 3 for _, y in back)
        assert tip[0] in _ladder.XS


def test_long_times_are_torn() -> None:
    """A second without an event is no ten screens."""
    picture = drawn(trial(1, ok=False))
    words = [words for words, _, _ in texts(picture)]
    assert "time left out" in words
    assert float(picture.attrib["height"]) < 1500
    assert "time left out" not in [words for words, _, _ in texts(drawn(trial(1)))]


def test_names_are_no_markup() -> None:
    """A host may be called what it likes."""
    words = [words for words, _, _ in texts(drawn(trial(1), ("<b>&\x00", '"bob"')))]
    assert words[:2] == ["<b>&?", '"bob"']


def test_a_side_that_was_never_told_says_so() -> None:
    """Its line is there, and empty."""
    one = msgspec.structs.replace(trial(1), theirs=None)
    assert "its side was never told" in [words for words, _, _ in texts(drawn(one))]


@settings(max_examples=150, deadline=None)
@given(trials)
def test_any_trial_is_drawn_in_bounded_size_and_legibly(one: Trial) -> None:
    """Whatever happened, texts of a side do not lie over each other and the picture ends."""
    picture = drawn(one)
    assert float(picture.attrib["height"]) < 8_000
    for anchor in ("start", "end"):
        heights = sorted(y for _, y, where in texts(picture) if where == anchor)
        assert all(b - a > _ladder.LINE - 3 for a, b in pairwise(heights))
