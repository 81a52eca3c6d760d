"""The stage for faults: a coordinator and members, each a process in a host, and what befalls them.

Every step of a call has a pair of hosts and a room of its own, and all are played at once; one
fault at a time befalls each pair. A member waits at its step until the fault is there
(:mod:`.member`), so nothing hangs on how fast this machine is.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from simopen import PunchOptions, lab

PORT = 7337
# The command line itself, once it has been imported and somebody says so.
GATED = "import sys, simopen.cli._coordinator as _; from simopen.cli import main; input(); main()"
MEMBER = [sys.executable, str(Path(__file__).with_name("member.py"))]
PATIENCE = 60.0  # seconds for what takes a few
LINE_BYTES = 1 << 16
ROUND_TIME = PunchOptions().round_time
LINK = lab.Link(latency=0.005)
AT_ONCE = 10  # pairs; more would only wait for a processor

Outcome = dict[str, Any]

_CUT = """
table inet cut {
  chain in { type filter hook input priority -300; policy drop; }
  chain out { type filter hook output priority -300; policy drop; }
}
"""


class Member:
    """A member's process, seen from outside."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._orders = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def stopped(self) -> None:
        """Wait until it has come to its step."""
        await self._line("at")

    async def go_on(self, **order: object) -> None:
        """Let it go on from there, after an order."""
        await self._orders.send(json.dumps(order).encode() + b"\n")

    async def outcome(self) -> Outcome:
        """Wait until it has ended; what it says came of its call."""
        told: Outcome = await self._line("outcome")
        return told

    async def _line(self, kind: str) -> Any:
        with anyio.fail_after(PATIENCE):
            return json.loads(await self._lines.receive_until(b"\n", LINE_BYTES))[kind]


@asynccontextmanager
async def member(  # noqa: PLR0913 - a process has many arguments
    host: lab.Host,
    url: str,
    room: str,
    name: str,
    *,
    at: str | None = None,
    timeout: float = PATIENCE,
    round_time: float = ROUND_TIME,
    loop: str = "asyncio",
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Member]:
    """A member in a host; killed at the end, if it is still there."""
    command = [*MEMBER, url, room, name, "--timeout", str(timeout), "--loop", loop]
    command += ["--round-time", str(round_time)]
    command += [] if at is None else ["--at", at]
    async with running(host, command, env=env) as process:
        yield Member(process)


@asynccontextmanager
async def running(host: lab.Host, command: list[str], **options: Any) -> AsyncIterator[Process]:
    """A process in a host; killed at the end, if it is still there."""
    process = await anyio.open_process(host.command(command), **({"stderr": None} | options))
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


class Coordinator:
    """A coordinator's process; it listens when it is told to, as it takes long to get ready."""

    def __init__(self, process: Process, host: lab.Host, port: int) -> None:
        assert process.stdin is not None
        self.process = process
        self._orders = process.stdin
        self._host = host
        self._port = port

    async def listen(self) -> None:
        """Have it listen."""
        await self._orders.send(b"\n")
        with anyio.fail_after(PATIENCE):
            while not any(each.port == self._port for each in self._host.listeners()):  # noqa: ASYNC110
                await anyio.sleep(0.02)

    async def end(self, how: signal.Signals) -> int:
        """Send it a signal and wait until it has ended; its exit code."""
        self.process.send_signal(how)
        with anyio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def coordinator(
    host: lab.Host,
    *,
    port: int = PORT,
    limits: Mapping[str, float] | None = None,
    before: Sequence[str] = (),
) -> AsyncIterator[Coordinator]:
    """A coordinator that does not listen yet; ``before`` is what runs its command."""
    command = [sys.executable, "-c", GATED, "coordinator", "--listen", f"0.0.0.0:{port}"]
    for name, value in (limits or {}).items():
        command += ["--limit", f"{name}={value}"]
    command = [*before, *command]
    async with running(host, command, stderr=subprocess.DEVNULL) as process:
        yield Coordinator(process, host, port)


@asynccontextmanager
async def listening(host: lab.Host, **options: Any) -> AsyncIterator[Coordinator]:
    """A coordinator, with the options of :func:`coordinator`, that listens."""
    async with coordinator(host, **options) as found:
        await found.listen()
        yield found


async def cut(host: lab.Host) -> None:
    """Let nothing into a host and nothing out of it."""
    await host.run(["nft", "-f", "-"], input=_CUT.encode())


async def mend(host: lab.Host) -> None:
    """Undo :func:`cut`."""
    await host.run(["nft", "delete", "table", "inet", "cut"])


def homes(*names: str) -> list[lab.Site]:
    """A host each behind a router of its own, and a public ``server``."""
    sites = [
        lab.Site(f"home-{name}", hosts=[name], gateway="home-router", link=LINK) for name in names
    ]
    return [*sites, lab.Site("internet", hosts=["server"])]


def pairs(steps: Iterable[str]) -> list[lab.Site]:
    """Hosts ``a-step`` and ``b-step`` for each step, and a public ``server``."""
    return homes(*(f"{side}-{step}" for step in steps for side in "ab"))


def url_of(host: lab.Host, port: int = PORT) -> str:
    """How members reach the coordinator in a host."""
    return f"tcp://{host.ipv4}:{port}"


async def play_all(
    steps: Iterable[str], play: Callable[[str], Awaitable[object]]
) -> dict[str, Any]:
    """Play a scene for each step, some at a time; what came of each."""
    found: dict[str, Any] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(step: str) -> None:
        async with limiter:
            found[step] = await play(step)

    async with anyio.create_task_group() as group:
        for step in steps:
            group.start_soon(one, step)
    return found


async def both_outcomes(first: Member, second: Member) -> tuple[Outcome, Outcome]:
    """What both say came of their calls."""
    found: dict[int, Outcome] = {}

    async def one(which: int, each: Member) -> None:
        found[which] = await each.outcome()

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0, first)
        group.start_soon(one, 1, second)
    return found[0], found[1]
