"""How many SYNs may leave, and when: the one rule against floods, ours and others'.

Theory of operation. For ``free_period`` after the first SYN nothing is held back: a punch that
works at all mostly works within it. From then on every SYN costs ``1/syn_rate`` seconds, paid by
waiting. A path that refuses in milliseconds hardly notices; on loopback or a LAN, where a refusal
takes microseconds, SYNs leave in bursts (at most ``burst_size``, for at most ``burst_time``) with
a rest after each that pays for it. The rest ends at a random moment, since two sides resting
equally long would keep missing each other.

Invariant: after the free period, no window of ``t`` seconds holds more than
``t * syn_rate + burst_size`` SYNs.
"""

from __future__ import annotations

from ._options import PunchOptions

REST_SPREAD = 0.5  # a rest is lengthened by up to this fraction of itself, at random


class SynBudget:
    """Counts SYNs and says when the next may leave."""

    def __init__(self, options: PunchOptions) -> None:
        self._options = options
        self._free_until: float | None = None
        self._paid_at = 0.0  # when all SYNs spent so far are paid for
        self._burst_began = 0.0
        self._burst_spent = 0
        self._before_last = self._account()

    def spend(self, now: float) -> None:
        """Account for a SYN that leaves at ``now``."""
        self._before_last = self._account()
        if self._free_until is None:
            self._free_until = now + self._options.free_period
        if now < self._free_until:
            return
        if now >= self._paid_at:
            self._burst_began, self._burst_spent, self._paid_at = now, 0, now
        self._burst_spent += 1
        self._paid_at += 1 / self._options.syn_rate

    def refund(self) -> None:
        """Take back the latest :meth:`spend`: that SYN did not leave."""
        self._free_until, self._paid_at, self._burst_began, self._burst_spent = self._before_last

    def _account(self) -> tuple[float | None, float, float, int]:
        return self._free_until, self._paid_at, self._burst_began, self._burst_spent

    def earliest(self, now: float, chance: float) -> float:
        """When the next SYN may leave: ``now``, or later.

        Args:
            now: Seconds.
            chance: Uniform in [0, 1).
        """
        if self._free_until is None or now < self._free_until or now >= self._paid_at:
            return now
        within_burst = (
            self._burst_spent < self._options.burst_size
            and now < self._burst_began + self._options.burst_time
        )
        if within_burst:
            return now
        return self._paid_at + chance * REST_SPREAD * (self._paid_at - self._burst_began)
