"""The runner's side: adapters started in hosts, trials ordered, answers taken.

An adapter that says nothing for `PATIENCE` beyond a trial's limit, or what is no answer, is killed;
the trial has failed with that as its words, and the next one finds a new process. An adapter that
does not come up at all is absent from then on, with its last words.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.rivals.agent import Answer
from benchmarks.rivals.catalogue import OBSERVER, Contender
from benchmarks.rivals.outcomes import AdapterError, Pair, Result, answered, came_up, judge
from benchmarks.rivals.sites import RTT, network
from benchmarks.rivals.venvs import last_error
from simopen import lab

SKEWS = (0.0, 0.05, 0.4)  # seconds from the earlier start to the later, by turns
LIMIT, QUICK_LIMIT = 20.0, 10.0  # seconds for a trial: of py-libp2p's three rounds all, or two
LEAD = 0.1  # seconds from the last word to the earlier start
PATIENCE = 15.0  # seconds beyond the limit
STARTING = 60.0  # seconds an adapter may take to come up
LINE_BYTES = 1 << 16
FIRST_PORT, LAST_PORT, PORTS = 10_000, 30_000, 16  # below ip_local_port_range


class Agent:
    """An adapter's process in a host."""

    def __init__(self, host: lab.Host, python: Path, contender: Contender, said: Path) -> None:
        self.host = host
        self.versions: dict[str, str] = {}
        self._command = [str(python), "-m", f"benchmarks.rivals.adapters.{contender.adapter}"]
        self._said = said
        self._process: Process | None = None
        self._lines: BufferedByteReceiveStream | None = None

    async def start(self) -> None:
        """Bring it up, if it is not.

        Raises:
            AdapterError: It does not come up; with its own last words.
        """
        if self._process is not None:
            return
        with self._said.open("wb") as stderr:
            self._process = await self.host.popen(self._command, stderr=stderr)
        assert self._process.stdout is not None  # noqa: S101  # a pipe, as asked for
        self._lines = BufferedByteReceiveStream(self._process.stdout)
        self.versions = came_up(await self._line(STARTING))

    async def send(self, what: Mapping[str, Any]) -> None:
        """Tell it something; if it has ended, `hear` will say so."""
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018
        with contextlib.suppress(anyio.BrokenResourceError):
            await self._process.stdin.send(json.dumps(what).encode() + b"\n")

    async def hear(self) -> Answer | dict[str, Any]:
        """What it has for its peer, or its answer.

        Raises:
            AdapterError: It says something else, or nothing.
        """
        return answered(await self._line(LIMIT + PATIENCE))

    async def _line(self, patience: float) -> bytes:
        assert self._lines is not None  # noqa: S101  # it was started
        try:
            with anyio.fail_after(patience):
                return await self._lines.receive_until(b"\n", LINE_BYTES)
        except TimeoutError:
            why = f"said nothing for {patience:g} s"
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.DelimiterNotFound):
            why = last_error(self._said.read_text(errors="replace"))
        self.kill()
        raise AdapterError(why)

    def kill(self) -> None:
        """End it; `start` brings up a new one."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = self._lines = None


@dataclass
class Round:
    """What all contenders' trials of one round have in common.

    Attributes:
        pair: The two sites.
        number: Of the round.
        skew: Seconds from the earlier start to the later.
        late: Which side is the later, 0 or 1.
        phase: Seconds that the earlier start is put off, so that no timer is in step with it.
    """

    pair: Pair
    number: int
    skew: float
    late: int
    phase: float

    @classmethod
    def draw(cls, pair: Pair, number: int) -> Round:
        """The round of this number."""
        chances = random.Random(f"{pair} {number}")
        skew = SKEWS[number % len(SKEWS)]
        return cls(pair, number, skew, chances.randrange(2), chances.uniform(0, RTT))

    def order(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Who is tried when."""
        return random.Random(f"{self.pair} {self.number}").sample(contenders, len(contenders))


