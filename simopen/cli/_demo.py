"""``simopen demo``: the whole thing on one machine, seen packet by packet.

Two hosts behind a home router each and a coordinator on the internet, all of it in network
namespaces, and the product's own commands on them: ``simopen coordinator`` on one, ``simopen
connect`` with the same invite and a file as its input on the others. Times and picture are read
from the packets themselves (:mod:`._demo_times`), and told by :mod:`._demo_words`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.text import TextReceiveStream
from rich.console import Console

from simopen import Invite, lab
from simopen.capture import picture
from simopen.cli import _demo_words as words
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop
from simopen.cli._demo_times import read_times

HOSTS = ("a", "b")
COORDINATOR = "coordinator"
# Seconds one way to the middle of the internet. The two differ, so that the nearer one has to wait
# for both to fire at once.
DELAYS = {"a": 0.010, "b": 0.020, COORDINATOR: 0.005}
ROUTER = "home-router"
PORT = 7337  # of the coordinator
FILE_SIZE = 200_000  # bytes each way; a larger file would only make the picture late
LAST_PACKETS = 0.1  # seconds until what is on its way at the end has arrived
PATIENCE = 20.0  # seconds until a host gives up
LONGEST_LINE = 65_536  # bytes of what the coordinator says

SIMOPEN = (sys.executable, "-m", "simopen")

Start = Callable[[str, Sequence[str], dict[str, Any]], Awaitable[Process]]


@dataclass
class Side:
    """One of the two hosts.

    Attributes:
        name: ``"a"`` or ``"b"``.
        folder: Where its files are.
        events: What its ``simopen connect --json`` has said, by the event's name.
        connected: Set when it is connected, or never will be.
        code: Its exit code.
    """

    name: str
    folder: Path
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    connected: anyio.Event = field(default_factory=anyio.Event)
    code: int | None = None

    @property
    def outgoing(self) -> Path:
        """The file it sends."""
        return self.folder / f"from-{self.name}"

    @property
    def incoming(self) -> Path:
        """The file it receives."""
        return self.folder / f"at-{self.name}"


def show() -> int:
    """Run the demo and return its exit code."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    with console.status("setting up two hosts") if console.is_terminal else nullcontext():
        reason = lab.why_unavailable()
    with tempfile.TemporaryDirectory(prefix="simopen-demo-") as folder:
        demo = _in_the_lab if reason is None else _on_loopback
        if reason is not None:
            console.print(f"No namespaces here: {reason}")
            console.print(
                "So two processes and a coordinator on loopback, and no packets to look at.\n"
            )
        return anyio.run(demo, console, Path(folder), **fastest_loop())


async def _in_the_lab(console: Console, folder: Path) -> int:
    async with lab.network(_sites(), capture=folder / "wire.pcapng") as net:
        console.print(words.setting(net, DELAYS))

        async def start(name: str, command: Sequence[str], files: dict[str, Any]) -> Process:
            return await net[name].popen(command, **files)

        def look_for_listeners() -> str:
            return ", ".join(f"{name} {net[name].listeners() or 'none'}" for name in HOSTS)

        sides = [Side(name, folder) for name in HOSTS]
        listen = f"{net[COORDINATOR].ipv4}:{PORT}"
        async with _coordinator(start, listen) as rendezvous:
            # IPv4 alone: it is what the routers translate.
            more = ("--rendezvous", rendezvous, "--local", "0.0.0.0:0")
            listeners = await _meet(sides, start, more, look_for_listeners)
            await anyio.sleep(LAST_PACKETS)
        records = await net.records()
    if (times := read_times(records, HOSTS, COORDINATOR)) is not None:
        told = {side.name: side.events.get("rendezvous.introduced", {}) for side in sides}
        console.print(words.timeline(times, told))
        drawn = picture.draw(times.steps, *HOSTS, ascii_only=not picture.can_show(sys.stdout))
        console.print(drawn)
        console.print(words.against_the_bound(times, DELAYS))
        console.print(words.crossings(times))
    console.print(f"Listening sockets while connected: {listeners}")
    return _verdict(console, sides)


