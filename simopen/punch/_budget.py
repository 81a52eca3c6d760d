"""How many SYNs may leave, and when: the one rule against floods, ours and others'.

Theory of operation. For ``free_period`` after the first SYN nothing is held back: a punch that
works at all mostly works within it. From then on ``syn_rate`` SYNs a second may leave, in two ways:

- **Singles**, at random moments ``1/rate`` seconds apart or a little more. A newcomer that still
  fires without pause is met by one of the first. A path whose refusals take longer than that
  hardly notices them.
- **Beats**. Two patient sides rarely meet by chance where refusals take microseconds: nearly
  always at least one of them has no SYN out. So each spends a quarter of its SYNs back to back at
  moments that both know without a word: the multiples of ``beat`` on the wall clock. Where the
  clocks of two hosts disagree by more than a burst takes, nothing is lost but that quarter. Of
  several lanes the first keeps the beat, so that both hosts spend it on the same one.

Where somebody else has named the endpoint (a rendezvous), a lane also has a number of SYNs that is
all it will ever send: half of them may leave freely, the rest is paced.

Invariants:

- After the free period, which each lane has from its first SYN on, no window of ``t`` seconds holds
  more than ``t * syn_rate + 2 * burst_size + lanes`` SYNs of all lanes together.
- A lane never sends more than ``most`` SYNs.
"""

from __future__ import annotations

import math

from ._options import PunchOptions

BEAT_SHARE = 0.25  # of all SYNs; those that may leave in beats
BEAT_TOLERANCE = 0.005  # seconds; who wakes later than that has missed the beat
ROUNDING = 1e-6  # beats; what floating-point time costs
FREE_SHARE = 0.5  # of all a lane's SYNs, where their number is limited
SPREAD = 0.5  # a single waits up to this fraction of its distance longer, at random


class SynBudget:
    """Counts SYNs and says when the next may leave.

    Args:
        options: The engine's numbers.
        lanes: How many lanes share them.
        leads: Whether this is the first of the lanes, which alone keeps the beat.
        wall_offset: Seconds to add to the caller's clock for the time since the epoch.
        most: How many SYNs may leave in all.
    """

    def __init__(
        self,
        options: PunchOptions,
        *,
        lanes: int = 1,
        leads: bool = True,
        wall_offset: float = 0.0,
        most: float = math.inf,
    ) -> None:
        per_beat = int(min(options.burst_size, BEAT_SHARE * options.syn_rate * options.beat))
        self._per_beat = per_beat if leads else 0
        self._distance = lanes / (options.syn_rate - per_beat / options.beat)
        self._options = options
        self._phase = wall_offset % options.beat
        self._left = most
        self._free_left = most * FREE_SHARE
        self._free_until: float | None = None
        self._paid_at = -math.inf  # when the singles spent so far are paid for
        self._beat = -1  # the number of the latest beat with a SYN in it
        self._beat_began = 0.0
        self._beat_spent = 0
        self._before_last = self._account()

    def spend(self, now: float) -> None:
        """Account for a SYN that leaves at ``now``."""
        self._before_last = self._account()
        self._left -= 1
        if self._free_until is None:
            self._free_until = now + self._options.free_period
        if now < self._free_until:
            self._free_left -= 1
            if self._free_left < 1:
                self._free_until = now
            return
        if not self._within_beat(now):
            self._paid_at = max(self._paid_at, now) + self._distance
            return
        if (beat := self._beat_at(now)) != self._beat:
            self._beat, self._beat_began, self._beat_spent = beat, now, 0
        self._beat_spent += 1

    def refund(self) -> None:
        """Take back the latest :meth:`spend`: that SYN did not leave."""
        (
            self._free_until,
            self._paid_at,
            self._beat,
            self._beat_began,
            self._beat_spent,
            self._left,
            self._free_left,
        ) = self._before_last

    def earliest(self, now: float, chance: float) -> float:
        """When the next SYN may leave: ``now``, or later, or never (``math.inf``).

        Args:
            now: Seconds.
            chance: Uniform in [0, 1).
        """
        if self._left < 1:
            return math.inf
        if self._free_until is None or now < self._free_until:
            return now
        if now >= self._paid_at or self._within_beat(now):
            return now
        single = self._paid_at + chance * SPREAD * self._distance
        if not self._per_beat:
            return single
        next_beat = (self._beat_at(now) + 1) * self._options.beat - self._phase
        return min(single, next_beat)

    def _account(self) -> tuple[float | None, float, int, float, int, float, float]:
        return (
            self._free_until,
            self._paid_at,
            self._beat,
            self._beat_began,
            self._beat_spent,
            self._left,
            self._free_left,
        )

    def _beat_at(self, now: float) -> int:
        """The number of the beat that came last, before ``now`` or with it."""
        return math.floor((now + self._phase) / self._options.beat + ROUNDING)

    def _within_beat(self, now: float) -> bool:
        """Whether a SYN may leave at ``now`` because it belongs to a beat."""
        beat = self._beat_at(now)
        if beat == self._beat:
            lasts = now < self._beat_began + self._options.burst_time
            return lasts and self._beat_spent < self._per_beat
        since = now + self._phase - beat * self._options.beat
        return self._per_beat > 0 and since < BEAT_TOLERANCE
