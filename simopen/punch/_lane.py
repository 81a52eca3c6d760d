"""The state machine of one lane: one local and one remote endpoint, one socket at a time.

Theory of operation
===================

Both hosts fire SYNs at each other from fixed ports. A SYN that arrives while ours is out (kernel
state SYN_SENT) crosses it, and the kernel does the rest: SYN_RECEIVED, ESTABLISHED (RFC 9293 §3.5).
Everything here is about having a SYN out at the right moment, and about never harming a handshake
that is under way.

- A **refusal** (reset or ICMP error) ends the attempt one round trip W after its SYN. The window
  for a crossing is W wide too, so firing again at once leaves hardly a gap for the peer's SYN to
  fall into. From then on refires are jittered and paced (:mod:`._timing`, :mod:`._budget`).
- **Silence** is good news: a dropping NAT has let our SYN out and now lets the peer's in. The SYN
  may also be lost, so it is replaced by a fresh one after a while that grows.
- **Half-open** (SYN_RECEIVED) is left only on an error or at the end of the time allowed: the peer
  may already believe that it is connected.
- **Outranked**: where several lanes race, one that is open waits for a better one that is already
  half-open, and is handed over as soon as that one is not (:mod:`simopen.net._executor` has the
  rule, and why both hosts then choose the same lane).

The executor always looks at the socket first (``TCP_INFO``, ``SO_ERROR``) and reports what it has
:class:`Seen`; the lane answers with one :class:`Action`. So a socket can only ever be replaced or
closed as the answer to a fresh look at it.

States
======

==============  ===================================================  =====================
state           meaning                                              deadline
==============  ===================================================  =====================
IDLE            nothing has been sent                                none
RESTING         no SYN is out; the next one is due later             when to fire
SYN_SENT        a SYN is out                                         when to refresh
SYN_RECEIVED    the peer's SYN crossed ours                          none
HELD            open, but a better lane may be about to open         when to look again
ESTABLISHED     the connection is to be handed over                  none
FAILED          given up (final)                                     none
==============  ===================================================  =====================

Besides its own deadline every state before the last two has the end of the time allowed.
A lane is HELD for half a second at most, or for twice its handshake if that is longer: within one
round trip of the better lane that one opens, or the peer's reset of one of the two arrives. The
better lane's path may be much the longer one; with 50 ms both hosts chose differently there.
Where a connection has to prove who is at its other end, ESTABLISHED is left as if refused when it
is lost before the proof.
An observation becomes an :class:`Event` by way of the clock: no news is QUIET before the deadline
and OVERDUE after it; anything short of a connection at the end of the time is EXPIRED.
``TRANSITIONS`` gives the next state and the action for every pair of state and event that can
occur; a pair that is not in it is a bug of the caller and raises ``LookupError``.

Invariants
==========

- ``attempts`` counts every FIRE and REFRESH whose SYN left; none leaves against the budget.
- REFRESH is only answered to a look that saw SYN_SENT, never in SYN_RECEIVED.
- An established connection is handed over even at the very end of the time allowed.
"""

from __future__ import annotations

import enum
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from ._budget import SynBudget
from ._timing import refire_wait, refresh_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._options import PunchOptions

UNSENT_FIRST_WAIT = 0.01  # seconds to the next try after a connect() that sent nothing
UNSENT_LONGEST_WAIT = 0.25  # seconds; each wait doubles up to this
HOLD_LOOK = 0.005  # seconds between two looks of a lane that is held
HOLD_SHORTEST = 0.5  # seconds; the least time it may be held
HOLD_HANDSHAKES = 2.0  # and that many times what its own handshake took, if that is longer


class State(enum.Enum):
    """Where the lane is."""

    IDLE = enum.auto()
    RESTING = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    HELD = enum.auto()
    ESTABLISHED = enum.auto()
    FAILED = enum.auto()


class Seen(enum.Enum):
    """What a look at the socket showed."""

    QUIET = enum.auto()  # no news: our SYN is still out, or none is
    HALF_OPEN = enum.auto()  # SYN_RECEIVED
    OPEN = enum.auto()  # ESTABLISHED or CLOSE_WAIT, and no error pending
    OUTRANKED = enum.auto()  # OPEN, but a better lane is half-open or open
    REFUSED = enum.auto()  # a reset or an ICMP error ended the attempt
    UNSENT = enum.auto()  # connect() failed here; no SYN left


class Event(enum.Enum):
    """What an observation means at its moment."""

    START = enum.auto()
    QUIET = enum.auto()
    OVERDUE = enum.auto()  # quiet, and the state's deadline has passed
    HALF_OPEN = enum.auto()
    OPEN = enum.auto()
    OUTRANKED = enum.auto()
    REFUSED = enum.auto()
    UNSENT = enum.auto()
    HOPELESS = enum.auto()  # nothing but UNSENT for longer than patience allows
    EXPIRED = enum.auto()  # not open, and the time allowed is over


