"""The strategies against the behaviours in virtual time; the ground is :mod:`benchmarks.virtual`.

Theory of operation. The engine's own core, or a core that is as simple as the strategy
(:class:`Loop`), runs behind a :class:`BehaviourGate`. That plays a
:class:`~benchmarks.populations.Behaviour` as the lab's gateways do: a reset that passes ends the
session, only a SYN opens one, and a crossing SYN is blocked only where nothing but our own SYN has
passed before.

There are no addresses here. Where either side's mapping varies, the two are *astray*: each side's
SYNs come to the other from an endpoint that this has not sent to, so nothing but refusals arrives.
That they never connect is put in, not found out; what the lab says of it is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.populations import Behaviour, BehaviourPair, Condition, Populations, Strategy
from benchmarks.simulate import REACTION, REACTION_SPREAD, TIMER_GRAIN
from benchmarks.virtual import OPTIONS, Gate, Pair, Scene, Site
from benchmarks.virtual_tcp import Packet, Segment, Unreachable
from simopen import lab
from simopen.punch import Action, Lane, Seen


@dataclass(slots=True)
class BehaviourGate(Gate):
    """A site of a behaviour at work.

    Attributes:
        behaviour: What it does.
        astray: Whether either side's mapping varies.
        awaits_answer: Whether all that ever passed was a SYN from inside.
    """

    behaviour: Behaviour = Behaviour.SILENT
    astray: bool = False
    awaits_answer: bool = False

    def lets_out(self, packet: Packet) -> bool:
        """Note what would leave, and say whether it does: a SYN, or what has a session."""
        if isinstance(packet, Unreachable):
            return self.session
        if packet.syn and packet.ack is None:
            self.awaits_answer = self.awaits_answer or not self.session
            self.session = True
            return True
        had = self.session
        self.awaits_answer = False
        self.session = had and not packet.rst
        return had

    def lets_in(self, packet: Packet) -> bool:
        """Note what came from outside, and say whether it passes."""
        if isinstance(packet, Unreachable):
            return self.session
        if packet.rst:
            had, self.session = self.session, False
            return had
        if self.astray:
            return False
        if not self.session:
            opens = packet.syn and packet.ack is None
            self.session = opens and self.behaviour.admits_all
            return self.session
        if packet.syn and packet.ack is None and self.awaits_answer and not self.behaviour.crosses:
            return False
        self.awaits_answer = False
        return True

    def refusal(self, packet: Packet, now: float) -> Packet | None:
        """What answers a packet that was not let in, which here may be the host behind."""
        del now  # errors come for every SYN
        if isinstance(packet, Unreachable) or not packet.syn or packet.ack is not None:
            return None
        if self.session and not self.astray:
            return None  # a crossing SYN that is blocked
        if self.behaviour.admits_all or self.behaviour.answer is lab.Unsolicited.RST:
            return Segment(0, ack=packet.seq + 1, rst=True)
        if self.behaviour.answer is lab.Unsolicited.ICMP:
            return Unreachable(packet.seq)
        return None


class Loop(Lane):
    """Connects, and once it is refused again, or not; everything else is left to the kernel.

    Args:
        give_up_at: When its time is over.
        again: Whether a refusal is followed by another SYN.
    """

    def __init__(self, give_up_at: float, *, again: bool) -> None:
        super().__init__(OPTIONS, give_up_at=give_up_at)
        self._again = again
        self._end = give_up_at

    def next_deadline(self) -> float:
        """When to look even without news."""
        return self._end

    def start(self, now: float, chance: float) -> Action:
        """Begin."""
        del now, chance
        return Action.FIRE

    def observe(self, seen: Seen, now: float, chance: float) -> Action:
        """Take what a look showed, and say what to do."""
        del chance
        if seen is Seen.OPEN:
            return Action.HAND_OVER
        if now >= self._end:
            return Action.ABANDON
        if seen is Seen.REFUSED:
            return Action.FIRE if self._again else Action.ABANDON
        return Action.WAIT


class Limits(NamedTuple):
    """What the strategies are given, in seconds."""

    timeout: float
    dcutr_timeout: float
    dcutr_attempts: int
    dcutr_pause: float


class Success(NamedTuple):
    """A trial that connected."""

    attempt: int  # from 1
    took: float  # seconds, from the later start of the first attempt


def connect(
    pair: BehaviourPair,
    strategy: Strategy,
    found: Populations,
    condition: Condition,
    limits: Limits,
    seed: str,
) -> Success | None:
    """Run a trial; None: no attempt of it connected."""
    chances = random.Random(seed)
    most = limits.dcutr_attempts if strategy == "dcutr" else 1
    passed = 0.0
    for attempt in range(1, most + 1):
        punched = make(pair, strategy, found.spread(strategy), condition, limits, chances)
        if attempt == 1:
            passed = -max(punched.scene.skews)
        punched.run()
        passed += max(host.ended_at or 0.0 for host in punched.hosts)
        if punched.connected:
            return Success(attempt, passed)
        passed += limits.dcutr_pause
    return None


def make(
    pair: BehaviourPair,
    strategy: Strategy,
    spread: float,
    condition: Condition,
    limits: Limits,
    chances: random.Random,
) -> Pair:
    """Two hosts about to connect; the order of the pair is that of the hosts."""
    timeout = limits.dcutr_timeout if strategy == "dcutr" else limits.timeout
    skews = chances.uniform(0, spread), chances.uniform(0, spread)
    made = Pair(
        Scene(
            sites=(Site.SILENT, Site.SILENT),  # the gates are replaced below
            round_trip=condition.round_trip,
            skews=skews,
            loss=condition.loss,
            timeout=timeout,
            reaction=REACTION,
            reaction_spread=REACTION_SPREAD,
            timer_grain=TIMER_GRAIN,
            writes_after=0.0,
            seed=chances.getrandbits(64),
        )
    )
    astray = Behaviour.VARIES in pair
    for host, behaviour, start in zip(made.hosts, pair, skews, strict=True):
        host.gate = BehaviourGate(Site.SILENT, behaviour=behaviour, astray=astray)
        if strategy != "simopen":
            host.lane = Loop(start + timeout, again=strategy == "naive")
    return made
