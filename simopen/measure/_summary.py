"""What all trials of a run show, as figures and as the table that both hosts print.

Theory of operation. A trial counts if it is known what became of it: the peer has told of it, or it
was introduced and we could not connect. What is left are trials to which nobody came, or of which
nobody can say, as where two fixed endpoints have never connected, or the peer has gone in the
middle: they are shown, with what they would make of the rate at worst, and are no failures to
connect. A trial has succeeded if both sides held the stream and bytes crossed it both ways. A time
is there where both clocks could be compared.

All times are in seconds; the table has milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from simopen._report import count

from ._records import Results, Run, Side, Trial
from ._statistics import percentile, wilson

PERCENTILES = (50, 90, 99, 100)  # of the times, in the table
NO_BYTES = "the stream carried nothing"
AT_PEER = "at the peer: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Some trials together.

    Attributes:
        skew: Seconds between the starts that they were planned with; None for all.
        trials: How many count.
        succeeded: How many of them connected.
        interval: The 95 % interval of that rate (Wilson).
        times: Seconds to connect: p50, p90, p99 and the greatest; NaN where there are none.
        limit: The least possible time, the median.
        over_limit: Times as parts of it, the median.
        bound: The least through the coordinator, the median; NaN without one.
        over_bound: Times as parts of that, the median.
    """

    skew: float | None
    trials: int
    succeeded: int
    interval: tuple[float, float]
    times: tuple[float, ...]
    limit: float
    over_limit: float
    bound: float
    over_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in figures.

    Attributes:
        all: All trials that count.
        by_skew: The same for each difference of the starts.
        not_counted: The diagnoses of trials and openings that do not count, and how often.
        openings: Openings that failed; they count as trials, without a skew.
        syns: Attempts, refusals and refreshes of one side in one trial: the median and the most.
        paths: How the peer was reached, and how often.
        failures: The diagnoses of those that failed, and how often.
        nats: What each side's NAT was seen to do, by the side's name.
    """

    all: Row
    by_skew: tuple[Row, ...]
    not_counted: Counter[str]
    openings: int
    syns: dict[str, tuple[float, int]]
    paths: Counter[str]
    failures: Counter[str]
    nats: dict[str, Counter[str]]


def counts(trial: Trial) -> bool:
    """Whether it is known what became of it, and that the peer was there."""
    return trial.theirs is not None or (trial.ours.rounds > 0 and not trial.ours.ok)


def failure(trial: Trial) -> str:
    """Why a trial failed, by the side that knows."""
    for side, prefix in ((trial.ours, ""), (trial.theirs, AT_PEER)):
        if side is not None and not side.ok:
            return prefix + (side.cause or side.error or "unknown")
    return NO_BYTES


def summarise(results: Results) -> Summary:
    """All figures of a run."""
    run = results.run
    counted = [trial for trial in results.trials if counts(trial)]
    skews = sorted({abs(trial.planned) for trial in counted if trial.planned is not None})
    met = [side for trial in counted if trial.ok for side in _sides(trial)]
    return Summary(
        all=_row(None, counted),
        by_skew=tuple(
            _row(skew, [each for each in counted if _apart(each) == skew]) for skew in skews
        ),
        not_counted=Counter(failure(trial) for trial in results.trials if not counts(trial)),
        openings=sum(trial.number == 0 for trial in counted),
        syns={
            name: _typical(getattr(side, name) for side in met)
            for name in ("attempts", "refusals", "refreshes")
        },
        paths=Counter(trial.ours.path for trial in counted if trial.ok),
        failures=Counter(failure(trial) for trial in counted if not trial.ok),
        nats={
            run.label: _nat(trial.ours for trial in counted),
            _peer_of(run): _nat(trial.theirs for trial in counted),
        },
    )


def _peer_of(run: Run) -> str:
    """The peer's name; two hosts may have the same."""
    name = run.peer_label or "the peer"
    return name if name != run.label else f"{name} (the peer)"


def _row(skew: float | None, trials: Sequence[Trial]) -> Row:
    ok = [trial for trial in trials if trial.ok]
    times = [trial.took for trial in ok if trial.took is not None]
    return Row(
        skew=skew,
        trials=len(trials),
        succeeded=len(ok),
        interval=wilson(len(ok), len(trials)),
        times=tuple(percentile(times, percent) for percent in PERCENTILES),
        limit=_middle(ok, lambda trial: trial.limit),
        over_limit=_middle(ok, lambda trial: _ratio(trial.took, trial.limit)),
        bound=_middle(ok, lambda trial: trial.bound),
        over_bound=_middle(ok, lambda trial: _ratio(trial.took, trial.bound)),
    )


