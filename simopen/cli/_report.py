"""``simopen report``: result files in, a page, pictures and tables out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import simopen
from simopen.cli import _exit
from simopen.cli._display import write_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from simopen.figures import Source


def report(files: Sequence[Path], out: Path) -> int:
    """Run the command; returns its exit code."""
    try:
        from simopen import figures  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        text = "report draws with matplotlib; install it with: pip install 'simopen[plot]'"
        raise simopen.UsageError(text) from None
    names = _names(files)
    sources = [figures.read(names[file], _content(file, figures.MOST_BYTES)) for file in names]
    with _bar() as progress:
        made = figures.make(sources, progress)
    for note in made.notes:
        write_line(sys.stderr, f"note: {note}")
    if not made.tables:
        raise simopen.UsageError(f"there is no trial in {_listed(sources)}")
    try:
        written = figures.write(made, out)
    except OSError as error:
        raise simopen.UsageError(f"--out {out}: {error.strerror}") from None
    sys.stdout.write(made.markdown(pictures=False))
    write_line(sys.stderr, f"written: {written[0]} and {len(written) - 1} more files beside it")
    return _exit.OK


def _names(files: Sequence[Path]) -> dict[Path, str]:
    """How the files are called in the report: by their names, or in full where those are alike."""
    distinct = dict.fromkeys(files)
    names = [file.name for file in distinct]
    return {file: str(file) if names.count(file.name) > 1 else file.name for file in distinct}


def _content(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise simopen.UsageError(f"{file}: {error.strerror}") from None
    if len(content) > most:
        raise simopen.UsageError(f"{file} is larger than {most >> 20} MiB")
    return content


def _listed(sources: Sequence[Source]) -> str:
    return ", ".join(source.name for source in sources)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error; nothing where that is none."""
    columns = (TextColumn("drawing"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("drawing")
        yield lambda ready, number: progress.update(task, completed=ready, total=number)
