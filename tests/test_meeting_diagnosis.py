"""What is said of a call through a coordinator that has failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simopen import Cause, Diagnosis, Endpoint, MeetingReport, PunchReport
from simopen._diagnosis import diagnose
from simopen._meeting_diagnosis import rounds_failed

MEETING = MeetingReport(rendezvous="tcp://coord.example:7337", rounds=5)
PUNCH = PunchReport(
    local=Endpoint("192.168.0.2", 40000), remote=Endpoint("203.0.113.2", 40001), elapsed=2.5
)


def told(**figures: Any) -> Diagnosis:
    """What is said after rounds of which the last had these figures."""
    return rounds_failed(MEETING, diagnose(replace(PUNCH, **figures)))


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
    assert found.tried.startswith("in 5 rounds through tcp://coord.example:7337 sent ")
    assert "port" not in found.advice
    assert "another network" in found.advice


def test_a_fault_of_this_host_stays_one() -> None:
    """What stops our own SYNs is said as in a direct call."""
    found = told(unsent=9, unsent_by={"no route": 9})
    assert found.cause is Cause.NO_ROUTE
    assert "ip route" in found.advice


def test_a_mapping_that_varies_is_said_first() -> None:
    """It explains every failure between the hosts."""
    silence = diagnose(replace(PUNCH, attempts=3))
    found = rounds_failed(replace(MEETING, peer_mapping="varies"), silence)
    assert found.cause is Cause.MAPPING
    assert found.explanation.startswith("The peer's NAT gives")
