from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.figures import _ladder
from simopen.figures._canvas import Picture
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


def picture(one: Trial, names: tuple[str, str] = ("alice", "bob")) -> Picture:
    """A trial, drawn."""
    return _ladder.draw(tell(one), names, "a trial", "in words", "trial-1")


def drawn(one: Trial, names: tuple[str, str] = ("alice", "bob")) -> ET.Element:
    """Its SVG, parsed."""
    return ET.fromstring(picture(one, names).svg)  # noqa: S314  # our own


def texts(svg: ET.Element) -> list[tuple[str, float]]:
    """What is written, and how far down."""
    return [(each.text or "", float(each.attrib["y"])) for each in svg.iter(f"{SVG}text")]


def test_time_goes_down() -> None:
    """What comes later stands lower, on both sides by the same measure."""
    found = dict(texts(drawn(trial(1))))
    assert found["0.0 ms\u2002call"] < found["50.0 ms\u2002call"]
    assert found["50.0 ms\u2002call"] < found["110.0 ms\u2002connected"]


def test_every_syn_is_an_arrow_to_the_other_side() -> None:
    """One head for each, which points down, with its tip on the other side's line."""
    corners = [
        [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
        for path in drawn(trial(1)).iter(f"{SVG}path")
        if path.attrib["d"].rstrip().endswith("z") and path.attrib["d"].count("L") == 2
    ]
    heads = [list(zip(points[::2], points[1::2], strict=True)) for points in corners]
    assert len(heads) == 2
    lines = [x / _ladder.POINT for x in _ladder.XS]
    for tip, *back in heads:
        assert all(tip[1] > y - 3 for _, y in back)
        assert min(abs(tip[0] - x) for x in lines) < 0.01


def test_long_times_are_torn() -> None:
    """A second without an event is no ten screens."""
    svg = drawn(trial(1, ok=False))
    assert "time left out" in dict(texts(svg))
    assert float(svg.attrib["height"].removesuffix("pt")) < 1200
    assert "time left out" not in dict(texts(drawn(trial(1))))


def test_names_are_no_markup() -> None:
    """A host may be called what it likes."""
    assert {"<b>&?", '"bob" $x$'} <= set(dict(texts(drawn(trial(1), ("<b>&\x00", '"bob" $x$')))))


def test_a_side_that_was_never_told_says_so() -> None:
    """Its line is there, and empty."""
    one = msgspec.structs.replace(trial(1), theirs=None)
    assert "its side was never told" in dict(texts(drawn(one)))


def test_both_forms() -> None:
    """As SVG and as PNG, with the title in the picture and the words beside it."""
    one = picture(trial(1))
    assert ("a trial", 26 / _ladder.POINT) in texts(drawn(trial(1)))
    assert one.png.startswith(b"\x89PNG")
    assert (one.name, one.title, one.words) == ("trial-1", "a trial", "in words")


@settings(max_examples=300, deadline=None)
@given(trials)
def test_any_trial_has_a_bounded_and_legible_layout(one: Trial) -> None:
    """Whatever happened, texts of a side do not lie over each other and the picture ends."""
    story = tell(one)
    heights, _ = _ladder.layout(story)
    assert max(heights.values()) < 8_000
    for right in (False, True):
        ys = sorted(heights[mark.at] for mark in story.marks if mark.right is right)
        assert all(b - a > _ladder.LINE - 1e-6 for a, b in pairwise(ys))


@settings(max_examples=5, deadline=None)
@given(trials)
def test_any_trial_is_drawn(one: Trial) -> None:
    """In both forms."""
    assert len(texts(drawn(one))) >= 2 + len(tell(one).marks)
