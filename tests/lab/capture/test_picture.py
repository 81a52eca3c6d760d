"""Conversations drawn."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.lab.capture import picture
from simopen.lab.capture.ladder import Step, crossings

_CROSSING = [
    Step(0.000, 0.010, "a", "SYN", packet_id=0),
    Step(0.004, 0.014, "b", "SYN", packet_id=1),
]


def test_crossing_syns_cross_in_the_picture() -> None:
    """Departures and arrivals are lines of their own, and the two lines meet in one mark."""
    assert picture.draw(_CROSSING).splitlines() == [
        "        ms  a                                                            b",
        "      0.00  ├─ SYN ──────────────────────╮                               │",
        "      4.00  │                            │  ╭────────────────────── SYN ─┤",
        "     10.00  │                            ╰──╳────────────────────── SYN ▶│",  # noqa: RUF001
        "     14.00  │◀ SYN ─────────────────────────╯                            │",
        "            ╳ two SYNs cross: simultaneous open",  # noqa: RUF001
    ]


def test_the_same_in_ascii() -> None:
    """A terminal without Unicode gets the same picture, column for column."""
    assert picture.draw(_CROSSING, ascii_only=True).splitlines()[1:] == [
        "      0.00  |- SYN ----------------------.                               |",
        "      4.00  |                            |  .---------------------- SYN -|",
        "     10.00  |                            '--X---------------------- SYN >|",
        "     14.00  |< SYN -------------------------'                            |",
        "            X two SYNs cross: simultaneous open",
    ]


def test_a_lost_packet_ends_in_the_middle() -> None:
    """A packet without arrival is marked where it left, and explained."""
    lines = picture.draw([Step(0, None, "a", "SYN"), Step(1, None, "b", "SYN")]).splitlines()
    assert ["✗" in line for line in lines] == [False, True, True, True]
    assert lines[-1].strip() == "✗ never arrived"


def test_runs_are_told_in_words() -> None:
    """Refusals and data are one line each, with counts, bytes and time."""
    refused = [
        Step(n / 100, n / 100 + 0.005, "ab"[n % 2], ("SYN", "RST")[n % 2], packet_id=n)
        for n in range(20)
    ]
    data = [Step(1 + n, 2 + n, "a", "ACK", 1000, seq=n * 1000, packet_id=50 + n) for n in range(9)]
    text = picture.draw([*refused, *data])
    assert "… 9 more refused SYNs in 175 ms" in text
    assert "… 9,000 bytes a → b in 9.0 s" in text


def test_hosts_may_have_names() -> None:
    """The sides are called what they are called, long names included."""
    steps = [Step(0, 1, "n" * 30, "ACK", 5, seq=n, packet_id=n) for n in range(9)]
    text = picture.draw(steps, left="m" * 30, right="n" * 30)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", True), ("ascii", False)])
def test_whether_a_terminal_can_show_it(encoding: str, *, shown: bool) -> None:
    """The encoding decides."""
    assert picture.can_show(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) is shown


_FLIGHT = st.tuples(
    st.floats(0, 10_000), st.none() | st.floats(0.001, 1), st.sampled_from("ab"), st.booleans()
)


@given(st.lists(_FLIGHT, max_size=30), st.booleans())
def test_any_conversation_fits_a_terminal(
    flights: list[tuple[float, float | None, str, bool]],
    ascii_only: bool,  # noqa: FBT001
) -> None:
    """No conversation breaks the drawing, its 80 columns, or the ASCII promise."""
    steps = [
        Step(
            sent,
            None if took is None else sent + took,
            sender,
            "SYN" if syn else "FIN-ACK",
            0 if syn else 1448,
            packet_id=number,
        )
        for number, (sent, took, sender, syn) in enumerate(sorted(flights, key=lambda f: f[0]))
    ]
    text = picture.draw(steps, ascii_only=ascii_only)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.isascii() or not ascii_only
    assert ("simultaneous open" in text) == bool(crossings(steps))
