from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.abc import Process

from benchmarks.rivals.agent import Answer
from benchmarks.rivals.catalogue import CONTENDERS, PAIRS, Contender
from benchmarks.rivals.outcomes import AdapterError
from benchmarks.rivals.sites import GATEWAYS
from benchmarks.rivals.trials import SKEWS, Agent, Round, converse
from simopen import lab

TURN = Round(("drop", "drop"), 0, 0.4, 1, 0.0)
HELD = Answer(1.0, 2.0, proven=True)


class Scripted(Agent):
    """Says what it was given, and keeps what it is told."""

    def __init__(self, *says: Answer | dict[str, Any] | AdapterError) -> None:
        self.says = list(says)
        self.told: list[Mapping[str, Any]] = []
        self.killed = False

    async def send(self, what: Mapping[str, Any]) -> None:
        """Keep it."""
        self.told.append(what)

    async def hear(self) -> Answer | dict[str, Any]:
        """Say the next thing."""
        said = self.says.pop(0)
        if isinstance(said, AdapterError):
            raise said
        return said

    def kill(self) -> None:
        """Note it."""
        self.killed = True


class Here:
    """This machine in the place of a host."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    async def popen(self, argv: Sequence[str], **options: Any) -> Process:
        """Start a process."""
        self.processes.append(await anyio.open_process(argv, **options))
        return self.processes[-1]


@asynccontextmanager
async def agent(adapter: str, folder: Path) -> AsyncIterator[Agent]:
    """An adapter that is not started yet, run by this Python."""
    here = Here()
    contender = Contender(adapter, adapter, "")
    host = cast("lab.Host", here)
    yield Agent(host, Path(sys.executable), contender, folder / "said")
    for process in here.processes:
        if process.returncode is None:
            process.kill()
        await process.aclose()


@pytest.mark.anyio
async def test_an_adapter_that_does_not_come_up(tmp_path: Path) -> None:
    """A rival that cannot be run is known by its own last words."""
    async with agent("nobody", tmp_path) as nobody:
        with pytest.raises(AdapterError, match=r"No module named .*nobody"):
            await nobody.start()


@pytest.mark.anyio
async def test_an_adapter_that_ends_is_followed_by_another(tmp_path: Path) -> None:
    """What ends in a trial has failed in it, and the next trial finds a new process."""
    async with agent("simopen_direct", tmp_path) as ours:
        await ours.start()
        assert set(ours.versions) == {"simopen"}
        await ours.send({"order": "that no adapter knows"})
        with pytest.raises(AdapterError, match="TypeError"):
            await ours.hear()
        await ours.start()
        assert ours.versions


def test_every_round_is_the_same_for_all() -> None:
    """A round's skew, phase and order are drawn from its sites and number and nothing else."""
    for number in range(6):
        one, other = Round.draw(("a", "b"), number), Round.draw(("a", "b"), number)
        assert one == other
        assert one.skew == SKEWS[number % len(SKEWS)]
        assert one.order(CONTENDERS) == other.order(CONTENDERS)
    assert {Round.draw(("a", "b"), number).late for number in range(20)} == {0, 1}


def test_everybody_has_a_turn() -> None:
    """Each round has every contender once, in orders that differ."""
    orders = [Round.draw(("a", "b"), number).order(CONTENDERS) for number in range(4)]
    assert all(set(order) == set(CONTENDERS) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_every_site_is_known() -> None:
    """The catalogue's sites all stand for something."""
    assert {kind for pair in PAIRS for kind in pair} <= set(GATEWAYS)


@pytest.mark.anyio
async def test_converse() -> None:
    """Each hears the other's words; the later one begins later, and both know that moment."""
    a, b = Scripted({"key": "a"}, HELD), Scripted({"key": "b"}, HELD)
    assert await converse((a, b), TURN) == (HELD, HELD)
    (to_a,), (to_b,) = a.told, b.told
    assert (to_a["theirs"], to_b["theirs"]) == ({"key": "b"}, {"key": "a"})
    assert to_b["at"] - to_a["at"] == pytest.approx(TURN.skew)
    assert to_a["together"] == to_b["together"] == pytest.approx(to_b["at"])


@pytest.mark.anyio
async def test_a_side_that_fails_before_the_start() -> None:
    """Where one has failed before the start, the other is not left waiting for it."""
    for first in (True, False):
        failed, waits = Scripted(Answer(1.0, words="no port")), Scripted({"key": "b"})
        sides = await converse((failed, waits) if first else (waits, failed), TURN)
        mine, other = sides if first else reversed(sides)
        assert (mine.words, other.words) == ("no port", "the other side failed before the start")
        assert (failed.killed, waits.killed) == (False, True)


@pytest.mark.anyio
async def test_a_side_that_says_nothing() -> None:
    """An adapter that goes dumb has failed with the reason, and is ended."""
    a, b = Scripted({"key": "a"}, AdapterError("nothing said")), Scripted({"key": "b"}, HELD)
    first, second = await converse((a, b), TURN)
    assert (first.words, first.usable, second) == ("nothing said", None, HELD)
    assert (a.killed, b.killed) == (True, False)
