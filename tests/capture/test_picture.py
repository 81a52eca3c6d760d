"""Conversations drawn."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.capture import ladder, picture
from simopen.capture.ladder import Step, crossings
from simopen.capture.pcapng import Record
from simopen.capture.view import View
from tests.capture.makers import captures, flight, punching, through_nats, trip

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


def test_gateways_in_the_picture() -> None:
    """A drop has the gateway's name behind it, a gateway's answer begins away from the side."""
    assert picture.draw(ladder.steps(punching())[:5]).splitlines() == [
        "        ms  alice                                                      bob",
        "      0.00  ├─ SYN ────────────────────────✗ at office                   │",
        "     12.10  │                               ╭────── RST-ACK from office  │",
        "     24.20  │◀ RST-ACK ─────────────────────╯                            │",
        "     60.00  │                     at home ✗──────────────────────── SYN ─┤",
        "    100.00  ├─ SYN ──────────────────────╮                               │",
        "    105.00  │                            │  ╭────────────────────── SYN ─┤",
        "    112.05  │                            ╰──╳────────────────────── SYN ▶│",  # noqa: RUF001
        "    117.05  │◀ SYN ─────────────────────────╯                            │",
        "            ╳ two SYNs cross: simultaneous open",  # noqa: RUF001
        "            ✗ at: dropped by the gateway there",
    ]


def test_a_packet_lost_between_gateways() -> None:
    """The last one it passed is named, and the legend says what that means."""
    records = trip(0, through_nats("alice"), flight(0, 2))
    *_, line, legend = picture.draw(ladder.steps(records)).splitlines()
    assert "✗ after home" in line
    assert legend.strip() == "✗ after: not seen beyond the gateway there"


def test_where_it_was_lost_is_written_beside_what_is_on_its_way() -> None:
    """The words make room for the lanes of other packets."""
    records = trip(0, through_nats("bob"), flight(0)) + trip(1, through_nats("alice"), flight(1, 3))
    line = picture.draw(ladder.steps(records), "alice", "bob").splitlines()[2]
    assert line == "      1.00  ├─ SYN ────────────────────────✗│ at office                  │"


def test_a_packet_without_latency_arrives_after_it_left() -> None:
    """Both ends in the same instant are two lines all the same."""
    departure, arrival = picture.draw([Step(0, 0, "a", "SYN")]).splitlines()[1:]
    assert ("├─ SYN" in departure, "SYN ▶│" in arrival) == (True, True)


def test_a_gateway_with_a_long_name_stays_in_its_lines() -> None:
    """However many packets are on their way, and whatever the gateway is called."""
    steps = [
        Step(n, 100, "g" * 30, "UNREACHABLE", packet_id=n, receiver="a", from_gateway=True)
        for n in range(9)
    ]
    text = picture.draw([*steps, Step(9, None, "b", "SYN", receiver="a")])
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("╭") == text.count("╯") == 9


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


@given(captures())
def test_any_capture_can_be_drawn(records: list[Record]) -> None:
    """Whatever happened at gateways, it fits a terminal."""
    for conversation in ladder.conversations(records):
        text = picture.draw(ladder.steps(records, conversation))
        assert all(len(line) <= 80 for line in text.splitlines())


_FLIGHT = st.tuples(
    st.floats(0, 10_000), st.none() | st.floats(0, 1), st.sampled_from("ab"), st.booleans()
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


_SEEN_FROM_A = View(
    heads=("a 10.77.0.1:1", "10.77.1.1:2 b"),
    states={0: "SYN_SENT", 1: "SYN_RECEIVED"},
    numbered={0, 1},
)


def test_a_view_tells_states_and_numbers() -> None:
    """Times at the far side are marked, and states stand where something left or came."""
    assert picture.draw(_CROSSING, view=_SEEN_FROM_A).splitlines() == [
        "        ms  our state     a 10.77.0.1:1                            10.77.1.1:2 b",
        "      0.00  SYN_SENT      ├─ SYN seq 0 ────────────╮                           │",
        "     ~4.00                │                        │  ╭──────────── SYN seq 0 ─┤",
        "    ~10.00                │                        ╰──╳──────────── SYN seq 0 ▶│",  # noqa: RUF001
        "     14.00  SYN_RECEIVED  │◀ SYN seq 0 ───────────────╯                        │",
        "            ╳ two SYNs cross: simultaneous open",  # noqa: RUF001
        "            ~ not seen from here: half a round trip away",
    ]


def test_a_view_that_reckons_nothing_tells_no_time_there() -> None:
    """Neither a time nor its explanation."""
    view = View(heads=("a", "b"), reckoned=False)
    lines = picture.draw(_CROSSING, view=view).splitlines()
    assert [line[:10].strip() for line in lines[1:5]] == ["0.00", "", "", "14.00"]
    assert not any("~" in line for line in lines)


def test_in_a_view_a_lost_packet_was_not_answered() -> None:
    """What became of it cannot be seen."""
    text = picture.draw([Step(0, None, "a", "SYN")], "a", "b", view=_SEEN_FROM_A)
    assert "✗ no answer came to it" in text
    assert "never arrived" not in text


def test_a_view_is_bounded() -> None:
    """A long conversation lacks its middle, and says so."""
    steps = [Step(n, n + 0.5, "a", f"FIN-{n}", packet_id=n) for n in range(500)]
    lines = picture.draw(steps, "a", "b", view=_SEEN_FROM_A).splitlines()
    assert len(lines) < 90
    assert any("more packets in" in line for line in lines)
