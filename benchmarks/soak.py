"""An hour of members who come and go: memory, descriptors and tasks of a coordinator must be flat.

``python -m benchmarks.soak`` takes one hour, ``--quick`` two minutes, ``--seconds`` any other time
(what is written in less than an hour has ``quick-`` before its name). It prints its verdict and
writes ``results/soak.jsonl``: the environment with the seed, a line for each sample, a line for the
end. ``results/soak.png`` shows the samples (:mod:`benchmarks.soak_picture`).

How it is measured
------------------
Two coordinators, plain and TLS, each in a process of its own on uvloop, with metrics for
Prometheus (:mod:`benchmarks.watched`). So many visitors (:data:`VISITORS`) come to each, do one
thing (:mod:`benchmarks.visits`), and come again as somebody else; what they do is drawn from the
seed. Every ten seconds each coordinator's ``/metrics`` are read.

Asked: by the least-squares line through the last three quarters of the samples each figure grows by
no more than its share of ``MOST_GROWTH``; when all visitors have left and every time limit has run
out, descriptors and tasks are as many as before the first one, and there is nobody left in any
table; no visitor was denied what it was owed.
"""

from __future__ import annotations

import random
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from benchmarks import soak_picture
from benchmarks.commands import Judgement, arguments, conclude
from benchmarks.common import LOOPS, RESULTS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.servers import Server, free_port, metrics, running, write_certificate
from benchmarks.statistics import slope
from benchmarks.visits import VISITS, Door
from benchmarks.watched import TASKS
from benchmarks.workers import sleep_until
from simopen.rendezvous._prometheus import PREFIX

HOUR, QUICK = 3600.0, 120.0  # seconds
VISITORS = 60  # at once, of each coordinator
INTERVAL = 10.0  # seconds between samples
REST = 15.0  # seconds after the last visitor, more than any time limit
VISIT_TIMEOUT = 60.0  # seconds; more than any visit takes
WARM_UP = 0.25  # of the samples, which are not judged
SEED = 6

MOST_GROWTH = {"memory": 0.05, "descriptors": 0.10, "tasks": 0.10}  # of the mean
NOBODY = ("connections", "members", "rooms")


@dataclass(frozen=True)
class Sample:
    """One coordinator at one moment.

    Attributes:
        service: ``"plain"`` or ``"TLS"``.
        at: Seconds since the first visitors.
        memory: Resident bytes.
        descriptors: Open files.
        tasks: Of its loop.
        connections: Open.
        members: Seats taken.
        rooms: How many.
    """

    service: str
    at: float
    memory: float
    descriptors: float
    tasks: float
    connections: float
    members: float
    rooms: float


@dataclass(frozen=True)
class Service:
    """One coordinator.

    Attributes:
        name: ``"plain"`` or ``"TLS"``.
        server: Its process.
        health_port: Where its metrics are.
        door: Where its visitors go.
    """

    name: str
    server: Server
    health_port: int
    door: Door

    async def sample(self, at: float) -> Sample:
        """Look at it now."""
        found = await anyio.to_thread.run_sync(metrics, self.health_port)
        return Sample(
            self.name,
            round(at, 3),
            memory=found["process_resident_memory_bytes"],
            descriptors=found["process_open_fds"],
            tasks=found[TASKS],
            **{name: found[f"{PREFIX}_{name}"] for name in NOBODY},
        )


# -- the coordinators ------------------------------------------------------------------------------


def start(stack: ExitStack, name: str, files: Sequence[Path]) -> Service:
    """Start a coordinator; it ends with the stack."""
    port = free_port()
    ports = [port, port + 1, port + 2]
    command = [sys.executable, "-m", "benchmarks.watched", *map(str, ports)]
    server = stack.enter_context(running([*command, *map(str, files)], port))
    tls = ssl.create_default_context(cafile=files[0]) if files else None
    if tls is not None:
        tls.check_hostname = False  # the certificate is for 127.0.0.1, and some come over ::1
    return Service(name, server, ports[2], Door(ports[0], ports[1], tls))


# -- the visitors ----------------------------------------------------------------------------------


async def keep_visiting(
    door: Door, chances: random.Random, until: float, counts: Counter[str]
) -> None:
    """Visit again and again until a time of the monotonic clock; counts how each visit went."""
    kinds, weights = list(VISITS), list(VISITS.values())
    while time.monotonic() < until:
        (visit,) = chances.choices(kinds, weights)
        name = getattr(visit, "__name__", "")
        try:
            with anyio.fail_after(VISIT_TIMEOUT):
                await visit(door, chances)
        except Exception as error:  # noqa: BLE001 - it is counted, and judged in the end
            counts[f"{name}: {type(error).__name__}: {error}"] += 1
        else:
            counts[name] += 1