async def _on_loopback(console: Console, folder: Path) -> int:
    sides = [Side(name, folder) for name in HOSTS]

    async def start(_: str, command: Sequence[str], files: dict[str, Any]) -> Process:
        return await anyio.open_process(command, **files)

    async with _coordinator(start, "127.0.0.1:0") as rendezvous:
        await _meet(sides, start, ("--rendezvous", rendezvous), lambda: "")
    return _verdict(console, sides)


def _sites() -> list[lab.Site]:
    homes = [
        lab.Site(f"home-{name}", hosts=[name], gateway=ROUTER, link=_link(name)) for name in HOSTS
    ]
    return [*homes, lab.Site("internet", hosts=[COORDINATOR], link=_link(COORDINATOR))]


def _link(name: str) -> lab.Link:
    return lab.Link(latency=DELAYS[name])


@asynccontextmanager
async def _coordinator(start: Start, listen: str) -> AsyncIterator[str]:
    """Run a coordinator; gives the URL that clients know it by."""
    command = (*SIMOPEN, "coordinator", "--listen", listen, "--log-format", "json")
    limits = ("--limit", "connections=100")  # as many as any machine has files for
    nowhere = subprocess.DEVNULL
    files = {"stdin": nowhere, "stdout": nowhere, "stderr": subprocess.PIPE}
    async with await start(COORDINATOR, (*command, *limits), files) as process:
        try:
            yield await _rendezvous(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def _rendezvous(coordinator: Process) -> str:
    assert coordinator.stderr is not None  # noqa: S101 - a pipe, as asked for
    lines = BufferedByteReceiveStream(coordinator.stderr)
    try:
        while True:
            event = json.loads(await lines.receive_until(b"\n", LONGEST_LINE))
            if event["event"] == "coordinator.listening":
                url: str = event["rendezvous"][0]
                return url
    except (ValueError, anyio.IncompleteRead):
        raise OSError("the coordinator has not started") from None


async def _meet(
    sides: Sequence[Side], start: Start, more: Sequence[str], once_connected: Callable[[], str]
) -> str:
    """Run both hosts; returns what ``once_connected`` said while both were connected."""
    invite = sides[0].folder / "invite"
    invite.touch(0o600)
    invite.write_text(Invite.new("demo").reveal())
    async with anyio.create_task_group() as group:
        for side in sides:
            side.outgoing.write_bytes(os.urandom(FILE_SIZE))
            group.start_soon(_run_host, side, start, ("--invite-file", str(invite), *more))
        for side in sides:
            await side.connected.wait()
        seen = once_connected()
    return seen  # noqa: RET504 - said while connected, returned when both have ended


async def _run_host(side: Side, start: Start, more: Sequence[str]) -> None:
    command = (*SIMOPEN, "connect", "--timeout", str(PATIENCE), "--json", *more)
    with side.outgoing.open("rb") as source, side.incoming.open("wb") as sink:
        files = {"stdin": source, "stdout": sink, "stderr": subprocess.PIPE}
        async with await start(side.name, command, files) as process:
            await _listen(side, process)
            side.code = await process.wait()


async def _listen(side: Side, process: Process) -> None:
    text = ""
    assert process.stderr is not None  # noqa: S101 - a pipe, as asked for
    async for part in TextReceiveStream(process.stderr):
        *lines, text = (text + part).split("\n")
        for line in lines:
            event = json.loads(line)
            side.events[event["event"]] = event
            if event["event"] == "connected":
                side.connected.set()
    side.connected.set()  # or the other would wait for ever


def _verdict(console: Console, sides: Sequence[Side]) -> int:
    a, b = sides
    console.print("\nReports:")
    for side in sides:
        console.print(f"  {side.name} {words.report(side.events)}")
    console.print("Files:")
    good = all(side.code == _exit.OK and words.is_proven(side.events) for side in sides)
    for sender, receiver in ((a, b), (b, a)):
        line, same = words.file_line(sender.outgoing.read_bytes(), receiver.incoming.read_bytes())
        console.print(f"  {sender.name} to {receiver.name}: {line}")
        good = good and same
    return _exit.OK if good else _exit.FAILED
