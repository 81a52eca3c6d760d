"""Runs one lane on real sockets: looks, tells the core, does what it says.

Theory of operation. One task owns one socket at a time. It looks at the socket (``TCP_INFO`` first,
then ``SO_ERROR``), gives the core what it saw, and carries out the answer: connect again, replace
the socket, hand it over, or give up. Waiting is for the descriptor to become writable, which a
connection and a refusal both cause, or for the core's deadline.

Invariants:

- Exactly one open socket between :meth:`Punch.run`'s first and last step, none after it
  fails or is cancelled; the port is never without an owner in between (Linux).
- No more than ``YIELD_AFTER`` seconds pass without giving the event loop its turn.
- Every event passes through ``announce``; an exception there ends the punch and propagates.
"""

from __future__ import annotations

import errno
import random
import socket
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from simopen._diagnosis import Cause, diagnose
from simopen._errors import PeerConnectError, PeerTimeoutError, SelfConnectionError
from simopen._events import (
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
    PunchStarted,
    PunchUnsent,
)
from simopen._report import PunchReport
from simopen.punch import Action, Lane, PunchOptions, Seen

from . import _errno, _port_state, _sockets
from ._addresses import endpoint_of
from ._tcp_info import TcpState, tcp_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from simopen._events import Event

    from ._addresses import Addresses

YIELD_AFTER = 0.001  # seconds; longer holds on the loop would be felt by the caller's other tasks

_CONNECTED = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)


