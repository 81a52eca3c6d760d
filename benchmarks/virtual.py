"""Two hosts and the link between them, in virtual time.

Theory of operation. A heap of events stands for the clock, so ten seconds cost milliseconds. What
is modelled is what decides a punch:

- **TCP** (:class:`~benchmarks.virtual_tcp.Socket`): RFC 9293 as far as a punch needs it.
- **Site** (:class:`Gate`): what stands in front of a host. Until a SYN went out it answers a SYN
  from outside in its manner; from then on it lets everything in (a session), or, if it blocks,
  everything but SYNs. Without a session nothing but a SYN leaves.
- **Link** (:class:`Cable`): the same latency both ways, so order is kept; every packet is lost with
  the same chance.
- **Executor** (:class:`Host`): wakes a reaction after news or a deadline, looks, asks the lane,
  acts. As in Linux half-open is no news: only a look shows it.
- **Application**: writes once, some time after the hand-over, or never.

:mod:`benchmarks.virtual_race` lets several lanes of a host race. Closing a connection and
conntrack's own state machine are left out.

What happens often is cheap: packets are tuples, an :class:`~benchmarks.virtual_tcp.Alarm` that is
put off costs nothing, looks are kept only if asked for, and time stops when nothing can change.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.virtual_tcp import (
    Alarm,
    Clock,
    Packet,
    Segment,
    Socket,
    Tcp,
    Unreachable,
)
from simopen.punch import Action, Lane, PunchOptions, Seen

REACTION = 100e-6  # seconds from news to the look at it
OPTIONS = PunchOptions()


class Site(enum.Enum):
    """What stands in front of a host, and how it answers a SYN it does not expect."""

    OPEN = enum.auto()  # nothing: the host answers itself
    SILENT = enum.auto()
    RST = enum.auto()
    ICMP = enum.auto()
    BLOCKED = enum.auto()  # silent, and a SYN of a session does not pass either


@dataclass(slots=True)
class Gate:
    """A site at work.

    Attributes:
        site: Its manner.
        refusal_ends_session: Whether a refusal that comes in for our SYN closes the session.
        rst_ends_session: Whether a reset does, whichever way it goes.
        icmp_errors: How many ICMP errors it still sends; one more each second.
        session: Whether what comes from outside is let in.
        refused_at: When ``icmp_errors`` was last true.
    """

    site: Site
    refusal_ends_session: bool = False
    rst_ends_session: bool = False
    icmp_errors: float = math.inf
    session: bool = False
    refused_at: float = 0.0

    def lets_out(self, packet: Packet) -> bool:
        """Note what would leave, and say whether it does: a SYN, or what has a session."""
        if self.site is Site.OPEN:
            return True
        if isinstance(packet, Segment):
            if packet.syn and packet.ack is None:
                self.session = True
            elif packet.rst and self.rst_ends_session and self.session:
                self.session = False
                return True
        return self.session

    def lets_in(self, packet: Packet) -> bool:
        """Note what came from outside, and say whether it passes."""
        if self.site is Site.OPEN:
            return True
        if not self.session:
            return False
        if isinstance(packet, Unreachable):
            self.session = not self.refusal_ends_session
        elif packet.rst:
            self.session = not (self.refusal_ends_session or self.rst_ends_session)
        elif self.site is Site.BLOCKED and packet.syn:
            return packet.ack is not None
        return True

    def refusal(self, packet: Packet, now: float) -> Packet | None:
        """What answers a packet that was not let in."""
        if isinstance(packet, Segment) and packet.syn and packet.ack is None:
            if self.site is Site.RST:
                return Segment(0, ack=packet.seq + 1, rst=True)
            if self.site is Site.ICMP and self._may_send_error(now):
                return Unreachable(packet.seq)
        return None

    def _may_send_error(self, now: float) -> bool:
        self.icmp_errors += now - self.refused_at
        self.refused_at = now
        allowed = self.icmp_errors >= 1
        self.icmp_errors -= allowed
        return allowed


class Cable:
    """One direction of the link.

    Args:
        clock: The pair's.
        fate: Decides which packets are lost.
        latency: Seconds from one end to the other.
        loss: Chance of every packet to be lost.
        deliver: Takes what arrives.
    """

    __slots__ = ("_clock", "_deliver", "_fate", "_latency", "_loss")

    def __init__(
        self,
        clock: Clock,
        fate: random.Random,
        latency: float,
        loss: float,
        deliver: Callable[[Packet], None],
    ) -> None:
        self._clock = clock
        self._fate = fate
        self._latency = latency
        self._loss = loss
        self._deliver = deliver

    def transmit(self, packet: Packet) -> None:
        """Carry a packet, or lose it."""
        if self._fate.random() >= self._loss:
            self._clock.at(self._clock.now + self._latency, self._deliver, packet)


class Look(NamedTuple):
    """One look at the socket: when, what was there, what the lane was told and answered."""

    at: float
    tcp: Tcp
    seen: Seen
    action: Action


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What two hosts are put into. Times in seconds.

    Attributes:
        sites: In front of the first and the second host.
        round_trip: Of the link.
        skews: When each side starts; ``math.inf`` for a side that never comes.
        loss: Chance of every packet to be lost.
        timeout: How long each side may punch.
        reaction: From news or a deadline to the look, of both executors, at least.
        reaction_spread: Mean of what a reaction takes beyond that, at random (exponential).
        timer_grain: Every wait for a deadline is rounded up to a multiple of it; 0: it is exact.
        writes_after: From the hand-over to the application's first word; ``math.inf`` for never.
        refusal_ends_session: See :class:`Gate`.
        rst_ends_session: Likewise.
        icmp_errors: Likewise, at the beginning, of both sites.
        options: Of both engines.
        lanes: How many lanes of a host share the engine's SYNs, this one included.
        leads: Whether this is the first of them.
        seed: Of all that is random.
    """

    sites: tuple[Site, Site] = (Site.OPEN, Site.OPEN)
    round_trip: float = 0.04
    skews: tuple[float, float] = (0.0, 0.0)
    loss: float = 0.0
    timeout: float = 10.0
    reaction: float = REACTION
    reaction_spread: float = 0.0
    timer_grain: float = 0.0
    writes_after: float = math.inf
    refusal_ends_session: bool = False
    rst_ends_session: bool = False
    icmp_errors: tuple[float, float] = (math.inf, math.inf)
    options: PunchOptions = OPTIONS
    lanes: int = 1
    leads: bool = True
    seed: int = 0


