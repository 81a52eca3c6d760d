"""Descriptors run out and disks are full: what is said, and that it passes with its cause."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from simopen import lab
from tests.faults.stage import (
    PATIENCE,
    Outcome,
    both_outcomes,
    homes,
    listening,
    member,
    pairs,
    play_all,
    running,
    url_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

TIMEOUT = 6.0  # seconds of a call that cannot succeed
ENOUGH = 1024  # descriptors
# Where a process runs out of descriptors, and how many are left.
LACKS = {"connected-0": 0, "joined-1": 1, "introduced-0": 0, "introduced-1": 1, "syn-0": 0}
STRANGERS = 6
HOLD = """
import socket, sys, time
held = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
print("held", flush=True)
time.sleep(60)
"""
# Run a command with a disk of one page, which is full, and its log there.
FULL = 'mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero >"$0/filler" && '
ON_FULL_DISK = ["unshare", "--mount", "sh", "-c", FULL + 'exec "$@"']
IN_WORDS = 'exec "$@" --log-format console 2>"$0/log"'
LOG_ON_FULL_DISK = ["unshare", "--mount", "sh", "-c", FULL + IN_WORDS]
LOG_TO_FILE = ["sh", "-c", 'exec "$@" 2>"$0"']


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


def highest_descriptor(pid: int) -> int:
    """Of a process."""
    return max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())


async def test_a_client_without_descriptors() -> None:
    """Whatever it needs them for next, it ends in time and says what it lacks."""
    async with lab.network(pairs(LACKS), seed=1) as net, listening(net["server"]):

        async def play(name: str) -> Outcome:
            step, url = name.partition("-")[0], url_of(net["server"])
            a, b = net[f"a-{name}"], net[f"b-{name}"]
            async with (
                member(a, url, name, "a", at=step, timeout=TIMEOUT) as one,
                member(b, url, name, "b", timeout=TIMEOUT),
            ):
                await one.stopped()
                await one.go_on(files=LACKS[name])
                return await one.outcome()

        found = await play_all(LACKS, play)
    for name, outcome in found.items():
        assert outcome.get("error") in ("LocalBindError", "PeerTimeoutError"), (name, outcome)
        assert "open files" in outcome["words"], (name, outcome)
        assert "ulimit -n" in outcome["words"], (name, outcome)
        assert "secret" not in outcome["words"], (name, outcome)  # nobody else is to blame


async def test_a_client_that_has_descriptors_again() -> None:
    """The round in which there were none has failed; the next one is as any."""
    async with lab.network(pairs(["x"]), seed=1) as net, listening(net["server"]):
        url = url_of(net["server"])
        async with (
            member(net["a-x"], url, "room", "a", at="introduced") as one,
            member(net["b-x"], url, "room", "b", loop="trio") as two,
        ):
            await one.stopped()
            await one.go_on(files=2)
            await anyio.sleep(1.0)
            resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (ENOUGH, ENOUGH))
            outcomes = await both_outcomes(one, two)
    assert [each.get("met") for each in outcomes] == ["b", "a"], outcomes


async def test_a_coordinator_without_descriptors(tmp_path: Path) -> None:
    """Who waits goes on waiting; who comes is served when strangers have been sent away."""
    log = tmp_path / "log"
    async with (
        lab.network(homes(*"abc"), seed=1) as net,
        listening(
            net["server"], limits={"handshake": 1.0}, before=[*LOG_TO_FILE, str(log)]
        ) as coordinator,
        AsyncExitStack() as stack,
    ):
        url = url_of(net["server"])
        one = await stack.enter_async_context(member(net["a"], url, "room", "a", at="welcomed"))
        await one.stopped()
        await one.go_on()
        pid = coordinator.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest_descriptor(pid) + 3, ENOUGH))
        address = [net["server"].ipv4, url.rpartition(":")[2]]
        hold = [sys.executable, "-c", HOLD, *address, str(STRANGERS)]
        strangers = await stack.enter_async_context(running(net["c"], hold, stdout=subprocess.PIPE))
        assert strangers.stdout is not None
        with anyio.fail_after(PATIENCE):
            await strangers.stdout.receive()
        two = await stack.enter_async_context(member(net["b"], url, "room", "b", loop="trio"))
        outcomes = await both_outcomes(one, two)
    assert [each.get("met") for each in outcomes] == ["b", "a"], outcomes
    assert "accept.exhausted" in log.read_text()


async def test_full_disks(tmp_path: Path) -> None:
    """The coordinator goes on without its log, and a client without its trace, which it says."""
    invite = tmp_path / "invite"
    invite.write_text(simopen.Invite.new("room").reveal())
    full = [tmp_path / "log", tmp_path / "trace"]
    for folder in full:
        folder.mkdir()
    found: dict[str, Any] = {}
    async with (
        lab.network(pairs(["x"]), seed=1) as net,
        listening(net["server"], before=[*LOG_ON_FULL_DISK, str(full[0])]),
    ):
        url = url_of(net["server"])
        connect = [sys.executable, "-m", "simopen", "connect", "--rendezvous", url]
        connect += ["--invite-file", str(invite), "--timeout", str(PATIENCE)]
        traced = [*ON_FULL_DISK, str(full[1]), *connect, "--trace", str(full[1] / "trace")]

        async def one(side: str, command: list[str]) -> None:
            found[side] = await net[f"{side}-x"].run(command, input=side.encode(), check=False)

        async with anyio.create_task_group() as group:
            group.start_soon(one, "a", traced)
            group.start_soon(one, "b", connect)
    assert found["a"].returncode == found["b"].returncode == 0, found
    assert (found["a"].stdout, found["b"].stdout) == (b"b", b"a")
    assert b"the trace ends here" in found["a"].stderr