class Punch:
    """One call's punch over one lane.

    Args:
        addresses: Resolved endpoints.
        options: The engine's numbers.
        began: When the call began, on :func:`time.monotonic`'s clock; ``elapsed`` and the timeout
            count from it.
        timeout: Seconds, or None for no limit.
        announce: Takes every event.
    """

    def __init__(
        self,
        addresses: Addresses,
        *,
        options: PunchOptions,
        began: float,
        timeout: float | None,
        announce: Callable[[Event], None],
    ) -> None:
        self._addresses = addresses
        self._options = options
        self._began = began
        self._timeout = timeout
        self._announce = announce
        self._lane = Lane(options, give_up_at=None if timeout is None else began + timeout)
        self._refused_by: Counter[str] = Counter()
        self._unsent_by: Counter[str] = Counter()
        self._half_open_at: float | None = None
        self._fired_at = began
        self._last_yield = began

    async def run(self) -> tuple[socket.socket, PunchReport]:
        """Punch until connected.

        Returns:
            The connected, non-blocking socket, now the caller's to close, and the report.

        Raises:
            LocalBindError: The local endpoint cannot be had.
            SelfConnectionError: The socket met itself.
            PeerTimeoutError: The time allowed ended.
            PeerConnectError: Nothing could be sent for longer than ``patience_unsent``.
        """
        # Even where the first SYNs meet at once the caller's loop gets one turn and cancellation
        # one chance; here, since nothing may come between the last look and the hand-over.
        await anyio.lowlevel.checkpoint()
        self._sock = self._open()
        try:
            self._announce(
                PunchStarted(
                    at=self._at(),
                    local=self._addresses.source,
                    remote=self._addresses.remote,
                    timeout=self._timeout,
                )
            )
            await self._drive()
            report = self._connected_report()
            self._announce(PunchConnected(at=report.elapsed, report=report))
            _sockets.keep(self._sock)
        except BaseException:
            _sockets.close(self._sock)
            raise
        return self._sock, report

    async def _drive(self) -> None:
        action = self._lane.start(self._now(), random.random())
        while action is not Action.HAND_OVER:
            seen = await self._perform(action)
            action = self._lane.observe(seen, self._now(), random.random())

    async def _perform(self, action: Action) -> Seen:
        match action:
            case Action.WAIT:
                await self._wait()
                return self._look()
            case Action.FIRE:
                return self._fire()
            case Action.REFRESH:
                self._refresh()
                return self._fire()
            case _:
                raise self._failure()

    # -- waiting and looking ---------------------------------------------------------------------

    async def _wait(self) -> None:
        deadline = self._lane.next_deadline()
        now = self._now()
        if deadline <= now:
            if now - self._last_yield < YIELD_AFTER:
                return
            await anyio.lowlevel.checkpoint()
        elif self._lane.resting:
            await anyio.sleep(deadline - now)  # a socket without a SYN out has no news
        else:
            with anyio.move_on_after(deadline - now):
                await anyio.wait_writable(self._sock)
        self._last_yield = self._now()

    def _look(self) -> Seen:
        if self._lane.resting:
            return Seen.QUIET
        state = tcp_state(self._sock)
        if state is TcpState.SYN_RECEIVED:
            return self._half_open()
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state is TcpState.SYN_SENT and not code:
            return Seen.QUIET
        if state in _CONNECTED and not code:
            return self._open_connection()
        return self._refused(code or errno.ECONNRESET)

    def _half_open(self) -> Seen:
        if self._half_open_at is None:
            self._half_open_at = self._at()
            self._announce(PunchHalfOpen(at=self._half_open_at))
        return Seen.HALF_OPEN

    def _open_connection(self) -> Seen:
        try:
            peer = self._sock.getpeername()
        except OSError:
            return self._refused(errno.ECONNRESET)  # reset between the two looks
        if self._sock.getsockname() == peer:
            raise SelfConnectionError(
                f"the socket bound to {self._addresses.local} connected to itself: "
                "give the peer's address or another port"
            )
        return Seen.OPEN

    def _refused(self, code: int) -> Seen:
        reason = _errno.refusal_reason(code)
        self._refused_by[reason] += 1
        now = self._now()
        self._announce(
            PunchRefused(
                at=now - self._began,
                number=self._lane.attempts,
                reason=reason,
                after=now - self._fired_at,
            )
        )
        if not _sockets.REFUSED_SOCKET_IS_REUSABLE:
            self._replace()
        return Seen.REFUSED

    # -- acting ----------------------------------------------------------------------------------

    def _fire(self) -> Seen:
        self._fired_at = self._now()
        code = self._connect()
        if code in _errno.REFUSED_AT_ONCE:
            return self._refused(code)
        if code not in _errno.IN_PROGRESS:
            reason = _errno.unsent_reason(code)
            self._unsent_by[reason] += 1
            self._announce(PunchUnsent(at=self._at(), reason=reason))
            return Seen.UNSENT
        self._announce(PunchAttempt(at=self._at(), number=self._lane.attempts))
        return self._look()  # on loopback the answer is in before connect() returns

    def _connect(self) -> int:
        remote = self._addresses.remote
        code = self._sock.connect_ex((remote.host, remote.port))
        # After a refusal Linux first answers for the attempt that is over and sends nothing:
        # ECONNABORTED once SO_ERROR has been read. The call after that is the new attempt.
        if code == errno.ECONNABORTED:
            code = self._sock.connect_ex((remote.host, remote.port))
        return code

    def _refresh(self) -> None:
        now = self._now()
        self._announce(
            PunchRefreshed(
                at=now - self._began,
                number=self._lane.attempts - 1,
                after=now - self._fired_at,
            )
        )
        self._replace()

    def _replace(self) -> None:
        fresh = self._open()  # first, so that the port always has an owner
        _sockets.close(self._sock)
        self._sock = fresh

    def _open(self) -> socket.socket:
        return _sockets.open_punch_socket(self._addresses.family, self._addresses.local)

    # -- telling ---------------------------------------------------------------------------------

    def _report(self) -> PunchReport:
        lane = self._lane
        return PunchReport(
            local=self._addresses.source,
            remote=self._addresses.remote,
            attempts=lane.attempts,
            refusals=lane.refusals,
            refreshes=lane.refreshes,
            unsent=lane.unsent,
            elapsed=self._at(),
            half_open_at=self._half_open_at,
            refused_by=dict(self._refused_by),
            unsent_by=dict(self._unsent_by),
        )

    def _connected_report(self) -> PunchReport:
        local = endpoint_of(self._sock.getsockname())
        return replace(self._report(), local=local)

    def _failure(self) -> PeerConnectError:
        report = self._report()
        diagnosis = diagnose(report)
        if diagnosis.cause is Cause.PAIR_IN_USE:
            state = _port_state.pair_state(report.local, report.remote)
            diagnosis = diagnose(report, pair_state=state)
        self._announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
        timed_out = self._timeout is not None and report.elapsed >= self._timeout
        kind = PeerTimeoutError if timed_out else PeerConnectError
        return kind(report=report, diagnosis=diagnosis)

    def _now(self) -> float:
        # Not the loop's clock: uvloop's has a resolution of 1 ms and stands still between turns.
        return time.monotonic()

    def _at(self) -> float:
        return self._now() - self._began