class Host:
    """A host that punches: its kernel socket, its site, and its executor with one lane.

    Args:
        scene: What it is put into.
        which: Whether it is the first host or the second, 0 or 1.
        clock: The pair's.
        on_end: Told when the lane has handed over or given up.

    Attributes:
        lane: The core under test.
        gate: Its site.
        socket: Its kernel's.
        transmit: Takes what leaves its site.
        outranked: Whether a better lane of its machine is half-open or open.
        on_unsent: Called when ``connect()`` has failed here.
        mute_until: Until then ``connect()`` fails here and sends nothing.
        syns: When SYNs left (the kernel's retransmissions apart).
        looks: Everything the lane was told, and answered; None where it is not kept.
        established_at: When the connection that was handed over was established.
        ended_at: When the lane handed over or gave up.
    """

    def __init__(self, scene: Scene, which: int, clock: Clock, on_end: Callable[[], None]) -> None:
        self.lane = Lane(
            scene.options,
            give_up_at=scene.skews[which] + scene.timeout,
            lanes=scene.lanes,
            leads=scene.leads,
        )
        self.gate = Gate(
            scene.sites[which],
            scene.refusal_ends_session,
            scene.rst_ends_session,
            scene.icmp_errors[which],
        )
        self.transmit: Callable[[Packet], None]
        self.outranked: Callable[[], bool] = lambda: False
        self.on_unsent: Callable[[], None] = lambda: None
        self.mute_until = -math.inf
        self.syns: list[float] = []
        self.looks: list[Look] | None = None
        self.established_at: float | None = None
        self.ended_at: float | None = None
        self._scene = scene
        self._clock = clock
        self._on_end = on_end
        self._chances = random.Random(f"{'ab'[which]} {scene.seed}")
        self.socket = Socket(clock, self._chances, self._send, self._news)
        self._deadline = Alarm(clock, self._overdue)
        self._waits = 0  # counts up; a wake-up for an older wait is void

    def start(self, _: object = None) -> None:
        """Begin to punch."""
        self._act(self.lane.start(self._clock.now, self._chances.random()))

    def stop(self) -> None:
        """Close the socket and do nothing more: another lane has won."""
        self.ended_at = self._clock.now
        self._deadline.set(math.inf)
        self.socket.close()

    @property
    def opening(self) -> bool:
        """Whether the connection is half-open or open."""
        return self.socket.state is Tcp.SYN_RECEIVED or self.socket.state is Tcp.ESTABLISHED

    def receive(self, packet: Packet) -> None:
        """Take what the link delivers."""
        if self.gate.lets_in(packet):
            self.socket.receive(packet)
        elif answer := self.gate.refusal(packet, self._clock.now):
            self.transmit(answer)

    def _send(self, packet: Packet) -> None:
        if self.gate.lets_out(packet):
            self.transmit(packet)

    # -- the executor ----------------------------------------------------------------------------

    def _act(self, action: Action) -> None:
        while True:
            match action:
                case Action.WAIT:
                    deadline = self.lane.next_deadline()
                    if deadline > self._clock.now:
                        self._deadline.set(self._rounded(deadline) + self._reaction())
                        return
                    seen = self._look()
                case Action.FIRE | Action.REFRESH:
                    seen = self._fire()
                case _:
                    self._end(action)
                    return
            action = self._tell(seen)

    def _tell(self, seen: Seen) -> Action:
        action = self.lane.observe(seen, self._clock.now, self._chances.random())
        if self.looks is not None:
            self.looks.append(Look(self._clock.now, self.socket.state, seen, action))
        return action

    def _fire(self) -> Seen:
        if self._clock.now < self.mute_until:
            self.socket.close()
            self.on_unsent()
            return Seen.UNSENT
        self.syns.append(self._clock.now)
        self.socket.connect()
        return Seen.QUIET

    def _look(self) -> Seen:
        if self.lane.resting:
            return Seen.QUIET
        if self.socket.error:
            self.socket.error = False
            return Seen.REFUSED
        seen = _SEEN[self.socket.state.value]
        return Seen.OUTRANKED if seen is Seen.OPEN and self.outranked() else seen

    def _end(self, action: Action) -> None:
        self.ended_at = self._clock.now
        self._deadline.set(math.inf)
        if action is Action.ABANDON:
            self.socket.close()
        else:
            self.established_at = self.socket.established_at
            if self._scene.writes_after < math.inf:
                self._clock.at(self.ended_at + self._scene.writes_after, self._write, None)
        self._on_end()

    def _write(self, _: object) -> None:
        self.socket.write(self._scene.round_trip)

    # -- waking ----------------------------------------------------------------------------------

    def _reaction(self) -> float:
        scene = self._scene
        if not scene.reaction_spread:
            return scene.reaction
        return scene.reaction + self._chances.expovariate(1 / scene.reaction_spread)

    def _rounded(self, deadline: float) -> float:
        grain = self._scene.timer_grain
        if not grain:
            return deadline
        return self._clock.now + math.ceil((deadline - self._clock.now) / grain) * grain

    def _news(self) -> None:
        self._clock.at(self._clock.now + self._reaction(), self._wake, self._waits)

    def _overdue(self) -> None:
        self._wake(self._waits)

    def _wake(self, wait: int) -> None:
        if wait == self._waits and self.ended_at is None:
            self._waits += 1
            self._act(self._tell(self._look()))


