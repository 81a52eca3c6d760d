"""A coordinator in a process of its own, those who attack it, and members who must not notice.

An attack is a coroutine function that plays one connection and returns the coordinator's last word
on it: a code, the name of a message, or ``nothing``. :func:`storm` has it played by many at once,
from many addresses, and again as soon as it is over.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from simopen import Endpoint
from simopen.rendezvous.protocol import (
    COORDINATOR_MESSAGES,
    Error,
    FrameReader,
    Introduce,
    Outcome,
    Ping,
    Pong,
    Reject,
    Result,
    Welcome,
)
from tests.rendezvous.clients import PATIENCE, Client, join, new_tag, until

ATTACKERS = 60  # at once
NETWORK = 40  # addresses that they come from; each may have a burst of 200 connections
PAUSE = 0.05  # seconds from one connection's end to the attacker's next
NOTHING = "nothing"
KEPT = "kept"  # open, for longer than any limit here
GAUGES = ("connections", "members", "rooms")
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
SHORT = ("handshake=1", "grace=1")  # the tests have to wait for them

PROXIED = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c")  # and then both addresses and ports

_networks = itertools.count(1)


# -- the coordinator -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """The command as an operator runs it, with nearly the limits that it has by itself.

    Attributes:
        process: It.
        log: Its standard error, a file.
        endpoint: Where it listens.
        probing: Its second port.
        health: Where it answers its operator.
        tls: For clients, where it speaks TLS.
        proxied: Connections begin with a PROXY header.
    """

    process: subprocess.Popen[bytes]
    log: Path
    endpoint: Endpoint
    probing: Endpoint
    health: Endpoint
    tls: ssl.SSLContext | None = None
    proxied: bool = False

    async def connect(self, source: str) -> SocketStream:
        """A TCP connection from one of loopback's addresses."""
        return await anyio.connect_tcp(*self.endpoint, local_host=source)

    async def client(self, source: str) -> Client:
        """A connection that is ready for messages."""
        stream: ByteStream = await self.connect(source)
        try:
            if self.proxied:
                await stream.send(proxy_header(source))
            if self.tls is not None:
                stream = await TLSStream.wrap(
                    stream, server_side=False, ssl_context=self.tls, standard_compatible=False
                )
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return Client(stream)

    async def metrics(self) -> dict[str, float]:
        """The coordinator's metrics now, without their common prefix; waits for a busy port."""
        with anyio.fail_after(2 * PATIENCE):
            while not (page := await anyio.to_thread.run_sync(self._page)):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        found = re.findall(r"^simopen_coordinator_(\S+) (\S+)$", page, re.MULTILINE)
        return {name: float(value) for name, value in found}

    async def sizes(self) -> tuple[int, int, int]:
        """How many connections, members and rooms there are."""
        metrics = await self.metrics()
        connections, members, rooms = (int(metrics[name]) for name in GAUGES)
        return connections, members, rooms

    async def emptied(self) -> None:
        """Wait until nobody is left."""
        with anyio.fail_after(2 * PATIENCE):
            while any(await self.sizes()):  # noqa: ASYNC110 - it has no event for us
                await anyio.sleep(0.05)

    def memory(self) -> int:
        """The most bytes that it has had resident since :meth:`forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def forget_peak(self) -> None:
        """From here on the peak is counted anew (``proc(5)``, ``clear_refs``)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def said(self) -> list[str]:
        """The events in its log."""
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]

    def _page(self) -> str:
        url = f"http://{self.health}/metrics"
        with suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return str(answer.read(), "utf-8")
        return ""


@contextmanager
def running(
    folder: Path, *options: str, tls: ssl.SSLContext | None = None, proxied: bool = False
) -> Iterator[Running]:
    """Run ``simopen coordinator``."""
    command = [sys.executable, "-m", "simopen", "coordinator", "--listen", "127.0.0.1:0"]
    command += ["--metrics", "0", "--log-format", "json", *options]
    for limit in ("connections=5000", *SHORT):  # as many as a developer's machine has files for
        command += ["--limit", limit]
    command += ["--proxy-protocol"] * proxied
    log = folder / "log"
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            told = _first_line(log)
            places = (told["listen"][0], told["probes"][0], told["metrics"][0].split("/")[2])
            endpoint, probing, health = map(_endpoint, places)
            yield Running(process, log, endpoint, probing, health, tls, proxied)
        finally:
            process.kill()


def _first_line(log: Path) -> dict[str, Any]:
    give_up_at = time.monotonic() + 4 * PATIENCE  # an interpreter starts, on a busy machine
    while time.monotonic() < give_up_at:
        line, ended, _ = log.read_text().partition("\n")
        if ended:
            told: dict[str, Any] = json.loads(line)
            return told
        time.sleep(0.02)
    raise TimeoutError(f"the coordinator said {log.read_text()!r}")


def _endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    return Endpoint(host, int(port))


def proxy_header(source: str, port: int = 40_000) -> bytes:
    """What a load balancer writes first."""
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1")
    return PROXIED + addresses + struct.pack("!HH", port, 7337)


