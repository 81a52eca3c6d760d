"""Conversations drawn as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from simopen.capture import ladder, svg
from simopen.capture.conversation import Conversation
from simopen.capture.packets import Flags
from simopen.capture.pcapng import Record
from tests.capture.makers import (
    ALICE,
    BOB,
    HOME,
    IN,
    OFFICE,
    OUT,
    captures,
    flight,
    journey,
    punching,
    through_nats,
    trip,
)

_NS = "{http://www.w3.org/2000/svg}"
_CHARACTER = 0.61  # width of DejaVu Sans Mono's by font size; others' are less
_ASCENT, _DESCENT = 0.76, 0.24  # of the same font, for what a label may consist of


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float


def _box(text: ET.Element) -> _Box:
    """Return what a text covers, reckoned from its attributes alone."""
    size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
    width = len(text.text or "") * size * _CHARACTER
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]] * width
    return _Box(left, y - _ASCENT * size, left + width, y + _DESCENT * size)


def _overlap(one: _Box, other: _Box) -> bool:
    return (
        one.left < other.right
        and other.left < one.right
        and one.top < other.bottom - 0.1  # coordinates are written with one decimal
        and other.top < one.bottom - 0.1
    )


def _parsed(
    records: Sequence[Record],
    conversation: Conversation | None = None,
    columns: Sequence[str] | None = None,
) -> ET.Element:
    return ET.fromstring(svg.draw(records, conversation, columns=columns))  # noqa: S314  # our own


def _texts(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{_NS}text")]


def _check(root: ET.Element) -> None:
    """Hold what is true of every picture."""
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    assert root.attrib["viewBox"] == f"0 0 {width:.0f} {height:.0f}"
    assert width <= 1_600
    assert height <= 2_500
    boxes = [_box(text) for text in root.iter(f"{_NS}text")]
    assert all(box.left >= 0 and box.right <= width for box in boxes)
    assert all(box.top >= 0 and box.bottom <= height for box in boxes)
    assert not [pair for pair in combinations(boxes, 2) if _overlap(*pair)]


def test_it_is_one_file_by_itself() -> None:
    """No scripts, no fonts, no pictures from elsewhere."""
    text = svg.draw(punching())
    assert not re.search(r"<script|@import|@font-face|url\(|href|<foreignObject|<image", text)


def test_it_says_what_it_shows() -> None:
    """A title and a description for those who cannot see it, and a tooltip for each packet."""
    root = _parsed(punching())
    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", "TCP between alice and bob")
    assert root[0].tag == f"{_NS}title"
    assert root[0].text == "TCP between alice and bob"
    assert root[1].tag == f"{_NS}desc"
    assert root[1].text == (
        "Time goes down. Packets run between alice and bob through home, office: 9, of which 2"
        " never arrived. Pairs of SYNs that crossed: 1."
    )
    tooltips = [group.findtext(f"{_NS}title") or "" for group in root.iter(f"{_NS}g")]
    assert len(tooltips) == 9
    assert tooltips[1] == (
        "RST-ACK, seq 0, ack 1: office 12.10 ms (198.51.100.1:61001 → 203.0.113.1:40000),"
        " home 24.10 ms (198.51.100.1:61001 → 203.0.113.1:40000),"
        " alice 24.20 ms (198.51.100.1:61001 → 192.168.1.2:40000)"
    )


def test_it_has_a_dark_palette_with_every_colour() -> None:
    """The same classes twice, and all that are used are among them."""
    text = svg.draw(punching())
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    named = [set(re.findall(r"\.(\w+) \{ color: #", part)) for part in (light, dark)]
    assert named[0] == named[1]
    assert len(named[0]) == 9


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_can_be_read(scheme: int) -> None:
    """Each colour of a text has the contrast that WCAG asks for, 4.5 to 1."""
    paper = _luminance(svg._PALETTE["paper"][scheme])
    for name in ("faint", "ink", "left", "right", "bad", "mark"):
        own = _luminance(svg._PALETTE[name][scheme])
        assert (max(own, paper) + 0.05) / (min(own, paper) + 0.05) >= 4.5, name


def _luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_a_punch_through_nats() -> None:
    """Who is in it, what they said, what was dropped, and the crossing with its legend."""
    root = _parsed(punching())
    _check(root)
    texts = _texts(root)
    assert {"alice", "home", "office", "bob", "203.0.113.1:40000"} <= set(texts)
    assert texts.count("SYN") == 4
    assert texts.count("dropped") == 2
    assert "ACK 1000 B" in texts
    assert "two SYNs cross: simultaneous open" in texts
    assert len(list(root.iter(f"{_NS}circle"))) == 2  # the crossing, and the legend


def test_the_legend_explains_only_what_there_is() -> None:
    """A plain packet needs no explanation."""
    assert _texts(_parsed(journey(0, "a", 0, 10, Flags.SYN))) == [
        *("0.00", "10.00", "ms"),
        *("a", "10.77.0.1:40000", "b", "10.77.1.1:40001", "SYN"),
    ]
    lost = _texts(_parsed(trip(0, through_nats("alice"), flight(0, 3))))
    assert lost[-1] == "went no further"


def test_the_conversation_may_be_chosen() -> None:
    """The first is drawn unless another one is asked for."""
    records = journey(0, "a", 0, 10, Flags.SYN) + trip(1, through_nats("alice"), flight(0))
    second = ladder.conversations(records)[1]
    assert "alice" not in _texts(_parsed(records))
    assert "alice" in _texts(_parsed(records, conversation=second))


def test_columns_may_be_given() -> None:
    """Their order is as asked for, and what is not named is not shown."""
    texts = _texts(_parsed(punching(), columns=["bob", "alice"]))
    names = [text for text in texts if text in ("alice", "home", "office", "bob")]
    assert names == ["bob", "alice"]


@pytest.mark.parametrize("name", ['<a href="x">&', "\x00\ud800\x1b[31m", "é✗", "]]>"])
def test_names_cannot_break_it(name: str) -> None:
    """Whatever a host is called, the picture is XML."""
    records = [
        replace(record, interface=name) if record.interface == "a" else record
        for record in journey(0, "a", 0, 10, Flags.SYN)
    ]
    text = svg.draw(records)
    ET.fromstring(text)  # noqa: S314  # our own
    assert text.encode()


def test_nothing_is_drawn_as_nothing() -> None:
    """A capture without TCP has a picture without packets."""
    root = _parsed([])
    _check(root)
    assert _texts(root) == ["ms", "?", "?"]


def test_a_long_conversation_has_a_bounded_picture() -> None:
    """A thousand packets are no more than forty lines."""
    records = [
        record
        for number in range(1_000)
        for record in trip(
            number, through_nats("alice" if number % 3 else "bob"), flight(7 * number), Flags(17)
        )
    ]
    root = _parsed(records)
    _check(root)
    assert len(list(root.iter(f"{_NS}g"))) == 39
    assert any("961 more packets" in text for text in _texts(root))


@pytest.mark.parametrize(("pause", "leg"), [(0, 0), (1, 1), (5_000, 1), (5_000, 0)])
def test_the_largest_picture_is_bounded(pause: float, leg: float) -> None:
    """Each packet goes through six gateways, and is another one at each."""
    records = []
    for number in range(40):
        outside, called = HOME._replace(port=number), OFFICE._replace(port=number)
        out = [(f"out-{gateway}", OUT, outside, called) for gateway in range(3)]
        inwards = [(f"in-{gateway}", IN, outside, called) for gateway in range(3)]
        stops = [("alice", OUT, ALICE, OFFICE), *out, *inwards, ("bob", IN, outside, BOB)]
        times = [number * pause + leg * stop for stop in range(7 if number else 8)]
        records += trip(number, stops, times, Flags.FIN)
    root = _parsed(records)
    assert len(list(root.iter(f"{_NS}g"))) == 40
    _check(root)


@given(captures())
def test_any_capture_can_be_drawn(records: list[Record]) -> None:
    """It is XML of a bounded size in which no text lies over another."""
    for conversation in ladder.conversations(records):
        _check(_parsed(records, conversation=conversation))
