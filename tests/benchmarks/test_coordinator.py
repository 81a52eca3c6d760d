"""What the benchmark of a coordinator makes of its phases."""

from __future__ import annotations

import pytest

from benchmarks.commands import Judgement
from benchmarks.coordinator import MEMORY_ASKED, Phase, command_of, ratios, show


def phase(kind: str, turn: int, each: float, **more: object) -> Phase:
    """A phase of 1,000 members whose partners cost ``each`` seconds in one step."""
    made = Phase(kind, tls=False, turn=turn, members=1000, rush_rate=100.0)
    made.steps = {"arrive": each / 2, "messages": each / 4, "leave": each / 4}
    if turn == 0:
        made.memory, made.memory_each, made.idle_cpu = 2**20, 1024.0, 0.1
    for name, value in more.items():
        setattr(made, name, value)
    return made


def phases(*costs: tuple[float, float], **more: object) -> list[Phase]:
    """Turns, each with what the echo server and the coordinator cost; ``more`` of the latter."""
    return [
        each
        for turn, (echo, own) in enumerate(costs)
        for each in (phase("echo", turn, echo), phase("coordinator", turn, own, **more))
    ]


def test_servers_are_compared_turn_by_turn() -> None:
    """A machine that is slow in one turn is slow for both."""
    found = phases((1.0, 2.0), (9.0, 12.0), (1.0, 4.0))
    assert ratios(found, lambda each: each.each) == (0.5, 0.25, 0.75)


@pytest.mark.parametrize(("own", "met"), [(2.0, True), (2.01, False)])
def test_half_as_many_introductions_as_exchanges_are_asked(own: float, *, met: bool) -> None:
    """By the median of the turns."""
    found = show(phases((1.0, own), (1.0, own), (1.0, 100.0)))
    assert found == Judgement(met, sound=True)


@pytest.mark.parametrize(("each", "met"), [(20_000.0, True), (30_000.0, False)])
def test_memory_is_judged_for_all_members(each: float, *, met: bool) -> None:
    """Where fewer wait than are asked for, the others would cost as much each."""
    found = show(phases((1.0, 1.0), memory_each=each, memory=1000 * each))
    assert found == Judgement(met, sound=met)


def test_memory_as_it_is_counts_too() -> None:
    """What is there before the first member is part of it."""
    assert not show(phases((1.0, 1.0), memory_each=0.0, memory=MEMORY_ASKED)).met


def test_no_limit_by_address_is_met() -> None:
    """All come from a few addresses, which nobody's limits are made for."""
    command = command_of("coordinator", 1, (), members=123)
    assert "--limit=connections_per_address=123" in command
    assert "--limit=connections=123" in command
