"""What a person or a machine sees on standard error while ``simopen connect`` runs.

One :class:`Display` with three faces: a live line (a terminal), plain lines (a log), JSON lines.
"""

from __future__ import annotations

import contextlib
import json as json_module
import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

import simopen
from simopen._report import count, format_seconds
from simopen._telemetry import event_to_json
from simopen.cli._pipes import STDIN, STDOUT, is_terminal

PLAIN_INTERVAL = 5.0  # seconds between progress lines in a log
JSON_INTERVAL = 1.0  # seconds between progress lines for a machine
UNITS = ("B", "KB", "MB", "GB", "TB")

Failure = simopen.PeerConnectError | simopen.LocalBindError


def make_display(*, json: bool) -> Display:
    """The face that fits: JSON if asked for, live on a terminal, plain otherwise."""
    if json:
        return JsonDisplay(sys.stderr)
    console = Console(stderr=True, highlight=False, emoji=False)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(sys.stderr)


class Display:
    """Keeps the figures of a punch and a transfer; the faces show them."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.attempts = 0
        self.refusals = 0
        self.report: simopen.PunchReport | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""

    def on_event(self, event: simopen.Event) -> None:
        """Count; the moments a reader cares for are shown at once."""
        match event:
            case simopen.PunchAttempt():
                self.attempts += 1
            case simopen.PunchRefused():
                self.refusals += 1
            case simopen.PunchStarted():
                self.started(event)
            case simopen.PunchConnected():
                self.report = event.report
                self.connected(event)

    def started(self, event: simopen.PunchStarted) -> None:
        """The first SYN is about to leave."""

    def connected(self, event: simopen.PunchConnected) -> None:
        """The connection is there."""

    def tick(self, sent: int, received: int) -> None:
        """Called several times a second with the bytes so far."""

    def warn(self, text: str) -> None:
        """Something is wrong that does not end the command."""

    def failed(self, error: Failure) -> None:
        """There will be no connection."""

    def ended(self, failure: str | None, sent: int, received: int) -> None:
        """The transfer is over: in order where ``failure`` is None."""

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.began

    def waiting_text(self) -> str:
        """How the punch is going."""
        sent = f"{count(self.attempts, 'SYN')} sent, {self.refusals:,} refused"
        return f"{format_seconds(self.elapsed)}, {sent}"


class PlainDisplay(Display):
    """Lines of text for a log or a pipe."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._next_line = PLAIN_INTERVAL

    def started(self, event: simopen.PunchStarted) -> None:
        """One line."""
        self._line(f"connecting {event.local} <-> {event.remote}{more_pairs(event)}")

    def connected(self, event: simopen.PunchConnected) -> None:
        """One line with the report."""
        self._line(f"connected {event.report}")

    def tick(self, sent: int, received: int) -> None:
        """One line every few seconds."""
        if self.elapsed < self._next_line:
            return
        self._next_line = self.elapsed + PLAIN_INTERVAL
        self._line(
            f"still trying: {self.waiting_text()}"
            if self.report is None
            else f"sent {format_bytes(sent)}, received {format_bytes(received)}"
        )

    def failed(self, error: Failure) -> None:
        """The diagnosis, a line each."""
        for line in failure_lines(error):
            self._line(line)

    def ended(self, failure: str | None, sent: int, received: int) -> None:
        """One line."""
        self._line(f"{failure or 'done'}; sent {sent:,} bytes, received {received:,} bytes")

    def warn(self, text: str) -> None:
        """One line."""
        self._line(text)

    def _line(self, text: str) -> None:
        write_line(self._out, f"simopen: {text}")


