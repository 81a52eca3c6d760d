"""Result files as the figures take them: those of ``simopen measure`` and those of the grid.

The first line tells which kind a file is. A last line that was cut short, since its writer was
killed, is passed over with a note; anything else that is wrong is one `ResultFileError` that names
the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from simopen._report import count
from simopen.figures._batches import Batch
from simopen.figures._grid import Cell, Environment
from simopen.figures._words import clean
from simopen.measure._records import ResultFileError, Results, Trial, decode_line, read_results
from simopen.measure._summary import counts

MEASURED = "measured"
"""The row of batches that are no grid's."""

MOST_BYTES = 256 * 1024 * 1024  # of one file
_RUN_KEYS = ("kernel", "python", "loop", "simopen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A result file.

    Attributes:
        name: As it is shown.
        about: When and on what it was taken, a line for each run.
        batches: Its trials.
        runs: Those of ``simopen measure``, with every trial.
        notes: What a reader has to know.
    """

    name: str
    about: tuple[str, ...]
    batches: tuple[Batch, ...]
    runs: tuple[Results, ...] = ()
    notes: tuple[str, ...] = ()


def read(name: str, data: bytes) -> Source:
    """Read a file.

    Args:
        name: What the file is called, in errors and in figures.
        data: What is in it.

    Raises:
        ResultFileError: It is no result file, or a line of it is damaged.
    """
    name = clean(name, 200)
    lines = [line.decode(errors="surrogateescape") for line in data.split(b"\n")]
    whole = not lines[-1].strip()  # else it ends within a line, or without the last newline
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ResultFileError(f"{name} is empty")
    first = _kind(name, lines[0])
    notes: tuple[str, ...] = ()
    if not whole and len(lines) > 1 and not _reads(lines[-1], first):
        lines.pop()
        notes = (f"line {len(lines) + 1} is cut short, and is left out: its writer was stopped",)
    if "schema" in first:
        return _measured(name, lines, notes)
    return _grid(name, lines, notes)


def without_other_sides(sources: Sequence[Source]) -> list[Source]:
    """Sources of which no run is told twice: where both hosts' files are here, the first counts."""
    seen: set[str] = set()
    kept = []
    for source in sources:
        twice = [results for results in source.runs if results.run.run in seen]
        seen |= {results.run.run for results in source.runs}
        if twice:
            runs = tuple(results for results in source.runs if results not in twice)
            note = f"{count(len(twice), 'run')} of it stands in a file before, and counts there"
            source = _of_runs(source.name, runs, (*source.notes, note))  # noqa: PLW2901
        kept.append(source)
    return kept


def _kind(name: str, line: str) -> dict[str, object]:
    """The first line's fields.

    Raises:
        ResultFileError: It begins no result file.
    """
    try:
        first = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ResultFileError(f"{name}, line 1: no JSON object: {error}") from None
    if "schema" not in first and "kernel" not in first:
        raise ResultFileError(
            f"{name}, line 1: neither a run of simopen measure nor a grid's environment"
        )
    return first


def _reads(line: str, first: dict[str, object]) -> bool:
    try:
        if "schema" in first:
            decode_line(line)
        else:
            msgspec.json.decode(line, type=Cell)
    except (msgspec.DecodeError, UnicodeError, ResultFileError):
        return False
    return True


def _measured(name: str, lines: list[str], notes: tuple[str, ...]) -> Source:
    try:
        runs = read_results(lines)
    except ResultFileError as error:
        raise ResultFileError(f"{name}, {error}") from None
    for results in runs:
        if results.end is None:
            notes += (f"the run of {clean(results.run.at)} has no end: it was killed, or goes on",)
        elif not results.end.finished:
            notes += (f"the run of {clean(results.run.at)} ended early: {clean(results.end.why)}",)
        if alone := sum(not counts(trial) for trial in results.trials):
            which = f"{count(alone, 'trial')} of the run of {clean(results.run.at)}"
            notes += (f"in no rate, as the peer has told nothing of them: {which}",)
    return _of_runs(name, tuple(runs), notes)


def _of_runs(name: str, runs: tuple[Results, ...], notes: tuple[str, ...]) -> Source:
    batches = tuple(
        batch
        for number, results in enumerate(runs, 1)
        for batch in _batches(name if len(runs) == 1 else f"{name} #{number}", results)
    )
    about = tuple(_about_run(results) for results in runs)
    return Source(name=name, about=about, batches=batches, runs=runs, notes=notes)


def _about_run(results: Results) -> str:
    run = results.run
    on = ", ".join(f"{key} {run.environment.get(key)}" for key in _RUN_KEYS)
    return clean(f"{run.at[:19]}, {run.mode}, {on}", 200)


def _batches(source: str, results: Results) -> Iterable[Batch]:
    """The trials of a run that count, by how far apart their starts were."""
    by_skew: dict[float | None, list[Trial]] = {}
    for trial in filter(counts, results.trials):
        by_skew.setdefault(_meant(trial, results.run.skews), []).append(trial)
    rtt = round_trip(results)
    for skew, trials in sorted(by_skew.items(), key=lambda item: (item[0] is None, item[0] or 0)):
        good = [trial for trial in trials if trial.ok]
        yield Batch(
            source=source,
            row=MEASURED,
            sites=ends(results),
            rtt=None if rtt is None else float(f"{rtt:.2g}"),
            skew=skew,
            trials=len(trials),
            succeeded=len(good),
            times=tuple(trial.took for trial in good if trial.took is not None),
            ratios=tuple(trial.took / trial.limit for trial in good if trial.took and trial.limit),
        )


def ends(results: Results) -> tuple[str, str]:
    """The names of a run's two hosts, which may have the same."""
    ours, theirs = clean(results.run.label, 24), clean(results.run.peer_label or "unknown", 24)
    return ours, theirs if theirs != ours else clean(f"peer {theirs}", 24)


def round_trip(results: Results) -> float | None:
    """The least round trip that any trial of a run has seen, in seconds."""
    sides = [side for trial in results.trials for side in (trial.ours, trial.theirs) if side]
    return min((side.round_trip for side in sides if side.round_trip), default=None)


def _meant(trial: Trial, skews: Sequence[float]) -> float | None:
    """The distance of starts that the timetable asked for, or else the one nearest to what was."""
    if trial.planned is not None:
        return abs(trial.planned)
    if trial.skew is None:
        return None
    size = abs(trial.skew)
    return min(skews, key=lambda each: abs(each - size), default=size)


def _grid(name: str, lines: list[str], notes: tuple[str, ...]) -> Source:
    number = 1
    try:
        head = msgspec.json.decode(lines[0], type=Environment)
        batches = []
        for number, line in enumerate(lines[1:], 2):  # noqa: B007  # for the error
            batches.append(msgspec.json.decode(line, type=Cell).batch(name))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ResultFileError(f"{name}, line {number}: no line of a grid: {error}") from None
    cpus = f", {count(head.cpus, 'CPU')}" if head.cpus else ""
    about = f"{head.at[:19]}, Linux {head.kernel}, Python {head.python}, {head.loop}{cpus}"
    version = f", simopen {head.simopen}"
    return Source(
        name=name, about=(clean(about + version, 200),), batches=tuple(batches), notes=notes
    )
