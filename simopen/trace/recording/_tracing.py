"""Traces one call: begins with the engine's start, ends with the call.

Theory of operation
===================

A tracing stands where the events of a call pass, in front of whoever else takes them. The engine's
start says which pairs of endpoints are tried, before the first SYN: the recorder opens then.
Each event empties it, so that it never holds much. Of a call with several rounds the last is kept.

Invariants
==========

- :meth:`Tracing.end` leaves no socket, whatever has happened, and fills the trace once.
- A trace never fails a call: where packets cannot be recorded it says why, and does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simopen._events import PunchStarted
from simopen.net._tcp_info import min_round_trip, retransmits
from simopen.trace._log import Log, pair_of

from ._recorder import PacketRecorder

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from simopen._endpoints import Endpoint
    from simopen._events import Event
    from simopen.trace._trace import HandshakeTrace

NOT_PERMITTED = "that takes CAP_NET_RAW, which this process lacks"


class Tracing:
    """One call's trace.

    Args:
        trace: Filled at the end.
        announce: Takes every event once it is noted.
        at_a_peer: Whether the other end connects as well, as far as the caller knows.
    """

    def __init__(
        self,
        trace: HandshakeTrace,
        announce: Callable[[Event], None] = lambda _event: None,
        *,
        at_a_peer: bool = True,
    ) -> None:
        self._trace = trace
        self._announce = announce
        self._at_a_peer = at_a_peer
        self._log = Log(at_a_peer=at_a_peer)
        self._recorder: PacketRecorder | None = None

    def __call__(self, event: Event) -> None:
        """Note an event and pass it on.

        Raises:
            Exception: Whatever ``announce`` raises, untouched.
        """
        if isinstance(event, PunchStarted):
            self._begin(event.lanes)
        if self._recorder is not None:
            self._recorder.drain()
        self._log.note_event(event)
        self._announce(event)

    def end(self, sock: socket.socket | None = None) -> None:
        """Stop recording and fill the trace; twice is once.

        Args:
            sock: The connected socket, where there is one.
        """
        self._stop()
        if sock is not None:
            self._log.retransmits = retransmits(sock)
            if not self._at_a_peer:  # after a crossing the kernel's estimate is of no use
                self._log.round_trip = min_round_trip(sock)
        else:
            self._log.connected = None
        self._trace.fill(self._log)

    def _begin(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> None:
        self._stop()
        log = Log(pairs=[pair_of(*pair) for pair in pairs], at_a_peer=self._at_a_peer)
        self._log = log
        try:
            self._recorder = PacketRecorder.open(log.pairs, log)
        except PermissionError:
            log.why_no_packets = NOT_PERMITTED
        except OSError as error:
            log.why_no_packets = error.strerror or str(error)

    def _stop(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None
