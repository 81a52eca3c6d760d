"""A gateway's sessions, and when it forgets them.

Theory of operation
-------------------
A `Session` is one remote endpoint's share in a mapping. It is found by the key of its packets, as
they are inside (`outbound`) and as they are outside (`inbound`). A mapping lives as long as any of
its sessions.

Idle sessions wait in queues, one for each idle time, and every packet, from whichever side (RFC
4787 §4.3, REQ-6), moves its session to the end. So the first of a queue expires first, and
forgetting costs nothing until there is something to forget: `expire` is to be called whenever
`next_expiry` has passed, before anything is looked up.

Invariants: `inbound` holds every session, at most `MAX_SESSIONS`; after `expire(now)` none of them
has ended before `now`; every mapping in the table has a session. No two sessions have the same key
in `inbound`: a newer one ends the older (port overloading). Two may have the same in `outbound`,
where a remote endpoint sends to another port than the one that packets to it come from; packets
from inside then belong to the older session, whose mapping was made for them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from simopen.lab.nat import Firewall, Nat
from simopen.lab.wire import tracking
from simopen.lab.wire.headers import RST, TCP, Endpoint, Flow, Packet, Quote
from simopen.lab.wire.mappings import Mapping, MappingTable
from simopen.lab.wire.rewriting import Translation, one_hop_on, translate_error

MAX_SESSIONS = 32_768
"""How many sessions one gateway remembers; new flows beyond that are dropped. Half of all ports, so
that a free one is found fast."""

Carrier: TypeAlias = Callable[[bytes, int], bytes]
"""Makes of a packet, and the offset of its payload, what leaves on the other side."""


class IdleQueue:
    """Sessions with the same idle time, those idle for longest first.

    Attributes:
        timeout: The idle time in seconds.
        members: The sessions; an ordered set.
    """

    __slots__ = ("members", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout: float = timeout
        self.members: OrderedDict[Session, None] = OrderedDict()


@dataclass(slots=True, eq=False)
class Session:
    """What one remote endpoint and a mapping have with each other.

    Attributes:
        mapping: The mapping.
        remote: The remote endpoint.
        outbound_key: Key of its packets from inside, as they are inside.
        inbound_key: Key of its packets from outside, as they are outside.
        carry_out: Makes a packet from inside one for outside.
        carry_in: The reverse.
        hairpinned: Whether the remote endpoint is an external one of this gateway.
        queue: Where it waits to be forgotten.
        expires: When that will be, in seconds.
        facts: What is known of its TCP connection.
        settled: Whether a plain packet changes nothing but `expires`.
    """

    mapping: Mapping
    remote: Endpoint
    outbound_key: bytes
    inbound_key: bytes
    carry_out: Carrier
    carry_in: Carrier
    hairpinned: bool
    queue: IdleQueue
    expires: float = math.inf
    facts: int = 0
    settled: bool = False

    def carry_error(self, error: Packet, quote: Quote, *, outwards: bool) -> bytes:
        """Return an ICMP error about one of its packets as it leaves on the other side."""
        if not self.mapping.translates:
            return one_hop_on(error.raw)
        internal, external = self.mapping.internal, self.mapping.external
        if outwards:
            about = quote.flow._replace(destination=external)
            outer = error.flow._replace(source=external)
        else:
            about = quote.flow._replace(source=internal)
            outer = error.flow._replace(destination=internal)
        return translate_error(error, quote, about, outer)


class SessionTable:
    """All sessions of one gateway, and through them its mappings.

    Args:
        spec: Says the idle times, and whether an RST ends a session.
    """

    def __init__(self, spec: Nat | Firewall) -> None:
        self.outbound: dict[bytes, Session] = {}
        self.inbound: dict[bytes, Session] = {}
        self.mappings: MappingTable = MappingTable()
        self.next_expiry: float = math.inf
        """No session ends before this, in seconds."""
        self._rst_ends_session = spec.rst_ends_session
        self._established = IdleQueue(spec.established_timeout)
        self._transitory = IdleQueue(spec.transitory_timeout)
        self._connectionless = IdleQueue(spec.udp_timeout)

    def open(self, mapping: Mapping, remote: Endpoint, *, hairpinned: bool) -> Session | None:
        """Begin a session, whose first packet is then to be told to `advance`.

        Returns:
            The session; None when the table is full.
        """
        inside = Flow(mapping.protocol, mapping.internal, remote)
        outside = Flow(mapping.protocol, mapping.external, remote)
        inbound_key = outside.reversed().key
        older = self.inbound.get(inbound_key)
        if older is not None:
            self.end(older)
        if len(self.inbound) >= MAX_SESSIONS:
            return None
        session = Session(
            mapping=mapping,
            remote=remote,
            outbound_key=inside.key,
            inbound_key=inbound_key,
            carry_out=_carrier(inside, outside),
            carry_in=_carrier(outside.reversed(), inside.reversed()),
            hairpinned=hairpinned,
            queue=self._transitory if mapping.protocol == TCP else self._connectionless,
        )
        session.queue.members[session] = None
        self.outbound.setdefault(session.outbound_key, session)
        self.inbound[inbound_key] = session
        self.mappings.hold(mapping, remote[:-2])
        return session

    def refresh(self, session: Session, now: float) -> None:
        """Note that a packet of a session has passed."""
        queue = session.queue
        session.expires = now + queue.timeout
        queue.members.move_to_end(session)

    def advance(self, session: Session, flags: int, now: float, *, outwards: bool) -> None:
        """Note that a packet of a session has passed which may change it.

        Args:
            session: The session.
            flags: TCP's control bits; 0 for other protocols.
            now: Time in seconds.
            outwards: Whether the packet came from inside.
        """
        if flags & RST and self._rst_ends_session:
            self.end(session)
            return
        established = True
        if session.mapping.protocol == TCP:
            session.facts = tracking.advance(session.facts, flags, outwards=outwards)
            established = tracking.is_established(session.facts)
            self._move(session, self._established if established else self._transitory)
        session.settled = established and not session.hairpinned
        self.refresh(session, now)
        self.next_expiry = min(self.next_expiry, session.expires)

    def end(self, session: Session) -> None:
        """Forget a session, and its mapping with the last one."""
        del session.queue.members[session]
        del self.inbound[session.inbound_key]
        if self.outbound.get(session.outbound_key) is session:
            del self.outbound[session.outbound_key]
        self.mappings.release(session.mapping, session.remote[:-2])

    def expire(self, now: float) -> None:
        """Forget what has been idle for too long."""
        self.next_expiry = math.inf
        for queue in (self._established, self._transitory, self._connectionless):
            while queue.members:
                oldest = next(iter(queue.members))
                if oldest.expires > now:
                    self.next_expiry = min(self.next_expiry, oldest.expires)
                    break
                self.end(oldest)

    def _move(self, session: Session, queue: IdleQueue) -> None:
        del session.queue.members[session]
        queue.members[session] = None
        session.queue = queue


def _carrier(before: Flow, after: Flow) -> Carrier:
    return one_hop_on if before == after else Translation(before, after).apply
