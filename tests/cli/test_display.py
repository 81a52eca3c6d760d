from __future__ import annotations

import errno
import io
import json

import pytest
from rich.console import Console

from simopen import (
    Endpoint,
    LocalBindError,
    PeerTimeoutError,
    PunchAttempt,
    PunchConnected,
    PunchRefused,
    PunchReport,
    PunchStarted,
)
from simopen._diagnosis import diagnose
from simopen.cli._display import Display, JsonDisplay, LiveDisplay, PlainDisplay, format_bytes

LOCAL, REMOTE = Endpoint("192.0.2.1", 40000), Endpoint("192.0.2.2", 40001)
PAIR = LOCAL, REMOTE
STARTED = PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=(PAIR,), timeout=None)
REPORT = PunchReport(local=LOCAL, remote=REMOTE, attempts=2, refusals=1, elapsed=0.04)
FAILURE = PeerTimeoutError(report=REPORT, diagnosis=diagnose(REPORT))
BIND = LocalBindError(errno.EADDRINUSE, "local port 40000 is taken", local=LOCAL, state="LISTEN")


def play(display: Display) -> None:
    """A punch of two attempts and a transfer."""
    with display:
        display.on_event(
            PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=(PAIR,), timeout=None)
        )
        display.on_event(PunchAttempt(at=0.0, lane=0, number=1))
        display.on_event(PunchRefused(at=0.02, lane=0, number=1, reason="reset", after=0.02))
        display.on_event(PunchAttempt(at=0.02, lane=0, number=2))
        display.began -= 10  # as if that had taken so long
        display.tick(0, 0)
        display.on_event(PunchConnected(at=0.04, report=REPORT))
        display.began -= 10
        display.tick(1_500_000, 20)
        display.ended(None, 1_500_000, 20)


def test_plain_lines() -> None:
    """A log shows the beginning, progress every few seconds, the report and the end."""
    out = io.StringIO()
    play(PlainDisplay(out))
    lines = out.getvalue().splitlines()
    assert lines[0] == "simopen: connecting 192.0.2.1:40000 <-> 192.0.2.2:40001"
    assert "2 SYNs sent, 1 refused" in lines[1]
    assert lines[2].startswith("simopen: connected 192.0.2.1:40000 <-> 192.0.2.2:40001")
    assert lines[3] == "simopen: sent 1.5 MB, received 20 B"
    assert lines[4] == "simopen: done; sent 1,500,000 bytes, received 20 bytes"


@pytest.mark.parametrize(("lanes", "more"), [(2, " and 1 more pair"), (4, " and 3 more pairs")])
def test_several_pairs_are_counted(lanes: int, more: str) -> None:
    """The first pair of endpoints is named, the others are counted."""
    out = io.StringIO()
    started = PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=(PAIR,) * lanes, timeout=None)
    PlainDisplay(out).on_event(started)
    assert out.getvalue().rstrip().endswith(f"192.0.2.2:40001{more}")


def test_a_terminal() -> None:
    """Endpoints, report and end stay; brackets of IPv6 are not taken for markup."""
    out = io.StringIO()
    play(LiveDisplay(Console(file=out, force_terminal=True, color_system=None, width=100)))
    text = out.getvalue()
    assert "nobody listening" in text
    assert "connected 192.0.2.1:40000 <-> 192.0.2.2:40001" in text
    assert "done; sent 1.5 MB, received 20 B" in text
    v6 = io.StringIO()
    with LiveDisplay(Console(file=v6, force_terminal=True, color_system=None, width=100)) as live:
        ours = Endpoint("2001:db8::1", 1)
        live.on_event(PunchStarted(at=0.0, local=ours, remote=REMOTE, lanes=(PAIR,), timeout=None))
    assert "[2001:db8::1]:1" in v6.getvalue()


def test_json_lines() -> None:
    """Every line is JSON; attempts are in the progress, not lines of their own."""
    out = io.StringIO()
    play(JsonDisplay(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "punch.started",
        "progress",
        "punch.connected",
        "progress",
        "ended",
    ]
    assert events[1]["attempts"] == 2
    assert events[2]["report"]["refusals"] == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [(FAILURE, ["tried:", "came back:", "likely:", "next:"]), (BIND, ["could not start", "taken"])],
)
def test_a_failure_says_what_to_do(
    error: PeerTimeoutError | LocalBindError, words: list[str]
) -> None:
    """In the log and on the terminal alike."""
    plain, live = io.StringIO(), io.StringIO()
    PlainDisplay(plain).failed(error)
    LiveDisplay(Console(file=live, width=100)).failed(error)
    for word in words:
        assert word in plain.getvalue()
        assert word in live.getvalue()


def test_a_bind_failure_in_json() -> None:
    """It has no event of its own in the library, so the command writes one."""
    out = io.StringIO()
    JsonDisplay(out).failed(BIND)
    line = json.loads(out.getvalue())
    assert (line["event"], line["state"], line["errno"]) == (
        "bind.failed",
        "LISTEN",
        errno.EADDRINUSE,
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (2_500_000, "2.5 MB"), (10**16, "10000.0 TB")],
)
def test_byte_counts(count: int, text: str) -> None:
    """Powers of a thousand."""
    assert format_bytes(count) == text
