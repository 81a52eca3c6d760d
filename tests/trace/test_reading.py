"""What a log says: kinds of handshakes, costs, lanes, and what is known without packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from simopen import Endpoint
from simopen._events import (
    Event,
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
)
from simopen._report import PunchReport
from simopen.capture.packets import Segment
from simopen.trace import HandshakeKind
from simopen.trace._log import Log
from simopen.trace._reading import Reading, read
from simopen.trace._steps import Frame
from tests.capture.makers import raw
from tests.trace.makers import (
    ACK,
    CROSSING,
    LOST_TWICE,
    OURS,
    OURS_MET_THEIRS,
    REFUSED,
    RST,
    SYN,
    SYN_ACK,
    THEIRS,
    THEIRS_MET_OURS,
    Passing,
    got,
    log_of,
    sent,
)

CONNECTED = PunchConnected(
    at=0.3, report=PunchReport(local=Endpoint(*OURS), remote=Endpoint(*THEIRS))
)


def earlier(packets: Sequence[Passing]) -> list[Passing]:
    """The same 100 ms before."""
    return [replace(each, at_ms=each.at_ms - 100) for each in packets]


def read_packets(
    packets: Sequence[Passing], *, connected: bool = True, at_a_peer: bool = True
) -> Reading:
    """What these say."""
    return read(log_of(packets, connected=connected, at_a_peer=at_a_peer))


@pytest.mark.parametrize(
    ("packets", "kind", "theirs_met_ours"),
    [
        (CROSSING, HandshakeKind.CROSSING, False),
        (OURS_MET_THEIRS, HandshakeKind.ONE_SIDED, False),
        (THEIRS_MET_OURS, HandshakeKind.ONE_SIDED, True),
        ((*earlier(REFUSED), *CROSSING), HandshakeKind.CROSSING, False),
        ((sent(0, SYN),), HandshakeKind.UNSEEN, False),
    ],
)
def test_kinds(packets: Sequence[Passing], *, kind: HandshakeKind, theirs_met_ours: bool) -> None:
    """What came in the last attempt tells how the connection came about."""
    reading = read_packets(packets)
    assert (reading.kind, reading.theirs_met_ours) == (kind, theirs_met_ours)


def test_a_listener_is_the_callers_word() -> None:
    """On the wire a listener and a waiting SYN_SENT are alike."""
    reading = read_packets(OURS_MET_THEIRS, at_a_peer=False)
    assert (reading.kind, reading.certain) == (HandshakeKind.THREE_WAY, False)
    assert not read_packets(OURS_MET_THEIRS).certain


def test_a_syn_that_came_before_shows_a_peer() -> None:
    """Whoever has sent a SYN with the number of the SYN-ACK does not listen."""
    early = got(0, SYN), sent(0.1, RST | ACK, 0, 1)
    later = sent(50, SYN), got(90, SYN_ACK, 0, 1), sent(90.1, ACK, 1, 1)
    reading = read_packets([*early, *later], at_a_peer=False)
    assert (reading.kind, reading.certain) == (HandshakeKind.ONE_SIDED, True)


def test_a_syn_that_our_firewall_drops_has_not_crossed() -> None:
    """The recorder sees it, our socket does not, and answers nothing."""
    reading = read_packets([sent(0, SYN), got(20, SYN), got(40, SYN_ACK, 0, 1)])
    assert (reading.kind, reading.certain) == (HandshakeKind.ONE_SIDED, True)


def test_without_a_connection_there_is_no_kind() -> None:
    """Whatever the packets look like."""
    assert read_packets(REFUSED, connected=False).kind is HandshakeKind.NONE


def test_a_self_connection() -> None:
    """Both ends are the same."""
    log = Log(pairs=[(OURS, OURS)], connected=(OURS, OURS))
    data = raw(Segment(OURS, OURS, SYN, 7, 0, 64240, 0))
    log.note_packet(Frame(0, True, "lo", data))
    assert read(log).kind is HandshakeKind.SELF


@pytest.mark.parametrize(
    ("packets", "retransmits", "cost"),
    [
        (CROSSING, 0, 0.0),
        (LOST_TWICE, 2, 2.03),
        # What was never answered has cost nothing: their SYN ended the wait.
        ((sent(-1010, SYN), *THEIRS_MET_OURS), 1, 0.0),
        # Our SYN-ACK was lost, and left again a second later.
        (
            (
                *THEIRS_MET_OURS[:3],
                sent(1100, SYN_ACK, 0, 1),
                got(1140, ACK, 1, 1),
            ),
            1,
            0.9999,
        ),
        # An earlier attempt's repetitions are not the last one's.
        ((sent(0, SYN), sent(1000, SYN), sent(2000, SYN, ours=5000)), 0, 0.0),
    ],
)
def test_what_retransmissions_cost(
    packets: Sequence[Passing], retransmits: int, cost: float
) -> None:
    """From the first SYN to the one that was answered, and the same of SYN-ACKs."""
    reading = read_packets(packets)
    assert reading.retransmits == retransmits
    assert reading.retransmit_cost == pytest.approx(cost)


@pytest.mark.parametrize(
    ("packets", "seconds"),
    [(CROSSING, 0.04), (LOST_TWICE, 0.04), (THEIRS_MET_OURS, 0.04), ((sent(0, SYN),), None)],
)
def test_the_round_trip(packets: Sequence[Passing], seconds: float | None) -> None:
    """From a packet to the answer that shows it has arrived."""
    assert read_packets(packets).round_trip == (
        None if seconds is None else pytest.approx(seconds, rel=0.01)
    )


def test_lanes_that_lost_are_counted() -> None:
    """The winner's handshake is told; of the others, how many they were and what they sent."""
    other = THEIRS._replace(port=40002)
    log = log_of(OURS_MET_THEIRS)
    log.pairs = [(OURS, other), (OURS, THEIRS)]
    for lane, number in ((0, 1), (0, 2), (1, 1)):
        log.note_event(PunchAttempt(at=0.0, lane=lane, number=number))
    reading = read(log)
    assert (reading.pair, reading.other_pairs, reading.other_syns) == ((OURS, THEIRS), 1, 2)
    assert reading.attempts == 1


