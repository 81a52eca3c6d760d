from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen import Cause, Endpoint, PunchReport
from simopen._diagnosis import diagnose, name_not_resolved

BLANK = PunchReport(
    local=Endpoint("192.0.2.1", 40000), remote=Endpoint("198.51.100.2", 40001), elapsed=2.0
)


@pytest.mark.parametrize(
    ("report", "cause", "words"),
    [
        (
            replace(BLANK, attempts=9, refusals=9, refused_by={"reset": 9}),
            Cause.NOT_CONNECTING,
            ["9 SYNs", "9 refused (reset)", "nothing there is connecting from port 40001"],
        ),
        (
            replace(BLANK, attempts=20, refusals=16, refreshes=3, refused_by={"reset": 16}),
            Cause.NOT_CONNECTING,
            ["16 refused (reset)", "4 unanswered"],
        ),
        (replace(BLANK, attempts=5, refreshes=4), Cause.SILENCE, ["5 SYNs", "no answer", "drops"]),
        (
            replace(BLANK, attempts=2, refusals=2, refused_by={"host unreachable": 2}),
            Cause.UNREACHABLE,
            ["2 refused (host unreachable)", "198.51.100.2 cannot be reached"],
        ),
        (
            replace(BLANK, unsent=7, unsent_by={"no route": 7}),
            Cause.NO_ROUTE,
            ["0 SYNs", "7 not sent (no route)", "no route to 198.51.100.2", "ip route"],
        ),
        (
            replace(BLANK, unsent=7, unsent_by={"blocked by a local firewall": 7}),
            Cause.LOCAL_FIREWALL,
            ["Allow outgoing TCP from port 40000"],
        ),
        (
            replace(BLANK, unsent=7, unsent_by={"port pair in use": 7}),
            Cause.PAIR_IN_USE,
            ["exactly these two endpoints", "(state FIN_WAIT_2)"],
        ),
        (
            replace(BLANK, unsent=3, unsent_by={"out of buffers": 2, "no route": 1}),
            Cause.NOT_SENT,
            ["out of buffers"],
        ),
        (BLANK, Cause.TOO_SHORT, ["before the first SYN"]),
        (
            replace(BLANK, attempts=1, half_open_at=0.04),
            Cause.HALF_OPEN,
            ["a crossing SYN after 40.0 ms", "drops the SYN-ACK", "120 s"],
        ),
        (
            replace(BLANK, attempts=9, refusals=2, refreshes=6, refused_by={"reset": 2}),
            Cause.MIXED,
            ["2 refused (reset)", "7 unanswered", "another pair of ports"],
        ),
    ],
)
def test_each_outcome_has_its_cause(report: PunchReport, cause: Cause, words: list[str]) -> None:
    """What was tried, what came back and the likeliest cause are in the text."""
    diagnosis = diagnose(report, pair_state="FIN_WAIT_2")
    assert diagnosis.cause is cause
    for word in words:
        assert word in str(diagnosis)


@given(
    attempts=st.integers(0, 10_000),
    refusals=st.integers(0, 10_000),
    refreshes=st.integers(0, 100),
    unsent=st.integers(0, 100),
    half_open_at=st.none() | st.floats(0, 10),
    kinds=st.sets(st.sampled_from(["reset", "host unreachable", "prohibited"])),
)
def test_every_report_has_a_diagnosis(
    *,
    attempts: int,
    refusals: int,
    refreshes: int,
    unsent: int,
    half_open_at: float | None,
    kinds: set[str],
) -> None:
    """There is always an explanation and advice, and no placeholder is left in it."""
    report = replace(
        BLANK,
        attempts=attempts,
        refusals=refusals,
        refreshes=refreshes,
        unsent=unsent,
        half_open_at=half_open_at,
        refused_by=dict.fromkeys(kinds, 1),
    )
    text = str(diagnose(report))
    assert "{" not in text
    assert text.endswith(".")


def test_a_name_says_which_family_was_asked_for() -> None:
    """The local address decides the family, and the text says so."""
    diagnosis = name_not_resolved(Endpoint("::", 1), Endpoint("nowhere.invalid", 2), "no such host")
    assert diagnosis.cause is Cause.NOT_RESOLVED
    assert "nowhere.invalid for an IPv6 address: no such host" in str(diagnosis)
