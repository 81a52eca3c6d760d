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
from simopen._telemetry import event_to_json, to_json
from simopen.cli._pipes import STDIN, STDOUT, is_terminal

PLAIN_INTERVAL = 5.0  # seconds between progress lines in a log
JSON_INTERVAL = 1.0  # seconds between progress lines for a machine
UNITS = ("B", "KB", "MB", "GB", "TB")

Failure = simopen.PeerConnectError | simopen.LocalBindError | simopen.RemoteProtocolError
FAILURES = (simopen.PeerConnectError, simopen.LocalBindError, simopen.RemoteProtocolError)

# What happens thousands of times, and is told as a figure.
Repeated = (
    simopen.PunchAttempt | simopen.PunchRefused | simopen.PunchRefreshed | simopen.PunchUnsent
)

_HEADLINES: tuple[tuple[type[simopen.PeerConnectError], str], ...] = (
    (simopen.CoordinatorUnavailable, "no coordinator"),
    (simopen.RoomFullError, "the room is full"),
    (simopen.PeerNotFoundError, "the peer has not come"),
    (simopen.AuthenticationError, "could not connect: whoever answers is not the peer"),
    (simopen.PeerConnectError, "could not connect to {remote}"),
)


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
        self.doing = "connecting"
        self.attempts = 0
        self.refusals = 0
        self.report: simopen.PunchReport | None = None
        self._introduced = False
        self._lost_because = ""

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
            case simopen.PunchStarted() if not self._introduced:  # the introduction said more
                self.started(event)
            case simopen.ProofStarted():
                self.doing = "proving"
            case _:
                self._on_meeting(event)

    def _on_meeting(self, event: simopen.Event) -> None:
        """What happens at the coordinator, and whom it leads to."""
        match event:
            case simopen.RendezvousJoined():
                self.doing = "waiting for the peer"
                self._lost_because = ""
                seen = " and ".join(map(str, event.observed))
                self.moment(f"waiting for the peer at {event.rendezvous}, which sees us as {seen}")
            case simopen.RendezvousLost():
                self.doing = "waiting for the coordinator"
                if event.reason != self._lost_because:  # it is tried again and again
                    self._lost_because = event.reason
                    self.setback(f"no coordinator: {event.reason}; it is tried again")
            case simopen.RendezvousIntroduced():
                self._introduced = True
                self.doing = f"connecting, round {event.round}"
                self.moment(_introduction(event))
            case simopen.RoundFailed():
                # The first sentence is what happened; advice is for the end.
                self.setback(f"round {event.round} failed: {event.reason.partition('. ')[0]}")
            case simopen.ProofFailed():
                self.setback(f"pair {event.lane + 1} is not the peer: {event.reason}")

    def started(self, event: simopen.PunchStarted) -> None:
        """The first SYN is about to leave."""

    def moment(self, text: str) -> None:
        """A step on the way."""

    def setback(self, text: str) -> None:
        """A step that has failed; the call goes on."""

    def connected(self, report: simopen.PunchReport) -> None:
        """The connection is there, and proven where that was asked for."""
        self.report = report

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
        """How it is going."""
        text = f"{self.doing}: {format_seconds(self.elapsed)}"
        if not self.attempts:
            return text
        return f"{text}, {count(self.attempts, 'SYN')} sent, {self.refusals:,} refused"


class PlainDisplay(Display):
    """Lines of text for a log or a pipe."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._next_line = PLAIN_INTERVAL

    def started(self, event: simopen.PunchStarted) -> None:
        """One line."""
        self._line(f"connecting {event.local} <-> {event.remote}{more_pairs(event)}")

    def moment(self, text: str) -> None:
        """One line."""
        self._line(text)

    def setback(self, text: str) -> None:
        """One line."""
        self._line(text)

    def connected(self, report: simopen.PunchReport) -> None:
        """One line with the report."""
        super().connected(report)
        self._line(f"{_connected(report)} {report}")

    def tick(self, sent: int, received: int) -> None:
        """One line every few seconds."""
        if self.elapsed < self._next_line:
            return
        self._next_line = self.elapsed + PLAIN_INTERVAL
        self._line(
            f"still {self.waiting_text()}"
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

    def moment(self, text: str) -> None:
        """One line."""
        self._say(escape(text))

    def setback(self, text: str) -> None:
        """One line."""
        self._say(f"[yellow]{escape(text)}[/]")

    def connected(self, report: simopen.PunchReport) -> None:
        """Show the report."""
        super().connected(report)
        self._say(f"[green]{_connected(report)}[/] {escape(str(report))}")
        if self._quiet_when_connected:
            self._status.stop()

    def tick(self, sent: int, received: int) -> None:
        """Update the live line."""
        if self.report is None:
            self._status.update(escape(self.waiting_text()))
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
        self._told: simopen.Diagnosis | None = None  # what the last event said of a failure

    def on_event(self, event: simopen.Event) -> None:
        """Write what happens once; attempts, refusals and refreshes are in the progress."""
        super().on_event(event)
        if not isinstance(event, Repeated):
            write_line(self._out, event_to_json(event))
        self._told = None
        if isinstance(event, simopen.PunchFailed | simopen.RendezvousFailed):
            self._told = event.diagnosis

    def connected(self, report: simopen.PunchReport) -> None:
        """The report of the stream, which knows of the proof what ``punch.connected`` does not."""
        super().connected(report)
        self._line("connected", report=to_json(report))

    def tick(self, sent: int, received: int) -> None:
        """One line a second, but none behind the failure, which is the last word."""
        if self._told is None and self.elapsed >= self._next_line:
            self._next_line = self.elapsed + JSON_INTERVAL
            self._line(
                "progress",
                attempts=self.attempts,
                refusals=self.refusals,
                sent=sent,
                received=received,
            )

    def failed(self, error: Failure) -> None:
        """An event has said it mostly."""
        if isinstance(error, simopen.LocalBindError):
            self._line(
                "bind.failed",
                local=str(error.local),
                errno=error.errno,
                state=error.state,
                message=error.strerror,
            )
        elif not isinstance(error, simopen.PeerConnectError):
            self._line("failed", message=str(error))
        elif error.diagnosis != self._told:
            diagnosis = to_json(error.diagnosis)
            self._line("failed", report=to_json(error.report), diagnosis=diagnosis)

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


def _introduction(event: simopen.RendezvousIntroduced) -> str:
    again = f", round {event.round}" if event.round > 1 else ""
    at = ", ".join(f"{endpoint} ({kind})" for endpoint, kind in event.candidates)
    return f"introduced{again}: the peer is at {at or 'no address that may be used'}"


def _connected(report: simopen.PunchReport) -> str:
    return "connected and proven" if report.encrypted else "connected"


def failure_lines(error: Failure) -> list[str]:
    """The failure for a person: what was tried, what came back, the cause, the next step."""
    if isinstance(error, simopen.LocalBindError):
        return [f"could not start: {error.strerror}"]
    if isinstance(error, simopen.RemoteProtocolError):
        return [str(error), "  next:      Check host, port and scheme (tcp, tls) of --rendezvous"]
    headline = next(text for kind, text in _HEADLINES if isinstance(error, kind))
    diagnosis = error.diagnosis
    return [
        headline.format(remote=error.report.remote),
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
