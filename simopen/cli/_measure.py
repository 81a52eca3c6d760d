"""``simopen measure``: many trials between two real hosts, and what they show.

Every record goes to the file when it is known, so that an interrupt, or a machine that stops, loses
nothing but the trial that is under way.
"""

from __future__ import annotations

import contextlib
import platform
import secrets
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

import anyio
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

import simopen
from simopen._endpoints import parse_endpoints
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop
from simopen.cli._display import FAILURES, Failure, failure_lines, write_line
from simopen.cli._secret import Sources, find_secret
from simopen.measure._environment import environment
from simopen.measure._records import Record, Results, encode_line, read_results
from simopen.measure._runner import Plan, Runner
from simopen.measure._summary import table
from simopen.measure._timetable import Timetable
from simopen.measure._trial import Direct, Introduced, Target, own_secret

MOST_TRIALS = 10_000  # of a run; each takes a port of its own
MOST_SKEWS = 16  # of a run, which has each in turn
LONGEST_SKEW = 60.0  # seconds
LONGEST_TIMEOUT = 3600.0  # seconds
LONGEST_WAIT = 7 * 86_400.0  # seconds
LONGEST_LABEL = 60  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    remote: str | None
    local: str | None
    rendezvous: str | None
    room: str | None
    invite_file: Path | None
    secret_file: Path | None
    trials: int
    timeout: float
    skew: str
    wait: float
    label: str | None
    out: Path | None
    json: bool


def measure_peer(settings: Settings) -> int:
    """Run the command; returns its exit code."""
    timetable = _timetable(settings)
    _check_ends(settings)
    found = find_secret(
        Sources(
            invite_file=settings.invite_file,
            secret_file=settings.secret_file,
            room=settings.room,
            rendezvous=settings.rendezvous is not None,
        )
    )
    if found.warning is not None:
        _say(found.warning)
    return anyio.run(_measure, settings, timetable, found.secret, **fastest_loop())


async def _measure(
    settings: Settings, timetable: Timetable, secret: simopen.SecretLike | None
) -> int:
    target = _target(settings, secret, None if secret is None else await own_secret(secret))
    target.arguments(None, timetable.trials + 1)  # are there ports for all?
    plan = Plan(
        target=target,
        timetable=timetable,
        wait=settings.wait,
        label=settings.label or platform.node()[:LONGEST_LABEL] or "host",
        environment=environment("uvloop" if fastest_loop() else "asyncio"),
        half=secrets.token_hex(16),
    )
    with contextlib.ExitStack() as stack:
        book = stack.enter_context(_Book(settings.out or _default_file(), to_stdout=settings.json))
        bar = stack.enter_context(_bar())
        task = bar.add_task("", total=timetable.trials)

        def watch(done: int, doing: str) -> None:
            bar.update(task, completed=done, description=doing)

        runner = Runner(plan, tell=book.write, watch=watch)
        stopped_by = await _until_signal(runner)
    return _conclude(runner, book, stopped_by, json=settings.json)


async def _until_signal(runner: Runner) -> signal.Signals | None:
    """Run all trials, or as far as a signal lets us; which one it was."""
    stopped_by: signal.Signals | None = None
    trouble: simopen.UsageError | OSError | None = None

    async def obey(scope: anyio.CancelScope) -> None:
        nonlocal stopped_by
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                stopped_by = number
                scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(obey, group.cancel_scope)
        try:
            await runner.run()
        except (simopen.UsageError, OSError) as error:  # wrong use, or a disk that is full
            trouble = error  # raised below, free of the task group's wrapping
        group.cancel_scope.cancel()
    if trouble is not None:
        raise trouble
    if stopped_by is not None:
        runner.end("interrupted")
    return stopped_by


def _conclude(runner: Runner, book: _Book, stopped_by: signal.Signals | None, *, json: bool) -> int:
    """Print what was found; returns the exit code."""
    results = book.results()
    if isinstance(runner.error, FAILURES):
        _tell_failure(runner.error)
    if not json:
        sys.stdout.write(table(results) + "\n")
    _say(f"written: {book.path}")
    if stopped_by is not None:
        return _exit.INTERRUPTED - signal.SIGINT + stopped_by
    finished = results.end is not None and results.end.finished
    return _exit.OK if finished and any(trial.ok for trial in results.trials) else _exit.FAILED


