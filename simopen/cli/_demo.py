"""``simopen demo``: the whole thing on one machine, seen packet by packet.

Two hosts in network namespaces, a wire between them, and the product's own command on each:
``simopen connect`` with a file as its input. The picture is drawn from the packets themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from rich.console import Console

from simopen import Endpoint, lab
from simopen._report import count, format_seconds
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop
from simopen.lab.capture import ladder, picture

DELAY = 0.020  # seconds one way; a round trip of 40 ms, as between two European cities
FILE_SIZE = 1_000_000  # bytes each way
PATIENCE = 20.0  # seconds until a host gives up
PORTS = range(20_000, 30_000)  # below ip_local_port_range, so that no client is given one of them

Start = Callable[[str, Sequence[str], dict[str, Any]], Awaitable[Process]]


@dataclass
class Side:
    """One of the two hosts.

    Attributes:
        name: ``"a"`` or ``"b"``.
        local: Where it connects from.
        folder: Where its files are.
        events: What its ``simopen connect --json`` has said, by the event's name.
        connected: Set when it is connected.
    """

    name: str
    local: Endpoint
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
            console.print("So two processes on loopback, and no packets to look at.\n")
        return anyio.run(demo, console, Path(folder), **fastest_loop())


async def _in_the_lab(console: Console, folder: Path) -> int:
    capture = folder / "wire.pcapng"
    async with lab.two_hosts(DELAY, capture=capture) as net:
        sides = [
            Side(name, Endpoint(host.ipv4, 40_000), folder) for name, host in net.hosts.items()
        ]
        console.print(
            f"Two hosts, {DELAY * 1000:.0f} ms apart, each in a network namespace of its own:\n"
            f"  a {sides[0].local}   b {sides[1].local}\n"
        )

        async def start(name: str, command: Sequence[str], files: dict[str, Any]) -> Process:
            return await net.hosts[name].popen(command, **files)

        def look_for_listeners() -> str:
            found = {name: net.hosts[name].listeners() for name in net.hosts}
            return ", ".join(f"{name} {rows or 'none'}" for name, rows in found.items())

        listeners = await _meet(sides, start, look_for_listeners)
        records = await net.records()
    steps = ladder.steps(records)
    console.print(picture.draw(steps, ascii_only=not picture.can_show(sys.stdout)), end="")
    console.print(f"\nListening sockets while connected: {listeners}")
    crossed = ladder.crossings(steps)
    console.print(f"SYNs that crossed: {len(crossed)} pair{'' if len(crossed) == 1 else 's'}")
    return _verdict(console, sides)


async def _on_loopback(console: Console, folder: Path) -> int:
    ports = random.sample(PORTS, 2)
    sides = [
        Side(name, Endpoint("127.0.0.1", port), folder)
        for name, port in zip("ab", ports, strict=True)
    ]

    async def start(_: str, command: Sequence[str], files: dict[str, Any]) -> Process:
        return await anyio.open_process(command, **files)

    await _meet(sides, start, lambda: "")
    return _verdict(console, sides)


async def _meet(sides: Sequence[Side], start: Start, once_connected: Callable[[], str]) -> str:
    """Run both hosts; returns what ``once_connected`` said while both were connected."""
    a, b = sides
    async with anyio.create_task_group() as group:
        for side, other in ((a, b), (b, a)):
            side.outgoing.write_bytes(os.urandom(FILE_SIZE))
            group.start_soon(_run_host, side, other, start)
        for side in sides:
            await side.connected.wait()
        seen = once_connected()
    return seen  # noqa: RET504 - said while connected, returned when both have ended


async def _run_host(side: Side, other: Side, start: Start) -> None:
    command = [
        *(sys.executable, "-m", "simopen", "connect", str(other.local)),
        *("--local", str(side.local), "--timeout", str(PATIENCE), "--json"),
    ]
    with side.outgoing.open("rb") as source, side.incoming.open("wb") as sink:
        files = {"stdin": source, "stdout": sink, "stderr": -1}
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
            if event["event"] == "punch.connected":
                side.connected.set()
    side.connected.set()  # or the other would wait for ever


def _verdict(console: Console, sides: Sequence[Side]) -> int:
    a, b = sides
    good = True
    console.print("\nReports:")
    for side in sides:
        console.print(f"  {side.name} {_report_line(side)}")
        good = good and side.code == _exit.OK
    console.print("Files:")
    for sender, receiver in ((a, b), (b, a)):
        sent, got = _digest(sender.outgoing), _digest(receiver.incoming)
        good = good and sent == got
        verdict = "same" if sent == got else f"DIFFERENT: {got[:16]}..."
        console.print(
            f"  {sender.name} to {receiver.name}: {FILE_SIZE:,} bytes, "
            f"sha256 {sent[:16]}... {verdict}",
            markup=False,
        )
    return _exit.OK if good else _exit.FAILED


def _report_line(side: Side) -> str:
    if (connected := side.events.get("punch.connected")) is None:
        failed = side.events.get("punch.failed")
        return f"not connected: {failed['diagnosis'] if failed else 'no report'}"
    report = connected["report"]
    return (
        f"connected in {format_seconds(report['elapsed'])}, "
        f"{count(report['attempts'], 'SYN')}, {report['refusals']:,} refused, "
        f"{report['refreshes']:,} refreshed"
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
