"""What the caller holds: the handshake of one connection as it happened."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from simopen._endpoints import Endpoint

from . import _picture, _words
from ._log import Log
from ._reading import HandshakeKind, Reading, read

if TYPE_CHECKING:
    from ._steps import TraceStep

_COLUMNS = 80


class HandshakeTrace:
    """The handshake of a connection as it happened, packet by packet.

    Give one to a call as ``trace=``; it is filled when the call ends, also when that fails. With
    ``trace=True`` a call makes one of its own, which is ``stream.trace``. Used once more it tells
    of the later call.

    It is read from the packets' headers where the process may see them (Linux, ``CAP_NET_RAW``, for
    example root): times are then the kernel's, at which a packet left or came. Otherwise it is told
    by the states of the socket, at the times somebody looked. Payload is never recorded.

    Example::

        trace = simopen.HandshakeTrace()
        try:
            stream = await simopen.connect_peer(..., trace=trace)
        finally:
            print(trace.ladder())
            print(trace)
    """

    def __init__(self) -> None:
        """Make one that tells of nothing yet."""
        self._log = Log(why_no_packets="nothing has been traced")
        self._read: Reading | None = None

    def fill(self, log: Log) -> None:
        """Tell of a call that has ended; the library's own.

        Args:
            log: What was recorded of it.
        """
        self._log, self._read = log, None

    @property
    def _reading(self) -> Reading:
        """What the log says: read when somebody looks, and not while a call is ending."""
        if self._read is None:
            self._read = read(self._log)
        return self._read

    @property
    def local(self) -> Endpoint:
        """Our endpoint; of several pairs, that of the winner or of the one that came furthest."""
        return Endpoint(*self._reading.pair[0])

    @property
    def remote(self) -> Endpoint:
        """The other end's."""
        return Endpoint(*self._reading.pair[1])

    @property
    def kind(self) -> HandshakeKind:
        """How the connection came about."""
        return self._reading.kind

    @property
    def steps(self) -> tuple[TraceStep, ...]:
        """Every packet, with the TCP state it left our side in."""
        return self._reading.steps

    @property
    def from_packets(self) -> bool:
        """Whether packets were recorded, rather than the socket's states."""
        return self._reading.why_no_packets is None

    @property
    def attempts(self) -> int:
        """How many different SYNs left; each is an attempt."""
        return self._reading.attempts

    @property
    def retransmits(self) -> int | None:
        """How many SYNs and SYN-ACKs of the last attempt had to leave again; None if not known."""
        return self._reading.retransmits

    @property
    def retransmit_cost(self) -> float:
        """Seconds that were lost by that."""
        return self._reading.retransmit_cost

    @property
    def round_trip(self) -> float | None:
        """The round trip of the handshake in seconds; None if not known."""
        return self._reading.round_trip

    @property
    def other_pairs(self) -> int:
        """How many more pairs of endpoints were tried."""
        return self._reading.other_pairs

    @property
    def other_attempts(self) -> int:
        """How many attempts those made."""
        return self._reading.other_syns

    @property
    def dropped(self) -> int:
        """How many packets are missing, because only the latest 512 are kept."""
        return self._reading.dropped

    def ladder(self, *, ascii_only: bool = False) -> str:
        """Draw it as text, at most 80 columns wide.

        Args:
            ascii_only: Use no character beyond ASCII.

        Returns:
            Lines, each with its line end; empty where nothing has left or come.
        """
        return _picture.text(self._reading, ascii_only=ascii_only)

    def svg(self) -> str:
        """Draw it as an SVG document, which follows the reader's light or dark scheme."""
        return _picture.image(self._reading)

    def pcapng(self) -> bytes:
        """Give the packets as a pcapng file, for Wireshark; without payload, and times in ns.

        Returns:
            The bytes of the file; it has no packets where none could be recorded.
        """
        return _picture.capture(self._reading)

    def __str__(self) -> str:
        """What happened, in sentences; lines of at most 80 columns."""
        return "\n".join(textwrap.fill(line, _COLUMNS) for line in _words.tell(self._reading))

    def __repr__(self) -> str:
        reading = self._reading
        ours, theirs = reading.pair
        return f"<HandshakeTrace {ours} <-> {theirs}: {reading.kind.value}>"
