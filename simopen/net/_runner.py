"""Runs one lane on real sockets: looks, tells the core, does what it says.

Theory of operation. A runner owns one socket at a time. It looks at the socket (``TCP_INFO`` first,
then ``SO_ERROR``), gives the core what it saw, and carries out the answer: connect again, replace
the socket, hand it over, or give up. Waiting is for the descriptor to become writable, which a
connection and a refusal both cause, or for the core's deadline.

Invariants:

- Exactly one open socket between :meth:`LaneRunner.open` and :meth:`LaneRunner.close`; the port is
  never without an owner in between (Linux, and while there are descriptors to be had).
- No more than ``YIELD_AFTER`` seconds pass without giving the event loop its turn.
- Nothing is awaited between the look that shows the connection open and the end of ``drive``.
"""

from __future__ import annotations

import errno
import random
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from simopen._errors import LocalBindError, SelfConnectionError
from simopen._events import (
    PunchAttempt,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
    PunchUnsent,
)
from simopen._report import PunchReport
from simopen.punch import Action, Lane, Seen

from . import _errno, _sockets
from ._addresses import endpoint_of, socket_address
from ._self_connection import is_self_connection
from ._tcp_info import TcpState, tcp_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from simopen._events import Event

    from ._addresses import Addresses

YIELD_AFTER = 0.001  # seconds; longer holds on the loop would be felt by the caller's other tasks

UNPROVEN = "closed before the proof"  # as the reason of a refusal

_CONNECTED = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
_OPENING = (TcpState.SYN_RECEIVED, *_CONNECTED)


