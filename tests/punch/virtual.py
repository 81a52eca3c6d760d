"""Two hosts and the link between them, in virtual time.

Theory of operation. A heap of events stands for the clock, so ten seconds cost milliseconds. What
is modelled is what decides a punch:

- **TCP** (:class:`Socket`): RFC 9293 §3.10.7 for CLOSED, SYN_SENT, SYN_RECEIVED and ESTABLISHED,
  with initial sequence numbers, challenge ACKs at most every half second, and the kernel's
  retransmissions. As in Linux a SYN-ACK completes a crossing, and an ICMP error is fatal both in
  SYN_SENT and in SYN_RECEIVED if it quotes the current SYN.
- **Site** (:class:`Gate`): what stands in front of a host. Until a SYN went out it answers a SYN
  from outside in its manner; from then on it lets everything in (a session).
- **Link**: the same latency both ways, so order is kept; every packet is lost with the same chance.
- **Executor** (:class:`Host`): wakes ``reaction`` seconds after news or a deadline, looks, asks the
  lane, acts. As in Linux half-open is no news: only a look shows it.

Two sequence numbers never come near each other, so whatever belongs to another attempt is outside
the window. Data, closing a connection, and conntrack's own state machine are left out.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from simopen.punch import Action, Lane, PunchOptions, Seen

FIRST_RETRANSMISSION = 1.0  # seconds, of SYN and SYN-ACK
CHALLENGE_INTERVAL = 0.5  # seconds between two challenge ACKs of one socket
REACTION = 100e-6  # seconds from news to the look at it


class Clock:
    """Virtual time: what is due is done in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Do something at a moment; never, if that is infinitely far."""
        if when < math.inf:
            heapq.heappush(self._due, (max(when, self.now), next(self._order), do))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()
        self.now = until


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment without data."""

    seq: int
    ack: int | None = None
    syn: bool = False
    rst: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An ICMP error that quotes the SYN it is about."""

    quoted: int


Packet = Segment | Unreachable


class Tcp(enum.Enum):
    """A kernel socket's state."""

    CLOSED = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()


class Socket:
    """The kernel's side of one port: one connection at a time.

    Attributes:
        state: RFC 9293's, as far as a punch needs it.
        isn: Our initial sequence number.
        peer_isn: The peer's, once known.
        error: Whether a reset or an ICMP error ended the connection, and nobody has looked yet.
        established_at: When it was established; None if it is not.
    """

    def __init__(self, clock: Clock, isns: random.Random, send: Callable[[Packet], None]) -> None:
        self.state = Tcp.CLOSED
        self.isn = 0
        self.peer_isn = 0
        self.error = False
        self.established_at: float | None = None
        self.on_news: Callable[[], None] = lambda: None
        self._clock = clock
        self._isns = isns
        self._send = send
        self._timer = 0  # counts up; what an older timer wanted is void
        self._challenged_at = -math.inf

    def connect(self) -> None:
        """Send a SYN with a fresh sequence number."""
        self.isn = self._isns.getrandbits(64)
        self.error = False
        self._become(Tcp.SYN_SENT)

    def close(self) -> None:
        """Close it as a losing socket is closed: a reset if the peer may believe in it."""
        if self.state in {Tcp.SYN_RECEIVED, Tcp.ESTABLISHED}:
            self._send(Segment(self.isn + 1, rst=True))
        self._become(Tcp.CLOSED)

    def receive(self, packet: Packet) -> None:
        """Take what came through the site."""
        if isinstance(packet, Unreachable):
            if self.state in {Tcp.SYN_SENT, Tcp.SYN_RECEIVED} and packet.quoted == self.isn:
                self._fail()
            return
        match self.state:
            case Tcp.CLOSED:
                self._answer_closed(packet)
            case Tcp.SYN_SENT:
                self._receive_syn_sent(packet)
            case _:
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
            self._become(Tcp.ESTABLISHED if acceptable else Tcp.SYN_RECEIVED)

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
        elif self.state is Tcp.SYN_RECEIVED:
            self._become(Tcp.ESTABLISHED, acknowledge=segment.syn)
        elif segment.syn:
            self._acknowledge()  # a SYN-ACK again: our ACK was lost

    def _become(self, state: Tcp, *, acknowledge: bool = True) -> None:
        self.state = state
        self._timer += 1
        self.established_at = None
        if state is Tcp.SYN_SENT:
            self._transmit(self._timer, Segment(self.isn, syn=True), growth=1)
        elif state is Tcp.SYN_RECEIVED:
            self._transmit(
                self._timer, Segment(self.isn, ack=self.peer_isn + 1, syn=True), growth=2
            )
        elif state is Tcp.ESTABLISHED:
            self.established_at = self._clock.now
            if acknowledge:
                self._acknowledge()
            self.on_news()

    def _transmit(
        self, timer: int, segment: Segment, *, growth: float, wait: float = FIRST_RETRANSMISSION
    ) -> None:
        if timer != self._timer:
            return
        self._send(segment)
        self._clock.at(
            self._clock.now + wait,
            lambda: self._transmit(timer, segment, growth=growth, wait=wait * growth),
        )

    def _acknowledge(self) -> None:
        self._send(Segment(self.isn + 1, ack=self.peer_isn + 1))

    def _challenge(self) -> None:
        if self._clock.now - self._challenged_at >= CHALLENGE_INTERVAL:
            self._challenged_at = self._clock.now
            self._acknowledge()

    def _fail(self) -> None:
        self._become(Tcp.CLOSED)
        self.error = True
        self.on_news()