async def run(
    services: Sequence[Service], seconds: float, visitors: int, seed: int
) -> tuple[list[Sample], list[Sample], list[Sample], Counter[str]]:
    """All of it: samples before, during and after, and how the visits went."""
    counts: Counter[str] = Counter()
    before = [await service.sample(0.0) for service in services]
    samples: list[Sample] = []
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for service in services:
            for number in range(visitors):
                chances = random.Random(f"{seed} {service.name} {number}")
                group.start_soon(keep_visiting, service.door, chances, began + seconds, counts)
        with progress_bar() as progress:
            task = progress.add_task("samples", total=int(seconds / INTERVAL))
            for number in range(1, int(seconds / INTERVAL) + 1):
                await sleep_until(began + number * INTERVAL)
                at = time.monotonic() - began
                samples += [await service.sample(at) for service in services]
                words = f"{sum(counts.values()):,} visits, {samples[-1].memory / 2**20:.1f} MiB"
                progress.update(task, advance=1, description=words)
    await anyio.sleep(REST)
    after = [await service.sample(time.monotonic() - began) for service in services]
    return before, samples, after, counts


# -- the verdict -----------------------------------------------------------------------------------


def growth(samples: Sequence[Sample], figure: str) -> float:
    """By what part of its mean a figure grows over the samples that are judged."""
    judged = samples[int(len(samples) * WARM_UP) :]
    points = [(each.at, getattr(each, figure)) for each in judged]
    mean = sum(value for _, value in points) / len(points)
    span = judged[-1].at - judged[0].at
    return float(slope(points) * span / mean)


def remains(before: Sample, after: Sample) -> list[str]:
    """What is still there when everybody has gone."""
    left = [name for name in NOBODY if getattr(after, name)]
    return left + [
        name for name in ("descriptors", "tasks") if getattr(after, name) > getattr(before, name)
    ]


def failures(counts: Mapping[str, int]) -> dict[str, int]:
    """The visits that were denied what they were owed."""
    return {what: count for what, count in counts.items() if ":" in what}


def show(
    before: Sequence[Sample],
    samples: Sequence[Sample],
    after: Sequence[Sample],
    counts: Mapping[str, int],
) -> Judgement:
    """Print the verdict; whether what is asked is met."""
    told, judgement = verdict(before, samples, after)
    print(told)
    print(
        f"\n{sum(counts.values()):,} visits: "
        + "; ".join(f"{what} {count:,}" for what, count in sorted(counts.items()))
    )
    served = not failures(counts)
    return Judgement(judgement.met and served, judgement.sound and served)


def verdict(
    before: Sequence[Sample], samples: Sequence[Sample], after: Sequence[Sample]
) -> tuple[str, Judgement]:
    """The figures as a table, and whether what is asked of them is met; growth takes an hour."""
    rows, met, sound = [], True, True
    for first, last in zip(before, after, strict=True):
        own = [each for each in samples if each.service == first.service]
        for figure, most in MOST_GROWTH.items():
            grown = growth(own, figure)
            good = grown <= most
            met &= good
            values = [getattr(each, figure) for each in (first, own[-1], last)]
            texts = [_text(figure, value) for value in values]
            rows.append([first.service, figure, *texts, f"{grown:+.1%}", f"{most:.0%}", _yes(good)])
        left = remains(first, last)
        sound &= not left
        rows.append(
            [first.service, "left over", "", "", ", ".join(left), "", "none", _yes(not left)]
        )
    head = ["coordinator", "", "before", "last", "after", "growth", "asked", "met"]
    return table(head, rows), Judgement(met and sound, sound)


def _text(figure: str, value: float) -> str:
    return f"{value / 2**20:.1f} MiB" if figure == "memory" else f"{value:g}"


def _yes(good: bool) -> str:  # noqa: FBT001 - a table's word
    return "yes" if good else "NO"


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "two minutes")
    parser.add_argument("--seconds", type=float, help="an hour if it is not said")
    parser.add_argument("--visitors", type=int, default=VISITORS, help="of each coordinator")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    args.seconds = args.seconds or (QUICK if args.quick else HOUR)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = [
            start(stack, "plain", ()),
            start(stack, "TLS", write_certificate(folder)),
        ]
        extent = (services, args.seconds, args.visitors, args.seed)
        before, samples, after, counts = anyio.run(run, *extent, **LOOPS["uvloop"])
    told: dict[str, Any] = {name: getattr(args, name) for name in ("seconds", "visitors", "seed")}
    head = environment() | told
    end = {"before": [*map(asdict, before)], "after": [*map(asdict, after)], "visits": counts}
    path = write_lines("soak.jsonl", [head, *map(asdict, samples), end], quick=args.seconds < HOUR)
    soak_picture.draw(path, RESULTS / f"{path.stem}.png")
    conclude(show(before, samples, after, counts), quick=args.seconds < HOUR)


if __name__ == "__main__":
    main()