class Action(enum.Enum):
    """What the executor has to do now."""

    WAIT = enum.auto()  # until the socket has news or next_deadline() passes, then look
    FIRE = enum.auto()  # connect(), then look
    REFRESH = enum.auto()  # replace the silent socket by a fresh one on the same port; as FIRE
    HAND_OVER = enum.auto()  # the socket is connected
    ABANDON = enum.auto()  # close everything


TRANSITIONS: Mapping[tuple[State, Event], tuple[State, Action]] = MappingProxyType({
    (State.IDLE, Event.START): (State.SYN_SENT, Action.FIRE),
    (State.RESTING, Event.QUIET): (State.RESTING, Action.WAIT),
    (State.RESTING, Event.OVERDUE): (State.SYN_SENT, Action.FIRE),
    (State.RESTING, Event.EXPIRED): (State.FAILED, Action.ABANDON),
    (State.SYN_SENT, Event.QUIET): (State.SYN_SENT, Action.WAIT),
    (State.SYN_SENT, Event.OVERDUE): (State.SYN_SENT, Action.REFRESH),
    (State.SYN_SENT, Event.HALF_OPEN): (State.SYN_RECEIVED, Action.WAIT),
    (State.SYN_SENT, Event.OPEN): (State.ESTABLISHED, Action.HAND_OVER),
    (State.SYN_SENT, Event.OUTRANKED): (State.HELD, Action.WAIT),
    (State.SYN_SENT, Event.REFUSED): (State.RESTING, Action.WAIT),
    (State.SYN_SENT, Event.UNSENT): (State.RESTING, Action.WAIT),
    (State.SYN_SENT, Event.HOPELESS): (State.FAILED, Action.ABANDON),
    (State.SYN_SENT, Event.EXPIRED): (State.FAILED, Action.ABANDON),
    (State.SYN_RECEIVED, Event.HALF_OPEN): (State.SYN_RECEIVED, Action.WAIT),
    (State.SYN_RECEIVED, Event.OPEN): (State.ESTABLISHED, Action.HAND_OVER),
    (State.SYN_RECEIVED, Event.OUTRANKED): (State.HELD, Action.WAIT),
    (State.SYN_RECEIVED, Event.REFUSED): (State.RESTING, Action.WAIT),
    (State.SYN_RECEIVED, Event.EXPIRED): (State.FAILED, Action.ABANDON),
    (State.HELD, Event.OUTRANKED): (State.HELD, Action.WAIT),
    (State.HELD, Event.OPEN): (State.ESTABLISHED, Action.HAND_OVER),
    (State.HELD, Event.REFUSED): (State.RESTING, Action.WAIT),
    (State.HELD, Event.EXPIRED): (State.FAILED, Action.ABANDON),
    (State.ESTABLISHED, Event.REFUSED): (State.RESTING, Action.WAIT),
    (State.ESTABLISHED, Event.EXPIRED): (State.FAILED, Action.ABANDON),
})  # fmt: skip

_UNTIMED = {
    Seen.HALF_OPEN: Event.HALF_OPEN,
    Seen.OPEN: Event.OPEN,
    Seen.REFUSED: Event.REFUSED,
}


