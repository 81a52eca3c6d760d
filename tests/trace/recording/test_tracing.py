"""One call's trace, from the engine's start to the call's end."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence

import pytest

from simopen import Endpoint, HandshakeKind, HandshakeTrace
from simopen._events import Event, PunchAttempt, PunchStarted
from simopen.trace._log import Log, Pair
from simopen.trace.recording import _tracing
from simopen.trace.recording._recorder import PacketRecorder
from simopen.trace.recording._tracing import Tracing

HERE, THERE = Endpoint("192.0.2.1", 40000), Endpoint("198.51.100.7", 40001)
STARTED = PunchStarted(at=0.0, local=HERE, remote=THERE, lanes=((HERE, THERE),), timeout=None)
ATTEMPT = PunchAttempt(at=0.01, lane=0, number=1)


class Recorder(PacketRecorder):
    """Records nothing, and remembers what was asked of it."""

    def __init__(self, pairs: Sequence[Pair], _log: Log) -> None:
        self.pairs = pairs
        self.calls: list[str] = []

    def drain(self, most: int = 0) -> None:  # noqa: ARG002 - as many as there are
        """Nothing came."""
        self.calls.append("drain")

    def close(self) -> None:
        """No socket."""
        self.calls.append("close")


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """The recorders that were opened, in order."""
    opened: list[Recorder] = []

    def open_one(pairs: Sequence[Pair], log: Log) -> Recorder:
        opened.append(Recorder(pairs, log))
        return opened[-1]

    monkeypatch.setattr(PacketRecorder, "open", open_one)
    return opened


def test_recording_begins_before_the_first_syn(recorders: list[Recorder]) -> None:
    """With the engine's start, which names the endpoints; each event empties the socket."""
    seen: list[Event] = []
    tracing = Tracing(HandshakeTrace(), seen.append)
    assert not recorders
    tracing(STARTED)
    tracing(ATTEMPT)
    (recorder,) = recorders
    assert [tuple(map(str, pair)) for pair in recorder.pairs] == [(str(HERE), str(THERE))]
    assert recorder.calls == ["drain", "drain"]
    assert seen == [STARTED, ATTEMPT]


def test_every_round_begins_anew(recorders: list[Recorder]) -> None:
    """Of a call with several rounds the last is told, and no recorder is left open."""
    trace = HandshakeTrace()
    tracing = Tracing(trace)
    for event in (STARTED, ATTEMPT, STARTED):
        tracing(event)
    tracing.end()
    assert [recorder.calls[-1] for recorder in recorders] == ["close", "close"]
    assert trace.attempts == 0


def test_the_end_closes_once_and_fills_the_trace(recorders: list[Recorder]) -> None:
    """Whatever has happened, and however often it is said."""
    trace = HandshakeTrace()
    tracing = Tracing(trace)
    tracing(STARTED)
    tracing.end()
    tracing.end()
    assert recorders[0].calls.count("close") == 1
    assert (trace.local, trace.remote, trace.from_packets) == (HERE, THERE, True)
    assert trace.kind is HandshakeKind.NONE


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EPERM, "no"), "CAP_NET_RAW"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError("this system has no packet sockets"), "no packet sockets"),
    ],
)
def test_where_packets_cannot_be_recorded(
    monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """The call goes on, and the trace says why and tells what the engine saw."""

    def refuse(_pairs: Sequence[Pair], _log: Log) -> Recorder:
        raise error

    monkeypatch.setattr(PacketRecorder, "open", refuse)
    trace = HandshakeTrace()
    tracing = Tracing(trace)
    for event in (STARTED, ATTEMPT):
        tracing(event)
    tracing.end()
    assert not trace.from_packets
    assert words in " ".join(str(trace).split())
    assert [step.flags for step in trace.steps] == ["SYN"]


def test_what_the_caller_raises_passes_and_is_noted_before(recorders: list[Recorder]) -> None:
    """An exception of ``on_event`` ends the call; the trace has the event."""

    def complain(_event: Event) -> None:
        raise ZeroDivisionError

    tracing = Tracing(HandshakeTrace(), complain)
    with pytest.raises(ZeroDivisionError):
        tracing(STARTED)
    tracing.end()
    assert recorders[0].calls[-1] == "close"


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_closing_does_not_hold_the_loop() -> None:
    """The kernel takes some ten milliseconds for it, in a thread."""
    tracing = Tracing(HandshakeTrace())
    threads = set(threading.enumerate())
    took = []
    for _ in range(10):
        tracing(STARTED)
        began = time.perf_counter()
        tracing.end()
        took.append(time.perf_counter() - began)
    for thread in set(threading.enumerate()) - threads:
        thread.join()
    assert min(took) < 0.004


def test_the_reason_names_the_privilege() -> None:
    """What a person has to ask for."""
    assert "CAP_NET_RAW" in _tracing.NOT_PERMITTED
