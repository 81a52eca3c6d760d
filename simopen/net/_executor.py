"""Runs one punch: its lanes side by side, the choice between them, the report and the diagnosis.

Theory of operation. A *lane* is one pair of endpoints with a socket of its own (:mod:`._runner`).
Usually there is one. Several (a range of ports, several addresses of the peer) race: they start
``lane_delay`` seconds apart, or at once after one that can send nothing, and the first to open is
handed over; then the others are closed with a reset at once.

Which lane has won both hosts know without a message
----------------------------------------------------
Lanes are in the same order on both hosts, better ones first, and both follow one rule: *an open
lane is handed over unless a better one is half-open or open*; then it is held for half a second, or
for twice its own handshake (the lane's HELD state).

Why they agree: suppose that one host hands over a better lane than the other. Its better lane is
open, so the other host has sent a SYN-ACK there, and was half-open on it before. Half-open is left
by opening or by an error. Without an error the other host therefore saw that lane half-open or open
when it chose, and by the rule did not choose a worse one; and after its choice its sockets are
closed and answer nothing but resets. What is left is an error in just that moment, packets lost
until the hold ends (2 of 4,000 simulated races at 10 % loss), or a better lane whose round trip is
longer than the hold: then one host holds a stream that is reset, as a lone lane does when the last
acknowledgement is lost for good.

Proving
-------
Where there is a secret, a connection is not handed over before it has proved who is at its other
end. A *prover* gets every socket that opens, and says whether it is proven, lost (then the lane
goes on as if refused), or someone else's (then the lane is over, and the others go on: a stranger
who is first on a port costs a candidate, not the call). The two ends agree by what the proof
itself says, so the rule above has no part in it, and no lane waits for another.

Invariants:

- All ports are taken before the first SYN leaves. Between the first and the last step of
  :meth:`Punch.run` each lane has one open socket; none is left after it fails or is cancelled, and
  one, the winner's, after it succeeds.
- Every event passes through ``announce``; an exception there ends the punch and propagates.
"""

from __future__ import annotations

import enum
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from simopen._diagnosis import Cause, diagnose, furthest
from simopen._errors import PeerConnectError, PeerTimeoutError
from simopen._events import PunchConnected, PunchFailed, PunchStarted
from simopen._report import PunchReport, together
from simopen.punch import Lane, PunchOptions

from . import _port_state, _sockets
from ._runner import Call, LaneRunner

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from anyio import CancelScope

    from simopen._events import Event

    from ._addresses import Addresses


class Verdict(enum.Enum):
    """What a prover says of an open connection."""

    PROVEN = enum.auto()  # the peer's, and the one to hand over
    LOST = enum.auto()  # closed before the proof
    FALSE = enum.auto()  # not the peer's


@dataclass(frozen=True, slots=True)
class Race:
    """What is to be punched.

    Attributes:
        pairs: Resolved endpoints of each lane, better ones first.
        waits: Seconds from each lane's predecessor to its own start; ``lane_delay`` for all if
            None.
        most: How many SYNs all lanes together may send.
    """

    pairs: Sequence[Addresses]
    waits: Sequence[float] | None = None
    most: float = math.inf


