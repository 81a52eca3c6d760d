"""The clocks of two hosts are far apart, OpenSSL's included, and nothing comes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simopen import lab
from tests.faults.stage import Outcome, both_outcomes, listening, member, pairs, play_all, url_of

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

# One host's clock, as libfaketime reads it, and the least seconds that it is wrong by.
CLOCKS = {
    "an hour": ("-1h", 3_500),
    "a day": ("+1d", 86_000),
    "1970": ("@1970-01-02 00:00:00", 1_000_000_000),
    "2100": ("@2100-01-01 00:00:00", 1_000_000_000),
}


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


@pytest.fixture
def preload() -> str:
    """The library that gives a process another clock (Debian's libfaketime)."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        (pytest.fail if os.environ.get("SIMOPEN_REQUIRE_LAB") else pytest.skip)("no libfaketime")
    return str(found[0])


async def test_clocks_that_disagree(preload: str) -> None:
    """They meet in the first round, as ever, whatever the time is at one of them."""
    names = {name: name.replace(" ", "-") for name in CLOCKS}

    async with lab.network(pairs(names.values()), seed=1) as net, listening(net["server"]):

        async def play(name: str) -> tuple[Outcome, Outcome]:
            room, url = names[name], url_of(net["server"])
            wrong = {"LD_PRELOAD": preload, "FAKETIME": CLOCKS[name][0], "NO_FAKE_STAT": "1"}
            # Python's monotonic clock is no wall clock; libfaketime would shift that as well.
            env = os.environ | wrong | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            async with (
                member(net[f"a-{room}"], url, room, "a", env=env) as one,
                member(net[f"b-{room}"], url, room, "b", loop="trio") as two,
            ):
                return await both_outcomes(one, two)

        found = await play_all(CLOCKS, play)
    for name, (one, two) in found.items():
        assert (one.get("met"), two.get("met")) == ("b", "a"), (name, one, two)
        assert abs(one["clock"] - two["clock"]) > CLOCKS[name][1]
        assert one["rounds"] == two["rounds"] == 1
