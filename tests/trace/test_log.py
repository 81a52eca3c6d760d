"""What a log takes, and that it never grows without bound."""

from __future__ import annotations

import pytest

from simopen import Endpoint
from simopen._events import PunchAttempt, PunchConnected, PunchRefused
from simopen._report import PunchReport
from simopen.capture.packets import Endpoint as Place
from simopen.capture.packets import Segment
from simopen.trace._log import MAX_EVENTS, MAX_PACKETS, Log, belongs, pair_of
from simopen.trace._steps import Frame
from tests.capture.makers import raw
from tests.trace.makers import OURS, SYN, THEIRS, got, log_of, no_way, sent

LOOPBACK = Place("127.0.0.1", 40000), Place("127.0.0.1", 40001)


def shown_over_loopback(log: Log) -> list[bool]:
    """Show a SYN each way as loopback does, leaving and arriving; which are taken as ours."""
    for source, destination in (LOOPBACK, LOOPBACK[::-1]):
        data = raw(Segment(source, destination, SYN, 7, 0, 64240, 0))
        for leaving in (True, False):
            log.note_packet(Frame(0, leaving, "lo", data))
    return [seen.outgoing for seen in log.packets()]


def test_over_loopback_each_packet_is_taken_once() -> None:
    """Ours where it leaves, theirs where it arrives."""
    assert shown_over_loopback(Log(pairs=[LOOPBACK])) == [True, False]


def test_of_a_self_connection_both_are_taken() -> None:
    """The socket sends its SYN, and receives it."""
    log = Log(pairs=[(LOOPBACK[0], LOOPBACK[0])])
    data = raw(Segment(LOOPBACK[0], LOOPBACK[0], SYN, 7, 0, 64240, 0))
    for leaving in (True, False):
        log.note_packet(Frame(0, leaving, "lo", data))
    assert [seen.outgoing for seen in log.packets()] == [True, False]


def test_a_packet_that_was_noted_late_was_not_later() -> None:
    """The first ones may have the time at which they were read; their order is known."""
    log = log_of([sent(7, SYN), got(2, SYN), sent(9, SYN)])
    times = [seen.time_ns for seen in log.packets()]
    assert times[0] == times[1] < times[2]


def test_what_is_not_of_a_pair_is_left_out() -> None:
    """The kernel's filter has said so already; nobody relies on that."""
    log = Log(pairs=[(OURS, THEIRS._replace(port=1))])
    for each in (sent(0, SYN), got(1, SYN), no_way(2)):
        log.note_packet(Frame(0, each.outgoing, "eth0", each.data))
    log.note_packet(Frame(0, True, "eth0", b"no packet"))
    assert not log.packets()


def test_an_unreachable_is_theirs() -> None:
    """It is about a packet of ours, and comes in."""
    assert [seen.outgoing for seen in log_of([no_way(0)]).packets()] == [False]


def test_a_wildcard_is_any_address_of_ours() -> None:
    """Where no source address was known beforehand, the port tells."""
    log = Log(pairs=[(Place("0.0.0.0", OURS.port), THEIRS)])
    for each in (sent(0, SYN), got(1, SYN)):
        log.note_packet(Frame(0, each.outgoing, "eth0", each.data))
    assert [belongs(seen, log.pairs[0]) for seen in log.packets()] == [True, True]


def test_the_latest_packets_are_kept_and_the_others_counted() -> None:
    """A punch may take thousands of SYNs; how it ended is what is told."""
    log = log_of(sent(at, SYN, seq=at) for at in range(MAX_PACKETS + 10))
    assert (len(log.frames), log.dropped) == (MAX_PACKETS, 10)


def test_the_latest_events_are_kept_and_all_attempts_counted() -> None:
    """Likewise of the engine's events."""
    log = Log()
    for number in range(MAX_EVENTS + 10):
        log.note_event(PunchAttempt(at=0.0, lane=1, number=number))
    assert (len(log.events), log.syns[1]) == (MAX_EVENTS, MAX_EVENTS + 10)


def test_the_winner_is_the_one_that_the_engine_names() -> None:
    """Of several pairs the report of the connection has the one that is handed over."""
    log = Log()
    report = PunchReport(local=Endpoint("fe80::1%2", 1), remote=Endpoint("fe80::2%2", 2))
    log.note_event(PunchRefused(at=0.1, lane=0, number=1, reason="reset", after=0.1))
    log.note_event(PunchConnected(at=0.2, report=report))
    assert log.connected == (Place("fe80::1", 1), Place("fe80::2", 2))
    assert log.connected_at == pytest.approx(0.2)


def test_a_zone_is_no_part_of_an_address() -> None:
    """Packets do not have it."""
    assert pair_of(Endpoint("fe80::1%eth0", 1), Endpoint("::2", 2))[0] == Place("fe80::1", 1)