class LiveDisplay(Display):
    """One live line on a terminal, and a line for each thing that stays true."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._status = Status("starting", console=console)
        # Where a person types and reads, a live line would be in the way.
        self._quiet_when_connected = is_terminal(STDIN) and is_terminal(STDOUT)
        self._output_is_seen = is_terminal(STDOUT)

    def __enter__(self) -> Self:
        """Show the live line."""
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the live line."""
        self._status.stop()

    def started(self, event: simopen.PunchStarted) -> None:
        """Name the endpoints."""
        local, remote = escape(str(event.local)), escape(str(event.remote))
        more = more_pairs(event)
        self._say(f"[bold]{local}[/] <-> [bold]{remote}[/]{more}, nobody listening")

    def connected(self, event: simopen.PunchConnected) -> None:
        """Show the report."""
        self._say(f"[green]connected[/] {escape(str(event.report))}")
        if self._quiet_when_connected:
            self._status.stop()

    def tick(self, sent: int, received: int) -> None:
        """Update the live line."""
        if self.report is None:
            self._status.update(f"connecting: {self.waiting_text()}")
            return
        if received and self._output_is_seen:
            self._status.stop()
        self._status.update(f"sent {format_bytes(sent)}, received {format_bytes(received)}")

    def failed(self, error: Failure) -> None:
        """The diagnosis, a line each."""
        first, *rest = failure_lines(error)
        self._say(f"[red]{escape(first)}[/]")
        for line in rest:
            self._say(escape(line))

    def ended(self, failure: str | None, sent: int, received: int) -> None:
        """One line."""
        verdict = f"[red]{escape(failure)}[/]" if failure else "[green]done[/]"
        self._say(f"{verdict}; sent {format_bytes(sent)}, received {format_bytes(received)}")

    def warn(self, text: str) -> None:
        """One line."""
        self._say(f"[yellow]{escape(text)}[/]")

    def _say(self, markup: str) -> None:
        self._console.print(markup, soft_wrap=True)


class JsonDisplay(Display):
    """JSON lines: the events that are not repeated thousandfold, progress, and the end."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._next_line = JSON_INTERVAL

    def on_event(self, event: simopen.Event) -> None:
        """Write what happens once; attempts, refusals and refreshes are in the progress."""
        super().on_event(event)
        once = (
            simopen.PunchStarted
            | simopen.PunchHalfOpen
            | simopen.PunchConnected
            | simopen.PunchFailed
        )
        if isinstance(event, once):
            write_line(self._out, event_to_json(event))

    def tick(self, sent: int, received: int) -> None:
        """One line a second."""
        if self.elapsed >= self._next_line:
            self._next_line = self.elapsed + JSON_INTERVAL
            self._line(
                "progress",
                attempts=self.attempts,
                refusals=self.refusals,
                sent=sent,
                received=received,
            )

    def failed(self, error: Failure) -> None:
        """``punch.failed`` has said it, except where the port was not to be had."""
        if isinstance(error, simopen.LocalBindError):
            self._line(
                "bind.failed",
                local=str(error.local),
                errno=error.errno,
                state=error.state,
                message=error.strerror,
            )

    def warn(self, text: str) -> None:
        """One line."""
        self._line("warning", message=text)

    def ended(self, failure: str | None, sent: int, received: int) -> None:
        """The last line."""
        self._line("ended", failure=failure, sent=sent, received=received)

    def _line(self, name: str, **values: Any) -> None:  # noqa: ANN401 - JSON values
        line = {"event": name, "at": self.elapsed, **values}
        write_line(self._out, json_module.dumps(line))


def write_line(out: TextIO, text: str) -> None:
    """Write a line; where nobody can read it, the transfer goes on without."""
    with contextlib.suppress(OSError):
        out.write(f"{text}\n")
        out.flush()


def more_pairs(event: simopen.PunchStarted) -> str:
    """What is raced besides the pair of endpoints that is named."""
    more = len(event.lanes) - 1
    return f" and {count(more, 'more pair')}" if more else ""


def failure_lines(error: Failure) -> list[str]:
    """The failure for a person: what was tried, what came back, the cause, the next step."""
    if isinstance(error, simopen.LocalBindError):
        return [f"could not start: {error.strerror}"]
    diagnosis = error.diagnosis
    return [
        f"could not connect to {error.report.remote}",
        f"  tried:     {diagnosis.tried}",
        f"  came back: {diagnosis.came_back}",
        f"  likely:    {diagnosis.explanation}",
        f"  next:      {diagnosis.advice}",
    ]


def format_bytes(count: int) -> str:
    """A byte count for a person, in powers of 1000."""
    value = float(count)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:  # noqa: PLR2004 - the step between SI units
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
