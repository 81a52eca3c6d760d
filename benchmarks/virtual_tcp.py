"""TCP and the clock of a punch in virtual time; :mod:`benchmarks.virtual` has the rest.

Theory of operation. RFC 9293 §3.10.7 for CLOSED, SYN_SENT, SYN_RECEIVED and ESTABLISHED, with
initial sequence numbers, challenge ACKs at most every half second, and the kernel's
retransmissions. As in Linux a SYN-ACK completes a crossing, and an ICMP error is fatal both in
SYN_SENT and in SYN_RECEIVED if it quotes the current SYN.

Two sequence numbers never come near each other, so whatever belongs to another attempt is outside
the window. Data takes none: its segments are marked, and so are ACKs of a side that has had some.
It is repeated until it is acknowledged, and takes a half-open peer to ESTABLISHED as any ACK does.
Closing a connection is left out.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

FIRST_RETRANSMISSION = 1.0  # seconds, of SYN and SYN-ACK
DATA_RETRANSMISSION = 0.2  # seconds beyond the round trip, the first of data; TCP_RTO_MIN
CHALLENGE_INTERVAL = 0.5  # seconds between two challenge ACKs of one socket


class Clock:
    """Virtual time: what is due is done in order.

    Attributes:
        now: Seconds.
        end: When the present run stops; may be moved while it runs.
    """

    __slots__ = ("_due", "_order", "end", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.end = 0.0
        self._due: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._order = itertools.count()

    def at(self, when: float, do: Callable[[Any], None], argument: object) -> None:
        """Do something with an argument at a moment, which is not past."""
        heapq.heappush(self._due, (when, next(self._order), do, argument))

    def run(self, until: float) -> None:
        """Let time pass."""
        self.end = until
        due = self._due
        while due and due[0][0] <= self.end:
            self.now, _, do, argument = heapq.heappop(due)
            do(argument)
        self.now = self.end


class Alarm:
    """Does something at a moment that may be moved.

    Args:
        clock: The time.
        do: What to do.
    """

    __slots__ = ("_clock", "_do", "_due", "_rings_at")

    def __init__(self, clock: Clock, do: Callable[[], None]) -> None:
        self._clock = clock
        self._do = do
        self._due = math.inf
        self._rings_at = math.inf  # of the one event that counts; never later than due

    def set(self, when: float) -> None:
        """Set it to a moment; ``math.inf`` for never."""
        self._due = when
        if when < self._rings_at:
            self._rings_at = when
            self._clock.at(max(when, self._clock.now), self._ring, when)

    def _ring(self, set_to: float) -> None:
        if set_to != self._rings_at:
            return
        self._rings_at = math.inf
        if self._due > self._clock.now:
            self.set(self._due)
        else:
            self._due = math.inf
            self._do()


class Segment(NamedTuple):
    """A TCP segment."""

    seq: int
    ack: int | None = None
    syn: bool = False
    rst: bool = False
    data: bool = False  # whether it carries some
    got_data: bool = False  # whether it acknowledges some


class Unreachable(NamedTuple):
    """An ICMP error that quotes the SYN it is about."""

    quoted: int


Packet: TypeAlias = Segment | Unreachable


class Tcp(enum.Enum):
    """A kernel socket's state."""

    CLOSED = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()


