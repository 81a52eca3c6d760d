"""What strategies are to reach over populations of NATs, from what they did with each pair.

Theory of operation. A *run* is all pairs of behaviours with all strategies under one condition, in
the lab or simulated. For each published rate its pairs are weighted as often as they are met there
(:func:`weigh`): that gives a rate with its interval, and the same weights say of what the failures
are made. Each pair has one obstacle, the first of :class:`Obstacle` that it has.

Pure.
"""

from __future__ import annotations

import enum
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from benchmarks.display import table
from benchmarks.population_lab import SOON, Cell
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
    pair_weights,
)
from benchmarks.statistics import wilson
from benchmarks.stratified import Estimate, Stratum, estimate
from simopen import lab

By: TypeAlias = Literal["lab", "simulation"]
Cells: TypeAlias = Mapping[tuple[BehaviourPair, Strategy], Cell]
Record: TypeAlias = Mapping[str, Any]

NAMES: dict[Strategy, str] = {
    "simopen": "simopen",
    "naive": "naive loop",
    "dcutr": "DCUtR",
    "one-shot": "one-shot",
}
SIDES = {
    "anybody": "any NAT",
    "stable": "a NAT of stable mapping",
    "varies": "a NAT of varying mapping",
    "ideal": "an ideal one",
}


class Run(NamedTuple):
    """Under which condition all pairs were tried, and where."""

    condition: str
    by: By


Results: TypeAlias = Mapping[Run, Cells]


def new_cells() -> dict[tuple[BehaviourPair, Strategy], Cell]:
    """A cell for each pair and strategy."""
    return {(pair, how): Cell(pair, how) for pair in PAIRS for how in STRATEGIES}


class Obstacle(enum.Enum):
    """What may keep a pair from connecting, the worst first."""

    VARIES = "a mapping varies"
    BLOCKS = "both block crossing SYNs"
    REFUSES = "early SYNs are refused"
    NONE = "nothing in the way"


def obstacle(pair: BehaviourPair) -> Obstacle:
    """What stands between two behaviours; where a NAT admits everybody, the host refuses."""
    if Behaviour.VARIES in pair:
        return Obstacle.VARIES
    if not any(each.crosses for each in pair):
        return Obstacle.BLOCKS
    if any(each.admits_all or each.answer is not lab.Unsolicited.SILENCE for each in pair):
        return Obstacle.REFUSES
    return Obstacle.NONE


# -- weighing --------------------------------------------------------------------------------------


class Prediction(NamedTuple):
    """What one strategy is to reach where somebody has measured something.

    Attributes:
        measurement: What was published.
        strategy: Which.
        run: Under which condition, and where it was tried.
        rate: Share of all pairs that connect.
        soon: Share of all pairs that connect within :data:`~benchmarks.population_lab.SOON`.
        lost: Share of all pairs that do not connect, by their obstacle.
        at_first: Share of the successes that need one attempt; None: no success.
    """

    measurement: Measurement
    strategy: Strategy
    run: Run
    rate: Estimate
    soon: float
    lost: Mapping[Obstacle, float]
    at_first: float | None

    def record(self) -> dict[str, Any]:
        """A line of the result file."""
        measured = self.measurement
        return {
            "record": "prediction",
            **{key: getattr(measured, key) for key in ("what", "profile", "first", "second")},
            "strategy": self.strategy,
            **self.run._asdict(),
            **{key: round(value, 5) for key, value in self.rate._asdict().items()},
            "soon": round(self.soon, 5),
            "lost": {each.value: round(share, 5) for each, share in self.lost.items()},
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
    found: Populations, measured: Measurement, strategy: Strategy, run: Run, cells: Cells
) -> Prediction:
    """Weigh what the pairs did as often as the pairs are met."""
    weights = weigh(found, measured).items()
    own = [(weight, cells[pair, strategy]) for pair, weight in weights if weight]
    rate = estimate(Stratum(weight, cell.succeeded, cell.trials) for weight, cell in own)
    first = math.fsum(weight * cell.first / cell.trials for weight, cell in own)
    soon = math.fsum(weight * cell.soon / cell.trials for weight, cell in own)
    lost = dict.fromkeys(Obstacle, 0.0)
    for weight, cell in own:
        lost[obstacle(cell.pair)] += weight * (1 - cell.succeeded / cell.trials)
    at_first = first / rate.rate if rate.rate else None
    return Prediction(measured, strategy, run, rate, soon, lost, at_first)


