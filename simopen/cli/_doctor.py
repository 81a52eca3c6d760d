"""``simopen doctor``: the findings for a person or a program.

Each subject has a heading, each finding a word for what it means (fine, note, hinders), which also
tells it where there are no colours. Pictures show the schedule of SYNs and the NAT.
"""

from __future__ import annotations

import contextlib
import io
import json as json_module
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import anyio
from rich.console import Console
from rich.text import Text

from simopen import doctor
from simopen._report import count
from simopen.cli import _doctor_pictures as pictures
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop
from simopen.cli._display import write_line
from simopen.doctor import Examination, Finding, Severity, Subject

WIDEST = 100  # columns of text that are read with ease
LEAST_ROOM = 10  # columns of text, however narrow the terminal
MARGIN = 2  # columns before everything but headings
WORD = 9  # columns for what a finding means
STYLES = {Severity.FINE: "green", Severity.NOTE: "yellow", Severity.HINDERS: "bold red"}


def show(remote: str | None, *, local: str | None, rendezvous: Sequence[str], json: bool) -> int:
    """Run the command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a certificate's name has any letters
    with _progress() as step:

        async def examine() -> Examination:
            return await doctor.examine(remote, local=local, rendezvous=rendezvous, on_step=step)

        examination = anyio.run(examine, **fastest_loop())
    if json:
        sys.stdout.write(f"{json_module.dumps(examination.to_json(), indent=2)}\n")
    else:
        print_examination(examination, _console())
    return _exit.FAILED if examination.hinders else _exit.OK


def print_examination(examination: Examination, console: Console) -> None:
    """Show all of it."""
    for subject, findings in groupby(examination.findings, key=lambda each: each.subject):
        console.print(Text(_heading(subject), style="bold"))
        for finding in findings:
            _print_finding(finding, console)
            if finding.code == "syn-schedule" and examination.syn_schedule is not None:
                _print_picture(pictures.schedule(examination.syn_schedule, _room(console)), console)
        if subject is Subject.NAT:
            for mapping in examination.mappings:
                _print_picture(pictures.nat(mapping), console)
        console.print()
    for line in _verdict(examination).wrap(console, console.width):
        line.rstrip()
        console.print(line)


def _heading(subject: Subject) -> str:
    return subject.value[:1].upper() + subject.value[1:]


def _print_finding(finding: Finding, console: Console) -> None:
    is_fine = finding.severity is Severity.FINE
    word = Text(f"{finding.severity.value:{WORD}}", style=STYLES[finding.severity])
    _print_beside(word, Text(finding.title, style="" if is_fine else "bold"), console)
    meaning = Text(f"{finding.meaning}.", style="dim" if is_fine else "")
    _print_beside(Text(" " * WORD), meaning, console)
    if finding.advice:
        _print_beside(Text(f"{'':{WORD - 6}}next: ", style="cyan"), Text(finding.advice), console)


def _print_beside(begin: Text, text: Text, console: Console) -> None:
    """The text in a column of its own, at the right of what begins its first line."""
    for line in text.wrap(console, _room(console)):
        line.rstrip()
        console.print(Text.assemble(" " * MARGIN, begin, line), no_wrap=True, overflow="crop")
        begin = Text(" " * len(begin))


def _print_picture(lines: Sequence[str], console: Console) -> None:
    """One that does not fit is left out: half of it would say something else."""
    if all(len(line) <= _room(console) for line in lines):
        for line in lines:
            console.print(Text(f"{'':{MARGIN + WORD}}{line}", style="cyan"), no_wrap=True)


def _room(console: Console) -> int:
    return max(LEAST_ROOM, console.width - WORD - MARGIN)


def _verdict(examination: Examination) -> Text:
    hindering = [each for each in examination.findings if each.severity is Severity.HINDERS]
    if not hindering:
        return Text("Nothing stands in the way of connecting.", style="green")
    codes = ", ".join(each.code for each in hindering)
    things = count(len(hindering), "thing")
    return Text(f"{things} will hinder connecting: {codes}", style="bold red")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Shows what is being done: a live line on a terminal, else a line each."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda text: write_line(sys.stderr, f"simopen: {text}")
        return
    with console.status("") as status:
        yield status.update


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    return console
