"""Whole runs of two sides in one process, in virtual time: which calls connect is scripted."""

from __future__ import annotations

import contextlib
import heapq
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, cast

import anyio
import pytest
from anyio import create_memory_object_stream
from anyio.lowlevel import checkpoint
from anyio.streams.stapled import StapledObjectStream

import simopen
from simopen import Endpoint, PeerStream, PunchReport
from simopen.measure import _runner
from simopen.measure._records import (
    End,
    Moment,
    Record,
    Results,
    Run,
    Side,
    Trial,
    encode_line,
    read_results,
)
from simopen.measure._runner import MOST_ABSENT, MOST_EVENTFUL, MOST_UNHEARD, Plan, Runner
from simopen.measure._summary import counts
from simopen.measure._talk import Hello, Parameters, encode
from simopen.measure._timetable import Timetable
from simopen.measure._trial import Attempt, Direct
from simopen.net._stream import TcpStream
from tests.helpers import no_socket_left

pytestmark = pytest.mark.anyio

HERE = Endpoint("192.0.2.1", 40000)
REPORT = PunchReport(local=HERE, remote=HERE)
PATIENCE = 30  # seconds
TIMEOUT = 10.0  # seconds that a call takes which fails
SKEWS = (0.0, 0.05)
SETTLED = 100  # turns of the event loop in which all is said that is to be said at once
_side: ContextVar[str] = ContextVar("_side")  # whose task this is

HALVES = {"alice": "0" * 32, "bob": "f" * 32}

# What becomes of a call: FAILS though the peer was there; SILENT says nothing of that.
CONNECTS, FAILS, SILENT, ABSENT, ONE_SIDED = "connects", "fails", "silent", "absent", "one-sided"
CUT = "cut"  # after the first words of bob
EVENTS = (Moment(0.0, "punch.attempt", 0),)
Call = Callable[..., Awaitable[Attempt]]
Script = Mapping[int, str]  # what becomes of a trial; those that are not in it connect


def never(*_: object) -> None:
    """What nobody listens to."""


class Clock:
    """Time that stands still while anybody has something to do, and then jumps to the next waking.

    Attributes:
        now: Seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self._waking: list[tuple[float, int, anyio.Event]] = []

    def monotonic(self) -> float:
        """In place of :func:`time.monotonic`."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """In place of :func:`anyio.sleep`."""
        event = anyio.Event()
        heapq.heappush(self._waking, (self.now + seconds, id(event), event))
        await event.wait()

    async def run(self) -> None:
        """Let time go on, until cancelled."""
        while True:
            for _ in range(SETTLED):
                await checkpoint()
            await anyio.wait_all_tasks_blocked()
            self.now, _, event = heapq.heappop(self._waking)
            event.set()


class Deaf(StapledObjectStream[bytes]):
    """Can be heard, and hears nothing."""

    async def receive(self) -> bytes:
        """In place of what has come."""
        for _ in range(SETTLED):
            await checkpoint()
        raise anyio.EndOfStream


class Network:
    """Stands in for the calls: two of the same number get the ends of one connection.

    Attributes:
        clock: Everybody's.
        calls: The numbers that were called, by the side.
        openings: What becomes of the openings, in order.
        began: When each trial's calls began, by the side.
        connections: All that were opened.
    """

    def __init__(self, script: Script, openings: tuple[str, ...] = ()) -> None:
        self.clock = Clock()
        self.calls: dict[str, list[int]] = defaultdict(list)
        self.openings = openings
        self.began: dict[int, dict[str, float]] = defaultdict(dict)
        self.connections: list[StapledObjectStream[bytes]] = []
        self._script = script
        self._ends: dict[tuple[int, int], StapledObjectStream[bytes]] = {}
        self._came: dict[tuple[int, int], anyio.Event] = {}

    def attempt(self, side: str) -> Call:
        """In place of the real one, for a side's runner."""

        async def attempt(_target: object, *, run: object, number: int, timeout: float) -> Attempt:
            del run, timeout
            tries = self.calls[side].count(number)
            self.calls[side].append(number)
            self.began[number][side] = began = self.clock.now
            fate = self._script.get(number, CONNECTS)
            if number == 0 and tries < len(self.openings):
                fate = self.openings[tries]
            if fate in (FAILS, SILENT, ABSENT):
                return await self._failed(began, fate)
            end = await self._end((number, tries))
            if fate == ONE_SIDED and side == "bob":
                await end.aclose()
                return await self._failed(began, FAILS)
            if fate == CUT and side == "bob":
                end = Deaf(end.send_stream, end.receive_stream)
            figures = Side(ok=True, elapsed=self.clock.now - began, rounds=1)
            return Attempt(began, figures, cast(PeerStream, end))

        return attempt

    async def _failed(self, began: float, fate: str) -> Attempt:
        await self.clock.sleep(TIMEOUT)
        kind = simopen.PeerNotFoundError if fate == ABSENT else simopen.PeerTimeoutError
        why = simopen.Diagnosis(
            cause=simopen.Cause.SILENCE, tried="", came_back="", explanation="", advice=""
        )
        side = Side(
            ok=False, elapsed=TIMEOUT, rounds=int(fate == FAILS), cause="silence", events=EVENTS
        )
        return Attempt(began, side, error=kind(report=REPORT, diagnosis=why))

    async def _end(self, key: tuple[int, int]) -> StapledObjectStream[bytes]:
        """Wait for the other side's call; one end of the connection."""
        if key not in self._came:
            self._came[key] = anyio.Event()
            await self._came[key].wait()
            return self._ends[key]
        (out, far_in), (far_out, into) = (create_memory_object_stream[bytes](99) for _ in range(2))
        self._ends[key] = StapledObjectStream(far_out, far_in)
        self.connections += [self._ends[key], ours := StapledObjectStream(out, into)]
        self._came[key].set()
        return ours


