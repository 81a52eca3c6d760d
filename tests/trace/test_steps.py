"""Packets told as the steps of a handshake."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simopen.trace._steps import TraceStep, tell
from tests.trace.makers import (
    ACK,
    CROSSING,
    FIN,
    LOST_TWICE,
    OURS_MET_THEIRS,
    REFUSED,
    RST,
    SYN,
    SYN_ACK,
    THEIRS_MET_OURS,
    Passing,
    elsewhere,
    got,
    log_of,
    no_way,
    sent,
)


def told(packets: Sequence[Passing]) -> list[TraceStep]:
    """The steps of a log of these."""
    return tell(log_of(packets).packets())


def states(packets: Sequence[Passing]) -> list[str]:
    """The state of our side after each packet."""
    return [step.state for step in told(packets)]


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        (
            CROSSING,
            ["SYN_SENT", "SYN_RECEIVED", "SYN_RECEIVED", "ESTABLISHED", "ESTABLISHED"],
        ),
        (OURS_MET_THEIRS, ["SYN_SENT", "ESTABLISHED", "ESTABLISHED"]),
        (THEIRS_MET_OURS, ["SYN_SENT", "SYN_RECEIVED", "SYN_RECEIVED", "ESTABLISHED"]),
        (LOST_TWICE, ["SYN_SENT"] * 3 + ["ESTABLISHED"] * 2),
        (REFUSED, ["SYN_SENT", "CLOSED", "SYN_SENT", "CLOSED"]),
        ((sent(0, SYN), no_way(40)), ["SYN_SENT", "CLOSED"]),
        (
            (*OURS_MET_THEIRS, got(41, FIN | ACK, 1, 1)),
            ["SYN_SENT", *["ESTABLISHED"] * 2, "CLOSE_WAIT"],
        ),
        ((*OURS_MET_THEIRS, got(41, RST, 1)), ["SYN_SENT", *["ESTABLISHED"] * 2, "CLOSED"]),
    ],
)
def test_our_state_after_each_packet(packets: Sequence[Passing], expected: list[str]) -> None:
    """RFC 9293 §3.5 and §3.10.7, from our side's packets alone."""
    assert states(packets) == expected


@pytest.mark.parametrize(
    "stray",
    [
        got(20, RST | ACK, 0, 7),  # acknowledges what we have never sent
        got(20, RST, 5),  # RFC 9293 §3.10.7.3: in SYN-SENT a reset without ACK is dropped
        got(20, SYN_ACK, 0, 0x8000_0000),
        no_way(20, ours=1),
        got(20, SYN),  # nothing of ours answers it: a firewall of this host has dropped it
    ],
)
def test_a_stray_changes_nothing(stray: Passing) -> None:
    """What is not acceptable leaves the state as it was."""
    assert states([sent(0, SYN), stray, got(40, SYN_ACK, 0, 1)])[1] == "SYN_SENT"


def test_a_reset_in_syn_received_must_have_the_next_number() -> None:
    """A NAT's reset with sequence number 0 ends nothing there."""
    begun = [sent(0, SYN), got(35, SYN), sent(35.1, SYN_ACK, 0, 1)]
    assert states([*begun, got(36, RST | ACK, 0, 1)])[-1] == "SYN_RECEIVED"
    assert states([*begun, got(36, RST | ACK, 1, 1)])[-1] == "CLOSED"


def test_numbers_are_relative_over_the_edge() -> None:
    """Their first number is the last there is; 1 follows it all the same."""
    assert [(step.flags, step.seq, step.ack) for step in told(CROSSING)] == [
        ("SYN", 0, None),
        ("SYN", 0, None),
        ("SYN-ACK", 0, 1),
        ("SYN-ACK", 0, 1),
        ("ACK", 1, 1),
    ]


def test_what_belongs_to_another_connection_has_no_numbers() -> None:
    """An acknowledgement of an earlier connection is no number of this one."""
    old = got(20, ACK, 0x5000_0000, 0x7000_0000)
    assert [(step.seq, step.ack) for step in told([sent(0, SYN), old])] == [(0, None), (None, None)]


def test_a_refusal_of_an_earlier_attempt_has_its_number() -> None:
    """A reset that comes when the next SYN is out already is relative to the SYN it answers."""
    late = told([sent(0, SYN), sent(10, SYN, ours=5000), got(40, RST | ACK, 1, 1)])[-1]
    assert (late.ack, late.state) == (1, "SYN_SENT")


def test_attempts_and_repetitions() -> None:
    """A SYN with the same number is a repetition, one with another number an attempt."""
    steps = told([sent(0, SYN), sent(1010, SYN), sent(2000, SYN, ours=5000)])
    assert [(step.attempt, step.repeated) for step in steps] == [(1, False), (1, True), (2, False)]


def test_who_was_answered() -> None:
    """A SYN-ACK answers a SYN, an acknowledgement our SYN-ACK; nothing more is known."""
    assert [step.answered_at for step in told(CROSSING)] == pytest.approx([0.04, *[None] * 4])
    answered = [step.answered_at for step in told(THEIRS_MET_OURS)]
    assert answered == pytest.approx([None, None, 0.1401, None])


def test_the_latest_of_equal_syns_is_answered() -> None:
    """Without timestamps nobody can tell, and what waited longest is lost most likely."""
    assert [step.answered_at for step in told(LOST_TWICE)][:3] == [None, None, 2.07]


def test_timestamps_tell_which_syn_was_answered() -> None:
    """The answer to the first SYN may come when the second has left (RFC 7323 §3)."""
    steps = told([
        sent(0, SYN, timestamps=(100, 0)),
        sent(1010, SYN, timestamps=(1110, 0)),
        got(1020, SYN_ACK, 0, 1, timestamps=(7, 100)),
    ])  # fmt: skip
    assert [step.answered_at for step in steps] == [1.02, None, None]


def test_data_is_no_part_of_a_handshake() -> None:
    """Behind the first open state only what still belongs to the handshake is told."""
    more = [
        sent(50, ACK, 1, 1, payload_bytes=100),
        got(90, ACK, 1, 101),
        got(91, ACK, 1, 1),
        got(92, SYN_ACK, 0, 1),
    ]
    assert [step.flags for step in told([*CROSSING, *more])[5:]] == ["ACK", "SYN-ACK"]


def test_data_that_ends_the_handshake_is_told() -> None:
    """Where the peer's acknowledgement is lost its first data says the same."""
    begun = [sent(0, SYN), got(35, SYN), sent(35.1, SYN_ACK, 0, 1)]
    last = told([*begun, got(80, ACK, 1, 1, payload_bytes=5)])[-1]
    assert (last.state, last.payload_bytes) == ("ESTABLISHED", 5)


def test_a_packet_on_two_interfaces_is_told_once() -> None:
    """A bridge and its port both show it; a repetition comes later, on the same one."""
    packets = [each for one in CROSSING for each in (one, elsewhere(one))]
    assert told(packets) == told(CROSSING)
    assert len(told([sent(0, SYN), sent(1000, SYN)])) == 2


def test_a_syn_noted_late_has_left_before_it_took_another_in() -> None:
    """Our SYN-ACK with its number says so; over loopback two CPUs differ by microseconds."""
    late = (CROSSING[1], sent(35.001, SYN), *CROSSING[2:])
    assert [step.flags for step in told(late)] == [step.flags for step in told(CROSSING)]
    assert states(late) == states(CROSSING)


def test_packets_are_told_in_the_order_of_their_times() -> None:
    """However they come."""
    packets = log_of(CROSSING).packets()
    assert tell(packets[::-1]) == tell(packets)
