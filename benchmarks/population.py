"""How many pairs of hosts connect, over populations of NATs, beside what others have measured.

``python -m benchmarks.population`` takes some twenty minutes, ``--quick`` some two. Both print what
is predicted of each strategy over each population, with 95 % intervals, and what each pair of
behaviours did; and write ``results/population.jsonl`` (``quick-`` in front for a short run): the
environment, a line for each pair and strategy, a line for each prediction. ``--weigh FILE`` weighs
the pairs of such a file anew, after a change of ``populations.toml``, and runs nothing. ``--drawn
N`` runs N pairs of each profile besides, drawn as they are met, each NAT with all its axes, against
the claim that :class:`~benchmarks.populations.Behaviour` is all that matters.
``python -m benchmarks.population_picture`` draws the predictions.

Strategies. All four are told the endpoint of the other that a third host has seen:

- *simopen*: its engine (``connect_peer`` without a coordinator and without further rounds, which
  could only add to its successes), 10 s;
- *naive*: bind, connect, and again, 10 s;
- *DCUtR*: one connect at a moment that both sides know within a few milliseconds, 5 s, three times;
- *one-shot*: one connect, 10 s, started when each side gets to it.

What is modelled. The NAT behaviours of ``populations.toml`` axis by axis, played by the lab in
front of real kernels (Linux at both ends), round trip 80 ms, no loss; the errors of the starts.
Each pair of behaviours is measured by itself, those that are met often more often, and weighted
afterwards. The simulation plays the same pairs in virtual time, many times.

What is assumed. Every weight that the file calls so, and that axes are independent of each other.
That hosts have one NAT each, and two different ones: no carrier's NAT behind a home's, no two hosts
behind one. That NATs drop a crossing SYN which they block and do nothing else: what is known of
"blocks simultaneous open" is a share, not a mechanism. Nobody listens, opens a port by UPnP, or
has IPv6 or a public address. DCUtR's schedule is its schedule only: the real one also listens on
the port it punches from, tries QUIC beside TCP and several addresses, and its published rate is of
those who had a relay and a public address. Ford et al. let the other side's SYNs come seconds
early, so that a NAT that refuses fails for certain. The published rates stand beside the
predictions and are not what these are tuned to; a difference says that something of this paragraph
matters.

Intervals hold the chance of the trials, not the error of the weights.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import anyio

from benchmarks import population_lab
from benchmarks.commands import arguments, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.population_lab import Cell, Job
from benchmarks.populations import (
    PAIRS,
    STRATEGIES,
    Behaviour,
    BehaviourPair,
    Measurement,
    Populations,
    Strategy,
    behaviour,
    behaviours,
    drawn,
    load,
    pair_weights,
)
from benchmarks.statistics import wilson
from benchmarks.stratified import Estimate, Stratum, estimate
from benchmarks.virtual_strategies import Limits, attempts_to_connect
from simopen import lab

By: TypeAlias = Literal["lab", "simulation"]
Cells: TypeAlias = Mapping[tuple[BehaviourPair, Strategy], Cell]


class Trials(NamedTuple):
    """How often a pair is tried with each strategy: at least, and more where it is met often.

    A pair that is a tenth of what was measured among anybody gets a tenth of ``more``.
    """

    least: int
    more: int

    def of(self, pair: BehaviourPair, found: Populations) -> int:
        """How often a pair is tried."""
        shares = [
            weigh(found, measured)[pair]
            for measured in found.measurements
            if measured.first == "anybody"
        ]
        return self.least + round(self.more * max(shares))


QUICK: dict[By, Trials] = {"lab": Trials(2, 8), "simulation": Trials(40, 0)}
FULL: dict[By, Trials] = {"lab": Trials(10, 400), "simulation": Trials(1000, 0)}
AT_ONCE = 24  # trials under way together: those that fail wait most of their time
CHUNK = 4  # cells handed to a process at once
NAMES = {"simopen": "simopen", "naive": "naive loop", "dcutr": "DCUtR", "one-shot": "one-shot"}
SIDES = {
    "anybody": "any NAT",
    "stable": "a NAT of stable mapping",
    "varies": "a NAT of varying mapping",
    "ideal": "an ideal one",
}
LIMITS = Limits(
    round_trip=4 * population_lab.LATENCY,
    timeout=population_lab.TIMEOUT,
    dcutr_timeout=population_lab.DCUTR_TIMEOUT,
    dcutr_attempts=population_lab.DCUTR_ATTEMPTS,
)


def new_cells() -> dict[tuple[BehaviourPair, Strategy], Cell]:
    """A cell for each pair and strategy."""
    return {(pair, how): Cell(pair, how) for pair in PAIRS for how in STRATEGIES}


# -- weighing --------------------------------------------------------------------------------------


class Prediction(NamedTuple):
    """What one strategy is to reach where somebody has measured something."""

    measurement: Measurement
    strategy: Strategy
    by: By
    rate: Estimate
    at_first: float | None  # share of the successes that need one attempt; None: no success

    def record(self) -> dict[str, Any]:
        """A line of the result file."""
        rounded = {key: round(value, 5) for key, value in self.rate._asdict().items()}
        measured = self.measurement
        return {
            "record": "prediction",
            **{key: getattr(measured, key) for key in ("what", "profile", "first", "second")},
            "strategy": self.strategy,
            "by": self.by,
            **rounded,
            "at_first": self.at_first and round(self.at_first, 5),
            "published": {
                "strategy": measured.strategy,
                **{key: getattr(measured, key) for key in ("rate", "low", "high", "source")},
            },
        }


def weigh(found: Populations, measured: Measurement) -> dict[BehaviourPair, float]:
    """How often each pair is met where something was measured."""
    profile = found.profile(measured.profile)
    return pair_weights(behaviours(profile, measured.first), behaviours(profile, measured.second))


def predict(
    found: Populations, measured: Measurement, strategy: Strategy, by: By, cells: Cells
) -> Prediction:
    """Weigh what the pairs did as often as the pairs are met."""
    weights = weigh(found, measured).items()
    own = [(weight, cells[pair, strategy]) for pair, weight in weights if weight]
    rate = estimate(Stratum(weight, cell.succeeded, cell.trials) for weight, cell in own)
    first = math.fsum(weight * cell.first / cell.trials for weight, cell in own)
    return Prediction(measured, strategy, by, rate, first / rate.rate if rate.rate else None)


def predictions(found: Populations, results: Mapping[By, Cells]) -> list[Prediction]:
    """All of them."""
    return [
        predict(found, measured, strategy, by, cells)
        for measured in found.measurements
        for by, cells in results.items()
        for strategy in STRATEGIES
    ]


# -- showing ---------------------------------------------------------------------------------------


def published(measured: Measurement) -> str:
    """What was measured, in words."""
    interval = "" if measured.low is None else f" ({measured.low:.1%} to {measured.high:.1%})"
    return f"{measured.rate:.1%}{interval}"


def prediction_table(found: Sequence[Prediction]) -> str:
    """What is predicted, beside what was published, as Markdown."""
    rows: dict[tuple[str, By], dict[Strategy, Prediction]] = defaultdict(dict)
    for each in found:
        rows[each.measurement.what, each.by][each.strategy] = each
    head = ["population", "between", "published", "by", *(NAMES[how] for how in STRATEGIES)]
    lines = []
    for (what, by), row in rows.items():
        measured = row["simopen"].measurement
        lines.append(
            [
                measured.profile,
                f"{SIDES[measured.first]} and {SIDES[measured.second]}",
                f"{what}: {published(measured)}",
                by,
                *(str(row[how].rate) for how in STRATEGIES),
            ]
        )
    return table(head, lines)


def differ(first: Cell, second: Cell) -> bool:
    """Whether the 95 % intervals of two cells lie apart."""
    ours, theirs = wilson(first.succeeded, first.trials), wilson(second.succeeded, second.trials)
    return ours[0] > theirs[1] or theirs[0] > ours[1]


def pair_table(results: Mapping[By, Cells]) -> str:
    """What every pair did, in the lab and simulated, as Markdown; marked where these differ."""
    rows = []
    for pair in PAIRS:
        row = [f"{pair[0].value} ~ {pair[1].value}"]
        for how in STRATEGIES:
            cells = [results[by][pair, how] for by in results]
            texts = [f"{cell.succeeded}/{cell.trials}" for cell in cells]
            mark = " (!)" if len(cells) > 1 and differ(*cells) else ""
            row.append(", ".join(texts) + mark)
        rows.append(row)
    words = " and ".join(results)
    return table(["pair", *(f"{NAMES[how]}: {words}" for how in STRATEGIES)], rows)


def show(found: Populations, results: Mapping[By, Cells]) -> None:
    """Print all that is known."""
    predicted = predictions(found, results)
    print(prediction_table(predicted), pair_table(results), sep="\n\n", end="\n\n")
    if len(results) > 1:
        apart = [key for key in results["lab"] if differ(*(each[key] for each in results.values()))]
        print(f"lab and simulation differ (95 %) in {len(apart)} of {len(results['lab'])} cells")
    wild = next(each for each in found.measurements if each.what == "DCUtR in the wild")
    for by, cells in results.items():
        first = predict(found, wild, "dcutr", by, cells).at_first
        if first is not None:
            print(f"DCUtR's successes on the first attempt, {by}: {first:.1%}")
    for by, cells in results.items():
        print(f"streams that carried nothing, {by}: {sum(each.false for each in cells.values())}")


# -- running ---------------------------------------------------------------------------------------


def in_simulation(found: Populations, trials: Trials) -> Cells:
    """Simulate every pair with every strategy."""
    cells = new_cells()
    run = partial(_simulated, found=found, often=trials)
    with progress_bar() as progress, get_context("spawn").Pool(os.cpu_count()) as pool:
        task = progress.add_task("simulated pairs", total=len(cells))
        for cell in pool.imap_unordered(run, cells.values(), CHUNK):
            cells[cell.pair, cell.strategy] = cell
            progress.advance(task)
    return cells


def _simulated(cell: Cell, found: Populations, often: Trials) -> Cell:
    for trial in range(often.of(cell.pair, found)):
        pair = cell.pair if trial % 2 else (cell.pair[1], cell.pair[0])
        seed = f"{cell.pair} {cell.strategy} {trial}"
        attempt = attempts_to_connect(pair, cell.strategy, found, LIMITS, seed)
        cell.trials += 1
        cell.succeeded += attempt is not None
        cell.first += attempt == 1
    return cell


def in_lab(found: Populations, trials: Trials, loop: str) -> Cells:
    """Run every pair with every strategy in the lab."""
    cells = new_cells()
    gateways = {_host(each, side): each.nat for each in Behaviour for side in "lr"}
    jobs = [
        Job((_host(pair[which], "l"), _host(pair[1 - which], "r")), cell)
        for (pair, _), cell in cells.items()
        for which in (trial % 2 for trial in range(trials.of(pair, found)))
    ]
    _run("pairs in the lab", gateways, jobs, found, loop)
    return cells


def _host(which: Behaviour, side: str) -> str:
    return f"{which.name.lower()}-{side}"


def drawn_in_lab(found: Populations, count: int, loop: str) -> dict[tuple[str, Strategy], Cell]:
    """Run pairs of whole NATs as they are met, once with each strategy."""
    cells: dict[tuple[str, Strategy], Cell] = {}
    for profile in found.profiles:
        nats = drawn(profile, 2 * count, profile.name)
        gateways = {f"drawn-{number}": nat for number, nat in enumerate(nats)}
        pair = Behaviour.SILENT, Behaviour.SILENT  # what they are counted under says nothing here
        own = {how: Cell(pair, how) for how in STRATEGIES}
        jobs = [
            Job((f"drawn-{2 * number}", f"drawn-{2 * number + 1}"), cell)
            for number in range(count)
            for cell in own.values()
        ]
        _run(f"drawn from {profile.name}", gateways, jobs, found, loop)
        cells |= {(profile.name, how): cell for how, cell in own.items()}
    return cells


def _run(
    what: str,
    gateways: Mapping[str, lab.Nat],
    jobs: list[Job],
    found: Populations,
    loop: str,
) -> None:
    random.Random(what).shuffle(jobs)
    with progress_bar() as progress:
        task = progress.add_task(what, total=len(jobs))
        advance: Callable[[], None] = partial(progress.advance, task)
        run = partial(population_lab.run, loop=loop, at_once=AT_ONCE, progress=advance)
        anyio.run(run, gateways, jobs, found)


# -- keeping ---------------------------------------------------------------------------------------


def pair_record(by: By, cell: Cell) -> dict[str, Any]:
    """A pair and strategy as a line of the result file; times in seconds."""
    return {
        "record": "pair",
        "by": by,
        "pair": [each.value for each in cell.pair],
        **{key: getattr(cell, key) for key in ("strategy", "trials", "succeeded", "first")},
        "false": cell.false,
        "times": [round(each, 4) for each in cell.times],
    }


def read(path: Path) -> tuple[dict[str, Any], dict[By, Cells]]:
    """The environment and the pairs of a result file."""
    head, *lines = map(json.loads, path.read_text().splitlines())
    results: dict[By, dict[tuple[BehaviourPair, Strategy], Cell]] = {}
    for line in lines:
        if line.pop("record") == "pair":
            by, (first, second) = line.pop("by"), line.pop("pair")
            cell = Cell((Behaviour(first), Behaviour(second)), **line)
            results.setdefault(by, {})[cell.pair, cell.strategy] = cell
    return head, dict(results)


def lines(found: Populations, results: Mapping[By, Cells]) -> Iterable[dict[str, Any]]:
    """The result file, but for its head."""
    for by, cells in results.items():
        yield from (pair_record(by, cell) for cell in cells.values())
    yield from (each.record() for each in predictions(found, results))


def expected(found: Populations, name: str, strategy: Strategy, count: int, cells: Cells) -> float:
    """How many of a profile's first so many drawn pairs connect, if behaviours are all there is."""
    nats = drawn(found.profile(name), 2 * count, name)
    pairs = [(behaviour(a), behaviour(b)) for a, b in zip(nats[::2], nats[1::2], strict=True)]
    own = [cells[pair if pair in PAIRS else (pair[1], pair[0]), strategy] for pair in pairs]
    return math.fsum(cell.succeeded / cell.trials for cell in own)