class Pair:
    """Two runners over such a network."""

    def __init__(self, network: Network, monkeypatch: pytest.MonkeyPatch, **plan: Any) -> None:
        self.records: dict[str, list[Record]] = {"alice": [], "bob": []}
        self.wrong_use: dict[str, simopen.UsageError] = {}
        self.runners = {}
        self._network = network
        self._patch = monkeypatch
        for name, half in HALVES.items():
            timetable = Timetable(plan.get("trials", {}).get(name, 4), TIMEOUT, SKEWS)
            target = Direct(HERE, HERE)
            self.runners[name] = Runner(
                Plan(
                    target=target,
                    timetable=timetable,
                    wait=1.0,
                    label=name,
                    environment={"cpus": 2},
                    half=half,
                ),
                tell=self.records[name].append,
                watch=never,
            )

    async def run(self) -> None:
        """Both, to their ends."""
        calls = {name: self._network.attempt(name) for name in self.runners}

        async def attempt(target: object, **call: Any) -> Attempt:
            call_of: Call = calls[_side.get()]
            return await call_of(target, **call)

        self._patch.setattr(_runner, "attempt", attempt)
        self._patch.setattr(_runner, "time", self._network.clock)
        self._patch.setattr(_runner, "sleep", self._network.clock.sleep)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as clock:
                clock.start_soon(self._network.clock.run)
                async with anyio.create_task_group() as group:
                    for name in self.runners:
                        group.start_soon(self._run, name)
                clock.cancel_scope.cancel()
        for connection in self._network.connections:
            with pytest.raises(anyio.ClosedResourceError):
                await connection.receive()

    async def _run(self, name: str) -> None:
        _side.set(name)
        try:
            await self.runners[name].run()
        except simopen.UsageError as error:
            self.wrong_use[name] = error

    def results(self, name: str) -> Results:
        """What a side has written, as its file is read."""
        (results,) = read_results(encode_line(record) for record in self.records[name])
        return results


async def test_all_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial is told once, by both sides alike, in order; nothing is left to be told."""
    network = Network({})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name, peer in (("alice", "bob"), ("bob", "alice")):
        run, *trials, end = pair.records[name]
        assert isinstance(run, Run)
        assert (run.label, run.peer_label, run.peer_environment) == (name, peer, {"cpus": 2})
        assert [getattr(trial, "number", None) for trial in trials] == [1, 2, 3, 4]
        assert all(isinstance(trial, Trial) and trial.ok for trial in trials)
        assert end == End(run=run.run, finished=True, why="done")
        assert network.calls[name] == [0, 1, 2, 3, 4]
    assert pair.results("alice").run.run == pair.results("bob").run.run


async def test_failures_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written at once, the peer tells its side over the next stream, and all go on."""
    network = Network({1: FAILS, 2: FAILS})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name in HALVES:
        told = [record for record in pair.records[name] if isinstance(record, Trial)]
        assert [trial.number for trial in told] == [1, 2, 1, 2, 3, 4]
        assert [trial.theirs is None for trial in told] == [True, True, *[False] * 4]
        trials = pair.results(name).trials
        assert [trial.ok for trial in trials] == [False, False, True, True]
        assert all(trial.theirs and trial.skew is not None for trial in trials)