@dataclass(frozen=True, slots=True)
class Call:
    """What all lanes of one call share.

    Attributes:
        began: When the call began, on :func:`time.monotonic`'s clock.
        announce: Takes every event.
    """

    began: float
    announce: Callable[[Event], None]

    def at(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.began


class LaneRunner:
    """One lane at work.

    Args:
        number: 0 for the first lane of the call.
        addresses: Resolved endpoints.
        lane: The core.
        call: What it shares with the other lanes.
        outranked: Whether a better lane is half-open or open.
        on_unsent: Called when ``connect()`` has failed here.

    Attributes:
        number: As given.
        sock: The socket it owns now.
    """

    sock: socket.socket

    def __init__(
        self,
        number: int,
        addresses: Addresses,
        lane: Lane,
        call: Call,
        outranked: Callable[[], bool],
        on_unsent: Callable[[], None],
    ) -> None:
        self.number = number
        self._addresses = addresses
        self._lane = lane
        self._call = call
        self._outranked = outranked
        self._on_unsent = on_unsent
        self._refused_by: dict[str, int] = {}
        self._unsent_by: dict[str, int] = {}
        self._half_open_at: float | None = None
        self._fired_at = self._last_yield = time.monotonic()

    def open(self) -> None:
        """Take the local port.

        Raises:
            LocalBindError: It cannot be had.
        """
        self.sock = self._open()

    def close(self) -> None:
        """Close the socket: without a trace before :func:`._sockets.keep`."""
        _sockets.close(self.sock)

    async def drive(self, *, after_loss: bool = False) -> bool:
        """Punch; whether the socket is connected and chosen, else the lane has given up.

        Args:
            after_loss: Whether it was connected before, and lost without a proof.

        Raises:
            LocalBindError: A fresh socket cannot be had.
            SelfConnectionError: The socket met itself.
        """
        if after_loss:
            action = self._give_up_connection()
        else:
            action = self._lane.start(time.monotonic(), random.random())
        while action not in (Action.HAND_OVER, Action.ABANDON):
            seen = await self._perform(action)
            action = self._lane.observe(seen, time.monotonic(), random.random())
        return action is Action.HAND_OVER

    @property
    def opening(self) -> bool:
        """Whether the connection is half-open or open, by a fresh look."""
        return self.sock.fileno() != -1 and tcp_state(self.sock) in _OPENING

    def report(self, *, connected: bool = False) -> PunchReport:
        """What this lane has done."""
        lane = self._lane
        local = endpoint_of(self.sock.getsockname()) if connected else self._addresses.source
        return PunchReport(
            local=local,
            remote=self._addresses.remote,
            attempts=lane.attempts,
            refusals=lane.refusals,
            refreshes=lane.refreshes,
            unsent=lane.unsent,
            elapsed=self._call.at(),
            half_open_at=self._half_open_at,
            refused_by=dict(self._refused_by),
            unsent_by=dict(self._unsent_by),
        )

    # -- waiting and looking ---------------------------------------------------------------------

    async def _perform(self, action: Action) -> Seen:
        if action is Action.WAIT:
            await self._wait()
            return self._look()
        if action is Action.REFRESH:
            self._refresh()
        return self._fire()

    async def _wait(self) -> None:
        deadline = self._lane.next_deadline()
        now = time.monotonic()
        if deadline <= now:
            if now - self._last_yield < YIELD_AFTER:
                return
            await anyio.lowlevel.checkpoint()
        elif self._lane.awaits_news:
            with anyio.move_on_after(deadline - now):
                await anyio.wait_writable(self.sock)
        else:
            await anyio.sleep(deadline - now)
        if self.sock.fileno() == -1:  # another lane has won, and our cancellation is on its way
            raise anyio.ClosedResourceError
        self._last_yield = time.monotonic()

    def _look(self) -> Seen:
        if self._lane.resting:
            return Seen.QUIET
        state = tcp_state(self.sock)
        if state is TcpState.SYN_RECEIVED:
            return self._half_open()
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state is TcpState.SYN_SENT and not code:
            return Seen.QUIET
        if state in _CONNECTED and not code:
            return self._open_connection()
        return self._refused(code or errno.ECONNRESET)

    def _half_open(self) -> Seen:
        if self._half_open_at is None:
            self._half_open_at = self._call.at()
            self._call.announce(PunchHalfOpen(at=self._half_open_at, lane=self.number))
        return Seen.HALF_OPEN

    def _open_connection(self) -> Seen:
        try:
            is_ourselves = is_self_connection(self.sock)
        except OSError:
            return self._refused(errno.ECONNRESET)  # reset between the two looks
        if is_ourselves:
            raise SelfConnectionError(
                f"the socket bound to {self._addresses.local} connected to itself: "
                "give the peer's address or another port"
            )
        return Seen.OUTRANKED if self._outranked() else Seen.OPEN

    def _refused(self, code: int) -> Seen:
        if not _sockets.REFUSED_SOCKET_IS_REUSABLE:
            self._replace()
        return self._note_refusal(_errno.refusal_reason(code))

    def _give_up_connection(self) -> Action:
        self._replace()
        seen = self._note_refusal(UNPROVEN)
        return self._lane.observe(seen, time.monotonic(), random.random())

    def _note_refusal(self, reason: str) -> Seen:
        self._refused_by[reason] = self._refused_by.get(reason, 0) + 1
        now = time.monotonic()
        self._call.announce(
            PunchRefused(
                at=now - self._call.began,
                lane=self.number,
                number=self._lane.attempts,
                reason=reason,
                after=now - self._fired_at,
            )
        )
        return Seen.REFUSED

    # -- acting ----------------------------------------------------------------------------------

    def _fire(self) -> Seen:
        self._fired_at = time.monotonic()
        code = self._connect()
        if code in _errno.REFUSED_AT_ONCE:
            return self._refused(code)
        if code not in _errno.IN_PROGRESS:
            reason = _errno.unsent_reason(code)
            self._unsent_by[reason] = self._unsent_by.get(reason, 0) + 1
            self._on_unsent()
            self._call.announce(PunchUnsent(at=self._call.at(), lane=self.number, reason=reason))
            return Seen.UNSENT
        self._call.announce(
            PunchAttempt(at=self._call.at(), lane=self.number, number=self._lane.attempts)
        )
        return self._look()  # on loopback the answer is in before connect() returns

    def _connect(self) -> int:
        remote = socket_address(self._addresses.remote)
        code = self.sock.connect_ex(remote)
        # After a refusal Linux first answers for the attempt that is over and sends nothing:
        # ECONNABORTED once SO_ERROR has been read. The call after that is the new attempt.
        if code == errno.ECONNABORTED:
            code = self.sock.connect_ex(remote)
        return code

    def _refresh(self) -> None:
        now = time.monotonic()
        self._call.announce(
            PunchRefreshed(
                at=now - self._call.began,
                lane=self.number,
                number=self._lane.attempts - 1,
                after=now - self._fired_at,
            )
        )
        self._replace()

    def _replace(self) -> None:
        try:
            fresh = self._open()  # first, so that the port always has an owner
        except LocalBindError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            _sockets.close(self.sock)  # its descriptor is the one that is missing
            fresh = self._open()
        _sockets.close(self.sock)
        self.sock = fresh

    def _open(self) -> socket.socket:
        return _sockets.open_punch_socket(self._addresses.family, self._addresses.local)
