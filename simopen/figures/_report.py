"""A report: everything that can be drawn of some result files, and its files.

What is drawn first is what is asked first: rates and times, then the conditions, then single
trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simopen.figures import _cdf, _heat, _ladder
from simopen.figures._batches import milliseconds
from simopen.figures._canvas import Picture
from simopen.figures._page import page
from simopen.figures._palette import PAPER
from simopen.figures._series import panels
from simopen.figures._sources import Source, ends, without_other_sides
from simopen.figures._squares import maps
from simopen.figures._story import tell
from simopen.figures._tables import Table, plain, tables
from simopen.figures._words import duration
from simopen.measure._records import Results, Trial
from simopen.measure._summary import counts

TITLE = "simopen: success and time to connect"
MOST_RUNS = 12  # whose trials are drawn
_LADDER = (
    "Time goes down, in milliseconds since the earlier of the two calls. A SYN's arrival is drawn"
    " half the least round trip after it left; that it arrived is not known. Where texts are close"
    " together time is stretched."
)
_UNALIGNED = (
    " How far apart the two calls began is not known: either side's times count from its own."
)

Progress = Callable[[int, int], None]  # pictures that are ready, pictures in all


@dataclass(frozen=True, slots=True)
class Report:
    """What result files show.

    Attributes:
        about: What the files are, a line for each run.
        notes: What a reader has to know first.
        tables: The numbers.
        pictures: The figures.
    """

    about: tuple[str, ...]
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]

    def html(self) -> str:
        """The page."""
        return page(
            TITLE,
            about=self.about,
            notes=self.notes,
            tables=self.tables,
            pictures=self.pictures,
        )

    def markdown(self, *, pictures: bool = True) -> str:
        """The tables as Markdown, with the pictures if asked."""
        parts = [f"**{plain(table.title)}**\n\n{table.markdown()}" for table in self.tables]
        if pictures:
            parts += [
                f"![{plain(picture.title)}]({picture.name}.svg)\n\n{picture.words}\n"
                for picture in self.pictures
            ]
        return "\n".join(parts)


def make(files: Sequence[Source], progress: Progress = lambda _ready, _all: None) -> Report:
    """Draw everything."""
    sources = without_other_sides(files)
    batches = [batch for source in sources for batch in source.batches]
    found = panels(batches)
    drawers: list[Callable[[], Picture | None]] = [
        *(partial(_cdf.draw, panel, f"time-to-connect-{n}") for n, panel in enumerate(found, 1)),
        *(partial(_heat.draw, heat, f"success-{n}") for n, heat in enumerate(maps(batches), 1)),
        *_ladders(sources),
    ]
    pictures: list[Picture] = []
    for ready, drawer in enumerate(drawers):
        progress(ready, len(drawers))
        picture = drawer()
        if picture is not None:
            pictures.append(picture)
    progress(len(drawers), len(drawers))
    return Report(
        tuple(f"{source.name}: {line}" for source in sources for line in source.about),
        tuple(f"{source.name}: {note}" for source in sources for note in source.notes),
        tuple(tables(sources, found)),
        tuple(pictures),
    )


def _ladders(sources: Sequence[Source]) -> Iterator[Callable[[], Picture]]:
    runs = [results for source in sources for results in source.runs][:MOST_RUNS]
    for number, results in enumerate(runs, 1):
        for word, trial in chosen(results.trials):
            yield partial(_ladder_of, results, word, trial, f"trial-{number}-{word}")


def chosen(trials: Sequence[Trial]) -> list[tuple[str, Trial]]:
    """The best, the median and the worst of a run's trials; a failed one is the worst.

    Of the failed ones it is the first that counts, if there is any.
    """
    timed = sorted((trial for trial in trials if trial.ok and trial.took is not None), key=_took)
    failed = sorted((trial for trial in trials if not trial.ok), key=counts, reverse=True)
    picked = [("best", timed[0]), ("median", timed[(len(timed) - 1) // 2])] if timed else []
    if failed:
        picked.append(("worst", failed[0]))
    elif timed:
        picked.append(("worst", timed[-1]))
    return picked


def _took(trial: Trial) -> float:
    return trial.took or 0.0


def _ladder_of(results: Results, word: str, trial: Trial, name: str) -> Picture:
    story = tell(trial)
    title = f"The {word} trial: {_what(results, trial)}"
    words = _LADDER + ("" if story.aligned else _UNALIGNED)
    return _ladder.draw(story, ends(results), title, words, name)


def _what(results: Results, trial: Trial) -> str:
    ours, theirs = ends(results)
    if not trial.ok:
        came = "did not connect"
    elif trial.took is None:
        came = "connected in an unknown time"
    else:
        limit = f", {trial.took / trial.limit:.2f} times the limit" if trial.limit else ""
        came = f"connected in {milliseconds(trial.took)} ms{limit}"
    skew = trial.skew
    later = (
        "starts: unknown"
        if skew is None
        else f"{ours if skew > 0 else theirs} began {duration(float(f'{abs(skew):.3g}'))} later"
    )
    of = f"number {trial.number} of {results.run.trials}" if trial.number else "an opening"
    return f"{ours} and {theirs}, {of}, {came}; {later}"


def write(report: Report, folder: Path) -> list[Path]:
    """Write a report's files, in place of what is there by the same names.

    Returns:
        What was written, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {
        "report.html": report.html().encode(),
        "report.md": f"# {TITLE}\n\n{report.markdown()}".encode(),
    }
    for picture in report.pictures:
        contents[f"{picture.name}.svg"] = _on_paper(picture.svg).encode()
        contents[f"{picture.name}.png"] = picture.png
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def _on_paper(svg: str) -> str:
    """A picture with paper behind it, for a viewer that has none."""
    end = svg.index(">", svg.index("<svg")) + 1
    return f'{svg[:end]}\n<rect width="100%" height="100%" fill="{PAPER}"/>{svg[end:]}'
