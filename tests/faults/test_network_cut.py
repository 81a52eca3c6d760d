"""The network fails for two seconds at each step of a call, and the meeting takes place."""

from __future__ import annotations

import anyio
import pytest

from simopen import lab
from tests.faults.member import STEPS
from tests.faults.stage import (
    Outcome,
    both_outcomes,
    cut,
    listening,
    member,
    mend,
    pairs,
    play_all,
    url_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

CUT = 2.0  # seconds


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


async def test_two_seconds_without_network_at_each_step() -> None:
    """One host is cut off when it is there; both hold a stream in the end that carries."""
    async with lab.network(pairs(STEPS), seed=1) as net, listening(net["server"]):

        async def play(step: str) -> tuple[Outcome, Outcome]:
            a, b, url = net[f"a-{step}"], net[f"b-{step}"], url_of(net["server"])
            async with (
                member(a, url, step, "a", at=step) as one,
                member(b, url, step, "b", loop="trio") as two,
            ):
                await one.stopped()
                await cut(a)
                await one.go_on()
                await anyio.sleep(CUT)
                await mend(a)
                return await both_outcomes(one, two)

        found = await play_all(STEPS, play)
    for step, (one, two) in found.items():
        assert (one.get("met"), two.get("met")) == ("b", "a"), (step, one, two)
