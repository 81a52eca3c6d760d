"""What is said of a handshake."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from simopen.trace._log import Log
from simopen.trace._reading import Reading, read
from simopen.trace._words import tell
from tests.trace.makers import (
    CROSSING,
    LOST_TWICE,
    OURS_MET_THEIRS,
    REFUSED,
    SYN,
    SYN_ACK,
    THEIRS_MET_OURS,
    Passing,
    got,
    log_of,
    no_way,
    sent,
)


def said(packets: Sequence[Passing], *, connected: bool = True, at_a_peer: bool = True) -> str:
    """All of it."""
    return "\n".join(tell(read(log_of(packets, connected=connected, at_a_peer=at_a_peer))))


@pytest.mark.parametrize(
    ("packets", "at_a_peer", "begins"),
    [
        (CROSSING, True, "True crossing: both SYNs"),
        (OURS_MET_THEIRS, True, "One-sided: our SYN met their waiting SYN_SENT"),
        (THEIRS_MET_OURS, True, "One-sided: their SYN met our waiting SYN_SENT"),
        (OURS_MET_THEIRS, False, "Three-way handshake: a listener"),
    ],
)
def test_the_first_line_says_what_happened(
    packets: Sequence[Passing], *, at_a_peer: bool, begins: str
) -> None:
    """In the words of RFC 9293."""
    assert said(packets, at_a_peer=at_a_peer).startswith(begins)


def test_what_cannot_be_told_apart_is_said() -> None:
    """One-sided or a listener: the packets are the same, and nothing else is claimed."""
    assert "A listener would have answered alike" in said(OURS_MET_THEIRS)
    assert "A waiting SYN_SENT would have answered alike" in said(OURS_MET_THEIRS, at_a_peer=False)


def test_retransmissions_and_their_cost() -> None:
    """How many left again, and how many seconds that has taken."""
    words = said(LOST_TWICE)
    assert "2 SYNs had to be sent again, which cost 2.03 s: the kernel waits 1 s at first." in words
    assert "Connected 2.07 s after the attempt's first SYN; the round trip took 40.0 ms." in words
    assert "No SYN had to be sent again." in said(CROSSING)


def test_repetitions_that_nothing_answered() -> None:
    """A SYN may leave again and again until the peer's own comes: that is no loss."""
    words = said([sent(-1000, SYN), *THEIRS_MET_OURS])
    assert "1 SYN left again; none was answered, and their SYN ended the wait." in words


def test_attempts_before_the_last() -> None:
    """Those that led to nothing are counted."""
    assert "Before the last attempt there was 1 other." in said(REFUSED, connected=False)


@pytest.mark.parametrize(
    ("packets", "line"),
    [
        ((), "No connection: no SYN has left this host."),
        ((sent(0, SYN),), "No connection: 1 SYN left; nothing came."),
        (REFUSED, "No connection: 2 SYNs left; 2 resets came."),
        (
            (sent(0, SYN), no_way(20), got(30, SYN)),
            "No connection: 1 SYN left; 1 ICMP unreachable came, 1 SYN of theirs came.",
        ),
    ],
)
def test_no_connection(packets: Sequence[Passing], line: str) -> None:
    """What left, and what came back."""
    assert said(packets, connected=False).splitlines()[0] == line


def test_other_pairs_and_missing_packets() -> None:
    """Lanes that lost are counted, and so is what was not kept."""
    reading = dataclasses.replace(read(log_of(CROSSING)), other_pairs=2, other_syns=3, dropped=1)
    words = tell(reading)
    assert "2 other pairs of endpoints were tried as well, with 3 attempts." in words
    assert "1 packet of it is missing: only the latest are kept." in words


def test_without_packets_it_says_why() -> None:
    """And what it goes by instead."""
    reading = read(Log(pairs=log_of(()).pairs, why_no_packets="not permitted"))
    assert tell(reading)[-1].startswith("Without packets (not permitted): told by")


def test_a_count_of_what_is_kept_says_so() -> None:
    """Where packets were dropped the figures are not of all that left."""
    reading = dataclasses.replace(read(log_of(REFUSED, connected=False)), dropped=9)
    words = "2 SYNs left; 2 resets came (counted in the packets that are kept)."
    assert tell(reading)[0] == f"No connection: {words}"


def test_times_over_loopback_are_microseconds() -> None:
    """A handshake takes some tens of them there."""
    assert "Connected 40 µs after" in said([
        sent(0, SYN),
        got(0.04, SYN_ACK, 0, 1),
    ])  # fmt: skip


def test_nothing_is_told_of_nothing() -> None:
    """A trace that was never filled."""
    assert tell(Reading())[0] == "No connection: no SYN has left this host."
