"""What is said of a call through a coordinator that has failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simopen import Cause, Diagnosis, Endpoint, MeetingReport, PunchReport
from simopen import _meeting_diagnosis as words
from simopen._diagnosis import diagnose

SEEN = Endpoint("203.0.113.1", 50000)
MEETING = MeetingReport(rendezvous="tls://meet.example", waited=12.0, observed=(SEEN,), rounds=2)
PUNCH = PunchReport(
    local=Endpoint("192.168.1.2", 40000),
    remote=Endpoint("198.51.100.2", 40001),
    attempts=40,
    refreshes=30,
    elapsed=20.0,
    meeting=MEETING,
)
SILENCE = diagnose(PUNCH)


@pytest.mark.parametrize(
    ("diagnosis", "cause", "said"),
    [
        (
            words.coordinator_unavailable(MEETING, "192.0.2.1:7337: Connection refused"),
            Cause.COORDINATOR,
            ["tls://meet.example", "12.00 s", "Connection refused", "simopen coordinator"],
        ),
        (words.room_full(MEETING), Cause.ROOM_FULL, ["tls://meet.example", "two others"]),
        (
            words.nobody_came(MEETING),
            Cause.NOBODY_CAME,
            ["waited 12.00 s", "sees us at 203.0.113.1:50000", "one invite for both"],
        ),
        (words.no_candidate(MEETING), Cause.NO_CANDIDATE, ["below 1024", "same family"]),
        (words.rounds_failed(MEETING, None), Cause.TOO_SHORT, ["Allow more time"]),
        (
            words.unable(MEETING, "no socket: Too many open files"),
            Cause.NOT_SENT,
            ["in 2 rounds through tls://meet.example", "Too many open files", "ulimit -n"],
        ),
        (
            words.rounds_failed(MEETING, SILENCE),
            SILENCE.cause,
            ["in 2 rounds through tls://meet.example sent 40 SYNs"],
        ),
        (
            words.rounds_failed(replace(MEETING, rounds=1), SILENCE),
            SILENCE.cause,
            ["in 1 round through"],
        ),
        (
            words.not_proven(PUNCH, "the peer sent no ACCEPT"),
            Cause.NOT_PROVEN,
            ["met somebody at 198.51.100.2:40001", "no ACCEPT", "same secret"],
        ),
        (
            words.not_proven(replace(PUNCH, attempts=0), "the offer does not open"),
            Cause.NOT_PROVEN,
            ["was introduced to somebody", "does not open"],
        ),
    ],
)
def test_each_failure_in_words(diagnosis: Diagnosis, cause: Cause, said: list[str]) -> None:
    """What was tried, what came back, why, and what to do."""
    assert diagnosis.cause is cause
    text = str(diagnosis)
    for each in said:
        assert each in text
    assert text.endswith(".")
    assert ".." not in text


@pytest.mark.parametrize(
    ("mapping", "peer_mapping", "who"),
    [
        ("varies", "stable", "Our NAT gives"),
        ("unknown", "varies", "The peer's NAT gives"),
        ("varies", "varies", "Both NATs give"),
    ],
)
def test_a_nat_that_maps_by_destination_is_named(mapping: str, peer_mapping: str, who: str) -> None:
    """Whose it is, and that another attempt will not help."""
    meeting = replace(MEETING, mapping=mapping, peer_mapping=peer_mapping)
    diagnosis = words.rounds_failed(meeting, SILENCE)
    assert diagnosis.cause is Cause.MAPPING
    assert diagnosis.explanation.startswith(who)
    assert diagnosis.came_back == SILENCE.came_back


@pytest.mark.parametrize("mapping", ["stable", "unknown"])
def test_a_nat_that_does_not_is_no_cause(mapping: str) -> None:
    """The punch's own diagnosis stands."""
    meeting = replace(MEETING, mapping=mapping, peer_mapping=mapping)
    diagnosis = words.rounds_failed(meeting, SILENCE)
    assert (diagnosis.cause, diagnosis.came_back) == (SILENCE.cause, SILENCE.came_back)


def told(**figures: Any) -> Diagnosis:
    """What is said after rounds of which the last had these figures."""
    return words.rounds_failed(MEETING, diagnose(replace(PUNCH, **figures)))


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        ({"attempts": 9, "refusals": 9, "refused_by": {"reset": 9}}, Cause.NOT_CONNECTING),
        ({"attempts": 9, "refusals": 9, "refused_by": {"host unreachable": 9}}, Cause.UNREACHABLE),
        ({"attempts": 9, "refusals": 4, "refused_by": {"reset": 4}}, Cause.MIXED),
        ({"attempts": 3}, Cause.SILENCE),
        ({"attempts": 3, "half_open_at": 0.1}, Cause.HALF_OPEN),
    ],
    ids=lambda value: value.value if isinstance(value, Cause) else "",
)
def test_nobody_is_told_to_change_endpoints_that_were_not_given(
    figures: dict[str, object], cause: Cause
) -> None:
    """What came back is kept, and the advice is about networks and not about ports."""
    found = told(**figures)
    assert found.cause is cause
    assert found.tried.startswith("in 2 rounds through tls://meet.example sent ")
    assert "port" not in found.advice
    assert "another network" in found.advice


def test_a_fault_of_this_host_stays_one() -> None:
    """What stops our own SYNs is said as in a direct call."""
    found = told(attempts=0, refreshes=0, unsent=9, unsent_by={"no route": 9})
    assert found.cause is Cause.NO_ROUTE
    assert "ip route" in found.advice