def _apart(trial: Trial) -> float | None:
    return None if trial.planned is None else abs(trial.planned)


def _sides(trial: Trial) -> list[Side]:
    return [trial.ours] if trial.theirs is None else [trial.ours, trial.theirs]


def _typical(values: Iterable[int]) -> tuple[float, int]:
    found = [*values]
    return (median(found), max(found)) if found else (0.0, 0)


def _middle(trials: Iterable[Trial], value: Callable[[Trial], float | None]) -> float:
    return percentile([found for trial in trials if (found := value(trial)) is not None], 50)


def _ratio(time: float | None, least: float | None) -> float | None:
    return time / least if time is not None and least else None


def _nat(sides: Iterable[Side | None]) -> Counter[str]:
    """What was seen of a side's NAT, as words, and in how many trials."""
    found: Counter[str] = Counter()
    for side in sides:
        if side is not None and side.observed:
            found[f"mapping {side.mapping}, {_address(side)}"] += 1
    return found


def _address(side: Side) -> str:
    """Whether the coordinator sees the address and the port that the side has itself."""
    if side.local in side.observed:
        return "no translation"
    port = side.local.rpartition(":")[2]
    kept = any(seen.rpartition(":")[2] == port for seen in side.observed)
    return "port kept" if kept else "port changed"


# -- the table -------------------------------------------------------------------------------------

_HEAD = ("starts apart", "connected", "p50", "p90", "p99", "max", "limit", "p50/limit")
_HEAD_BOUND = ("T*", "p50/T*")


def table(results: Results) -> str:
    """The run for a person; Markdown, in columns that line up."""
    summary = summarise(results)
    run = results.run
    kind = "encrypted" if run.encrypted else "plain TCP"
    lines = [f"{run.label} <-> {run.peer_label or 'nobody'}, {run.mode}, {kind}; times in ms", ""]
    bound = run.mode == "rendezvous"
    rows = [*summary.by_skew, summary.all]
    lines += _aligned(
        [_HEAD + (_HEAD_BOUND if bound else ()), *(_cells(row, bound) for row in rows)]
    )
    return "\n".join([*lines, "", *_words(results, summary)])


def _cells(row: Row, bound: bool) -> tuple[str, ...]:  # noqa: FBT001 - which columns there are
    name = "all" if row.skew is None else f"{row.skew * 1000:g}"
    cells = (
        name,
        f"{row.succeeded}/{row.trials}",
        *map(_ms, (*row.times, row.limit)),
        _number(row.over_limit),
    )
    return (*cells, _ms(row.bound), _number(row.over_bound)) if bound else cells


def _words(results: Results, summary: Summary) -> list[str]:
    row, run = summary.all, results.run
    low, high = (f"{100 * end:.1f}" for end in row.interval)
    rate = f"{100 * row.succeeded / row.trials:.1f} %" if row.trials else "nothing is known"
    lines = [f"success: {row.succeeded} of {row.trials}, {rate} (95 % interval {low} to {high} %)"]
    if row.succeeded:
        told = [
            f"{name} {typical:g} (most {most:,})" for name, (typical, most) in summary.syns.items()
        ]
        lines.append(f"of a side, median: {', '.join(told)}")
        lines.append(f"reached by: {_counted(summary.paths)}")
    lines += [f"NAT of {name}: {_counted(seen)}" for name, seen in summary.nats.items() if seen]
    if summary.failures:
        lines.append(f"failures: {_counted(summary.failures)}")
    if summary.openings:
        lines.append(f"openings that failed, and count as trials: {summary.openings}")
    if summary.not_counted:
        seen = _counted(summary.not_counted)
        lines.append(f"not counted, as the peer has told nothing of them: {seen}")
        if run.mode == "direct":  # without a coordinator nobody can say
            most = row.trials + summary.not_counted.total()
            worst = f"{row.succeeded} of {most}, {100 * row.succeeded / most:.1f} %"
            lines.append(f"had it been there each time, success: {worst}")
    if results.end is None or not results.end.finished:
        over = sum(trial.number > 0 for trial in results.trials)
        why = "it was killed" if results.end is None else results.end.why
        lines.append(f"not finished: {over} of {count(run.trials, 'trial')} were run; {why}")
    return lines


def _counted(found: Counter[str]) -> str:
    return "; ".join(f"{name} ({times})" for name, times in found.most_common())


def _ms(seconds: float) -> str:
    return _number(seconds * 1000)


def _number(value: float) -> str:
    """To three digits, more or less; NaN is nothing."""
    if value != value:  # noqa: PLR0124 - NaN
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *rest = (
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    return [head, rule, *rest]
