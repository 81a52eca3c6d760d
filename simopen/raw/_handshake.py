"""The state machine of one handshake done in user space, passive, active or crossing.

Theory of operation
===================

This is RFC 9293 §3.10 up to the moment at which both sides are ESTABLISHED: from there a kernel
socket goes on (:mod:`._repair`). A segment is judged by what it says and where its numbers lie, in
the order of §3.10.7, and becomes one :class:`Event`; the clock makes OVERDUE and EXPIRED;
``TRANSITIONS`` gives the next state and one :class:`Action` for every pair that can occur, and a
pair that is not in it is a bug of the caller and raises ``LookupError``.

Resets must hit the expected number exactly, as RFC 5961 asks of the later states; anything outside
the window is answered by where we are (a challenge), which a peer that has begun anew answers by
the reset that makes room for it.

States
======

============  ====================================================  ========================
state         meaning                                               deadline
============  ====================================================  ========================
LISTEN        passive; no SYN has come                              none
CLOSED        active and not begun, or over                         none
SYN_SENT      our SYN is out                                        when to send it again
SYN_RECEIVED  their SYN is here, our SYN-ACK is out                 when to send it again
ESTABLISHED   both have acknowledged; to be handed over             none
============  ====================================================  ========================

Invariants
==========

- Nothing is sent but as the answer to a segment, to the clock or to :meth:`Handshake.start`.
- ESTABLISHED is reached only by an acknowledgement of our own SYN.
- No data is kept, and none is acknowledged.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ._segments import (
    ACK,
    FIN,
    RST,
    SYN,
    Flow,
    Options,
    Segment,
    Timestamps,
    is_within,
    plus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_WAIT = 1.0  # seconds to the second SYN or SYN-ACK (RFC 6298 §2.1); doubled each time
SYN_RETRIES = 6  # after the first, as tcp_syn_retries: given up after 127 s
# One less than tcp_synack_retries: given up after 31 s. The longest pause is then 16 s, in which
# the firewall has to remember the connection (:mod:`._firewall`).
SYN_ACK_RETRIES = 4
TICKS = 1000  # of a timestamp in a second, as in Linux

LEAST_MSS = 88  # bytes; Linux's TCP_MIN_MSS: less would be an attack on our processor
DEFAULT_MSS = {4: 536, 16: 1220}  # by length of address; RFC 9293 §3.7.1, for a SYN without one


class State(enum.Enum):
    """Where the handshake is (RFC 9293 §3.3.2)."""

    LISTEN = enum.auto()
    CLOSED = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()


class Event(enum.Enum):
    """What a segment or a moment means in the state it finds."""

    OPEN = enum.auto()  # the caller begins
    SYN = enum.auto()  # a first SYN, one that crosses ours, or the same once more
    SYN_ACK = enum.auto()  # it acknowledges ours
    ACK = enum.auto()  # of our SYN-ACK
    BAD_ACK = enum.auto()  # of something that was never sent
    OTHER_SYN = enum.auto()  # within the window of a half-open connection
    OUTSIDE = enum.auto()  # numbers that are not in the window
    RESET = enum.auto()
    NOTHING = enum.auto()  # nothing that concerns us
    OVERDUE = enum.auto()  # no answer by the deadline
    EXPIRED = enum.auto()  # likewise, and it was the last


class Action(enum.Enum):
    """What the executor has to do now."""

    IGNORE = enum.auto()
    SEND_SYN = enum.auto()
    SEND_SYN_ACK = enum.auto()
    SEND_ACK = enum.auto()
    SEND_RESET = enum.auto()
    HAND_OVER = enum.auto()  # to a kernel socket
    ACKNOWLEDGE = enum.auto()  # likewise, and send an ACK once that is there
    END = enum.auto()  # forget the connection


TRANSITIONS: Mapping[tuple[State, Event], tuple[State, Action]] = MappingProxyType({
    (State.LISTEN, Event.SYN): (State.SYN_RECEIVED, Action.SEND_SYN_ACK),
    (State.LISTEN, Event.NOTHING): (State.LISTEN, Action.IGNORE),
    (State.CLOSED, Event.OPEN): (State.SYN_SENT, Action.SEND_SYN),
    (State.SYN_SENT, Event.SYN): (State.SYN_RECEIVED, Action.SEND_SYN_ACK),
    (State.SYN_SENT, Event.SYN_ACK): (State.ESTABLISHED, Action.ACKNOWLEDGE),
    (State.SYN_SENT, Event.BAD_ACK): (State.SYN_SENT, Action.SEND_RESET),
    (State.SYN_SENT, Event.RESET): (State.CLOSED, Action.END),
    (State.SYN_SENT, Event.NOTHING): (State.SYN_SENT, Action.IGNORE),
    (State.SYN_SENT, Event.OVERDUE): (State.SYN_SENT, Action.SEND_SYN),
    (State.SYN_SENT, Event.EXPIRED): (State.CLOSED, Action.END),
    (State.SYN_RECEIVED, Event.SYN): (State.SYN_RECEIVED, Action.SEND_SYN_ACK),
    (State.SYN_RECEIVED, Event.ACK): (State.ESTABLISHED, Action.HAND_OVER),
    (State.SYN_RECEIVED, Event.BAD_ACK): (State.SYN_RECEIVED, Action.SEND_RESET),
    (State.SYN_RECEIVED, Event.OTHER_SYN): (State.CLOSED, Action.END),
    (State.SYN_RECEIVED, Event.OUTSIDE): (State.SYN_RECEIVED, Action.SEND_ACK),
    (State.SYN_RECEIVED, Event.RESET): (State.CLOSED, Action.END),
    (State.SYN_RECEIVED, Event.NOTHING): (State.SYN_RECEIVED, Action.IGNORE),
    (State.SYN_RECEIVED, Event.OVERDUE): (State.SYN_RECEIVED, Action.SEND_SYN_ACK),
    (State.SYN_RECEIVED, Event.EXPIRED): (State.CLOSED, Action.END),
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What our side offers, as this host's kernel would.

    Attributes:
        mss: The largest segment we take, in bytes of data.
        window: The first receive window, in bytes; at most 65535, since it is not scaled.
        window_scale: How our later windows are shifted; None for no scaling.
        sack: Whether we understand SACK.
        timestamps: Whether we send timestamps.
    """

    mss: int
    window: int
    window_scale: int | None = None
    sack: bool = True
    timestamps: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What has to be hard to guess, and is therefore drawn by the caller.

    Attributes:
        sequence: Our initial sequence number.
        stamp: What our timestamps count from.
    """

    sequence: int
    stamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An established connection, as a kernel socket has to be told of it.

    Attributes:
        flow: Its two ends.
        send_next: The sequence number of the first byte we will send (SND.NXT).
        receive_next: That of the first byte of the peer's (RCV.NXT).
        send_window: What the peer takes, in bytes, scaled (SND.WND).
        window_from: The segment that said so, by its sequence number (SND.WL1).
        receive_window: What we have offered, in bytes (RCV.WND).
        mss: The largest segment the peer takes.
        scales: Shifts of the peer's windows and of ours; None where there is no scaling.
        sack: Whether both understand SACK.
        timestamp: Our next one; None where there are none.
    """

    flow: Flow
    send_next: int
    receive_next: int
    send_window: int
    window_from: int
    receive_window: int
    mss: int
    scales: tuple[int, int] | None
    sack: bool
    timestamp: int | None


