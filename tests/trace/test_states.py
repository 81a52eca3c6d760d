"""The table of TCP states: each row, and that all else changes nothing."""

from __future__ import annotations

import itertools

import pytest

from simopen.trace._states import OPEN, TRANSITIONS, Happening, State, after

NOT_IN_TABLE = [pair for pair in itertools.product(State, Happening) if pair not in TRANSITIONS]


@pytest.mark.parametrize(("state", "happening"), NOT_IN_TABLE)
def test_what_is_not_in_the_table_changes_nothing(state: State, happening: Happening) -> None:
    """A stray, a repetition, a packet of another time: the state stays."""
    assert after(state, happening) is state


def test_the_ways_to_established() -> None:
    """RFC 9293 figures 6 and 7: three packets, or SYNs that cross."""
    ways = {
        (State.SYN_SENT, Happening.GOT_SYN_ACK),
        (State.SYN_RECEIVED, Happening.GOT_SYN_ACK),
        (State.SYN_RECEIVED, Happening.GOT_ACK),
    }
    assert {pair for pair, to in TRANSITIONS.items() if to is State.ESTABLISHED} == ways


def test_a_closed_side_is_left_by_a_syn_of_ours_only() -> None:
    """Nobody listens: no packet of theirs opens anything."""
    ways = [happening for state, happening in TRANSITIONS if state is State.CLOSED]
    assert ways == [Happening.SENT_SYN]


def test_a_fresh_syn_begins_anew_wherever_we_are() -> None:
    """The engine fires again after whatever has ended the attempt before."""
    for state in State:
        assert after(state, Happening.SENT_SYN) is State.SYN_SENT


def test_open_states_are_never_half_open() -> None:
    """What counts as connected is neither side of the handshake."""
    assert not {State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED} & set(OPEN)