_SEEN = {
    Tcp.SYN_SENT.value: Seen.QUIET,
    Tcp.SYN_RECEIVED.value: Seen.HALF_OPEN,
    Tcp.ESTABLISHED.value: Seen.OPEN,
}  # by value, since hashing a member is slow


def link(first: Host, second: Host, clock: Clock, scene: Scene) -> None:
    """Connect two hosts both ways."""
    fate = random.Random(f"link {scene.seed}")
    for sender, receiver in ((first, second), (second, first)):
        cable = Cable(clock, fate, scene.round_trip / 2, scene.loss, receiver.receive)
        sender.transmit = cable.transmit


def are_ends(a: Socket, b: Socket) -> bool:
    """Whether both are ends of one and the same connection, and alive."""
    return a.state is b.state is Tcp.ESTABLISHED and (a.isn, a.peer_isn) == (b.peer_isn, b.isn)


class Pair:
    """Two hosts in a scene.

    Args:
        scene: The scene.
        record: Whether the hosts keep their looks.
    """

    def __init__(self, scene: Scene, *, record: bool = False) -> None:
        self.scene = scene
        self.clock = Clock()
        self.first, self.second = self.hosts = (
            Host(scene, 0, self.clock, self._on_end),
            Host(scene, 1, self.clock, self._on_end),
        )
        link(self.first, self.second, self.clock, scene)
        self._at_work = 0
        for host, start in zip(self.hosts, scene.skews, strict=True):
            if record:
                host.looks = []
            if start < math.inf:
                self._at_work += 1
                self.clock.at(start, host.start, None)

    def run(self) -> None:
        """Let both sides come to their end, and what they sent arrive."""
        last = max(start for start in self.scene.skews if start < math.inf)
        self.clock.run(last + self.scene.timeout + 2 * self.scene.round_trip + 1)

    def _on_end(self) -> None:
        """Stop two round trips after both have ended: by then every answer to an answer is in."""
        self._at_work -= 1
        if self._at_work == 0:
            self.clock.end = min(self.clock.end, self.clock.now + 2 * self.scene.round_trip)

    @property
    def connected(self) -> bool:
        """Whether both ends of one and the same connection are alive."""
        return are_ends(self.first.socket, self.second.socket)

    @property
    def over_limit(self) -> float:
        """Seconds from the earliest possible moment to the one at which both were established."""
        moments = [host.established_at for host in self.hosts]
        done = max(math.inf if moment is None else moment for moment in moments)
        return done - max(self.scene.skews) - self.scene.round_trip


def overdraft(syns: list[float], options: PunchOptions) -> float:
    """How many SYNs the fullest window after the free period holds beyond what pacing allows.

    A window of ``t`` seconds, both its ends included, may hold ``t * syn_rate + 2 * burst_size``.
    """
    worst, reference = -math.inf, math.inf
    paced = (at for at in syns if at >= syns[0] + options.free_period)
    for number, at in enumerate(paced):
        balance = number - at * options.syn_rate
        reference = min(reference, balance)
        worst = max(worst, balance + 1 - reference - 2 * options.burst_size)
    return worst
