"""Every pair of NAT behaviours in the lab, with every strategy.

Theory of operation. One network has two sites of each behaviour, a host with a warm process in each
(:mod:`benchmarks.strategies`), and an observer in the middle. A trial takes one site of the one
behaviour and one of the other, either way round as often, and a port that nobody has had. Both
sides ask the observer which endpoint it sees; these they are told of each other. Then they are told
when to start, each a little late by the strategy's own error, and what came of it is counted.

A packet from one site to the other crosses two links, so each has a quarter of the round trip, and
loses what makes two of them lose as much as the path is to.

Trials of all pairs are run in a random order, so many at once. DCUtR's next attempt begins when
both sides have ended the last one, and has a fresh error; it is given up after three.

A trial has succeeded when both sides hold a stream and the bytes of each have come through it.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.populations import BehaviourPair, Condition, Populations, Strategy
from benchmarks.strategies import OBSERVER_PORT
from simopen import lab

OBSERVER = "observer"
FIRST_PORT, LAST_PORT = 2_000, 32_000  # below ip_local_port_range
LEAD = 0.1  # seconds from the order to the agreed start, and from DCUtR's attempt to its next
SOON = 0.5  # seconds in which a user does not notice
TIMEOUT = 10.0  # seconds
PATIENCE = 60.0  # seconds until a worker that says nothing has failed
LINE_BYTES = 1 << 16

DCUTR_ATTEMPTS = 3  # go-libp2p's maxRetries
DCUTR_TIMEOUT = 5.0  # seconds an attempt may take; its dialTimeout

Answer: TypeAlias = dict[str, Any]
Attempt: TypeAlias = tuple[Answer, Answer]

WAYS = {"simopen": "engine", "naive": "naive", "dcutr": "single", "one-shot": "single"}


@dataclass
class Cell:
    """A pair of behaviours and a strategy, and what came of its trials.

    Attributes:
        pair: The behaviours.
        strategy: How both sides connected.
        trials: How many there were.
        succeeded: How many did.
        first: Of those, how many on the first attempt; all, where there is only one.
        soon: And how many within :data:`SOON`.
        false: Sides that held a stream which carried nothing.
        times: Of those that succeeded, seconds from the later start of the first attempt to the
            last side's stream.
    """

    pair: BehaviourPair
    strategy: Strategy
    trials: int = 0
    succeeded: int = 0
    first: int = 0
    soon: int = 0
    false: int = 0
    times: list[float] = field(default_factory=list)

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Take a trial's attempts, of which only the last may have succeeded."""
        self.trials += 1
        self.false += sum(
            side["connected"] is not None and not side["proven"]
            for attempt in attempts
            for side in attempt
        )
        if not _succeeded(attempts[-1]):
            return
        self.succeeded += 1
        self.first += len(attempts) == 1
        began = max(side["began"] for side in attempts[0])
        took = max(side["connected"] for side in attempts[-1]) - began
        self.soon += took <= SOON
        self.times.append(took)


def _succeeded(attempt: Attempt) -> bool:
    return all(side["proven"] for side in attempt)


