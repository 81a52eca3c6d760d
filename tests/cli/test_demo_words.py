from __future__ import annotations

from typing import Any

import pytest

from simopen.cli import _demo_words as words
from simopen.cli._demo_times import Times

DELAYS = {"a": 0.010, "b": 0.020, "coordinator": 0.005}
TIMES = Times(
    asked={"a": -0.4, "b": 0.0},
    introduced={"a": 0.040, "b": 0.050},
    fired={"a": 0.0505, "b": 0.0515},
    connected={"a": 0.1115, "b": 0.121},
    steps=(),
    elsewhere=2,
)
REPORT: dict[str, Any] = {
    "elapsed": 0.3,
    "attempts": 2,
    "refusals": 0,
    "path": "IPv4",
    "encrypted": True,
    "meeting": {"waited": 0.1},
}


def test_the_timeline_is_in_order() -> None:
    """A line for each moment; who is told to wait is named with how long."""
    lines = words.timeline(TIMES, {"a": {"delay": 0.01}, "b": {"delay": 0.0}}).splitlines()
    assert lines == [
        "Milliseconds from when both have asked:",
        "   -400.00  a asks the coordinator to be introduced, and waits",
        "      0.00  b asks the coordinator as well",
        "     40.00  a is introduced, and told to wait 10 ms: it is nearer",
        "     50.00  b is introduced",
        "     50.50  a fires",
        "     51.50  b fires",
    ]


def test_against_the_bound() -> None:
    """The later of the two counts, with the round trips of who asked last."""
    text = words.against_the_bound(TIMES, DELAYS)
    assert "Both connected 121 ms after b asked, 1.10 times the bound" in text
    assert "= 110 ms" in text
    assert "rA = 50 ms from b to the coordinator, rB = 30 ms from a" in text


def test_no_line_is_wider_than_the_picture() -> None:
    """Which fits a terminal of 80 columns."""
    for text in (
        words.timeline(TIMES, {"a": {"delay": 0.01}, "b": {}}),
        words.against_the_bound(TIMES, DELAYS),
        words.crossings(TIMES),
        words.report({"connected": {"report": REPORT}}),
    ):
        assert max(map(len, text.splitlines())) <= 80


def test_a_report() -> None:
    """Whether it is encrypted is said either way, and only one of them counts as proven."""
    events = {"connected": {"report": REPORT}}
    plain = {"connected": {"report": {**REPORT, "encrypted": False}}}
    assert words.is_proven(events)
    assert "TLS 1.3, both proven" in words.report(events)
    assert not words.is_proven(plain)
    assert "NOT ENCRYPTED" in words.report(plain)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ({}, "no report"),
        (
            {
                "rendezvous.failed": {
                    "diagnosis": {"tried": "x", "came_back": "y", "explanation": "z"}
                }
            },
            "x: y; z",
        ),
    ],
)
def test_a_host_that_did_not_connect(events: dict[str, dict[str, Any]], text: str) -> None:
    """Says why, as far as it is known."""
    assert words.report(events) == f"not connected: {text}"
    assert not words.is_proven(events)


def test_a_file_that_changed_is_told() -> None:
    """And is a failure."""
    assert words.file_line(b"x", b"x")[1]
    line, same = words.file_line(b"x", b"y")
    assert "DIFFERENT" in line
    assert not same