def predictions(found: Populations, results: Results) -> list[Prediction]:
    """All of them."""
    return [
        predict(found, measured, strategy, run, cells)
        for measured in found.measurements
        for run, cells in results.items()
        for strategy in STRATEGIES
    ]


# -- telling, as Markdown --------------------------------------------------------------------------


def published(record: Record) -> str:
    """What was measured, in words."""
    told = record["published"]
    interval = "" if told["low"] is None else f" ({told['low']:.1%} to {told['high']:.1%})"
    return f"{record['what']}: {told['rate']:.1%}{interval}"


def prediction_table(records: Iterable[Record]) -> str:
    """What is predicted, beside what was published, from the lines of the result file."""
    rows: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for each in records:
        rows[each["what"], each["condition"], each["by"]].append(each)
    head = ("population", "between", "published", "path", "by", *NAMES.values())
    lines = []
    for (_, path, by), row in rows.items():
        sides = " and ".join(SIDES[row[0][side]] for side in ("first", "second"))
        rates = {each["strategy"]: _rate(each) for each in row}
        told = [row[0]["profile"], sides, published(row[0]), path, by]
        lines.append([*told, *(rates[how] for how in NAMES)])
    return table(head, lines)


def _rate(record: Record) -> str:
    return str(Estimate(*(record[name] for name in Estimate._fields)))


def lost_table(records: Iterable[Record]) -> str:
    """What comes of all pairs, and when: shares, from the same lines."""
    head = ["population", "path", "by", "strategy", f"within {SOON:g} s", "later"]
    return table(
        [*head, *(f"never: {each.value}" for each in Obstacle)],
        (
            [
                *(each[name] for name in ("profile", "condition", "by")),
                NAMES[each["strategy"]],
                f"{each['soon']:.1%}",
                f"{each['rate'] - each['soon']:.1%}",
                *(f"{each['lost'][what.value]:.1%}" for what in Obstacle),
            ]
            for each in records
        ),
    )


def differ(first: Cell, second: Cell) -> bool:
    """Whether the 95 % intervals of two cells lie apart."""
    ours, theirs = wilson(first.succeeded, first.trials), wilson(second.succeeded, second.trials)
    return ours[0] > theirs[1] or theirs[0] > ours[1]


def pair_table(results: Mapping[By, Cells]) -> str:
    """What every pair did under one condition; marked where lab and simulation differ."""
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


def expected(found: Populations, name: str, strategy: Strategy, count: int, cells: Cells) -> float:
    """How many of a profile's first so many drawn pairs connect, if behaviours are all there is."""
    nats = drawn(found.profile(name), 2 * count, name)
    pairs = [(behaviour(a), behaviour(b)) for a, b in zip(nats[::2], nats[1::2], strict=True)]
    own = [cells[pair if pair in PAIRS else (pair[1], pair[0]), strategy] for pair in pairs]
    return math.fsum(cell.succeeded / cell.trials for cell in own)


def drawn_table(
    found: Populations, drawn_cells: Mapping[tuple[str, Strategy], Cell], cells: Cells
) -> str:
    """What drawn pairs did, beside what their behaviours predict."""
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


def told(found: Populations, results: Results) -> Iterable[str]:
    """All that is known, part by part."""
    records = [each.record() for each in predictions(found, results)]
    yield prediction_table(records)
    whole = [each for each in records if each["first"] == each["second"] == "anybody"]
    yield lost_table(whole)
    for condition in found.conditions:
        own = {run.by: cells for run, cells in results.items() if run.condition == condition.name}
        if own:
            yield f"{condition.name} ({condition.words}):\n\n{pair_table(own)}"
            yield _remarks(own)
    for each in whole:
        if each["strategy"] == each["published"]["strategy"] == "dcutr" and each["at_first"]:
            where = f"{each['condition']}, {each['by']}"
            yield f"DCUtR's successes on the first attempt, {where}: {each['at_first']:.1%}"


def _remarks(own: Mapping[By, Cells]) -> str:
    said = [
        f"streams that carried nothing, {by}: {sum(each.false for each in cells.values())}"
        for by, cells in own.items()
    ]
    if len(own) > 1:
        apart = [key for key in own["lab"] if differ(*(cells[key] for cells in own.values()))]
        said.append(f"lab and simulation differ (95 %) in {len(apart)} of {len(own['lab'])} cells")
    return "\n".join(said)
