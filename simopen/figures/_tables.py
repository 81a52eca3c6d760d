"""What the files say in numbers: tables, as values, as Markdown and as HTML."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simopen.figures._batches import Tally, milliseconds, percent
from simopen.figures._series import Panel
from simopen.figures._sources import Source, ends
from simopen.figures._words import clean
from simopen.measure._records import Results, Side
from simopen.measure._statistics import percentile
from simopen.measure._summary import counts

_MARKUP = re.compile(r"([\\`*_\[\]<>|#~&])")
_DASH = "–"  # noqa: RUF001  # the dash of tables


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: What it says.
        head: Of its columns.
        rows: Texts; the first column's are names, the others' numbers.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown (GitHub's), without the title."""
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        lines = [self.head, rule, *self.rows]
        return "".join(f"| {' | '.join(map(plain, line))} |\n" for line in lines)

    def html(self) -> str:
        """As HTML."""
        head = "".join(f"<th scope=col>{html.escape(each)}</th>" for each in self.head)
        body = "\n".join(
            f"<tr><th scope=row>{html.escape(row[0])}</th>"
            + "".join(f"<td>{html.escape(each)}</td>" for each in row[1:])
            + "</tr>"
            for row in self.rows
        )
        title = html.escape(self.title)
        return (
            f"<div class=wide><table><caption>{title}</caption>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody></table></div>\n"
        )


def tables(sources: Sequence[Source], panels: Iterable[Panel]) -> list[Table]:
    """All tables that have something to say."""
    runs = [results for source in sources for results in source.runs]
    found = [*map(_rates, panels), _efforts(runs), _failures(runs)]
    return [table for table in found if table.rows]


def _rates(panel: Panel) -> Table:
    source = f" ({panel.source})" if panel.source else ""
    return Table(
        f"Success and time to connect: {panel.title}{source}",
        (
            *("trials", "n", "connected", "95 % interval"),
            *("p50, ms", "p90, ms", "p99, ms", "max, ms", "median / limit"),
        ),
        tuple((line.label, *_numbers(line.tally)) for line in panel.lines),
    )


def _numbers(tally: Tally) -> tuple[str, ...]:
    low, high = tally.interval
    ratio = _DASH if math.isnan(tally.ratio) else f"{tally.ratio:.2f}"
    return (
        f"{tally.trials:,}",
        percent(tally.rate) if tally.trials else _DASH,
        f"{low * 100:.1f} to {high * 100:.1f} %",
        *(milliseconds(tally.percentile(each)) for each in (50, 90, 99, 100)),
        ratio,
    )


def _efforts(runs: Iterable[Results]) -> Table:
    return Table(
        "What either side did, and how its NAT was seen",
        (
            *("side", "trials told", "SYNs, median", "SYNs, max"),
            *("refusals", "refreshes", "NAT's mapping"),
        ),
        tuple(
            (name, *_effort(sides)) for results in runs for name, sides in _sides(results) if sides
        ),
    )


def _sides(results: Results) -> list[tuple[str, list[Side]]]:
    ours, theirs = _names(results)
    told = [trial.theirs for trial in results.trials if trial.theirs is not None]
    return [(ours, [trial.ours for trial in results.trials]), (theirs, told)]


def _names(results: Results) -> tuple[str, str]:
    ours, theirs = ends(results)
    return f"{ours} (with {theirs})", f"{theirs} (with {ours})"


def _effort(sides: Sequence[Side]) -> tuple[str, ...]:
    syns = [side.attempts for side in sides]
    mappings = Counter(side.mapping for side in sides)
    return (
        f"{len(sides):,}",
        f"{percentile(syns, 50):,g}",
        f"{max(syns):,}",
        f"{sum(side.refusals for side in sides):,}",
        f"{sum(side.refreshes for side in sides):,}",
        ", ".join(f"{name} {number:,}" for name, number in mappings.most_common()),
    )


def _failures(runs: Iterable[Results]) -> Table:
    causes: Counter[tuple[str, str]] = Counter()
    for results in runs:
        for trial in results.trials:
            more = "" if counts(trial) else " (not counted)"
            for name, side in zip(_names(results), (trial.ours, trial.theirs), strict=True):
                if side is not None and not side.ok:
                    causes[name, clean(side.cause or side.error or "unknown") + more] += 1
    rows = tuple(
        (f"{name}: {cause}", f"{number:,}") for (name, cause), number in causes.most_common(40)
    )
    return Table("Failures by diagnosis", ("side and diagnosis", "trials"), rows)


def plain(text: str) -> str:
    """A text as Markdown that is no markup, in a cell or outside."""
    return _MARKUP.sub(r"\\\1", text)