def test_of_a_failed_race_the_lane_that_heard_most_is_told() -> None:
    """Silence says less than a reset."""
    log = log_of(REFUSED, connected=False)
    log.pairs = [(OURS, THEIRS._replace(port=40002)), (OURS, THEIRS)]
    assert read(log).pair == (OURS, THEIRS)


def test_a_handshake_whose_packets_passed_nowhere() -> None:
    """It is told by the events, and says that."""
    log = log_of(())
    log.note_event(PunchAttempt(at=0.1, lane=0, number=1))
    reading = read(log)
    assert reading.why_no_packets == "none passed an interface of this host"
    assert reading.kind is HandshakeKind.UNSEEN


def test_nothing_tried_is_nothing_told() -> None:
    """A call may fail before any endpoint is known."""
    reading = read(Log())
    assert (reading.kind, reading.steps) == (HandshakeKind.NONE, ())


def read_events(
    events: Sequence[Event], *, retransmits: int | None = 0, at_a_peer: bool = True
) -> Reading:
    """What the engine's events say, without packets."""
    log = Log(pairs=[(OURS, THEIRS)], why_no_packets="not permitted", at_a_peer=at_a_peer)
    for event in events:
        log.note_event(event)
    log.retransmits = retransmits
    return read(log)


ATTEMPT = PunchAttempt(at=0.1, lane=0, number=1)


def test_events_tell_attempts_and_refusals() -> None:
    """Each look that showed something is a step, at its time since the first."""
    steps = read_events([
        ATTEMPT,
        PunchRefused(at=0.14, lane=0, number=1, reason="reset", after=0.04),
        PunchAttempt(at=0.15, lane=0, number=2),
        PunchRefused(at=0.16, lane=0, number=2, reason="host unreachable", after=0.01),
        PunchAttempt(at=0.17, lane=0, number=3),
        PunchRefreshed(at=0.27, lane=0, number=3, after=0.1),
        PunchAttempt(at=0.27, lane=0, number=4),
    ]).steps  # fmt: skip
    assert [(step.flags, step.state, step.attempt) for step in steps] == [
        ("SYN", "SYN_SENT", 1),
        ("RST", "CLOSED", 1),
        ("SYN", "SYN_SENT", 2),
        ("UNREACHABLE", "CLOSED", 2),
        ("SYN", "SYN_SENT", 3),
        ("SYN", "SYN_SENT", 4),
    ]
    assert [step.answered_at is None for step in steps if step.outgoing] == [0, 0, 1, 1]
    assert steps[1].at == pytest.approx(0.04)


def test_events_do_not_tell_one_handshake_from_another() -> None:
    """Half-open or not: which packets came is not known, and not said."""
    half_open = PunchHalfOpen(at=0.12, lane=0)
    for between in ([], [half_open]):
        reading = read_events([ATTEMPT, *between, CONNECTED])
        assert (reading.kind, reading.certain) == (HandshakeKind.UNSEEN, False)
        assert reading.theirs_met_ours == bool(between)
        assert [step.state for step in reading.steps][-1] == "ESTABLISHED"


def test_events_of_a_plain_connect() -> None:
    """Who calls a listener is answered with SYN-ACK: nothing else leads there."""
    reading = read_events([ATTEMPT, CONNECTED], at_a_peer=False)
    assert (reading.kind, reading.certain) == (HandshakeKind.THREE_WAY, False)


def test_the_kernels_count_of_retransmissions() -> None:
    """Without packets the socket has the count, and the events what the attempt took."""
    reading = read_events([ATTEMPT, CONNECTED], retransmits=1)
    assert reading.retransmits == 1
    assert reading.retransmit_cost == pytest.approx(0.2)
    assert read_events([ATTEMPT, CONNECTED]).retransmit_cost == 0


def test_a_failure_is_no_connection() -> None:
    """Nor is one that was given up after it had been there."""
    log = Log(pairs=[(OURS, THEIRS)])
    log.note_event(CONNECTED)
    diagnosis = None
    log.note_event(PunchFailed(at=1.0, report=CONNECTED.report, diagnosis=diagnosis))  # type: ignore[arg-type]  # not looked at
    assert read(log).kind is HandshakeKind.NONE
