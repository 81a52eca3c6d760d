"""What the caller holds."""

from __future__ import annotations

import pytest

import simopen
from tests.trace.makers import CROSSING, LOST_TWICE, OURS, THEIRS, log_of


def test_one_that_was_never_filled() -> None:
    """It tells of nothing, and fails at nothing."""
    trace = simopen.HandshakeTrace()
    assert trace.kind is simopen.HandshakeKind.NONE
    assert (trace.steps, trace.ladder(), trace.attempts) == ((), "", 0)
    assert not trace.from_packets
    assert str(trace).startswith("No connection")
    assert trace.svg().startswith("<svg")
    assert len(trace.pcapng()) > 0


def test_figures() -> None:
    """Everything that is said and drawn is there as a value as well."""
    trace = simopen.HandshakeTrace()
    trace.fill(log_of(LOST_TWICE, at_a_peer=False))
    assert trace.kind is simopen.HandshakeKind.THREE_WAY
    assert (str(trace.local), str(trace.remote)) == (str(OURS), str(THEIRS))
    assert isinstance(trace.local, simopen.Endpoint)
    assert (trace.attempts, trace.retransmits) == (1, 2)
    assert trace.retransmit_cost == pytest.approx(2.03)
    assert trace.round_trip == pytest.approx(0.04)
    assert (trace.other_pairs, trace.other_attempts, trace.dropped) == (0, 0, 0)
    assert trace.from_packets
    assert [step.flags for step in trace.steps] == ["SYN", "SYN", "SYN", "SYN-ACK", "ACK"]
    assert all(isinstance(step, simopen.TraceStep) for step in trace.steps)


def test_a_later_call_takes_its_place() -> None:
    """One object may be given to call after call."""
    trace = simopen.HandshakeTrace()
    trace.fill(log_of(LOST_TWICE))
    trace.fill(log_of(CROSSING))
    assert trace.kind is simopen.HandshakeKind.CROSSING
    assert repr(trace) == f"<HandshakeTrace {OURS} <-> {THEIRS}: true crossing>"


def test_in_ascii() -> None:
    """For a terminal without Unicode."""
    trace = simopen.HandshakeTrace()
    trace.fill(log_of(CROSSING))
    assert trace.ladder(ascii_only=True).isascii()
    assert not trace.ladder().isascii()