class Lane:
    """One port pair, from the first SYN to a connection or to giving up.

    Call :meth:`start` once, then :meth:`observe` with what each look showed, and do what they
    return.

    Attributes:
        state: Where the lane is.
        attempts: SYNs sent.
        refusals: Attempts that were refused.
        refreshes: Silent SYNs that were replaced.
        unsent: ``connect()`` calls that failed without a SYN.
        round_trip: Seconds from a SYN to its refusal, the shortest seen; None before the first.
    """

    def __init__(
        self,
        options: PunchOptions,
        *,
        give_up_at: float | None = None,
        lanes: int = 1,
        leads: bool = True,
        wall_offset: float = 0.0,
        most: float = math.inf,
    ) -> None:
        """Make an idle lane.

        Args:
            options: The engine's numbers.
            give_up_at: The moment on the caller's clock at which the time allowed ends; None for
                never.
            lanes: How many race, this one included; they share ``options.syn_rate``.
            leads: Whether this is the first of them.
            wall_offset: Seconds to add to the caller's clock for the time since the epoch.
            most: How many SYNs it may send in all.
        """
        self.state: State = State.IDLE
        self.attempts: int = 0
        self.refusals: int = 0
        self.refreshes: int = 0
        self.unsent: int = 0
        self.round_trip: float | None = None
        self._options = options
        self._budget = SynBudget(
            options, lanes=lanes, leads=leads, wall_offset=wall_offset, most=most
        )
        self._give_up_at = math.inf if give_up_at is None else give_up_at
        self._deadline = math.inf
        self._fired_at = 0.0
        self._held_until = math.inf
        self._unanswered = 0  # SYNs in a row
        self._unsent_in_row = 0
        self._unsent_since = 0.0

    def next_deadline(self) -> float:
        """When to look even without news; ``math.inf`` for never."""
        if self.state in (State.ESTABLISHED, State.FAILED):
            return math.inf
        return min(self._deadline, self._give_up_at)

    @property
    def resting(self) -> bool:
        """Whether no SYN is out, so that there is nothing to look at."""
        return self.state is State.RESTING

    @property
    def awaits_news(self) -> bool:
        """Whether the socket itself tells when to look next, before the deadline."""
        return self.state in (State.SYN_SENT, State.SYN_RECEIVED)

    def start(self, now: float, chance: float) -> Action:
        """Begin.

        Args:
            now: Seconds on the caller's monotonic clock.
            chance: Uniform in [0, 1).
        """
        return self._handle(Event.START, now, chance)

    def observe(self, seen: Seen, now: float, chance: float) -> Action:
        """Take what a look showed, and say what to do.

        Args:
            seen: What the socket showed.
            now: Seconds on the caller's monotonic clock.
            chance: Uniform in [0, 1).
        """
        return self._handle(self._interpret(seen, now), now, chance, seen)

    def _interpret(self, seen: Seen, now: float) -> Event:
        if seen is Seen.UNSENT:
            since = self._unsent_since if self._unsent_in_row else now
            if now - since >= self._options.patience_unsent:
                return Event.HOPELESS
        if seen is Seen.OUTRANKED:
            held = now < min(self._give_up_at, self._held_until)
            return Event.OUTRANKED if held else Event.OPEN
        if seen is not Seen.OPEN and now >= self._give_up_at:
            return Event.EXPIRED
        if seen is Seen.UNSENT:
            return Event.UNSENT
        if seen is Seen.QUIET:
            return Event.OVERDUE if now >= self._deadline else Event.QUIET
        return _UNTIMED[seen]

    def _handle(self, event: Event, now: float, chance: float, seen: Seen | None = None) -> Action:
        state, action = TRANSITIONS[self.state, event]
        if seen is Seen.REFUSED:
            self.refusals += 1  # here, since at the end of the time the event is another
        if self.state is State.SYN_SENT:
            self._note_whether_sent(seen, now)
        if reaction := self._REACTIONS.get(event):
            reaction(self, now, chance)
        self.state = state
        return action

    def _note_whether_sent(self, seen: Seen | None, now: float) -> None:
        if seen is not Seen.UNSENT:
            self._unsent_in_row = 0
            return
        if self._unsent_in_row == 0:
            self._unsent_since = now
        self._unsent_in_row += 1
        self.unsent += 1
        self.attempts -= 1
        self._budget.refund()

    def _on_overdue(self, now: float, chance: float) -> None:
        if self.state is State.SYN_SENT:
            self.refreshes += 1
            self._unanswered += 1
        self._on_fire(now, chance)

    def _on_fire(self, now: float, chance: float) -> None:
        self._budget.spend(now)
        self.attempts += 1
        self._fired_at = now
        self._held_until = math.inf
        wait = refresh_wait(
            self._options, unanswered=self._unanswered, round_trip=self.round_trip, chance=chance
        )
        self._deadline = max(now + wait, self._budget.earliest(now, chance))

    def _on_half_open(self, _now: float, _chance: float) -> None:
        self._deadline = math.inf

    def _on_outranked(self, now: float, _chance: float) -> None:
        if self.state is not State.HELD:
            handshake = now - self._fired_at
            self._held_until = now + max(HOLD_SHORTEST, HOLD_HANDSHAKES * handshake)
        self._deadline = min(now + HOLD_LOOK, self._held_until)

    def _on_refused(self, now: float, chance: float) -> None:
        after = now - self._fired_at
        if self.state is State.SYN_SENT:
            # A later end tells nothing of the path, unless that we refresh too soon.
            self.round_trip = after if self.round_trip is None else min(self.round_trip, after)
            self._unanswered = 0
        wait = refire_wait(self._options, round_trip=after, chance=chance)
        self._deadline = max(now + wait, self._budget.earliest(now, chance))

    def _on_unsent(self, now: float, _chance: float) -> None:
        wait = UNSENT_FIRST_WAIT * 2.0 ** min(self._unsent_in_row - 1, 10)
        self._deadline = now + min(wait, UNSENT_LONGEST_WAIT)

    _REACTIONS: ClassVar[Mapping[Event, Callable[[Lane, float, float], None]]] = {
        Event.START: _on_fire,
        Event.OVERDUE: _on_overdue,
        Event.HALF_OPEN: _on_half_open,
        Event.OUTRANKED: _on_outranked,
        Event.REFUSED: _on_refused,
        Event.UNSENT: _on_unsent,
    }
