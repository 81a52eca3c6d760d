"""Which NATs and firewalls let two hosts meet: every preset of the lab, through a coordinator.

``python -m benchmarks.presets`` takes some twenty minutes, ``--quick`` half of that; both print a
line for each preset and write ``results/presets.jsonl`` (``quick-`` in front for a short run): the
environment, then a line for each pair.

How it is measured
------------------
Each preset stands in front of one site; in front of the other are, in turn, nothing, a home router,
and the same preset. Each pair is a network of its own with a coordinator in the middle, round trip
40 ms, IPv4 alone: IPv6 is not translated, and would be a way around. In each meeting both sides
call ``connect_peer`` with a fresh invite; it has succeeded when both hold a stream and the bytes of
each have come through it. What does not meet is given up after ``TIMEOUT``, so that some pairs are
run side by side. This is about success alone; how long meetings take is
:mod:`benchmarks.rendezvous`.

What is asked: a pair meets every time, unless one of the two maps by destination (``CANNOT``) or
both block crossing SYNs; then never.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import anyio

import simopen
from benchmarks.commands import arguments, require_lab
from benchmarks.common import environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.rendezvous import LEAD, PORT, SKEW
from benchmarks.workers import Worker, ask_both
from simopen import lab

AGAINST = ("open", "home-router")  # and itself
LATENCY = 0.01  # seconds from a site to the middle
AT_ONCE = 6  # networks; those that do not meet do little but wait
CANNOT = frozenset(
    (
        *("symmetric", "symmetric-sequential", "address-dependent", "cellular", "pf"),
        *("linux-masquerade-random", "kernel-random", "kernel-fully-random"),
    )
)
"""Those whose mapping depends on the destination."""

BLOCKS = "crossing-blocked"
HEAD = ("preset", "against open", "against home-router", "against itself", "as asked")


@dataclass
class Pair:
    """Two sites, and what came of their meetings.

    Attributes:
        sites: The presets in front of them.
        trials: Meetings.
        met: Those in which both sides hold a stream that carries both sides' bytes.
        failures: What was said of the others.
    """

    sites: tuple[str, str]
    trials: int = 0
    met: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def can(self) -> bool:
        """Whether it is asked to meet."""
        return CANNOT.isdisjoint(self.sites) and self.sites != (BLOCKS, BLOCKS)

    @property
    def as_asked(self) -> bool:
        """Whether it has met every time, or never where it cannot."""
        return self.met == (self.trials if self.can else 0)

    def network(self) -> list[lab.Site]:
        """The network."""
        members = [
            lab.Site(
                f"site-{name}",
                hosts=[name],
                gateway=None if preset == "open" else preset,
                link=lab.Link(latency=LATENCY),
            )
            for name, preset in zip("ab", self.sites, strict=True)
        ]
        return [*members, lab.Site("public", hosts=["c"])]


def pairs() -> Iterator[Pair]:
    """Every preset against some others and against itself."""
    for name in lab.PRESETS:
        for other in dict.fromkeys((*AGAINST, name)):
            yield Pair((name, other))


async def run_pair(pair: Pair, trials: int, progress: Callable[[], None]) -> None:
    """All meetings of a pair."""
    chances = random.Random(repr(pair.sites))
    async with lab.network(pair.network(), seed=1) as net:
        command = [sys.executable, "-m", "benchmarks.rendezvous", "--coordinator"]
        coordinator = await net["c"].popen(command, stderr=None)
        assert coordinator.stdout is not None  # noqa: S101  # a pipe, as asked for
        await coordinator.stdout.receive()
        workers = (
            await Worker.start(net["a"], "benchmarks.rendezvous", "asyncio"),
            await Worker.start(net["b"], "benchmarks.rendezvous", "asyncio"),
        )
        url = f"tcp://{net['c'].public_ipv4}:{PORT}"
        for _ in range(trials):
            order = {
                "what": "meet",
                "url": url,
                "invite": simopen.Invite.new("bench").reveal(),
                "local": "0.0.0.0:0",
            }
            start = time.monotonic() + LEAD
            first, second = await ask_both(
                workers, order | {"at": start}, order | {"at": start + chances.uniform(0, SKEW)}
            )
            pair.trials += 1
            if first["carries"] and second["carries"]:
                pair.met += 1
            else:
                pair.failures.append(f"{first['words']} | {second['words']}")
            progress()


async def run(trials: int) -> list[Pair]:
    """All pairs, some at a time; those that cannot meet first, since they take longest."""
    found = list(pairs())
    limit = anyio.CapacityLimiter(AT_ONCE)
    with progress_bar() as progress:
        task = progress.add_task("meetings", total=trials * len(found))

        async def one(pair: Pair) -> None:
            async with limit:
                await run_pair(pair, trials, lambda: progress.advance(task))

        async with anyio.create_task_group() as group:
            for pair in sorted(found, key=lambda pair: pair.can):
                group.start_soon(one, pair)
    return found


def table_rows(found: Sequence[Pair]) -> Iterator[list[str]]:
    """A line for each preset."""
    met: Mapping[tuple[str, str], Pair] = {pair.sites: pair for pair in found}
    for name in dict.fromkeys(first for first, _ in met):
        own = [met[name, other] for other in (*AGAINST, name)]
        good = all(pair.as_asked for pair in own)
        counts = [f"{pair.met} of {pair.trials}" for pair in own]
        yield [f"`{name}`", *counts, "yes" if good else "NO"]


def main() -> None:
    """Read the arguments, run and tell."""
    args = arguments(__doc__, "two meetings of each pair").parse_args()
    require_lab()
    found = anyio.run(run, 2 if args.quick else 5)
    write_lines("presets.jsonl", [environment(), *map(asdict, found)], quick=args.quick)
    print(table(HEAD, table_rows(found)))
    for pair in found:
        if not pair.as_asked:
            print(f"\n{' ~ '.join(pair.sites)}: {pair.failures}")
    sys.exit(not all(pair.as_asked for pair in found))


if __name__ == "__main__":
    main()