class Handshake:
    """One handshake.

    Passive ones begin with :meth:`receive`, active ones with :meth:`start`.

    Attributes:
        flow: The two ends.
        state: Where it is.
        sent: SYNs or SYN-ACKs that were due to the clock or to the beginning, not to a segment.
    """

    def __init__(self, flow: Flow, offer: Offer, numbers: Numbers, *, passive: bool) -> None:
        """Make one that has not begun.

        Args:
            flow: The two ends.
            offer: What we offer.
            numbers: Our initial sequence number, and the origin of our timestamps.
            passive: Whether the peer begins.
        """
        self.flow = flow
        self.state: State = State.LISTEN if passive else State.CLOSED
        self.sent: int = 0
        self._offer = offer
        self._numbers = numbers
        self._passive = passive
        self._receive_next = 0  # after their SYN
        self._their = Options()  # of their SYN
        self._echo = 0  # their last timestamp
        self._window = 0  # their last, scaled,
        self._window_from = 0  # and which segment said so
        self._deadline = math.inf

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        return self._deadline

    def start(self, now: float) -> Action:
        """Begin actively.

        Args:
            now: Seconds on the caller's monotonic clock.
        """
        return self._handle(Event.OPEN, now)

    def receive(self, segment: Segment, now: float) -> Action:
        """Take a segment of this connection.

        Args:
            segment: What came.
            now: Seconds on the caller's monotonic clock.
        """
        event = self._judge(segment)
        if event in (Event.SYN, Event.SYN_ACK):
            self._note_syn(segment)
        if event in (Event.ACK, Event.SYN_ACK):
            self._note_window(segment)
        return self._handle(event, now)

    def tick(self, now: float) -> Action:
        """Take note that a deadline has passed.

        Args:
            now: Seconds on the caller's monotonic clock, not before :meth:`next_deadline`.
        """
        return self._handle(Event.EXPIRED if self.sent > self._retries else Event.OVERDUE, now)

    def segment(self, action: Action, now: float, cause: Segment | None = None) -> Segment:
        """The segment that an action is about.

        Args:
            action: One of those that send, or ACKNOWLEDGE.
            now: Seconds on the caller's monotonic clock.
            cause: What came; a reset is made to fit it (RFC 9293 §3.10.7). Without one it ends a
                connection that the peer has.
        """
        begins = action in (Action.SEND_SYN, Action.SEND_SYN_ACK)
        if action is Action.SEND_RESET:
            return self._segment(self._send_next if cause is None else cause.ack, RST)
        flags = {Action.SEND_SYN: SYN, Action.SEND_SYN_ACK: SYN | ACK}.get(action, ACK)
        return self._segment(
            self._numbers.sequence if begins else self._send_next,
            flags,
            ack=self._receive_next if flags & ACK else 0,
            window=self._offer.window if begins else self._offer.window >> self._scales[1],
            options=self._options(action, now),
        )

    def connection(self, now: float) -> Connection:
        """What a kernel socket has to know, once this is ESTABLISHED.

        Args:
            now: Seconds on the caller's monotonic clock.
        """
        mss = self._their.mss
        if mss is None:
            mss = DEFAULT_MSS[len(self.flow.remote.packed)]
        return Connection(
            flow=self.flow,
            send_next=self._send_next,
            receive_next=self._receive_next,
            send_window=self._window,
            window_from=self._window_from,
            receive_window=self._offer.window,
            mss=max(mss, LEAST_MSS),
            scales=self._scales if self._scaling else None,
            sack=self._sack,
            timestamp=self._stamp(now) if self._stamping else None,
        )

    # -- what a segment means ----------------------------------------------------------------------

    def _judge(self, segment: Segment) -> Event:
        match self.state:
            case State.LISTEN:
                return Event.SYN if _is_first_syn(segment) else Event.NOTHING
            case State.SYN_SENT:
                return self._judge_answer(segment)
            case State.SYN_RECEIVED:
                return self._judge_half_open(segment)
            case _:
                return Event.NOTHING

    def _judge_answer(self, segment: Segment) -> Event:
        """RFC 9293 §3.10.7.3."""
        if segment.flags & ACK and segment.ack != self._send_next:
            return Event.NOTHING if segment.flags & RST else Event.BAD_ACK
        if segment.flags & RST:
            return Event.RESET if segment.flags & ACK else Event.NOTHING
        if segment.flags & SYN:
            return Event.SYN_ACK if segment.flags & ACK else Event.SYN
        return Event.NOTHING

    def _judge_half_open(self, segment: Segment) -> Event:
        """RFC 9293 §3.10.7.4 for SYN-RECEIVED, with the resets of RFC 5961 §3.2."""
        flags = segment.flags
        repeated = flags & SYN and not flags & RST and plus(segment.seq, 1) == self._receive_next
        if repeated and not flags & ACK:
            return Event.SYN
        if not repeated:
            if not self._is_acceptable(segment):
                return Event.NOTHING if flags & RST else Event.OUTSIDE
            if flags & RST:
                return Event.RESET if segment.seq == self._receive_next else Event.OUTSIDE
            if flags & SYN:
                return Event.OTHER_SYN if self._passive else Event.OUTSIDE
        if not flags & ACK:
            return Event.NOTHING
        return Event.ACK if segment.ack == self._send_next else Event.BAD_ACK

    def _is_acceptable(self, segment: Segment) -> bool:
        """Whether its first or last octet is in the window (RFC 9293 §3.10.7.4, first check)."""
        last = plus(segment.seq, max(segment.length - 1, 0))
        window = self._offer.window
        return any(is_within(each, self._receive_next, window) for each in (segment.seq, last))

    # -- what follows ------------------------------------------------------------------------------

    def _handle(self, event: Event, now: float) -> Action:
        self.state, action = TRANSITIONS[self.state, event]
        if event in (Event.OPEN, Event.OVERDUE) or (event is Event.SYN and not self._is_waiting):
            self._deadline = now + FIRST_WAIT * 2.0**self.sent
            self.sent += 1
        if self.state not in (State.SYN_SENT, State.SYN_RECEIVED):
            self._deadline = math.inf
        return action

    @property
    def _is_waiting(self) -> bool:
        """Whether a deadline is set already, which a repeated or a crossing SYN leaves alone."""
        return self._deadline < math.inf

    @property
    def _retries(self) -> int:
        return SYN_ACK_RETRIES if self._passive else SYN_RETRIES

    def _note_syn(self, segment: Segment) -> None:
        self._receive_next = plus(segment.seq, 1)
        self._their = segment.options
        self._window, self._window_from = segment.window, segment.seq
        if segment.options.timestamps is not None:
            self._echo = segment.options.timestamps.value

    def _note_window(self, segment: Segment) -> None:
        if not segment.flags & SYN:  # whose window is never scaled (RFC 7323 §2.2)
            self._window = segment.window << self._scales[0]
            self._window_from = segment.seq
        if segment.options.timestamps is not None:
            self._echo = segment.options.timestamps.value

    # -- what is said ------------------------------------------------------------------------------

    @property
    def _send_next(self) -> int:
        return plus(self._numbers.sequence, 1)

    @property
    def _scaling(self) -> bool:
        return self._offer.window_scale is not None and self._their.window_scale is not None

    @property
    def _scales(self) -> tuple[int, int]:
        """Of their windows and of ours."""
        if not self._scaling:
            return 0, 0
        return self._their.window_scale or 0, self._offer.window_scale or 0

    @property
    def _sack(self) -> bool:
        return self._offer.sack and self._their.sack_permitted

    @property
    def _stamping(self) -> bool:
        return self._offer.timestamps and self._their.timestamps is not None

    def _stamp(self, now: float) -> int:
        return plus(self._numbers.stamp, int(now * TICKS))

    def _options(self, action: Action, now: float) -> Options:
        """All that we offer in a SYN; in a SYN-ACK only what was offered to us."""
        first = action is Action.SEND_SYN
        begins = first or action is Action.SEND_SYN_ACK
        stamped = self._offer.timestamps if first else self._stamping
        return Options(
            mss=self._offer.mss if begins else None,
            window_scale=self._offer.window_scale if first or (begins and self._scaling) else None,
            sack_permitted=self._offer.sack if first else begins and self._sack,
            timestamps=Timestamps(self._stamp(now), self._echo) if stamped else None,
        )

    def _segment(
        self, seq: int, flags: int, *, ack: int = 0, window: int = 0, options: Options | None = None
    ) -> Segment:
        return Segment(
            source=self.flow.local.port,
            destination=self.flow.remote.port,
            seq=seq,
            ack=ack,
            flags=flags,
            window=window,
            options=options or Options(),
        )


def _is_first_syn(segment: Segment) -> bool:
    """Whether a segment opens a connection (RFC 9293 §3.10.7.2)."""
    return segment.flags & (SYN | ACK | RST | FIN) == SYN
