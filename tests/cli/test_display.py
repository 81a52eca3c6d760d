from __future__ import annotations

import errno
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from simopen import (
    Endpoint,
    Event,
    LocalBindError,
    MeetingReport,
    PeerConnectError,
    PeerNotFoundError,
    PeerProofError,
    PeerTimeoutError,
    ProofFailed,
    ProofStarted,
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchRefused,
    PunchReport,
    PunchStarted,
    RemoteProtocolError,
    RendezvousFailed,
    RendezvousIntroduced,
    RendezvousJoined,
    RendezvousLost,
    RoundFailed,
)
from simopen._diagnosis import diagnose
from simopen._meeting_diagnosis import nobody_came, not_proven
from simopen.cli._display import (
    Display,
    Failure,
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    format_bytes,
)

LOCAL, REMOTE = Endpoint("192.0.2.1", 40000), Endpoint("192.0.2.2", 40001)
PAIR = LOCAL, REMOTE
STARTED = PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=(PAIR,), timeout=None)
REPORT = PunchReport(local=LOCAL, remote=REMOTE, attempts=2, refusals=1, elapsed=0.04)
FAILURE = PeerTimeoutError(report=REPORT, diagnosis=diagnose(REPORT))
BIND = LocalBindError(errno.EADDRINUSE, "local port 40000 is taken", local=LOCAL, state="LISTEN")


URL = "tcp://198.51.100.1:7337"
MEETING = MeetingReport(rendezvous=URL, waited=3.0, observed=(LOCAL,))
NOBODY = PeerNotFoundError(report=REPORT, diagnosis=nobody_came(MEETING))
STRANGER = PeerProofError(report=REPORT, diagnosis=not_proven(REPORT, "no proof in time"))
PROVEN = replace(REPORT, encrypted=True, path="IPv4")


def meet(display: Display) -> None:
    """A call through a coordinator that goes away and comes back, in two rounds."""
    refused = "Connection refused"
    with display:
        for event in (
            RendezvousLost(at=0.0, reason=refused, again_in=0.2),
            RendezvousLost(at=0.2, reason=refused, again_in=0.4),
            RendezvousJoined(at=0.6, rendezvous=URL, observed=(LOCAL,)),
            RendezvousIntroduced(at=0.7, round=1, delay=0.0, candidates=((REMOTE, "IPv4"),)),
            STARTED,
            PunchAttempt(at=0.8, lane=0, number=1),
            ProofStarted(at=0.9, lane=0),
            ProofFailed(at=1.0, lane=0, reason="no proof in time"),
            RoundFailed(at=1.0, round=1, reason="sent 1 SYN: silence. Something. Do this."),
            RendezvousJoined(at=1.1, rendezvous=URL, observed=(LOCAL,)),
            RendezvousIntroduced(at=1.2, round=2, delay=0.0, candidates=((REMOTE, "IPv4"),)),
            STARTED,
            PunchConnected(at=1.3, report=REPORT),
        ):
            display.on_event(event)
        display.connected(PROVEN)


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
        display.connected(REPORT)
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


MEETING_LINES = [
    "no coordinator: Connection refused; it is tried again",
    f"waiting for the peer at {URL}, which sees us as 192.0.2.1:40000",
    "introduced: the peer is at 192.0.2.2:40001 (IPv4)",
    "pair 1 is not the peer: no proof in time",
    "round 1 failed: sent 1 SYN: silence",
    f"waiting for the peer at {URL}, which sees us as 192.0.2.1:40000",
    "introduced, round 2: the peer is at 192.0.2.2:40001 (IPv4)",
    f"connected and proven {PROVEN}",
]


def test_a_meeting_in_a_log() -> None:
    """Each step once: a coordinator tried again for the same reason is no news."""
    out = io.StringIO()
    meet(PlainDisplay(out))
    assert out.getvalue().splitlines() == [f"simopen: {line}" for line in MEETING_LINES]


def test_a_meeting_on_a_terminal() -> None:
    """The same lines; the live one is gone at the end."""
    out = io.StringIO()
    meet(LiveDisplay(Console(file=out, force_terminal=False, width=100)))
    assert out.getvalue().splitlines() == MEETING_LINES


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "connecting: "),
        ([RendezvousJoined(at=0.1, rendezvous=URL, observed=())], "waiting for the peer: "),
        ([RendezvousLost(at=0.1, reason="x", again_in=1.0)], "waiting for the coordinator: "),
        (
            [RendezvousIntroduced(at=0.1, round=3, delay=0.0, candidates=())],
            "connecting, round 3: ",
        ),
        ([ProofStarted(at=0.1, lane=0)], "proving: "),
    ],
)
def test_the_live_line_says_what_is_waited_for(events: list[Event], words: str) -> None:
    """And for how long; SYNs are counted once there are any."""
    display = Display()
    for event in events:
        display.on_event(event)
    assert display.waiting_text().startswith(words)
    assert "SYN" not in display.waiting_text()


def test_a_meeting_in_json() -> None:
    """Every event but attempts, and the report of the stream."""
    out = io.StringIO()
    meet(JsonDisplay(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        *("rendezvous.lost", "rendezvous.lost", "rendezvous.joined", "rendezvous.introduced"),
        *("punch.started", "proof.started", "proof.failed", "rendezvous.round_failed"),
        *("rendezvous.joined", "rendezvous.introduced", "punch.started", "punch.connected"),
        "connected",
    ]
    assert events[3]["candidates"] == [["192.0.2.2:40001", "IPv4"]]
    assert events[-1]["report"]["encrypted"] is True


@pytest.mark.parametrize(
    ("told", "error", "lines"),
    [
        (NOBODY, NOBODY, ["rendezvous.failed"]),
        (FAILURE, STRANGER, ["rendezvous.failed", "failed"]),
        (None, RemoteProtocolError("no coordinator"), ["failed"]),
    ],
)
def test_a_failure_in_json(told: PeerConnectError | None, error: Failure, lines: list[str]) -> None:
    """Is told once: by the event, or where there was none by a line of its own."""
    out = io.StringIO()
    display = JsonDisplay(out)
    if told:
        diagnosis = told.diagnosis
        display.on_event(RendezvousFailed(at=1.0, report=REPORT, diagnosis=diagnosis))
    display.failed(error)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == lines


def test_no_progress_behind_a_failure() -> None:
    """A second that is over in the very moment of the failure adds no line; a next round does."""
    out = io.StringIO()
    display = JsonDisplay(out)
    display.began -= 10
    display.on_event(PunchFailed(at=10.0, report=REPORT, diagnosis=FAILURE.diagnosis))
    display.tick(0, 0)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["punch.failed"]
    display.on_event(RoundFailed(at=10.0, round=1, reason="silence"))
    display.tick(0, 0)
    assert json.loads(out.getvalue().splitlines()[-1])["event"] == "progress"


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
        "connected",
        "progress",
        "ended",
    ]
    assert events[1]["attempts"] == 2
    assert events[2]["report"]["refusals"] == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FAILURE, ["could not connect to 192.0.2.2", "tried:", "came back:", "likely:", "next:"]),
        (NOBODY, ["the peer has not come", "sees us at 192.0.2.1:40000", "next:"]),
        (STRANGER, ["is not the peer", "no proof in time", "next:"]),
        (RemoteProtocolError("it is no coordinator"), ["it is no coordinator", "next:"]),
        (BIND, ["could not start", "taken"]),
    ],
)
def test_a_failure_says_what_to_do(error: Failure, words: list[str]) -> None:
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
