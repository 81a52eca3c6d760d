"""The coordinator ends while its members wait and at each step of a call, and comes back."""

from __future__ import annotations

import signal

import anyio
import pytest

from simopen import lab
from tests.faults.stage import (
    PORT,
    Outcome,
    both_outcomes,
    coordinator,
    listening,
    member,
    pairs,
    play_all,
    url_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

DOWN = 1.0  # seconds without a coordinator
AGAIN = 10.0  # seconds in which who has lost one is surely back
# Not before it has been reached: then it is one that never was. After the hello it is not needed.
KNOWN = ("connected", "joined", "welcomed", "introduced", "syn", "hello")
EARLY = ("connected", "joined")  # a coordinator that one has not heard of is soon given up
LONG = 10.0  # seconds; a first round that does not end because this machine is slow


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


async def test_killed_at_each_step_and_restarted() -> None:
    """Before the introduction the members come back; after it they do not need it."""
    ports = {step: PORT + 10 * number for number, step in enumerate(KNOWN)}
    async with lab.network(pairs(KNOWN), seed=1) as net:
        server = net["server"]

        async def play(step: str) -> tuple[Outcome, Outcome]:
            a, b, url = net[f"a-{step}"], net[f"b-{step}"], url_of(server, ports[step])
            async with (
                listening(server, port=ports[step]) as first,
                coordinator(server, port=ports[step]) as second,
                member(b, url, step, "b", at="welcomed", round_time=LONG, loop="trio") as two,
            ):
                await two.stopped()
                await two.go_on()
                async with member(a, url, step, "a", at=step, round_time=LONG) as one:
                    await one.stopped()
                    await first.end(signal.SIGKILL)
                    if step not in EARLY:
                        await one.go_on()
                    await anyio.sleep(DOWN)
                    await second.listen()
                    if step in EARLY:
                        await one.go_on()
                    return await both_outcomes(one, two)

        found = await play_all(KNOWN, play)
    for step, (one, two) in found.items():
        assert (one.get("met"), two.get("met")) == ("b", "a"), (step, one, two)
        if KNOWN.index(step) > KNOWN.index("introduced"):
            assert one["rounds"] == two["rounds"] == 1, (step, one, two)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
async def test_ended_while_members_wait(how: signal.Signals) -> None:
    """Who waits is told that it is lost, comes back to the next one, and is met there."""
    async with lab.network(pairs(["wait"]), seed=1) as net:
        a, b, server = net["a-wait"], net["b-wait"], net["server"]
        url = url_of(server)
        async with (
            listening(server) as first,
            coordinator(server) as second,
            member(a, url, "room", "a", at="welcomed") as one,
        ):
            await one.stopped()
            await one.go_on()
            await first.end(how)
            await anyio.sleep(DOWN)
            await second.listen()
            async with member(b, url, "room", "b", loop="trio") as two:
                waited, came = await both_outcomes(one, two)
    assert (waited.get("met"), came.get("met")) == ("b", "a"), (waited, came)
    assert waited["lost"]
    assert came["took"] < AGAIN


@pytest.mark.parametrize("drain", [0.5, 60.0], ids=["cut short", "awaited"])
async def test_stopped_in_mid_round(drain: float) -> None:
    """It waits for the meeting, and no longer than it may; the meeting takes place either way."""
    async with lab.network(pairs(["syn"]), seed=1) as net:
        a, b, server = net["a-syn"], net["b-syn"], net["server"]
        url = url_of(server)
        async with (
            listening(server, limits={"drain": drain}) as stopping,
            member(a, url, "room", "a", at="syn", round_time=LONG) as one,
            member(b, url, "room", "b", round_time=LONG, loop="trio") as two,
        ):
            await one.stopped()
            stopping.process.terminate()
            with anyio.move_on_after(AGAIN if drain < AGAIN else DOWN) as waiting:
                await stopping.process.wait()
            await one.go_on()
            outcomes = await both_outcomes(one, two)
            with anyio.fail_after(AGAIN):
                code = await stopping.process.wait()
    assert waiting.cancelled_caught is (drain > AGAIN)
    assert [each.get("met") for each in outcomes] == ["b", "a"], outcomes
    assert code == 0