async def test_two_that_fail_stay_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The starts of the trial after two failures are as far apart as was planned."""
    network = Network({2: FAILS, 3: FAILS})
    pair = Pair(network, monkeypatch)
    await pair.run()
    began = network.began
    planned = pair.results("alice").trials[3].planned
    assert planned == 0.05
    assert began[4]["alice"] - began[4]["bob"] == pytest.approx(planned)
    slot = Timetable(4, TIMEOUT, SKEWS).slot
    assert began[3]["bob"] - began[2]["bob"] == pytest.approx(slot, abs=max(SKEWS))
    assert began[4]["bob"] - began[2]["bob"] == pytest.approx(2 * slot)


async def test_a_stream_that_only_one_side_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no success, and both know it in the end."""
    network = Network({2: ONE_SIDED})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name, held in (("alice", True), ("bob", False)):
        trial = pair.results(name).trials[1]
        assert (trial.ok, trial.ours.ok) == (False, held)
        assert trial.theirs is not None
        assert trial.theirs.ok is not held
        assert trial.took is None


async def test_a_stream_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no success, and a failure only when the peer is there to tell of it again."""
    pair = Pair(Network({2: CUT}), monkeypatch)
    await pair.run()
    trial = pair.results("alice").trials[1]
    assert (trial.ok, trial.ours.ok, counts(trial)) == (False, True, True)
    assert trial.theirs is not None
    assert trial.theirs.ok
    pair = Pair(Network({2: CUT} | dict.fromkeys((3, 4, 5), SILENT)), monkeypatch)
    await pair.run()
    trial = pair.results("alice").trials[1]
    assert (trial.ok, trial.ours.ok, counts(trial)) == (False, True, False)


async def test_the_last_trial_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more connection tells of it, and does not count."""
    network = Network({4: FAILS})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name in HALVES:
        assert network.calls[name] == [0, 1, 2, 3, 4, 5]
        trials = pair.results(name).trials
        assert [trial.number for trial in trials] == [1, 2, 3, 4]
        assert trials[3].theirs is not None


async def test_the_last_connection_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the run ends all the same, and what the peer had is not known."""
    network = Network({4: FAILS, 5: FAILS})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert results.end is not None
        assert results.end.finished
        assert results.trials[3].theirs is None


async def test_openings_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are written with the run, once the peer is known."""
    network = Network({}, openings=(FAILS, FAILS))
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name in HALVES:
        numbers = [trial.number for trial in pair.results(name).trials]
        assert numbers == [0, 0, 1, 2, 3, 4]
        assert pair.results(name).run.peer_label is not None


async def test_as_many_openings_as_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """If none connects, the run ends with them."""
    network = Network({0: FAILS})
    pair = Pair(network, monkeypatch)
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert [trial.number for trial in results.trials] == [0, 0, 0, 0]
        assert results.end is not None
        assert (results.end.finished, results.end.why) == (False, "no opening has connected")
        assert isinstance(pair.runners[name].error, simopen.PeerTimeoutError)