class Punch:
    """One punch: a whole call's, or one round of it.

    Args:
        race: What is punched.
        options: The engine's numbers.
        began: When the call began, on :func:`time.monotonic`'s clock; ``elapsed`` and the timeout
            count from it.
        timeout: Seconds, or None for no limit.
        announce: Takes every event.
        prove: The prover; gets the lane's number and its socket, which stays the lane's. It bounds
            its own time.
        complete: Adds to the report of a connection what the caller knows.
    """

    def __init__(
        self,
        race: Race,
        *,
        options: PunchOptions,
        began: float,
        timeout: float | None,
        announce: Callable[[Event], None],
        prove: Callable[[int, socket.socket], Awaitable[Verdict]] | None = None,
        complete: Callable[[PunchReport], PunchReport] = lambda report: report,
    ) -> None:
        pairs = self._pairs = race.pairs
        self._options = options
        self._timeout = timeout
        self._give_up_at = None if timeout is None else began + timeout
        self._call = Call(began, announce)
        self._waits = race.waits or [options.lane_delay] * len(pairs)
        self._most = race.most / len(pairs)
        self._prove = prove
        self._complete = complete
        self._runners: list[LaneRunner] = []
        self._chosen: tuple[LaneRunner, PunchReport] | None = None
        self._error: BaseException | None = None
        self._started: list[anyio.Event] = []  # where lanes race: which have begun,
        self._unsent: list[anyio.Event] = []  # and which could send nothing

    async def run(self) -> tuple[socket.socket, PunchReport]:
        """Punch until connected.

        Returns:
            The connected, non-blocking socket, now the caller's to close, and the report.

        Raises:
            LocalBindError: A local endpoint cannot be had.
            SelfConnectionError: A socket met itself.
            PeerTimeoutError: The time allowed ended.
            PeerConnectError: Nothing could be sent for longer than ``patience_unsent``.
        """
        # Even where the first SYNs meet at once the caller's loop gets one turn and cancellation
        # one chance; here, since nothing may come between the last look and the hand-over.
        await anyio.lowlevel.checkpoint()
        try:
            self._open_lanes()
            self._announce_start()
            winner, report = await self._connect()
            report = self._complete(report)
            self._call.announce(PunchConnected(at=report.elapsed, report=report))
            _sockets.keep(winner.sock)
        except BaseException:
            self._close_lanes()
            raise
        return winner.sock, report

    def _open_lanes(self) -> None:
        # Not the loop's clock: uvloop's has a resolution of 1 ms and stands still between turns.
        wall_offset = time.time() - time.monotonic()
        for number, addresses in enumerate(self._pairs):
            lane = Lane(
                self._options,
                give_up_at=self._give_up_at,
                lanes=len(self._pairs),
                leads=number == 0,
                wall_offset=wall_offset,
                most=self._most,
            )
            runner = LaneRunner(
                number,
                addresses,
                lane,
                self._call,
                self._outranked(number),
                self._on_unsent(number),
            )
            runner.open()
            self._runners.append(runner)

    def _outranked(self, number: int) -> Callable[[], bool]:
        if self._prove is not None:
            return lambda: False
        return lambda: any(runner.opening for runner in self._runners[:number])

    def _on_unsent(self, number: int) -> Callable[[], None]:
        def tell() -> None:
            if self._unsent:  # a lone lane has nobody to tell
                self._unsent[number].set()

        return tell

    def _announce_start(self) -> None:
        first = self._pairs[0]
        self._call.announce(
            PunchStarted(
                at=self._call.at(),
                local=first.source,
                remote=first.remote,
                lanes=tuple((pair.source, pair.remote) for pair in self._pairs),
                timeout=self._timeout,
            )
        )

    # -- racing ----------------------------------------------------------------------------------

    async def _connect(self) -> tuple[LaneRunner, PunchReport]:
        if len(self._runners) == 1:
            await self._drive(self._runners[0])
        else:
            await self._race()
        if self._chosen is None:
            raise self._failure()
        return self._chosen

    async def _drive(self, runner: LaneRunner) -> None:
        connected = await runner.drive()
        while connected and self._prove is not None:
            verdict = await self._prove(runner.number, runner.sock)
            if verdict is Verdict.PROVEN:
                break
            connected = verdict is Verdict.LOST and await runner.drive(after_loss=True)
        if connected:
            self._chosen = runner, self._report_of(runner)
            self._close_lanes(but=runner)
        else:
            runner.close()  # before the race ends: nobody must wait for an answer from it

    async def _race(self) -> None:
        self._started = [anyio.Event() for _ in self._runners]
        self._unsent = [anyio.Event() for _ in self._runners]
        try:
            async with anyio.create_task_group() as group:
                for number, runner in enumerate(self._runners):
                    group.start_soon(self._compete, number, runner, group.cancel_scope)
        finally:  # as in a lone lane, an error is not lost to a cancellation of that moment
            if self._error is not None:
                raise self._error

    async def _compete(self, number: int, runner: LaneRunner, scope: CancelScope) -> None:
        try:
            if number and not await self._turn(number):
                return
            if self._chosen is not None or self._error is not None:
                return  # in the loop's turn that cancels us
            self._started[number].set()
            await self._drive(runner)
            if self._chosen is not None:
                scope.cancel()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the race, not as a group
            if self._chosen is None:  # afterwards the loser's socket is closed under it
                self._error = self._error or error
                scope.cancel()

    async def _turn(self, number: int) -> bool:
        """Wait for a lane's turn to start; False if the time allowed ends before it."""
        left = None if self._give_up_at is None else self._give_up_at - time.monotonic()
        with anyio.move_on_after(left) as allowed:
            await self._started[number - 1].wait()
            with anyio.move_on_after(self._waits[number]):
                await self._unsent[number - 1].wait()
        return not allowed.cancelled_caught

    def _close_lanes(self, *, but: LaneRunner | None = None) -> None:
        for runner in self._runners:
            if runner is not but:
                runner.close()

    # -- telling ---------------------------------------------------------------------------------

    def _report_of(self, chosen: LaneRunner) -> PunchReport:
        if len(self._runners) == 1:
            return chosen.report(connected=True)
        return together(
            chosen.report(connected=True),
            tuple(runner.report(connected=runner is chosen) for runner in self._runners),
        )

    def _failure(self) -> PeerConnectError:
        lanes = tuple(runner.report() for runner in self._runners)
        report = lanes[0] if len(lanes) == 1 else together(lanes[0], lanes)
        diagnosis = diagnose(report)
        if diagnosis.cause is Cause.PAIR_IN_USE:
            lane = furthest(report)
            state = _port_state.pair_state(lane.local, lane.remote)
            diagnosis = diagnose(report, pair_state=state)
        self._call.announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
        timed_out = self._timeout is not None and report.elapsed >= self._timeout
        kind = PeerTimeoutError if timed_out else PeerConnectError
        return kind(report=report, diagnosis=diagnosis)
