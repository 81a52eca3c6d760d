"""What pictures say."""

from __future__ import annotations

import pytest

from simopen.capture import words
from simopen.capture.folding import Fold
from simopen.capture.ladder import Step, steps
from tests.capture.makers import NESTED, flight, through_nats, trip

_SYN = Step(0, None, "a", "SYN")
_RST = Step(1, 2, "b", "RST", packet_id=1)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (_SYN, "SYN"),
        (Step(0, 1, "a", "ACK", 1448), "ACK 1448 B"),
        (Step(0, 1, "a", "SYN-ACK", copies=2), "SYN-ACK ×3"),  # noqa: RUF001
    ],
)
def test_a_packet_is_called_what_it_is(step: Step, text: str) -> None:
    """Its flags, what it carries, and how often it came if that is not once."""
    assert words.label(step) == text


@pytest.mark.parametrize(("stops", "text"), [(1, ""), (2, "after home"), (3, "at office"), (4, "")])
def test_where_a_packet_ended(stops: int, text: str) -> None:
    """At a gateway that dropped it, after the last it passed; nowhere if it arrived."""
    (step,) = steps(trip(0, through_nats("alice"), flight(0, stops)))
    assert words.whereabouts(step) == text


def test_the_last_gateway_counts() -> None:
    """Of two on the way out it is the second."""
    (step,) = steps(trip(0, NESTED, [0, 1, 2]))
    assert words.whereabouts(step) == "after carrier"


@pytest.mark.parametrize(
    ("fold", "text"),
    [
        (Fold("refusals", (_SYN, _RST)), "… 1 more refused SYNs in 2.0 s"),
        (Fold("refusals", (_SYN, _SYN)), "… 2 more SYNs lost in 0.0 ms"),
        (Fold("refusals", (_SYN, _SYN, _RST)), "… 2 more SYNs refused or lost in 2.0 s"),
        (Fold("rest", (_SYN,) * 1000), "… 1,000 more packets in 0.0 ms"),
        (Fold("data", (Step(0, 0.02, "b", "ACK", 9),)), "… 9 bytes b → a in 20 ms"),
        (Fold("data", (Step(0, 0.002, "a", "ACK"),)), "… 1 acknowledgements in 2.0 ms"),
    ],
)
def test_what_a_fold_stands_for(fold: Fold, text: str) -> None:
    """How much of what, and how long it took."""
    assert words.tell(fold, "a", "b") == text


def test_a_label_with_numbers() -> None:
    """A sequence number, and what is acknowledged where anything is."""
    syn, answer = Step(0, 1, "a", "SYN"), Step(0, 1, "a", "SYN-ACK", seq=0, ack=1)
    assert words.label(syn, numbers=True) == "SYN seq 0"
    assert words.label(answer, numbers=True) == "SYN-ACK seq 0 ack 1"