class Worker:
    """The warm process in one host."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._orders = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._writing = anyio.Lock()
        self._count = 0
        self._answers: dict[int, Answer] = {}
        self._told: dict[int, anyio.Event] = {}

    @classmethod
    async def start(cls, host: lab.Host, role: str, loop: str) -> Worker:
        """Start one in a host; it is up when :meth:`ready` returns."""
        command = [sys.executable, "-m", "benchmarks.strategies", role, loop]
        return cls(await host.popen(command, stderr=None))

    async def ready(self) -> None:
        """Wait for its first line."""
        with anyio.fail_after(PATIENCE):
            await self._lines.receive_until(b"\n", LINE_BYTES)

    async def listen(self) -> None:
        """Take its answers until it ends."""
        while True:
            answer = json.loads(await self._lines.receive_until(b"\n", LINE_BYTES))
            self._answers[answer["order"]] = answer
            self._told.pop(answer["order"]).set()

    async def ask(self, what: str, **arguments: object) -> Answer:
        """Give an order; the answer."""
        self._count += 1
        number = self._count
        told = self._told[number] = anyio.Event()
        line = json.dumps({"order": number, "what": what, **arguments}).encode() + b"\n"
        async with self._writing:
            await self._orders.send(line)
        with anyio.fail_after(PATIENCE):
            await told.wait()
        return self._answers.pop(number)


class Job(NamedTuple):
    """A trial that is to be run: between which hosts, and where it counts."""

    hosts: tuple[str, str]
    cell: Cell


@dataclass
class Bench:
    """A network that is up, and how trials are run in it.

    Attributes:
        workers: Of the hosts of each name.
        observer: The observer's endpoint.
        found: How late sides start.
        chances: All chance.
    """

    workers: dict[str, Worker]
    observer: str
    found: Populations
    chances: random.Random
    _ports: Iterator[int] = field(default_factory=lambda: iter(range(FIRST_PORT, LAST_PORT)))

    async def trial(self, job: Job) -> None:
        """Run a trial and count it."""
        port = next(self._ports)
        sides = self.workers[job.hosts[0]], self.workers[job.hosts[1]]
        looks = await _both(
            *(partial(side.ask, "observe", port=port, observer=self.observer) for side in sides)
        )
        remotes = looks[1]["seen"], looks[0]["seen"]
        attempts: list[Attempt] = []
        most = DCUTR_ATTEMPTS if job.cell.strategy == "dcutr" else 1
        while len(attempts) < most and not (attempts and _succeeded(attempts[-1])):
            attempts.append(await self._attempt(job.cell.strategy, sides, remotes, port))
        await _both(*(partial(side.ask, "forget", port=port) for side in sides))
        job.cell.count(attempts)

    async def _attempt(
        self, strategy: Strategy, sides: tuple[Worker, Worker], remotes: tuple[str, str], port: int
    ) -> Attempt:
        agreed = time.monotonic() + LEAD
        return await _both(
            *(
                partial(
                    side.ask,
                    "punch",
                    way=WAYS[strategy],
                    number=port,
                    remote=remote,
                    local=f"0.0.0.0:{port}",
                    at=agreed + self.chances.uniform(0, self.found.spread(strategy)),
                    timeout=DCUTR_TIMEOUT if strategy == "dcutr" else TIMEOUT,
                )
                for side, remote in zip(sides, remotes, strict=True)
            )
        )


async def _both(*asked: Callable[[], Awaitable[Answer]]) -> Attempt:
    """Ask both sides at once."""
    answers: dict[int, Answer] = {}

    async def one(which: int, ask: Callable[[], Awaitable[Answer]]) -> None:
        answers[which] = await ask()

    async with anyio.create_task_group() as group:
        for which, ask in enumerate(asked):
            group.start_soon(one, which, ask)
    return answers[0], answers[1]


def _sites(gateways: Mapping[str, lab.Nat], condition: Condition) -> list[lab.Site]:
    """The network: a site for each host, the observer in the middle."""
    link = lab.Link(latency=condition.round_trip / 4, loss=1 - math.sqrt(1 - condition.loss))
    sites = [
        lab.Site(f"site-{host}", hosts=[host], gateway=gateway, link=link)
        for host, gateway in gateways.items()
    ]
    return [*sites, lab.Site("middle", hosts=[OBSERVER])]


async def run(  # each is a knob of its own
    gateways: Mapping[str, lab.Nat],
    jobs: Sequence[Job],
    found: Populations,
    condition: Condition,
    *,
    loop: str,
    at_once: int,
    progress: Callable[[], None],
) -> None:
    """Run trials in a network of their own.

    Args:
        gateways: The hosts, and what is in front of each.
        jobs: The trials, in the order in which they begin.
        found: How late sides start.
        condition: The path between any two.
        loop: The event loop in the hosts.
        at_once: How many trials are under way together.
        progress: Called after each.
    """
    sites = _sites(gateways, condition)
    async with lab.network(sites, seed=1) as net, anyio.create_task_group() as group:
        observer = await Worker.start(net[OBSERVER], "observer", loop)
        workers = {host: await Worker.start(net[host], "worker", loop) for host in gateways}
        for worker in (observer, *workers.values()):
            await worker.ready()
        for worker in workers.values():
            group.start_soon(worker.listen)
        endpoint = f"{net[OBSERVER].public_ipv4}:{OBSERVER_PORT}"
        bench = Bench(workers, endpoint, found, random.Random(1))
        queue = iter(jobs)

        async def lane() -> None:
            for job in queue:
                await bench.trial(job)
                progress()

        async with anyio.create_task_group() as lanes:
            for _ in range(at_once):
                lanes.start_soon(lane)
        group.cancel_scope.cancel()
