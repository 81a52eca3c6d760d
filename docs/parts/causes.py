"""Every cause of a failed call, with what its diagnosis says and advises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import simopen
from docs.tables import table
from simopen import Cause, Diagnosis, Endpoint, MeetingReport, PunchReport
from simopen import _meeting_diagnosis as meeting
from simopen._diagnosis import _ROWS, CONNTRACK_HOLD, name_not_resolved

HERE = Endpoint("0.0.0.0", 40000)  # noqa: S104 - an example
THERE = Endpoint("203.0.113.2", 40001)
WORDS = {"local": HERE, "remote": THERE, "hold": CONNTRACK_HOLD, "state": ""}


def sayings() -> Iterator[tuple[Cause, str, str]]:
    """What is said of each cause, with example endpoints; the most usual words first."""
    for row in _ROWS:
        yield row.cause, row.explanation.format(**WORDS), row.advice.format(**WORDS)
    went = MeetingReport(rendezvous="tcp://coord.example")
    varies = MeetingReport(rendezvous="tcp://coord.example", peer_mapping="varies")
    nothing = PunchReport(local=HERE, remote=THERE)
    last = Diagnosis(cause=Cause.SILENCE, tried="", came_back="", explanation="", advice="")
    for found in (
        name_not_resolved(HERE, THERE, ""),
        meeting.coordinator_unavailable(went, ""),
        meeting.room_full(went),
        meeting.nobody_came(went),
        meeting.no_candidate(went),
        meeting.rounds_failed(varies, last),
        meeting.not_proven(nothing, ""),
    ):
        yield found.cause, found.explanation, found.advice


def causes() -> str:
    """A line for each."""
    said: dict[Cause, tuple[str, str]] = {}
    for cause, explanation, advice in sayings():
        said.setdefault(cause, (explanation, advice))
    rows = ([f"`{cause.name}`", *said[cause]] for cause in simopen.Cause)
    return table(["cause", "what is likely", "what to do"], rows)


PARTS: dict[str, Callable[[], str]] = {"causes": causes}
