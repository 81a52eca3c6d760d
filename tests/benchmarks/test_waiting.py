"""What the benchmark of waiting makes of its trials."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.commands import Judgement
from benchmarks.waiting import CASES, PATIENT, TIMEOUT, Alone, Meetings, starts, tcp_counters

LAN = CASES["lan"]


def answer(began: float, connected: float | None, **more: object) -> dict[str, Any]:
    """What a side says that has met, or has not."""
    proven = connected is not None
    return {
        "began": began,
        "connected": connected,
        "proven": proven,
        "failure": "",
        "syns": 3,
    } | more


def meetings(*times: float | None) -> Meetings:
    """A cell with these trials."""
    return Meetings("newcomer", LAN, "asyncio", list(times), [6] * len(times), [])


def test_counters_of_the_kernel() -> None:
    """Values stand under their names; the lines of other protocols are left out."""
    text = "Ip: A\nIp: 1\nTcp: MaxConn ActiveOpens RetransSegs\nTcp: -1 12 3\nUdp: A\nUdp: 9\n"
    assert tcp_counters(text) == {"MaxConn": -1, "ActiveOpens": 12, "RetransSegs": 3}


def test_a_meeting_counts_from_the_later_start_to_the_last_stream() -> None:
    """Whichever side is the later one, and whichever has its stream last."""
    cell = meetings()
    cell.count(answer(1.0, 2.75), answer(2.5, 2.625))
    cell.count(answer(2.5, 2.625), answer(1.0, 2.75))
    assert cell.times == [0.25, 0.25]
    assert cell.syns == [6, 6]


@pytest.mark.parametrize("failed", [0, 1])
def test_a_stream_that_carries_nothing_is_a_failure(failed: int) -> None:
    """One side without proof is enough, and what it said is kept."""
    sides = [answer(1.0, 1.5), answer(1.0, 1.5)]
    sides[failed] |= {"proven": False, "failure": "EndOfStream"}
    cell = meetings()
    cell.count(*sides)
    assert cell.times == [None]
    assert cell.failures == [
        ("a: EndOfStream; b: connected", "a: connected; b: EndOfStream")[failed]
    ]


def test_a_failure_counts_as_the_timeout() -> None:
    """So that a median of many failures cannot look good."""
    assert meetings(0.01, None, None).percentile(50) == TIMEOUT
    assert meetings(0.01, 0.02, None).row()[3] == "2/3"


@pytest.mark.parametrize(("time", "met"), [(0.050, "yes"), (0.051, "NO")])
def test_the_newcomer_is_judged_by_its_median(time: float, met: str) -> None:
    """At most 50 ms are asked."""
    assert meetings(0.001, time, 0.3).row()[-1] == met


def test_a_meeting_that_fails_is_no_matter_of_the_machine() -> None:
    """A slow median is, and so is a share of a processor, but not how many SYNs are sent."""
    assert meetings(5.0, 5.0, 5.0).judgement == Judgement(met=False, sound=True)
    assert meetings(0.01, 0.01, None).judgement == Judgement(met=True, sound=False)
    assert Alone(LAN, "trio", 0.9, 10.0).judgement == Judgement(met=False, sound=True)
    assert Alone(LAN, "trio", 0.01, 201.0).judgement == Judgement(met=False, sound=False)


@pytest.mark.parametrize(
    ("cpu", "syns", "met"), [(0.05, 200.0, "yes"), (0.051, 10.0, "NO"), (0.01, 200.5, "NO")]
)
def test_alone_both_the_cpu_and_the_syns_are_judged(cpu: float, syns: float, met: str) -> None:
    """Either may be too much."""
    assert Alone(LAN, "trio", cpu, syns).row()[-1] == met


def test_the_newcomer_comes_after_a_second_from_either_side() -> None:
    """The other has waited for longer than the free period by then."""
    chances = random.Random(1)
    trials = [starts("newcomer", chances) for _ in range(50)]
    assert all(abs(a - b) >= PATIENT > free_period > 0 for (a, b), free_period in trials)
    assert {a < b for (a, b), _ in trials} == {True, False}


def test_patient_sides_start_within_a_second_and_pace_at_once() -> None:
    """Neither has a free period."""
    chances = random.Random(1)
    trials = [starts("patient", chances) for _ in range(50)]
    assert all(abs(a - b) < 1 and free_period == 0 for (a, b), free_period in trials)
