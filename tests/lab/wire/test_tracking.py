"""What the segments that passed tell of a connection."""

from __future__ import annotations

import pytest

from simopen.lab.wire import tracking
from simopen.lab.wire.headers import ACK, FIN, RST, SYN

FLAGS = {"S": SYN, "A": ACK, "F": FIN, "R": RST}


def facts(conversation: str) -> int:
    """Return what is known after segments such as '>S <SA >A', '>' being outwards."""
    known = 0
    for segment in conversation.split():
        bits = sum(FLAGS[letter] for letter in segment[1:])
        known = tracking.advance(known, bits, outwards=segment[0] == ">")
    return known


@pytest.mark.parametrize(
    ("conversation", "state"),
    [
        (">S", "awaiting"),
        (">S >S", "awaiting"),
        ("<S", "half open"),
        (">S <S", "half open"),
        ("<S >S", "half open"),
        (">S <SA", "half open"),
        (">S <S >SA", "half open"),
        (">S <SA >A", "established"),
        ("<S >SA <A", "established"),
        (">S <S >SA <SA", "established"),
        (">S <S <SA >SA", "established"),
        (">S <S >SA <A", "established"),
        (">S <SA >A >FA", "established"),
        (">S <SA >A <FA >A", "established"),
        (">S <SA >A >FA <FA", "closing"),
        (">S <SA >A >FA <FA >A", "closing"),
        (">S <SA >A <RA", "closing"),
        (">S <R", "closing"),
        (">S <R <A >A", "closing"),
        (">S <SA >A >S", "awaiting"),
        (">S <SA >A <S", "half open"),
        (">S <SA >A >FA <FA >S", "awaiting"),
        (">S <R >S", "awaiting"),
        (">S <R >S <SA >A", "established"),
    ],
)
def test_a_connection_is_in_the_state_its_segments_say(conversation: str, state: str) -> None:
    """Handshakes of both kinds, both ways of closing, and a SYN that begins anew."""
    known = facts(conversation)
    assert {
        "awaiting": tracking.awaits_answer(known),
        "established": tracking.is_established(known),
        "closing": tracking.is_closing(known),
        "half open": not any(
            (
                tracking.awaits_answer(known),
                tracking.is_established(known),
                tracking.is_closing(known),
            )
        ),
    } == {name: name == state for name in ("awaiting", "established", "closing", "half open")}
