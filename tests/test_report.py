from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from simopen import Endpoint, MeetingReport, PunchReport
from simopen._report import count, format_seconds

REPORT = PunchReport(
    local=Endpoint("192.0.2.1", 40000),
    remote=Endpoint("2001:db8::2", 40001),
    attempts=1204,
    refusals=1,
    refreshes=2,
    elapsed=0.0423,
)


def test_one_line_for_a_person() -> None:
    """Endpoints, path, time and counts."""
    assert str(REPORT) == (
        "192.0.2.1:40000 <-> [2001:db8::2]:40001, direct, 42.3 ms, "
        "1,204 SYNs, 1 refusal, 2 refreshes"
    )


MET = replace(
    REPORT,
    path="hairpin",
    encrypted=True,
    meeting=MeetingReport(rendezvous="tls://meet.example", rounds=3, observed=(REPORT.local,)),
)


@pytest.mark.parametrize(
    ("report", "ending"),
    [
        (MET, "hairpin, 42.3 ms, 1,204 SYNs, 1 refusal, 2 refreshes, 3 rounds, encrypted"),
        (replace(MET, encrypted=False), "2 refreshes, 3 rounds"),
        (replace(MET, meeting=MeetingReport(rendezvous="", rounds=1)), "2 refreshes, encrypted"),
    ],
)
def test_one_line_after_a_rendezvous(report: PunchReport, ending: str) -> None:
    """The way it took, the rounds where there were several, and whether it is encrypted."""
    assert str(report).endswith(ending)


@pytest.mark.parametrize("report", [REPORT, MET])
def test_survives_pickling(report: PunchReport) -> None:
    """A report travels between processes."""
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301 - our own bytes


def test_is_frozen() -> None:
    """Nobody changes what happened."""
    with pytest.raises(AttributeError):
        REPORT.attempts = 0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 ms"), (0.9994, "999.4 ms"), (1, "1.00 s"), (61.234, "61.23 s")]
)
def test_durations(seconds: float, text: str) -> None:
    """Milliseconds below a second."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 SYNs"), (1, "1 SYN"), (2000, "2,000 SYNs")])
def test_counts(number: int, text: str) -> None:
    """A number agrees with its noun."""
    assert count(number, "SYN") == text