class Socket:
    """The kernel's side of one port: one connection at a time.

    Args:
        clock: The pair's.
        isns: Where initial sequence numbers come from.
        send: Takes what leaves.
        on_news: Told of a connection and of an error.

    Attributes:
        state: RFC 9293's, as far as a punch needs it.
        isn: Our initial sequence number.
        peer_isn: The peer's, once known.
        error: Whether a reset or an ICMP error ended the connection, and nobody has looked yet.
        established_at: When it was established; None if it is not.
    """

    __slots__ = (
        "_alarm", "_challenged_at", "_clock", "_got_data", "_growth", "_isns", "_on_news",
        "_repeated", "_send", "_wait", "error", "established_at", "isn", "peer_isn", "state",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        isns: random.Random,
        send: Callable[[Packet], None],
        on_news: Callable[[], None],
    ) -> None:
        self.state = Tcp.CLOSED
        self.isn = 0
        self.peer_isn = 0
        self.error = False
        self.established_at: float | None = None
        self._clock = clock
        self._isns = isns
        self._send = send
        self._on_news = on_news
        self._alarm = Alarm(clock, self._retransmit)
        self._repeated = Segment(0)  # what the alarm is for, the wait before it, and its growth
        self._wait = 0.0
        self._growth = 1.0
        self._got_data = False
        self._challenged_at = -math.inf

    def connect(self) -> None:
        """Send a SYN with a fresh sequence number."""
        self.isn = self._isns.getrandbits(64)
        self.error = False
        self._got_data = False
        self.state = Tcp.SYN_SENT
        self.established_at = None
        self._transmit(Segment(self.isn, syn=True), FIRST_RETRANSMISSION, growth=1.0)

    def write(self, round_trip: float) -> None:
        """Send data, over a path whose round trip is known, if there is a connection."""
        if self.state is Tcp.ESTABLISHED:
            segment = Segment(self.isn + 1, ack=self.peer_isn + 1, data=True)
            self._transmit(segment, DATA_RETRANSMISSION + round_trip, growth=2.0)

    def close(self) -> None:
        """Close it as a losing socket is closed: a reset if the peer may believe in it."""
        if self.state is Tcp.SYN_RECEIVED or self.state is Tcp.ESTABLISHED:
            self._send(Segment(self.isn + 1, rst=True))
        self._end()

    def receive(self, packet: Packet) -> None:
        """Take what came through the site."""
        if isinstance(packet, Unreachable):
            embryonic = self.state is Tcp.SYN_SENT or self.state is Tcp.SYN_RECEIVED
            if embryonic and packet.quoted == self.isn:
                self._fail()
        elif self.state is Tcp.CLOSED:
            self._answer_closed(packet)
        elif self.state is Tcp.SYN_SENT:
            self._receive_syn_sent(packet)
        else:
            self._receive_synchronised(packet)

    def _answer_closed(self, segment: Segment) -> None:
        if segment.rst:
            return
        if segment.ack is not None:
            self._send(Segment(segment.ack, rst=True))
        else:
            self._send(Segment(0, ack=segment.seq + 1, rst=True))

    def _receive_syn_sent(self, segment: Segment) -> None:
        acceptable = segment.ack == self.isn + 1
        if segment.ack is not None and not acceptable:
            if not segment.rst:
                self._send(Segment(segment.ack, rst=True))
        elif segment.rst:
            if acceptable:
                self._fail()
        elif segment.syn:
            self.peer_isn = segment.seq
            if acceptable:
                self._establish(acknowledge=True)
            else:
                self._receive_crossing()

    def _receive_crossing(self) -> None:
        self.state = Tcp.SYN_RECEIVED
        answer = Segment(self.isn, ack=self.peer_isn + 1, syn=True)
        self._transmit(answer, FIRST_RETRANSMISSION, growth=2.0)

    def _receive_synchronised(self, segment: Segment) -> None:
        expected = self.peer_isn + 1
        if segment.rst:
            if segment.seq == expected:
                self._fail()
        elif segment.ack is None or segment.seq != (self.peer_isn if segment.syn else expected):
            self._challenge()
        elif segment.ack != self.isn + 1:
            if self.state is Tcp.SYN_RECEIVED:
                self._send(Segment(segment.ack, rst=True))
        else:
            self._receive_valid(segment)

    def _receive_valid(self, segment: Segment) -> None:
        self._got_data |= segment.data
        if self.state is Tcp.SYN_RECEIVED:
            self._establish(acknowledge=segment.syn or segment.data)
        elif segment.syn or segment.data:
            self._acknowledge()  # a SYN-ACK again: our ACK was lost
        if segment.got_data:
            self._alarm.set(math.inf)

    def _establish(self, *, acknowledge: bool) -> None:
        self.state = Tcp.ESTABLISHED
        self.established_at = self._clock.now
        self._alarm.set(math.inf)
        if acknowledge:
            self._acknowledge()
        self._on_news()

    def _transmit(self, segment: Segment, wait: float, *, growth: float) -> None:
        self._repeated, self._wait, self._growth = segment, wait, growth
        self._alarm.set(self._clock.now + wait)
        self._send(segment)

    def _retransmit(self) -> None:
        self._transmit(self._repeated, self._wait * self._growth, growth=self._growth)

    def _acknowledge(self) -> None:
        self._send(Segment(self.isn + 1, ack=self.peer_isn + 1, got_data=self._got_data))

    def _challenge(self) -> None:
        if self._clock.now - self._challenged_at >= CHALLENGE_INTERVAL:
            self._challenged_at = self._clock.now
            self._acknowledge()

    def _fail(self) -> None:
        self._end()
        self.error = True
        self._on_news()

    def _end(self) -> None:
        self.state = Tcp.CLOSED
        self.established_at = None
        self._alarm.set(math.inf)
