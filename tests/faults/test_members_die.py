"""A member is killed at each step of a call: what the other one sees, and who has its place."""

from __future__ import annotations

from typing import Any

import pytest

from simopen import lab
from tests.faults.member import STEPS
from tests.faults.stage import both_outcomes, cut, homes, listening, member, pairs, play_all, url_of

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

GRACE = 2.0  # seconds that the seat of somebody who meets is kept
IDLE = 2.0  # seconds until somebody silent is given up
MARGIN = 25.0  # seconds for a round that fails, one that does not, and a busy machine
# Steps at which the other one may hold the stream already, as no protocol can keep it from that.
LATE = ("hello", "proven", "held")


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


async def test_killed_at_each_step() -> None:
    """The other one meets the successor; or it holds a stream that breaks, and others may meet."""
    steps = [step for step in STEPS if step != "start"]
    async with (
        lab.network(pairs(steps), seed=1) as net,
        listening(net["server"], limits={"grace": GRACE}),
    ):

        async def play(step: str) -> dict[str, Any]:
            a, b, url = net[f"a-{step}"], net[f"b-{step}"], url_of(net["server"])
            async with (
                member(a, url, step, "killed", at=step) as killed,
                member(b, url, step, "left", loop="trio") as left,
            ):
                await killed.stopped()
                killed.process.kill()
                async with member(a, url, step, "successor") as successor:
                    found = {"left": await left.outcome()}
                    if "met" not in found["left"]:
                        async with member(b, url, step, "other") as other:
                            found["successor"], found["other"] = await both_outcomes(
                                successor, other
                            )
                    else:
                        found["successor"] = await successor.outcome()
            return found

        outcomes = await play_all(steps, play)
    for step, found in outcomes.items():
        left = found["left"]
        if "broken" in left and step in LATE:
            assert found["other"].get("met") == "successor", (step, found)
        else:
            assert left.get("met") == "successor", (step, found)
        assert found["successor"]["took"] < GRACE + MARGIN, (step, found)


async def test_vanished_while_waiting() -> None:
    """Who is gone without a word makes way when it has been silent for too long."""
    bearing = {"idle": IDLE, "grace": GRACE}
    async with (
        lab.network(homes(*"abc"), seed=1) as net,
        listening(net["server"], limits=bearing),
    ):
        url = url_of(net["server"])
        async with member(net["a"], url, "room", "vanished", at="welcomed") as vanished:
            await vanished.stopped()
            await cut(net["a"])
        async with (
            member(net["b"], url, "room", "first") as first,
            member(net["c"], url, "room", "second", loop="trio") as second,
        ):
            one, two = await both_outcomes(first, second)
    assert (one.get("met"), two.get("met")) == ("second", "first"), (one, two)
    assert max(one["took"], two["took"]) < IDLE + GRACE + MARGIN