class Site(enum.Enum):
    """What stands in front of a host, and how it answers a SYN it does not expect."""

    OPEN = enum.auto()  # nothing: the host answers itself
    SILENT = enum.auto()
    RST = enum.auto()
    ICMP = enum.auto()


@dataclass(slots=True)
class Gate:
    """A site at work.

    Attributes:
        site: Its manner.
        refusal_ends_session: Whether a refusal that comes in for our SYN closes the session.
        session: Whether what comes from outside is let in.
    """

    site: Site
    refusal_ends_session: bool = False
    session: bool = False

    def outwards(self, packet: Packet) -> None:
        """Note what goes out."""
        if isinstance(packet, Segment) and packet.syn:
            self.session = True

    def inwards(self, packet: Packet) -> tuple[bool, Packet | None]:
        """Say whether a packet is let in, and what is answered otherwise."""
        if self.site is Site.OPEN:
            return True, None
        if self.session:
            refusal = isinstance(packet, Unreachable) or packet.rst
            self.session = not (refusal and self.refusal_ends_session)
            return True, None
        if isinstance(packet, Segment) and packet.syn and packet.ack is None:
            if self.site is Site.RST:
                return False, Segment(0, ack=packet.seq + 1, rst=True)
            if self.site is Site.ICMP:
                return False, Unreachable(packet.seq)
        return False, None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the socket: when, what was there, what the lane was told and answered."""

    at: float
    tcp: Tcp
    seen: Seen
    action: Action


@dataclass
class Host:
    """A host that punches: its kernel socket, its site, and its executor with one lane.

    Attributes:
        clock: The pair's.
        lane: The core under test.
        gate: Its site.
        chances: Every random number of this host.
        reaction: Seconds from news or a deadline to the look.
        mute_until: Until then ``connect()`` fails here and sends nothing.
        syns: When SYNs left (the kernel's retransmissions apart).
        looks: Everything the lane was told, and answered.
        established_at: When the connection that was handed over was established.
        ended_at: When the lane handed over or gave up.
    """

    clock: Clock
    lane: Lane
    gate: Gate
    chances: random.Random
    reaction: float = REACTION
    mute_until: float = -math.inf
    syns: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    established_at: float | None = None
    ended_at: float | None = None

    def __post_init__(self) -> None:
        """Connect the parts."""
        self.transmit: Callable[[Packet], None] = lambda _packet: None
        self.socket = Socket(self.clock, self.chances, self._send)
        self.socket.on_news = self._news
        self._waits = 0  # counts up; a wake-up for an older wait is void

    def start(self) -> None:
        """Begin to punch."""
        self._act(self.lane.start(self.clock.now, self.chances.random()))

    def receive(self, packet: Packet) -> None:
        """Take what the link delivers."""
        passes, answer = self.gate.inwards(packet)
        if passes:
            self.socket.receive(packet)
        elif answer:
            self.transmit(answer)

    def _send(self, packet: Packet) -> None:
        self.gate.outwards(packet)
        self.transmit(packet)

    def _act(self, action: Action) -> None:
        while True:
            match action:
                case Action.WAIT if self.lane.next_deadline() > self.clock.now:
                    self._wake_at(self.lane.next_deadline())
                    return
                case Action.WAIT:
                    seen = self._look()
                case Action.FIRE | Action.REFRESH:
                    seen = self._fire()
                case Action.HAND_OVER:
                    self.established_at = self.socket.established_at
                    self.ended_at = self.clock.now
                    return
                case Action.ABANDON:
                    self.socket.close()
                    self.ended_at = self.clock.now
                    return
            tcp = self.socket.state
            action = self.lane.observe(seen, self.clock.now, self.chances.random())
            self.looks.append(Look(self.clock.now, tcp, seen, action))

    def _fire(self) -> Seen:
        if self.clock.now < self.mute_until:
            self.socket.close()
            return Seen.UNSENT
        self.syns.append(self.clock.now)
        self.socket.connect()
        return self._look()

    def _look(self) -> Seen:
        if self.lane.resting:
            return Seen.QUIET
        if self.socket.error:
            self.socket.error = False
            return Seen.REFUSED
        return {
            Tcp.SYN_SENT: Seen.QUIET,
            Tcp.SYN_RECEIVED: Seen.HALF_OPEN,
            Tcp.ESTABLISHED: Seen.OPEN,
        }[self.socket.state]

    def _news(self) -> None:
        self._wake_at(self.clock.now)

    def _wake_at(self, when: float) -> None:
        wait = self._waits

        def wake() -> None:
            if wait == self._waits and self.ended_at is None:
                self._waits += 1
                action = Action.WAIT
                seen, tcp = self._look(), self.socket.state
                action = self.lane.observe(seen, self.clock.now, self.chances.random())
                self.looks.append(Look(self.clock.now, tcp, seen, action))
                self._act(action)

        self.clock.at(when + self.reaction, wake)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What two hosts are put into. Times in seconds.

    Attributes:
        sites: In front of the first and the second host.
        round_trip: Of the link.
        skews: When each side starts; ``math.inf`` for a side that never comes.
        loss: Chance of every packet to be lost.
        timeout: How long each side may punch.
        reaction: Of both executors.
        refusal_ends_session: See :class:`Gate`.
        options: Of both engines.
        seed: Of all that is random.
    """

    sites: tuple[Site, Site] = (Site.OPEN, Site.OPEN)
    round_trip: float = 0.04
    skews: tuple[float, float] = (0.0, 0.0)
    loss: float = 0.0
    timeout: float = 10.0
    reaction: float = REACTION
    refusal_ends_session: bool = False
    options: PunchOptions = field(default_factory=PunchOptions)
    seed: int = 0


class Pair:
    """Two hosts in a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.clock = Clock()
        self._fate = random.Random(f"link {scene.seed}")
        self.first, self.second = self.hosts = tuple(
            Host(
                self.clock,
                Lane(scene.options, give_up_at=start + scene.timeout),
                Gate(site, refusal_ends_session=scene.refusal_ends_session),
                random.Random(f"{name} {scene.seed}"),
                reaction=scene.reaction,
            )
            for name, site, start in zip("ab", scene.sites, scene.skews, strict=True)
        )
        for host, peer, start in (
            (self.first, self.second, scene.skews[0]),
            (self.second, self.first, scene.skews[1]),
        ):
            host.transmit = self._cable(peer)
            self.clock.at(start, host.start)

    def run(self) -> None:
        """Let both sides come to their end, and what they sent arrive."""
        last = max(start for start in self.scene.skews if start < math.inf)
        self.clock.run(last + self.scene.timeout + 2 * self.scene.round_trip + 1)

    def _cable(self, peer: Host) -> Callable[[Packet], None]:
        def transmit(packet: Packet) -> None:
            if self._fate.random() >= self.scene.loss:
                self.clock.at(
                    self.clock.now + self.scene.round_trip / 2, lambda: peer.receive(packet)
                )

        return transmit

    @property
    def connected(self) -> bool:
        """Whether both ends of one and the same connection are alive."""
        a, b = self.first.socket, self.second.socket
        return a.state is b.state is Tcp.ESTABLISHED and (a.isn, a.peer_isn) == (b.peer_isn, b.isn)

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