class _Book:
    """The records: in a file, and on standard output where that is asked for."""

    def __init__(self, path: Path, *, to_stdout: bool) -> None:
        self.path = path
        self._empty = True
        self._outputs: list[TextIO] = [sys.stdout] if to_stdout else []

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("x")
        except OSError as error:
            raise simopen.UsageError(f"--out {self.path}: {error.strerror}") from None
        self._outputs.append(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._empty:
            self.path.unlink()

    def write(self, record: Record) -> None:
        """Keep a record; a reader sees it at once."""
        self._empty = False
        line = encode_line(record)
        for output in self._outputs:
            output.write(line + "\n")
            output.flush()

    def results(self) -> Results:
        """What has been written."""
        with self.path.open() as lines:
            (results,) = read_results(lines)
        return results


# -- what the options mean -------------------------------------------------------------------------


def _timetable(settings: Settings) -> Timetable:
    try:
        skews = tuple(float(word) for word in settings.skew.split(","))
    except ValueError:
        raise simopen.UsageError(f"--skew {settings.skew}: give seconds, as in 0,0.05") from None
    if len(skews) > MOST_SKEWS or not all(0 <= skew <= LONGEST_SKEW for skew in skews):
        raise simopen.UsageError(
            f"--skew: up to {MOST_SKEWS} numbers from 0 to {LONGEST_SKEW:g} seconds"
        )
    if not 1 <= settings.trials <= MOST_TRIALS:
        raise simopen.UsageError(f"--trials: 1 to {MOST_TRIALS:,}")
    for name, value, most in (
        ("timeout", settings.timeout, LONGEST_TIMEOUT),
        ("wait", settings.wait, LONGEST_WAIT),
    ):
        if not (0 < value <= most):
            raise simopen.UsageError(f"--{name}: seconds, above 0 and up to {most:,.0f}")
    label = settings.label
    if label is not None and not (1 <= len(label) <= LONGEST_LABEL and label.isprintable()):
        raise simopen.UsageError(f"--label: 1 to {LONGEST_LABEL} printable characters")
    return Timetable(settings.trials, settings.timeout, skews)


def _check_ends(settings: Settings) -> None:
    if settings.rendezvous is not None:
        if settings.remote is not None:
            raise simopen.UsageError(
                "REMOTE and --rendezvous exclude each other: a coordinator finds the peer"
            )
    elif settings.remote is None or settings.local is None:
        raise simopen.UsageError(
            "whom to measure with? give --rendezvous URL (and an invite), or REMOTE and --local"
        )
    elif settings.room is not None:
        raise simopen.UsageError("--room is at a coordinator: give --rendezvous URL as well")


def _target(settings: Settings, secret: simopen.SecretLike | None, own: bytes | None) -> Target:
    if settings.rendezvous is None:
        remote = _one_end(settings.remote or "", "remote")
        return Direct(remote, _one_end(settings.local or "", "local"), own)
    if own is None:
        raise simopen.UsageError("a coordinator takes a secret, or an invite")
    room = settings.room or (secret.room if isinstance(secret, simopen.Invite) else "")
    return Introduced(
        simopen.Rendezvous(settings.rendezvous), room, own, _addresses(settings.local)
    )


def _one_end(text: str, role: str) -> simopen.Endpoint:
    candidates = parse_endpoints(text.split(","), role=role)
    if len(candidates) > 1 or len(candidates[0]) > 1:
        raise simopen.UsageError(
            f"{role} {text!r}: each trial takes one address and the next port; give the first one"
        )
    return candidates[0][0]


def _addresses(text: str | None) -> tuple[simopen.Endpoint, ...] | None:
    if text is None:
        return None
    candidates = parse_endpoints(text.split(","), role="local", any_port=True)
    ends = tuple(end for candidate in candidates for end in candidate)
    if any(end.port for end in ends):
        raise simopen.UsageError(
            f"local {text!r}: through a coordinator each trial has a fresh port; give port 0"
        )
    return ends


# -- words -----------------------------------------------------------------------------------------


def _default_file() -> Path:
    return Path(f"simopen-measure-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")


def _bar() -> Progress:
    """A bar on a terminal's standard error; nothing where that is none."""
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _tell_failure(error: Failure) -> None:
    for line in failure_lines(error):
        _say(line)


def _say(text: str) -> None:
    write_line(sys.stderr, f"simopen: {text}")
