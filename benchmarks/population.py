"""How many pairs of hosts connect, over populations of NATs, beside what others have measured.

``python -m benchmarks.population`` takes some twenty minutes, ``--quick`` some two. Both print what
is predicted of each strategy over each population, with 95 % intervals, what it loses to which
obstacle, and what each pair of behaviours did; and write ``results/population.jsonl`` (``quick-``
in front for a short run): the environment, a line for each condition, pair and strategy, a line for
each prediction. What there is after each condition is in ``unfinished-population.jsonl``.
``--weigh FILE`` weighs the pairs of such a file anew, after a change of ``populations.toml``, and
runs nothing. ``--drawn N`` runs N pairs of each profile besides, drawn as they are met, each NAT
with all its axes, against the claim that :class:`~benchmarks.populations.Behaviour` is all that
matters.
``python -m benchmarks.population_picture`` draws the predictions.

Strategies. All four are told the endpoint of the other that a third host has seen:

- *simopen*: its engine (``connect_peer`` without a coordinator and without further rounds, which
  could only add to its successes), 10 s;
- *naive*: bind, connect, and again, 10 s;
- *DCUtR*: one connect at a moment that both sides know within a few milliseconds, 5 s, three times;
- *one-shot*: one connect, 10 s, started when each side gets to it.

Conditions. Between hosts that are far apart, start together and lose nothing nearly everything
connects that can, and strategies hardly differ. So the same pairs are run with the same errors of
the starts on the three paths of ``populations.toml``: calm, lossy, and near, where a SYN is there
before the other side has begun. And a strategy that connects all the same may have waited a second
for the kernel to repeat a SYN, or five for another attempt: what connects within half a second of
the later start is told apart.

What is modelled. The NAT behaviours of ``populations.toml`` axis by axis, played by the lab in
front of real kernels (Linux at both ends); round trip and loss of the path; the errors of the
starts. Each pair of behaviours is measured by itself, those that are met often more often, and
weighted afterwards. The simulation plays the same pairs in virtual time, many times; where a
mapping varies, that they cannot meet is put in there, not found out.

What is assumed. Every weight that the file calls so, the paths, the errors of the starts, and that
axes are independent of each other. That hosts have one NAT each, and two different ones: no
carrier's NAT behind a home's, no two hosts behind one. That NATs drop a crossing SYN which they
block and do nothing else: what is known of "blocks simultaneous open" is a share, not a mechanism.
Nobody listens, opens a port by UPnP, or has IPv6 or a public address. DCUtR's schedule is its
schedule only: the real one also listens on the port it punches from, tries QUIC beside TCP and
several addresses, and its published rate is of those who had a relay and a public address. Ford et
al. let the other side's SYNs come seconds early, so that a NAT that refuses fails for certain. The
published rates stand beside the predictions and are not what these are tuned to; a difference says
that something of this paragraph matters.

Intervals hold the chance of the trials, not the error of the weights.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from benchmarks import population_lab
from benchmarks.commands import arguments, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar
from benchmarks.population_lab import Cell, Job
from benchmarks.populations import (
    STRATEGIES,
    Behaviour,
    BehaviourPair,
    Condition,
    Populations,
    Strategy,
    drawn,
    load,
)
from benchmarks.predictions import (
    By,
    Cells,
    Results,
    Run,
    drawn_table,
    new_cells,
    predictions,
    told,
    weigh,
)
from benchmarks.virtual_strategies import Limits, connect
from simopen import lab


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


QUICK: dict[By, Trials] = {"lab": Trials(1, 4), "simulation": Trials(20, 0)}
FULL: dict[By, Trials] = {"lab": Trials(6, 240), "simulation": Trials(400, 0)}
"""Under each condition."""

AT_ONCE = 48  # trials under way together: those that fail wait most of their time
CHUNK = 4  # cells handed to a process at once
LIMITS = Limits(
    timeout=population_lab.TIMEOUT,
    dcutr_timeout=population_lab.DCUTR_TIMEOUT,
    dcutr_attempts=population_lab.DCUTR_ATTEMPTS,
    dcutr_pause=population_lab.LEAD,
)


# -- running ---------------------------------------------------------------------------------------


def in_simulation(found: Populations, condition: Condition, trials: Trials) -> Cells:
    """Simulate every pair with every strategy."""
    cells = new_cells()
    run = partial(_simulated, found=found, condition=condition, often=trials)
    with progress_bar() as progress, get_context("spawn").Pool(os.cpu_count()) as pool:
        task = progress.add_task(f"simulated pairs, {condition.name}", total=len(cells))
        for cell in pool.imap_unordered(run, cells.values(), CHUNK):
            cells[cell.pair, cell.strategy] = cell
            progress.advance(task)
    return cells


def _simulated(cell: Cell, found: Populations, condition: Condition, often: Trials) -> Cell:
    for trial in range(often.of(cell.pair, found)):
        pair = cell.pair if trial % 2 else (cell.pair[1], cell.pair[0])
        seed = f"{cell.pair} {cell.strategy} {trial}"
        cell.trials += 1
        if success := connect(pair, cell.strategy, found, condition, LIMITS, seed):
            cell.succeeded += 1
            cell.first += success.attempt == 1
            cell.soon += success.took <= population_lab.SOON
    return cell


def in_lab(found: Populations, condition: Condition, trials: Trials, loop: str) -> Cells:
    """Run every pair with every strategy in the lab."""
    cells = new_cells()
    gateways = {_host(each, side): each.nat for each in Behaviour for side in "lr"}
    jobs = [
        Job((_host(pair[which], "l"), _host(pair[1 - which], "r")), cell)
        for (pair, _), cell in cells.items()
        for which in (trial % 2 for trial in range(trials.of(pair, found)))
    ]
    _run(f"pairs in the lab, {condition.name}", gateways, jobs, found, condition, loop)
    return cells


def _host(which: Behaviour, side: str) -> str:
    return f"{which.name.lower()}-{side}"


def drawn_in_lab(
    found: Populations, condition: Condition, count: int, loop: str
) -> dict[tuple[str, Strategy], Cell]:
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
        _run(f"drawn from {profile.name}", gateways, jobs, found, condition, loop)
        cells |= {(profile.name, how): cell for how, cell in own.items()}
    return cells


def _run(
    what: str,
    gateways: Mapping[str, lab.Nat],
    jobs: list[Job],
    found: Populations,
    condition: Condition,
    loop: str,
) -> None:
    random.Random(what).shuffle(jobs)
    with progress_bar() as progress:
        task = progress.add_task(what, total=len(jobs))
        advance: Callable[[], None] = partial(progress.advance, task)
        run = partial(population_lab.run, loop=loop, at_once=AT_ONCE, progress=advance)
        anyio.run(run, gateways, jobs, found, condition)


# -- keeping ---------------------------------------------------------------------------------------


def pair_record(run: Run, cell: Cell) -> dict[str, Any]:
    """A pair and strategy as a line of the result file; times in seconds."""
    return {
        "record": "pair",
        **run._asdict(),
        "pair": [each.value for each in cell.pair],
        **{key: getattr(cell, key) for key in ("strategy", "trials", "succeeded")},
        **{key: getattr(cell, key) for key in ("first", "soon", "false")},
        "times": [round(each, 4) for each in cell.times],
    }


def read(path: Path) -> tuple[dict[str, Any], Results]:
    """The environment and the pairs of a result file."""
    head, *lines = map(json.loads, path.read_text().splitlines())
    results: dict[Run, dict[tuple[BehaviourPair, Strategy], Cell]] = {}
    for line in lines:
        if line.pop("record") == "pair":
            run, (first, second) = Run(line.pop("condition"), line.pop("by")), line.pop("pair")
            cell = Cell((Behaviour(first), Behaviour(second)), **line)
            results.setdefault(run, {})[cell.pair, cell.strategy] = cell
    return head, dict(results)


def lines(found: Populations, results: Results) -> Iterable[dict[str, Any]]:
    """The result file, but for its head."""
    for run, cells in results.items():
        yield from (pair_record(run, cell) for cell in cells.values())
    yield from (each.record() for each in predictions(found, results))


def show(found: Populations, results: Results) -> None:
    """Print all that is known."""
    for part in told(found, results):
        print(part, end="\n\n")


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "fewer trials of each pair")
    parser.add_argument("--weigh", type=Path, metavar="FILE", help="weigh its pairs anew")
    parser.add_argument("--drawn", type=int, default=0, metavar="N", help="and N pairs as drawn")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    args = parser.parse_args()
    found = load()
    if args.weigh:
        show(found, read(args.weigh)[1])
        return
    require_lab()
    trials = QUICK if args.quick else FULL
    head = environment() | {
        "loop": args.loop,
        "trials": {by: each._asdict() for by, each in trials.items()},
        "limits": LIMITS._asdict(),
        "conditions": {each.name: each.words for each in found.conditions},
    }
    results: dict[Run, Cells] = {}
    for each in found.conditions:
        results[Run(each.name, "lab")] = in_lab(found, each, trials["lab"], args.loop)
        results[Run(each.name, "simulation")] = in_simulation(found, each, trials["simulation"])
        so_far = [head, *lines(found, results)]
        write_lines("unfinished-population.jsonl", so_far, quick=args.quick)
    show(found, results)
    first = found.conditions[0]
    drawn_cells = drawn_in_lab(found, first, args.drawn, args.loop) if args.drawn else {}
    if drawn_cells:
        print(drawn_table(found, drawn_cells, results[Run(first.name, "simulation")]))
    extra = [
        {"record": "drawn", "profile": name, "strategy": how,
         "trials": cell.trials, "succeeded": cell.succeeded}
        for (name, how), cell in drawn_cells.items()
    ]  # fmt: skip
    write_lines("population.jsonl", [head, *lines(found, results), *extra], quick=args.quick)


if __name__ == "__main__":
    main()
