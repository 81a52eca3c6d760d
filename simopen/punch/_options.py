"""Every number the engine uses."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

_LEAST = {"syn_rate": 1, "burst_size": 1, "refresh_growth": 1, "rounds": 1, "round_syns": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchOptions:
    """How to punch. The defaults are measured; change one only with a measurement in hand.

    Attributes:
        refresh_first: Seconds an unanswered SYN is left alone before a fresh one replaces it,
            while no round trip is known. Default 0.5: half of the kernel's own first
            retransmission (1 s), and longer than any usual path. A fresh SYN has a new sequence
            number: where both sides refresh while their first SYNs are still on their way, both
            end half-open for good (at 0.15 none of 8 connected over a round trip of 0.4 s).
        refresh_known: The least wait in seconds once a refusal has shown the round trip.
            Default 0.150.
        refresh_round_trips: Then wait that many round trips, if that is longer. Default 1.5: the
            latest answer to a crossing needs 1.0.
        refresh_growth: Factor on the wait from one unanswered SYN to the next. Default 1.5:
            growing waits outlast any path sooner or later, also one whose refusals came
            from half-way.
        refresh_longest: Seconds that growth does not exceed. Default 1.0: the kernel itself
            retransmits after that.
        refresh_spread: Each wait is varied by up to this fraction both ways, so that two hosts do
            not refresh in step. Default 0.2.
        jitter_share: The share of refires that wait a random moment, taken at random. Default 1/3.
            Two equal periods with any gap between refusal and refire can lock in phase for ever
            (27 of 30 met at 20 ms); two sides that wait now and then do not stay locked. Of the
            patterns tried in the simulation (:mod:`benchmarks.simulate`) this one had the
            shortest tails: at round trip 20 ms, starts 0.4 s apart, p99 32 ms over the limit
            against 56 ms with a wait at every second refusal from the third on.
        jitter_round_trips: The longest such wait, in round trips. Default 1/3.
        jitter_shortest: Seconds; the least upper bound of that wait, and the round trip
            below which there is none: there the noise of the machine does its work.
            Default 0.0005.
        jitter_longest: Seconds; the greatest upper bound of that wait. Default 0.002.
        free_period: Seconds from the first SYN (of each lane) in which refires are not paced.
            Default 0.5: two hosts told to fire together meet in it.
        syn_rate: SYNs per second after that, on average, over all lanes, and however fast refusals
            come. Default 200: waiting alone stays cheap for us and harmless for the peer's
            network.
        beat: Seconds. A quarter of these SYNs leaves at its multiples on the wall clock, as it is
            at the start of the call, so that two sides which both wait meet without a word where
            refusals come too fast for chance; the rest leaves at random moments. Both sides
            need the same, and clocks that agree to ``burst_time``. Of several lanes the first
            keeps the beat. Default 0.2.
        burst_size: SYNs that may leave back to back in a beat. Default 10.
        burst_time: Seconds they may take. Default 0.001.
        lane_delay: Seconds from the start of one lane to that of the next, where several port
            pairs or addresses are raced. Default 0.1: the least that RFC 8305 §5 recommends; a
            connection over a usual path is there before a second SYN leaves.
        patience_unsent: Seconds during which every ``connect()`` may fail locally (no route, a
            firewall rule of our own, the same port pair still in use) before the call gives up,
            whatever its timeout. Default 3.0: an interface that is just coming up, or an old
            connection of the same pair that is just closing, recovers in less.
        rounds: Introductions after which a call through a coordinator gives up. Default 5: a
            coordinator that lies cannot make us fire more often, and who has not met in five has
            a reason.
        round_time: Seconds in which SYNs leave in the first round; each further one has half as
            much again. Default 2.5: twice what two hosts 0.4 s apart with a lost SYN need.
        round_syns: SYNs that one round may send, to all endpoints together. Default 1000: the
            most that a coordinator, or whoever holds a leaked secret, can aim at somebody.
        plaintext: Whether a call through a coordinator goes without encryption and proof.
            Default False: whoever is in between could read, write and take the peer's part.
    """

    refresh_first: float = 0.5
    refresh_known: float = 0.150
    refresh_round_trips: float = 1.5
    refresh_growth: float = 1.5
    refresh_longest: float = 1.0
    refresh_spread: float = 0.2
    jitter_share: float = 1 / 3
    jitter_round_trips: float = 1 / 3
    jitter_shortest: float = 0.0005
    jitter_longest: float = 0.002
    free_period: float = 0.5
    syn_rate: float = 200.0
    beat: float = 0.2
    burst_size: int = 10
    burst_time: float = 0.001
    lane_delay: float = 0.1
    patience_unsent: float = 3.0
    rounds: int = 5
    round_time: float = 2.5
    round_syns: int = 1000
    plaintext: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that make no engine.

        Raises:
            ValueError: A value is out of its range; the message names it.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be a finite number >= 0, not {value!r}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)!r}")
        for name in ("refresh_first", "refresh_known", "beat", "round_time"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
        if not self.refresh_spread < 1:
            raise ValueError(f"refresh_spread must be below 1, not {self.refresh_spread!r}")
