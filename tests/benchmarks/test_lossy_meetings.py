"""What two processes saw of one meeting, and what is made of it."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from benchmarks.lossy_meetings import Counts, is_false, listen_in, moments_heard, outcome
from simopen import Invite, secure_stream
from simopen.security import _handshake
from tests.security.pairs import memory_pair

INVITE = Invite.new("room")
PATIENCE = 10.0  # seconds for what takes milliseconds
HELD = 10.0  # seconds, by the one clock of both
WHERE = "round/0"  # the connection


def side(*, held: float | None = HELD, heard: float | None = 9.0, **told: Any) -> dict[str, Any]:
    """What a side says that held a stream at one moment and heard of its peer at another."""
    moments = {} if heard is None else {WHERE: heard}
    return {"held": held, "heard": moments, "carries": held is not None, "rounds": 1} | told


@pytest.mark.parametrize(
    ("mine", "peer", "false"),
    [
        (side(), side(), False),
        (side(), side(held=None), False),
        (side(held=None, heard=None), side(heard=None), False),
        (side(heard=None), side(), True),
        (side(), side(heard=None), True),
        (side(), side(heard=HELD + 0.001), True),
        (side(heard=HELD + 0.001), side(), True),
        (side(), side(heard=None) | {"heard": {"another round/0": 9.0}}, True),
    ],
)
def test_false_is_a_stream_that_was_held_too_early(
    mine: dict[str, Any],
    peer: dict[str, Any],
    false: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Both must have heard of each other over that very connection by then."""
    assert is_false(mine, peer) is false


def test_the_latest_connection_is_the_one_that_was_handed_over() -> None:
    """Earlier ones of the same call, which broke after their HELLO, say nothing of it."""
    earlier = {"round/1": 5.0, WHERE: 9.0}
    assert not is_false(side() | {"heard": earlier}, side())
    assert is_false(side() | {"heard": dict(reversed(earlier.items()))}, side())


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (side(), side(), "met"),
        (side(carries=False), side(held=None), "one-sided"),
        (side(carries=False), side(), "cut"),
        (side(held=None), side(held=None), "failed"),
    ],
)
def test_outcomes(first: dict[str, Any], second: dict[str, Any], what: str) -> None:
    """Who holds a stream, and whether it carries."""
    assert outcome(first, second) == outcome(second, first) == what


def test_counts_add_up() -> None:
    """Times are from the later start to the later hand-over, and only of those that met."""
    counts = Counts()
    counts.count(side(began=1.0), side(began=2.0, held=11.0))
    counts.count(side(began=1.0, carries=False, heard=None), side(began=1.0, held=None))
    assert (counts.trials, counts.outcomes["met"], counts.outcomes["one-sided"]) == (2, 1, 1)
    assert (counts.false, counts.times) == (1, [9.0])
    assert len(counts.failures) == 1


@pytest.mark.anyio
async def test_two_handshakes_are_listened_in_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides note the same connection before they hold its stream."""
    for name in ("make_hello", "check_hello"):  # put back at the end
        monkeypatch.setattr(_handshake, name, getattr(_handshake, name))
    listen_in()
    answers: list[dict[str, Any]] = []

    async def one(transport: ByteStream) -> None:
        heard = moments_heard()
        await secure_stream(transport, secret=INVITE, timeout=PATIENCE)
        answers.append({"held": time.monotonic(), "heard": heard})

    async with anyio.create_task_group() as group:
        for transport in memory_pair():
            group.start_soon(one, transport)
    first, second = answers
    assert first["heard"].keys() == second["heard"].keys()
    assert len(first["heard"]) == 1
    assert not is_false(first, second)
    assert not is_false(second, first)