@pytest.mark.parametrize("fate", [SILENT, ABSENT])
async def test_a_peer_that_is_not_met(fate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the opening it ends the run; what was tried is written, and does not count."""
    pair = Pair(Network({0: fate}), monkeypatch)
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert [(trial.number, trial.ours.events) for trial in results.trials] == [(0, EVENTS)]
        assert not any(map(counts, results.trials))
        assert results.end is not None
        assert results.end.why == "the peer was not met: silence"
        assert isinstance(pair.runners[name].error, simopen.PeerConnectError)


async def test_a_peer_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is waited for in some more trials, and not in all."""
    network = Network(dict.fromkeys(range(2, 20), ABSENT))
    pair = Pair(network, monkeypatch, trials=dict.fromkeys(HALVES, 19))
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert [trial.number for trial in results.trials] == [*range(1, 2 + MOST_ABSENT)]
        assert results.end is not None
        assert results.end.why == f"the peer has not come to {MOST_ABSENT} trials"


async def test_nothing_is_heard_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between fixed endpoints nobody can say whether the peer has gone: it is tried for long."""
    network = Network(dict.fromkeys(range(2, 99), SILENT) | {20: CONNECTS})
    pair = Pair(network, monkeypatch, trials=dict.fromkeys(HALVES, 98))
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert len(results.trials) == 20 + MOST_UNHEARD
        assert results.end is not None
        assert results.end.why == f"nothing was heard of the peer in {MOST_UNHEARD} trials in a row"


async def test_the_last_trials_may_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has come to its end is not ended before it."""
    trials = 1 + MOST_UNHEARD
    network = Network(dict.fromkeys(range(2, 1 + trials), SILENT))
    pair = Pair(network, monkeypatch, trials=dict.fromkeys(HALVES, trials))
    await pair.run()
    for name in HALVES:
        results = pair.results(name)
        assert results.end is not None
        assert results.end.why == "done"
        assert all(trial.theirs for trial in results.trials)


async def test_many_failures_are_told_in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer hears of all, and of the first with their events: the others would take too long."""
    failed = MOST_EVENTFUL + 3
    network = Network(dict.fromkeys(range(1, 1 + failed), FAILS))
    pair = Pair(network, monkeypatch, trials=dict.fromkeys(HALVES, failed + 1))
    await pair.run()
    for name in HALVES:
        *trials, _ = pair.results(name).trials
        theirs = [trial.theirs.events for trial in trials if trial.theirs]
        assert theirs == [EVENTS] * MOST_EVENTFUL + [()] * 3
        assert all(trial.ours.events == EVENTS for trial in trials)


async def test_different_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are found by both sides, and nothing is written."""
    pair = Pair(Network({}), monkeypatch, trials={"alice": 3, "bob": 4})
    await pair.run()
    assert "trials: 3 here, 4 there" in str(pair.wrong_use["alice"])
    assert "trials: 4 here, 3 there" in str(pair.wrong_use["bob"])
    assert pair.records == {"alice": [], "bob": []}


async def test_an_end_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an interrupt comes at the very end."""
    pair = Pair(Network({}), monkeypatch)
    await pair.run()
    pair.runners["alice"].end("interrupted")
    assert sum(isinstance(record, End) for record in pair.records["alice"]) == 1


@pytest.fixture
def far_ends(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Calls connect to the ends that are put here; whoever is there follows no protocol."""
    ends: list[socket.socket] = []

    async def attempt(*_: object, **__: object) -> Attempt:
        near, far = socket.socketpair()
        near.setblocking(False)
        ends.append(far)
        far.send(b"HTTP/1.0 400 Bad Request\r\n\r\n" if len(ends) == 1 else b"")
        stream = PeerStream(TcpStream(near), REPORT)
        return Attempt(time.monotonic(), Side(ok=True, elapsed=0.0), stream)

    monkeypatch.setattr(_runner, "attempt", attempt)
    monkeypatch.setattr(_runner, "TALK", 0.3)
    return ends


def alone(records: list[Record], trials: int) -> Runner:
    """A runner without another one."""
    plan = Plan(
        target=Direct(HERE, HERE),
        timetable=Timetable(trials, 0.2, (0.0,)),
        wait=1.0,
        label="alice",
        environment={},
        half=HALVES["alice"],
    )
    return Runner(plan, tell=records.append, watch=never)


def until_closed(far: socket.socket) -> None:
    """Wait until the other end of it is closed; a ``TimeoutError`` where that does not happen."""
    far.settimeout(PATIENCE)
    with far, contextlib.suppress(ConnectionResetError):
        while far.recv(65_536):
            pass


async def test_somebody_who_is_no_peer(far_ends: list[socket.socket]) -> None:
    """Whoever says something else, or nothing, costs an opening; its connection is closed."""
    records: list[Record] = []
    with anyio.fail_after(PATIENCE):
        await alone(records, 2).run()
    kinds = [type(record) for record in records]
    assert kinds == [Run, Trial, Trial, End]
    for far in far_ends:
        until_closed(far)


async def test_an_interrupt_leaves_no_connection(far_ends: list[socket.socket]) -> None:
    """Also in the middle of a talk; what was not written yet is."""
    records: list[Record] = []
    runner = alone(records, 100)
    with no_socket_left():
        with anyio.move_on_after(0.5) as scope:
            await runner.run()
        assert scope.cancelled_caught
        runner.end("interrupted")
        for far in far_ends:
            until_closed(far)
    *_, last, end = records
    assert isinstance(last, Trial)
    assert end == End(run=HALVES["alice"][:16], finished=False, why="interrupted")


async def test_the_other_side_can_read_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """We half-close and wait for its end: closed at once, our hello could be lost on the way."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)

    async def attempt(*_: object, **__: object) -> Attempt:
        return Attempt(0.0, Side(ok=True, elapsed=0.0), PeerStream(TcpStream(near), REPORT))

    monkeypatch.setattr(_runner, "attempt", attempt)
    monkeypatch.setattr(_runner, "LINGER", PATIENCE)
    other = Parameters(mode="direct", trials=9, timeout=1.0, skews=(0.0,))
    hello = Hello(half=HALVES["bob"], number=0, parameters=other, label="bob", environment={})
    wrong_use: list[simopen.UsageError] = []

    async def run() -> None:
        try:
            await alone([], 2).run()
        except simopen.UsageError as error:
            wrong_use.append(error)

    with anyio.fail_after(PATIENCE), far:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            far.send(encode(hello))
            await anyio.wait_readable(far)
            while far.recv(65_536):
                await anyio.wait_readable(far)
            far.send(b"still read")
            far.shutdown(socket.SHUT_WR)
    assert wrong_use
