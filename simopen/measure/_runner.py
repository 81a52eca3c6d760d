"""Runs all trials, in step with the peer, and hands out what is known as soon as it is.

Theory of operation
===================

The run begins with an **opening**: a connection that does not count, over which the two sides find
out whether they were asked for the same (:mod:`._talk`) and agree on the moment of the first trial.
Then each trial's call is made at its moment (:mod:`._timetable`). If it connects, its stream
carries the next talk, and with that the agreement on the next moment; if it fails, both wait for
the next slot. If anything has not been told when the trials are over, one more connection is made
for it, which does not count either.

States
======

=========  ================================================  ===========================
state      meaning                                           left by
=========  ================================================  ===========================
opening    the peer has not been talked to                   a talk, or the end
trial n    its call, and the talk where that connects        the end of both
closing    outcomes are left that the peer has not heard of  a talk, or the end
=========  ================================================  ===========================

An opening ends the run where nothing was heard of the peer, or where it has come and could not be
connected as often as there are trials. A trial that fails never does. But a run goes on alone only
for so long: for ``MOST_ABSENT`` trials where a coordinator says that nobody has come, and for
``MOST_UNHEARD`` where nobody can say, as between fixed endpoints.

Invariants
==========

- A trial is told of once it is over, and once more if the peer has something to add.
- However the run ends, no connection is left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio import sleep
from msgspec.structs import replace

import simopen

from ._pairing import Mine, trial_record
from ._records import End, Record, Run, Side, Trial
from ._talk import DifferentParametersError, Hello, Outcome, Parameters, State, Talk, TalkError
from ._timetable import TALK, Timetable, run_name
from ._trial import OPENING, Attempt, Introduced, Target, attempt

AGAIN = 60.0  # seconds to wait for a peer that was there a moment ago
MOST_ABSENT = 3  # trials in a row to which the peer has not come
MOST_UNHEARD = 30  # trials in a row in which nothing was heard of it
MOST_EVENTFUL = 20  # outcomes that are told with their events: a talk has no time for many more
LINGER = 1.0  # seconds for the other side to read what we have said last

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, TalkError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured.

    Attributes:
        target: How the peer is found.
        timetable: The trials.
        wait: Seconds that the peer is waited for at the beginning.
        label: This host's name.
        environment: What it is.
        half: Our half of the run's name: 32 random hexadecimal digits.
    """

    target: Target
    timetable: Timetable
    wait: float
    label: str
    environment: dict[str, Any]
    half: str


