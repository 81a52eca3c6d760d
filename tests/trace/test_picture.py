"""Traces drawn: the ladder as text, as SVG, and the packets as a file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from simopen._events import PunchAttempt, PunchRefused
from simopen.capture import pcapng
from simopen.capture.packets import parse
from simopen.capture.pcapng import Direction
from simopen.trace import _picture
from simopen.trace._reading import Reading, read
from tests.trace.makers import (
    ACK,
    CROSSING,
    LOST_TWICE,
    OURS_MET_THEIRS,
    REFUSED,
    RST,
    SYN,
    Passing,
    got,
    log_of,
    sent,
)


def reading_of(packets: Sequence[Passing], *, connected: bool = True) -> Reading:
    """What these say."""
    return read(log_of(packets, connected=connected))


def drawn(packets: Sequence[Passing], *, connected: bool = True) -> list[str]:
    """The lines of their ladder."""
    return _picture.text(reading_of(packets, connected=connected), ascii_only=False).splitlines()


def test_a_crossing() -> None:
    """Times, states, flags and numbers; the far side half a round trip away; the SYNs meet."""
    assert drawn(CROSSING) == [
        "        ms  our state     here 192.0.2.1:40000           198.51.100.7:40001 peer",
        "      0.00  SYN_SENT      ├─ SYN seq 0 ────────────╮                           │",
        "    ~15.00                │                        │  ╭──────────── SYN seq 0 ─┤",
        "    ~20.00                │                        ╰──╳──────────── SYN seq 0 ▶│",  # noqa: RUF001
        "    ~20.00                │                           │ ╭ SYN-ACK seq 0 ack 1 ─┤",
        "     35.00  SYN_RECEIVED  │◀ SYN seq 0 ───────────────╯ │                      │",
        "     35.10  SYN_RECEIVED  ├─ SYN-ACK seq 0 ack 1 ──╮    │                      │",
        "     40.00  ESTABLISHED   │◀ SYN-ACK seq 0 ack 1 ──┼────╯                      │",
        "     40.10  ESTABLISHED   ├─ ACK seq 1 ack 1 ────╮ │                           │",
        "    ~55.10                │                      │ ╰───── SYN-ACK seq 0 ack 1 ▶│",
        "    ~60.10                │                      ╰─────────── ACK seq 1 ack 1 ▶│",
        "            ╳ two SYNs cross: simultaneous open",  # noqa: RUF001
        "            ~ not seen from here: half a round trip away",
    ]


def test_lost_syns() -> None:
    """A SYN that nothing answered has no arrival, and the legend does not say that it was lost."""
    lines = drawn(LOST_TWICE)
    assert ["✗" in line for line in lines[1:4]] == [True, True, False]
    assert "            ✗ no answer came to it" in lines


def test_refusals_are_folded() -> None:
    """A long punch is a few lines: each SYN has arrived before its refusal left."""
    many = [
        each
        for number in range(50)
        for each in (
            sent(number * 41, SYN, ours=number * 7777),
            got(number * 41 + 40, RST | ACK, 1, 1, ours=number * 7777),
        )
    ]
    lines = drawn(many, connected=False)
    assert len(lines) < 10
    assert any("49 more refused SYNs" in line for line in lines)


def test_without_a_round_trip_no_time_is_told_at_the_far_side() -> None:
    """Nothing was answered: how far the other side is nobody knows."""
    lines = drawn([sent(0, SYN), got(10, SYN)], connected=False)
    assert not any("~" in line for line in lines)
    assert sum(line.strip().startswith("│") for line in lines) == 1


def test_a_ladder_is_no_wider_than_a_terminal() -> None:
    """Eighty columns."""
    for packets in (CROSSING, LOST_TWICE, REFUSED, OURS_MET_THEIRS):
        assert max(map(len, drawn(packets))) <= 80


def test_nothing_is_drawn_as_nothing() -> None:
    """A trace without packets has no ladder, and its picture is empty."""
    assert _picture.text(Reading(), ascii_only=False) == ""
    ET.fromstring(_picture.image(Reading()))  # noqa: S314 - our own


def test_events_have_no_numbers() -> None:
    """What was not seen is not drawn: neither numbers nor times of the far side."""
    log = log_of((), connected=False)
    log.why_no_packets = "not permitted"
    log.note_event(PunchAttempt(at=0.1, lane=0, number=1))
    log.note_event(PunchRefused(at=0.14, lane=0, number=1, reason="reset", after=0.04))
    text = _picture.text(read(log), ascii_only=False)
    assert "─ RST ─┤" in text
    assert "seq" not in text
    assert "~" not in text


@pytest.mark.parametrize("packets", [CROSSING, LOST_TWICE, REFUSED])
def test_an_svg_document(packets: Sequence[Passing]) -> None:
    """It has the states and the numbers, and marks what was reckoned."""
    root = ET.fromstring(_picture.image(reading_of(packets)))  # noqa: S314 - our own
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "SYN_SENT" in texts
    assert "SYN seq 0" in texts
    assert any(text.startswith("~") and len(text) > 1 for text in texts)


def test_times_go_down_from_before_our_first_packet() -> None:
    """Their SYN may have left before ours did."""
    packets = [sent(0, SYN), *CROSSING[1:3], got(40, SYN | ACK, 0, 1)]
    packets[1] = got(5, SYN)
    packets[2] = sent(5.1, SYN | ACK, 0, 1)
    root = ET.fromstring(_picture.image(reading_of(packets)))  # noqa: S314 - our own
    times = [
        (float(element.attrib["y"]), float((element.text or "").lstrip("~")))
        for element in root.iter("{http://www.w3.org/2000/svg}text")
        if "time" in element.attrib["class"].split() and (element.text or "")[-1].isdigit()
    ]
    assert min(time for _, time in times) == -15
    assert sorted(times) == sorted(times, key=lambda each: each[1])


def test_a_capture_file_has_headers_and_lengths() -> None:
    """Wireshark shows how long a packet was; nothing of what it carried is there."""
    packets = [*CROSSING[:3], got(80, ACK, 1, 1, payload_bytes=500)]
    records = pcapng.read(_picture.capture(reading_of(packets)))
    assert [record.direction for record in records] == [
        Direction.OUTBOUND if each.outgoing else Direction.INBOUND for each in packets
    ]
    assert records[0].time_ns < records[1].time_ns
    assert [record.length for record in records] == [len(each.data) for each in packets]
    assert parse(records[0].data) == parse(packets[0].data)
