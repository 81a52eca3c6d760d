"""Texts that keep off each other."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from simopen.capture.sheet import BAND, SIZES, Box, Sheet, Text, beside, room_for

_WORDS = st.text("abc", min_size=1, max_size=12)
_TEXTS = st.builds(
    beside,
    st.floats(0, 500),
    st.sampled_from((1, -1)),
    st.sampled_from(sorted(SIZES)),
    _WORDS,
)
_PUTS = st.lists(st.tuples(st.floats(0, 30), st.floats(0, 500), st.none() | _TEXTS), max_size=30)


def _overlap(one: Box, other: Box) -> bool:
    across = one.left < other.right and other.left < one.right
    return across and one.top < other.bottom - 1e-6 and other.top < one.bottom - 1e-6


@given(_PUTS)
def test_no_text_lies_over_another(puts: list[tuple[float, float, Text | None]]) -> None:
    """However close to each other they are put, and no height is less than the one before."""
    sheet = Sheet(0.0, 50, 450)
    heights = [0.0]
    for down, x, text in puts:
        sheet.height += down
        if text is None:
            heights.append(sheet.put_band("fold", "so many more"))
        else:
            heights.append(sheet.put([text], x))
    assert heights == sorted(heights)
    assert len(sheet.texts) == len(puts)
    for one, other in combinations(sheet.texts, 2):
        assert not _overlap(one.box, other.box)


def test_there_is_room_until_something_is_in_the_way() -> None:
    """What is beside a text stays at its height, what is under it goes below."""
    sheet = Sheet(100.0, 0, 500)
    assert sheet.put([beside(10, 1, "label", "one")], 0) == 100
    assert sheet.put([beside(200, 1, "label", "two")], 190) == 100
    assert 110 < sheet.put([beside(12, 1, "label", "three")], 2) < 120


def test_points_of_one_column_keep_apart() -> None:
    """Two points at one place become two, with no text at all."""
    sheet = Sheet(0.0, 0, 500)
    assert sheet.put([], 50) < sheet.put([], 50)
    assert sheet.put([], 70) == sheet.height


def test_a_band_goes_across() -> None:
    """Nothing is put beside its text."""
    sheet = Sheet(0.0, 0, 500)
    middle = sheet.put_band("break", "1 s")
    assert sheet.put([beside(490, -1, "note", "right")], 495) > middle + BAND


def test_how_much_there_is_room_for() -> None:
    """As many characters fit as the box of such a text says."""
    for kind in SIZES:
        fits = room_for(100, kind)
        width = Text(kind, 0, 0, "start", "x" * fits).box.right
        assert width <= 100 < width * (fits + 1) / fits