class RunEnded(Exception):  # noqa: N818 - no error, and never seen outside
    """The run is over before all trials were made.

    Attributes:
        why: In words.
        error: What ended it, if it was an error of a call.
    """

    def __init__(self, why: str, error: simopen.SimopenError | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.error = error


class Runner:
    """One run.

    Args:
        plan: What is to be measured.
        tell: Takes every record.
        watch: Told how many trials are over, and what is going on.

    Attributes:
        error: The call's error that ended the run early, or None.
    """

    def __init__(
        self, plan: Plan, *, tell: Callable[[Record], None], watch: Callable[[int, str], None]
    ) -> None:
        self.error: simopen.SimopenError | None = None
        self._plan = plan
        self._tell = tell
        self._watch = watch
        self._peer: Hello | None = None
        self._name: str | None = None  # the run's, once the peer is known
        self._openings: list[Side] = []
        self._coordinator: float | None = None  # round trip
        self._mine: dict[int, Mine] = {}  # those the peer has told nothing of
        self._untold: dict[int, Outcome] = {}  # those the peer has not heard of
        self._at = datetime.now(UTC).isoformat(timespec="seconds")
        self._began_telling = self._ended = False
        # The agreement: a moment, and which trial's slot begins how long after it.
        self._moment, self._after, self._next = 0.0, 0.0, OPENING + 1

    async def run(self) -> None:
        """Run all trials; how it went is in the records.

        Raises:
            UsageError: The call cannot be made, or the two sides were asked for different things.
        """
        try:
            await self._open()
            await self._run_trials()
        except RunEnded as end:
            self.error = end.error
            self.end(end.why)
        else:
            self.end("done", finished=True)

    def end(self, why: str, *, finished: bool = False) -> None:
        """Write the last record, with those before it that were not written yet; once."""
        if self._ended:
            return
        self._ended = True
        self._begin_telling()
        self._tell(End(run=self._run_name, finished=finished, why=why))

    # -- the opening ---------------------------------------------------------------------------

    async def _open(self) -> None:
        plan = self._plan
        while len(self._openings) < max(1, plan.timetable.trials):
            again = f", opening {len(self._openings) + 1}" if self._openings else ""
            self._watch(0, f"waiting for the peer{again}")
            wait = min(plan.wait, AGAIN) if self._openings else plan.wait
            call = await self._call(OPENING, wait)
            if isinstance(call.error, simopen.UsageError):
                raise call.error
            if call.stream is not None and isinstance(plan.target, Introduced):
                self._coordinator = await plan.target.round_trip()
            if await self._talk(call, OPENING):
                self._begin_telling()
                return
            self._openings.append(call.side)
            if not call.heard:
                raise RunEnded(f"the peer was not met: {_words(call.error)}", call.error)
        raise RunEnded("no opening has connected", call.error)

    def _begin_telling(self) -> None:
        if self._began_telling:
            return
        self._began_telling = True
        plan, peer = self._plan, self._peer
        self._tell(
            Run(
                run=self._run_name,
                at=self._at,
                label=plan.label,
                peer_label=peer.label if peer else None,
                mode=plan.target.mode,
                encrypted=plan.target.secret is not None,
                trials=plan.timetable.trials,
                timeout=plan.timetable.timeout,
                skews=plan.timetable.skews,
                environment=plan.environment,
                peer_environment=peer.environment if peer else None,
            )
        )
        for side in self._openings:
            self._tell(Trial(run=self._run_name, number=OPENING, ok=False, ours=side))

    @property
    def _run_name(self) -> str:
        return self._name or self._plan.half[:16]

    # -- the trials ----------------------------------------------------------------------------

    async def _run_trials(self) -> None:
        trials, absent, unheard = self._plan.timetable.trials, 0, 0
        for number in range(1, trials + 1):
            call = await self._run_trial(number)
            self._watch(number, "")
            absent = absent + 1 if call.absent else 0
            unheard = 0 if call.heard else unheard + 1
            if number == trials:
                break
            if absent == MOST_ABSENT:
                raise RunEnded(f"the peer has not come to {absent} trials", call.error)
            if unheard == MOST_UNHEARD:
                words = f"nothing was heard of the peer in {unheard} trials in a row"
                raise RunEnded(words, call.error)
        if self._untold:
            self._watch(trials, "telling the peer the last outcomes")
            await self._wait_for(trials + 1)
            await self._talk(await self._call(trials + 1, self._plan.timetable.timeout), trials + 1)

    async def _run_trial(self, number: int) -> Attempt:
        self._watch(number - 1, f"trial {number}")
        planned = self._plan.timetable.skew(number, leads=self._leads)
        await self._wait_for(number)
        call = await self._call(number, self._plan.timetable.timeout)
        began = call.began - self._moment
        outcome = Outcome(number=number, epoch=self._next - 1, began=began, side=call.side)
        self._mine[number] = Mine(outcome, planned)
        self._untold[number] = outcome if len(self._untold) < MOST_EVENTFUL else _short(outcome)
        await self._talk(call, number)
        if number in self._mine:  # of which the peer has told nothing
            self._tell_trial(number, None)
        return call

    def _tell_trial(self, number: int, theirs: Outcome | None) -> None:
        target = self._plan.target
        scheme = target.scheme if isinstance(target, Introduced) else None
        encrypted = target.secret is not None
        mine = self._mine[number]
        self._tell(trial_record(self._run_name, mine, theirs, encrypted=encrypted, scheme=scheme))

    async def _wait_for(self, number: int) -> None:
        """Sleep until our start of a trial."""
        timetable = self._plan.timetable
        begin = self._moment + self._after + (number - self._next) * timetable.slot
        delay = timetable.delay(number, leads=self._leads)
        await sleep(max(0.0, begin + delay - time.monotonic()))

    async def _call(self, number: int, timeout: float) -> Attempt:  # noqa: ASYNC109 - the call's
        call = await attempt(self._plan.target, run=self._name, number=number, timeout=timeout)
        call.side = replace(call.side, coordinator_round_trip=self._coordinator)
        return call

    @property
    def _leads(self) -> bool:
        return self._peer is not None and self._plan.half < self._peer.half

    # -- talking -------------------------------------------------------------------------------

    async def _talk(self, call: Attempt, number: int) -> bool:
        """Tell and be told over a call's stream, if it has one; whether both have agreed."""
        if call.stream is None:
            return False
        plan = self._plan
        timetable = plan.timetable
        hello = Hello(
            half=plan.half,
            number=number,
            parameters=Parameters(
                mode=plan.target.mode,
                trials=timetable.trials,
                timeout=timetable.timeout,
                skews=timetable.skews,
            ),
            label=plan.label,
            environment=plan.environment,
        )
        talk = Talk(hello, self._untold.values(), peer=self._peer.half if self._peer else None)
        async with call.stream as stream:
            with anyio.move_on_after(TALK):
                await _converse(stream, talk)
        self._take(talk, number)
        return talk.state is State.AGREED

    def _take(self, talk: Talk, number: int) -> None:
        """Keep what a talk has brought, as far as it came."""
        if mine := self._mine.get(number):
            self._mine[number] = changed(mine, proven=talk.proven, round_trip=talk.round_trip)
        for told in talk.outcomes.values():
            # Of a stream that was cut it is said again; unless the peer has gone, which cut it.
            cut = told.number == number and not talk.proven
            if told.number in self._mine and not cut:
                self._tell_trial(told.number, told)
                del self._mine[told.number]
        if talk.state is not State.AGREED or talk.peer is None:
            return
        self._untold.clear()
        self._moment, self._after, self._next = talk.moment, talk.after, number + 1
        if self._peer is None:
            self._peer = talk.peer
            self._name = run_name(self._plan.half, talk.peer.half)


def _short(outcome: Outcome) -> Outcome:
    """The same without its events, which are nearly all of it."""
    return replace(outcome, side=replace(outcome.side, events=()))


async def _converse(stream: simopen.PeerStream, talk: Talk) -> None:
    """Carry a talk over a stream until it is over or broken.

    Raises:
        DifferentParametersError: The other side was started with other options.
    """
    wrong_use: DifferentParametersError | None = None
    sending = anyio.Lock()

    async def send(data: bytes) -> None:
        async with sending:
            await stream.send(data)

    async with anyio.create_task_group() as group:
        group.start_soon(_until_broken, send, talk.begin())
        try:
            while talk.state is not State.AGREED:
                if answer := talk.feed(await stream.receive(), time.monotonic()):
                    await send(answer)
        except DifferentParametersError as error:
            wrong_use = error  # raised below, free of the task group's wrapping
        except _BROKEN:
            group.cancel_scope.cancel()
    if wrong_use is not None:
        await _part(stream)
        raise wrong_use


async def _until_broken(send: Callable[[bytes], Awaitable[None]], data: bytes) -> None:
    with contextlib.suppress(*_BROKEN):  # whoever receives finds out as well
        await send(data)


async def _part(stream: simopen.PeerStream) -> None:
    """Let the other side read all that was said before we close."""
    with anyio.move_on_after(LINGER), contextlib.suppress(*_BROKEN):
        await stream.send_eof()
        while True:
            await stream.receive()


def _words(error: simopen.SimopenError | None) -> str:
    """An error in one line; its advice is for those who see it on a screen."""
    if isinstance(error, simopen.PeerConnectError):
        return error.diagnosis.cause.value
    return str(error)