def drawn_text(
    found: Populations, drawn_cells: Mapping[tuple[str, Strategy], Cell], cells: Cells
) -> str:
    """What drawn pairs did, beside what their behaviours predict, as Markdown."""
    rows = [
        [
            name,
            NAMES[how],
            f"{cell.succeeded}/{cell.trials}",
            "{:.1%} to {:.1%}".format(*wilson(cell.succeeded, cell.trials)),
            f"{expected(found, name, how, cell.trials, cells):.1f}",
        ]
        for (name, how), cell in drawn_cells.items()
    ]
    return table(["drawn from", "strategy", "succeeded", "95 %", "by their behaviours"], rows)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "fewer trials of each pair")
    parser.add_argument("--weigh", type=Path, metavar="FILE", help="weigh its pairs anew")
    parser.add_argument("--drawn", type=int, default=0, metavar="N", help="and N pairs as drawn")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    args = parser.parse_args()
    found = load()
    if args.weigh:
        _, results = read(args.weigh)
        show(found, results)
        return
    require_lab()
    trials = QUICK if args.quick else FULL
    results = {
        "lab": in_lab(found, trials["lab"], args.loop),
        "simulation": in_simulation(found, trials["simulation"]),
    }
    show(found, results)
    drawn_cells = drawn_in_lab(found, args.drawn, args.loop) if args.drawn else {}
    if drawn_cells:
        print("", drawn_text(found, drawn_cells, results["simulation"]), sep="\n")
    head = environment() | {
        "loop": args.loop,
        "trials": {by: each._asdict() for by, each in trials.items()},
        "limits": LIMITS._asdict(),
    }
    extra = [
        {"record": "drawn", "profile": name, "strategy": how,
         "trials": cell.trials, "succeeded": cell.succeeded}
        for (name, how), cell in drawn_cells.items()
    ]  # fmt: skip
    write_lines("population.jsonl", [head, *lines(found, results), *extra], quick=args.quick)


if __name__ == "__main__":
    main()