@dataclass
class Bench:
    """Runs trials.

    Attributes:
        pythons: The interpreter of each contender, by its name.
        limit: Seconds that a trial may take.
        progress: Told of every trial.
        results: All that came of them.
        absent: Contenders that do not come up, and why.
        versions: Of the packages, as the adapters' environments have them.
    """

    pythons: Mapping[str, Path]
    limit: float
    progress: Callable[[], None] = lambda: None
    results: list[Result] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    _tried: int = 0

    async def run(self, pair: Pair, contenders: Sequence[Contender], trials: int) -> None:
        """All trials of one pair of sites."""
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            net = await stack.enter_async_context(lab.network(network(pair), seed=1))
            await self._start_third_parties(net["c"], contenders, folder)
            agents = {each: self._agents(net, each, folder) for each in contenders}
            for number in range(trials):
                turn = Round.draw(pair, number)
                for each in turn.order(contenders):
                    await self._trial(turn, each, agents[each], net["c"].public_ipv4)
                    self.progress()

    def _agents(self, net: lab.Network, contender: Contender, folder: str) -> tuple[Agent, Agent]:
        python = self.pythons[contender.name]
        said = (Path(folder, f"{contender.adapter}-{name}") for name in "ab")
        a, b = (
            Agent(net[name], python, contender, path) for name, path in zip("ab", said, strict=True)
        )
        return a, b

    async def _start_third_parties(
        self, host: lab.Host, contenders: Sequence[Contender], folder: str
    ) -> None:
        ours = Path(sys.executable)
        programs = [(ours, f"benchmarks.rivals.observer {OBSERVER}", OBSERVER)]
        programs += [(self.pythons[each.name], each.server, each.port) for each in contenders]
        where = os.environ | {"TSTUN_VAR_PREFIX": folder}  # where T-STUN keeps its FIFOs
        with (Path(folder) / "servers").open("wb") as said:
            for python, program, port in programs:
                if not program:
                    continue
                command = [str(python), "-m", *program.split()]
                await host.popen(command, env=where, stdout=said, stderr=said)
                # Not all say when they are ready; the kernel's table does.
                with anyio.move_on_after(STARTING):
                    while port not in {one.port for one in host.listeners()}:  # noqa: ASYNC110
                        await anyio.sleep(0.05)

    async def _trial(
        self, turn: Round, contender: Contender, agents: tuple[Agent, ...], third: str
    ) -> None:
        if contender.name in self.absent:
            return
        try:
            for agent in agents:
                await agent.start()
                self.versions.update(agent.versions)
        except AdapterError as error:
            self.absent[contender.name] = str(error)
            return
        self._tried += 1
        first_port = FIRST_PORT + self._tried * PORTS % (LAST_PORT - FIRST_PORT)
        for which, agent in enumerate(agents):
            await agent.send(
                {
                    "number": self._tried,
                    "first": which == turn.number % 2,
                    "ip": agent.host.ipv4,
                    "ports": list(range(first_port, first_port + PORTS)),
                    "third": third,
                    "observer": OBSERVER,
                    "limit": self.limit,
                }
            )
        sides = await converse(agents, turn)
        self.results.append(judge(contender.name, turn.pair, turn.number, turn.skew, sides))


async def converse(agents: Sequence[Agent], turn: Round) -> tuple[Answer, Answer]:
    """Carry what one side has for the other, until both have answered."""
    while True:
        said: dict[int, Answer | dict[str, Any]] = {}

        async def listen(which: int, said: dict[int, Answer | dict[str, Any]] = said) -> None:
            try:
                said[which] = await agents[which].hear()
            except AdapterError as error:
                agents[which].kill()
                said[which] = Answer(time.monotonic(), words=str(error))

        async with anyio.create_task_group() as both:
            both.start_soon(listen, 0)
            both.start_soon(listen, 1)
        first, second = said[0], said[1]
        if isinstance(first, Answer) and isinstance(second, Answer):
            return first, second
        if isinstance(first, Answer) or isinstance(second, Answer):
            return given_up(agents, first), given_up(agents[1:], second)
        earlier = time.monotonic() + LEAD + turn.phase
        for which, theirs in enumerate((second, first)):
            at = earlier + (turn.skew if which == turn.late else 0.0)
            together = earlier + turn.skew
            await agents[which].send({"theirs": theirs, "at": at, "together": together})


def given_up(agents: Sequence[Agent], said: Answer | dict[str, Any]) -> Answer:
    """The answer of a side whose peer has failed before the start: the first agent's."""
    if isinstance(said, Answer):
        return said
    agents[0].kill()
    return Answer(time.monotonic(), words="the other side failed before the start")