# -- the members -----------------------------------------------------------------------------------


async def enter(client: Client, tag: bytes, *, measured: bool = False) -> None:
    """Take a seat in a room; where a load balancer hides the round trip it is measured first."""
    if measured:
        await client.send(Pong(number=(await client.receive(Ping)).number))
    await client.send(join(tag))
    await client.receive(Welcome)


async def meet(*members: Client) -> None:
    """See to the end of it that those who have entered a room meet there."""
    for client in members:
        told = await client.receive(Introduce)
        await client.send(Result(round=told.round, outcome=Outcome.OK, elapsed=0.1))
        assert await client.ended()


async def meeting(coordinator: Running, source: str = "127.0.0.2") -> float:
    """Two members come, and meet in a room of their own; returns how many seconds that took."""
    began = time.monotonic()
    tag = new_tag()
    async with await coordinator.client(source) as a, await coordinator.client(source) as b:
        for client in (a, b):
            await enter(client, tag, measured=coordinator.proxied)
        await meet(a, b)
    return time.monotonic() - began


# -- the attackers ---------------------------------------------------------------------------------

Attack: TypeAlias = Callable[[Running, str], Awaitable[str]]


@asynccontextmanager
async def storm(
    coordinator: Running, attack: Attack, attackers: int = ATTACKERS
) -> AsyncIterator[Counter[str]]:
    """Attack for as long as the block runs, and until each attacker has had an end.

    Each storm comes from a network of its own, so that none finds its allowance spent. Yields how
    often which word was the last one; complete when the block is left.
    """
    network = next(_networks)
    got: Counter[str] = Counter()

    async def attacker(number: int) -> None:
        source = f"127.77.{network}.{1 + number % NETWORK}"
        while True:
            try:
                word = await attack(coordinator, source)
            except (OSError, *BROKEN):
                word = NOTHING
            got[word] += 1
            await anyio.sleep(PAUSE)

    async with anyio.create_task_group() as group:
        for number in range(attackers):
            group.start_soon(attacker, number)
        yield got
        await until(lambda: got.total() >= attackers)
        group.cancel_scope.cancel()


async def last_word(stream: ByteStream) -> str:
    """The last thing that the coordinator says before it closes, if it ever does."""
    reader = FrameReader(COORDINATOR_MESSAGES)
    word = NOTHING
    with suppress(*BROKEN), anyio.move_on_after(PATIENCE) as patience:
        while True:
            for message in reader.feed(await stream.receive()):
                word = type(message).__name__.lower()
                if isinstance(message, Error | Reject):
                    word = message.code
    return KEPT if patience.cancelled_caught else word


def sending(*parts: bytes | Callable[[], bytes], every: float = 0.0) -> Attack:
    """Sends these, so many seconds apart, each time anew where they are made; then listens."""

    async def attack(coordinator: Running, source: str) -> str:
        async with (
            await coordinator.client(source) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(_send, client.stream, parts, every)
            word = await last_word(client.stream)
            group.cancel_scope.cancel()
        return word

    return attack


async def _send(
    stream: ByteStream, parts: Sequence[bytes | Callable[[], bytes]], every: float
) -> None:
    with suppress(*BROKEN):  # it has hung up, and may have said why
        for part in parts:
            await stream.send(part if isinstance(part, bytes) else part())
            await anyio.sleep(every)


def sending_raw(data: bytes) -> Attack:
    """Sends this before TLS and any header, then waits to be cut off."""

    async def attack(coordinator: Running, source: str) -> str:
        async with await coordinator.connect(source) as stream:
            with suppress(*BROKEN):
                await stream.send(data)
            return await last_word(stream)

    return attack


async def vanish(coordinator: Running, source: str) -> str:
    """Joins a room of its own and closes in the same moment."""
    async with await coordinator.client(source) as client:
        await client.send(join(new_tag()))
    return NOTHING


async def vanish_with_a_reset(coordinator: Running, source: str) -> str:
    """The same without an orderly end."""
    async with await coordinator.client(source) as client:
        await client.send(join(new_tag()))
        raw = client.stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    return NOTHING


async def half_close(coordinator: Running, source: str) -> str:
    """Joins, and says in the same breath that no more will come."""
    async with await coordinator.client(source) as client:
        await client.send(join(new_tag()))
        await client.stream.send_eof()
        return await last_word(client.stream)


async def meet_themselves(coordinator: Running, source: str) -> str:
    """Has the coordinator introduce two of its own, and reports a failure, round after round."""
    tag = new_tag()
    seats = [secrets.token_bytes(16) for _ in range(2)]
    for number in range(1, 4):
        async with await coordinator.client(source) as a, await coordinator.client(source) as b:
            for client, seat in zip((a, b), seats, strict=True):
                await client.send(join(tag, seat, round_=number))
                await client.receive(Welcome)
            for client in (a, b):
                told = await client.receive(Introduce)
                await client.send(Result(round=told.round, outcome=Outcome.FAILED, elapsed=0))
            await anyio.sleep(0.1)  # or the rate of its connections would be the test
    return "introduce"
