"""A NAT or a stateful firewall, played packet by packet, without a clock or luck of its own.

Theory of operation
-------------------
`outbound` takes a packet from inside, `inbound` one from outside; both return what the gateway
sends on that account, nearly always one packet or none. From inside, a packet finds its session or
opens one, through the mapping that the axes say (`allocation`). From outside, it finds its session,
or opens one with a mapping that exists and whose filter lets it in, or is *unsolicited*
(`refusals`). A session knows how to carry its packets over and when it is over (`sessions`). Nearly
all packets belong to a settled session and need no decision: they take a short way, which does what
the long one would.

A TCP session is opened by a SYN, others by any UDP datagram and by an ICMP echo from inside. TCP
segments that belong to no session are dropped, whichever side they come from: a connection that was
forgotten is not picked up again. An ICMP error passes where it is about a packet of a session, and
leaves that as it is (RFC 5382, REQ-10). Other protocols pass only outwards, and only where
nothing is translated; fragments of IPv4 never pass. Pings of the gateway itself are answered.

A port's filter lets in whom its own sessions are with, not whom the same internal endpoint has sent
to from other ports. A *hairpinned* packet, from inside to the external address, goes out and comes
in again at once: it is filtered as from outside, has a session on either way, and costs two hops.

Invariants: no packet raises an error; memory is bounded (`MAX_SESSIONS`, `MAX_PENDING`); times are
seconds of one monotonic clock; chance is drawn for ports only.

Sources: RFC 4787, 5382, 5508 and 7857 (NATs for UDP, TCP and ICMP), 6092 (IPv6), 1812 (routers).
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import NamedTuple

from simopen.lab.nat import Firewall, Hairpinning, Nat
from simopen.lab.wire import answers, tracking
from simopen.lab.wire.allocation import Mapper
from simopen.lab.wire.headers import (
    IPV4_HEADER_BYTES,
    LAST_HOP,
    Endpoint,
    Kind,
    Packet,
    is_routable,
    plain_key,
    read,
    read_quote,
)
from simopen.lab.wire.limit import IcmpLimit
from simopen.lab.wire.mappings import Mapping
from simopen.lab.wire.refusals import Refusals
from simopen.lab.wire.rewriting import Translation, one_hop_on
from simopen.lab.wire.sessions import Session, SessionTable

_IPV4 = 4
_HAS_SESSION_OUT = (Kind.TCP, Kind.UDP, Kind.ECHO_REQUEST)
_HAS_SESSION_IN = (Kind.TCP, Kind.UDP, Kind.ECHO_REPLY)


class Emission(NamedTuple):
    """A packet that a gateway sends.

    Attributes:
        outwards: Towards the outside, else towards the inside.
        packet: The raw IP packet.
        own: Made by the gateway itself rather than forwarded.
    """

    outwards: bool
    packet: bytes
    own: bool


@dataclass(slots=True)
class Counts:
    """What became of the packets that came to a gateway from either side, each counted once.

    Attributes:
        forwarded: Sent on.
        filtered: Not let in, as nothing inside had asked for it.
        blocked_crossings: SYNs not let in though one had gone out to where they came from.
        exhausted: Dropped because there was no port, or no memory, for a new flow.
        stray: Dropped on their way out, being of a session that there was not.
        answered: Pings of the gateway itself.
        unroutable: Malformed, a fragment, out of hops, or of a protocol or to an address that this
            gateway has no way to serve.
        refused: Not packets that came, but answers to SYNs that were filtered, sent at once or
            later.
    """

    forwarded: int = 0
    filtered: int = 0
    blocked_crossings: int = 0
    exhausted: int = 0
    stray: int = 0
    answered: int = 0
    unroutable: int = 0
    refused: int = 0


class GatewayModel:
    """One gateway.

    Args:
        spec: What it does.
        ipv4: Its own address outside; where it translates, that of everything inside, too.
        ipv6: Its own IPv6 address.
        chance: Where the luck of its ports comes from.
    """

    def __init__(
        self, spec: Nat | Firewall, *, ipv4: str, ipv6: str, chance: random.Random
    ) -> None:
        self.counts: Counts = Counts()
        self._own = {4: ipaddress.IPv4Address(ipv4).packed, 6: ipaddress.IPv6Address(ipv6).packed}
        self._filtering = spec.filtering
        self._crossing_syn = spec.crossing_syn
        self._hairpinning = spec.hairpinning if isinstance(spec, Nat) else Hairpinning.NONE
        limit = IcmpLimit(spec.icmp_interval)
        self._refusals = Refusals(spec.unsolicited, self._own, limit)
        self._sessions = SessionTable(spec)
        self._mapper = (
            Mapper(spec, self._own[_IPV4], self._sessions.mappings, chance)
            if isinstance(spec, Nat)
            else None
        )

    def outbound(self, packet: bytes, now: float) -> list[Emission]:
        """Take a packet from inside at `now`, in seconds; return what is sent."""
        session = self._settled(self._sessions.outbound, packet, now)
        if session is not None:
            return [Emission(True, session.carry_out(packet, IPV4_HEADER_BYTES), False)]
        return self._counted(self._from_inside(packet, now))

    def inbound(self, packet: bytes, now: float) -> list[Emission]:
        """Take a packet from outside at `now`, in seconds; return what is sent."""
        session = self._settled(self._sessions.inbound, packet, now)
        if session is not None:
            return [Emission(False, session.carry_in(packet, IPV4_HEADER_BYTES), False)]
        return self._counted(self._from_outside(packet, now))

    def next_deadline(self) -> float | None:
        """Return when `pop_due` will have something, in seconds; None when nothing waits."""
        return self._refusals.next_deadline()

    def pop_due(self, now: float) -> list[Emission]:
        """Return what is to be sent at `now` on account of packets that came earlier."""
        self._sessions.expire(now)
        due = [Emission(True, answer, True) for answer in self._refusals.pop_due(now)]
        self.counts.refused += len(due)
        return [back for emission in due for back in self._turned_back(emission, now)]

    # --- the short way -----------------------------------------------------------------------

    def _settled(self, table: dict[bytes, Session], raw: bytes, now: float) -> Session | None:
        """Return the session of a packet that needs no decision; for None, go the long way."""
        sessions = self._sessions
        if now >= sessions.next_expiry:
            sessions.expire(now)
        key = plain_key(raw)
        session = table.get(key) if key is not None else None
        if session is None or not session.settled:
            return None
        sessions.refresh(session, now)
        self.counts.forwarded += 1
        return session

    # --- from inside -------------------------------------------------------------------------

    def _from_inside(self, raw: bytes, now: float) -> list[Emission]:
        packet = self._read(raw)
        if packet is None:
            return self._unroutable()
        if not self._is_for_itself(packet):
            return self._leave(packet, now)
        if packet.kind is Kind.ECHO_REQUEST:
            return self._pong(packet, outwards=False)
        if self._hairpinning is Hairpinning.NONE or not self._translates(packet):
            return self._unroutable()
        return self._hairpin(packet, now)

    def _leave(self, packet: Packet, now: float) -> list[Emission]:
        if packet.hops <= LAST_HOP:
            return self._out_of_hops(packet, outwards=False)
        if packet.kind is Kind.ERROR:
            return self._pass_error(packet, self._sessions.outbound, outwards=True)
        if packet.kind in _HAS_SESSION_OUT:
            return self._leave_flow(packet, now)
        if self._translates(packet):
            return self._unroutable()
        return [Emission(True, one_hop_on(packet.raw), False)]

    def _leave_flow(self, packet: Packet, now: float) -> list[Emission]:
        session = self._sessions.outbound.get(packet.flow.key)
        if session is None:
            if packet.kind is Kind.TCP and not packet.opens:
                return self._stray()
            session = self._open(self._mapping(packet), packet.flow.destination)
        if session is None:
            self.counts.exhausted += 1
            error = answers.host_unreachable(packet, self._own[packet.version])
            return [Emission(False, error, True)]
        self._sessions.advance(session, packet.flags, now, outwards=True)
        return [Emission(True, session.carry_out(packet.raw, packet.payload_at), False)]

    def _hairpin(self, packet: Packet, now: float) -> list[Emission]:
        left = self._leave(packet, now)
        back = [inner for emission in left for inner in self._turned_back(emission, now)]
        if self._hairpinning is Hairpinning.EXTERNAL_SOURCE or packet.kind is Kind.ERROR:
            return back
        return [_with_source(packet.flow.source, emission) for emission in back]

    def _turned_back(self, emission: Emission, now: float) -> list[Emission]:
        """Let what is for the gateway's own address come in again, and answers to it likewise."""
        packet = read(emission.packet)
        if packet is None or not self._is_for_itself(packet):
            return [emission]
        filtered = self.counts.filtered
        entered = self._enter(packet, now)
        if emission.own:
            self.counts.filtered = filtered  # it did not come to us from either side
            entered = [inner._replace(own=True) for inner in entered]
        return [back for inner in entered for back in self._turned_back(inner, now)]

    # --- from outside ------------------------------------------------------------------------

    def _from_outside(self, raw: bytes, now: float) -> list[Emission]:
        packet = self._read(raw)
        return self._unroutable() if packet is None else self._enter(packet, now)

    def _enter(self, packet: Packet, now: float) -> list[Emission]:
        if self._is_for_itself(packet):
            if packet.kind is Kind.ECHO_REQUEST:
                return self._pong(packet, outwards=True)
        elif self._translates(packet):
            return self._unroutable()
        if packet.kind is Kind.ERROR:
            return self._pass_error(packet, self._sessions.inbound, outwards=False)
        if packet.kind in _HAS_SESSION_IN:
            return self._enter_flow(packet, now)
        return self._unsolicited(packet, now)

    def _enter_flow(self, packet: Packet, now: float) -> list[Emission]:
        session = self._sessions.inbound.get(packet.flow.key)
        mapping = session.mapping if session else self._admitting(packet)
        if mapping is None:
            return self._unsolicited(packet, now)
        if session and packet.opens and self._blocks(session):
            self.counts.blocked_crossings += 1
            return []
        if packet.hops <= LAST_HOP:
            return self._out_of_hops(packet, outwards=True)
        session = session or self._open(mapping, packet.flow.source)
        if session is None:
            self.counts.exhausted += 1
            return []
        self._sessions.advance(session, packet.flags, now, outwards=False)
        return [Emission(False, session.carry_in(packet.raw, packet.payload_at), False)]

    def _admitting(self, packet: Packet) -> Mapping | None:
        """Return the mapping under which a packet opens a session from outside, if any."""
        if not packet.opens and packet.kind is not Kind.UDP:
            return None
        return self._sessions.mappings.admitting(packet.flow, self._filtering)

    def _blocks(self, session: Session) -> bool:
        """Whether a SYN for a session would be a crossing one and is not to pass."""
        return not self._crossing_syn and tracking.awaits_answer(session.facts)

    def _unsolicited(self, packet: Packet, now: float) -> list[Emission]:
        answer = self._refusals.refuse(packet, now) if packet.opens else None
        if answer is None:
            return self._filtered()
        self.counts.filtered += 1
        self.counts.refused += 1
        return [Emission(True, answer, True)]

    # --- both ways ---------------------------------------------------------------------------

    def _read(self, raw: bytes) -> Packet | None:
        """Read a packet; None when no router would forward it, from whichever side."""
        packet = read(raw)
        if packet is None:
            return None
        source, destination = packet.flow.source[:-2], packet.flow.destination[:-2]
        forged = source == self._own[packet.version]
        return packet if is_routable(source) and is_routable(destination) and not forged else None

    def _is_for_itself(self, packet: Packet) -> bool:
        return packet.flow.destination[:-2] == self._own[packet.version]

    def _translates(self, packet: Packet) -> bool:
        return self._mapper is not None and packet.version == _IPV4

    def _mapping(self, packet: Packet) -> Mapping | None:
        """Return the mapping for a packet from inside; None when there can be none."""
        if self._mapper is not None and packet.version == _IPV4:
            return self._mapper.mapping(packet.flow)
        protocol, source, _ = packet.flow
        known = self._sessions.mappings.find(protocol, source)
        return known or Mapping(protocol, source, source, scope=source)

    def _open(self, mapping: Mapping | None, remote: Endpoint) -> Session | None:
        hairpinned = remote[:-2] == self._own[_IPV4]
        session = self._sessions.open(mapping, remote, hairpinned=hairpinned) if mapping else None
        if session is not None:
            self._refusals.cancel(session.inbound_key)
        return session

    def _pass_error(
        self, error: Packet, table: dict[bytes, Session], *, outwards: bool
    ) -> list[Emission]:
        quote = read_quote(error)
        session = table.get(quote.flow.reversed().key) if quote else None
        if quote is None or session is None:
            return self._stray() if outwards else self._filtered()
        if error.hops <= LAST_HOP:
            return self._unroutable()
        return [Emission(outwards, session.carry_error(error, quote, outwards=outwards), False)]

    def _pong(self, request: Packet, *, outwards: bool) -> list[Emission]:
        self.counts.answered += 1
        return [Emission(outwards, answers.echo_reply(request), True)]

    def _out_of_hops(self, packet: Packet, *, outwards: bool) -> list[Emission]:
        self.counts.unroutable += 1
        if packet.kind is Kind.ERROR:
            return []  # nobody may be told of an error about an error (RFC 1812 §4.3.2.7)
        error = answers.time_exceeded(packet, self._own[packet.version])
        return [Emission(outwards, error, True)]

    # --- counting ----------------------------------------------------------------------------

    def _counted(self, emissions: list[Emission]) -> list[Emission]:
        self.counts.forwarded += sum(not emission.own for emission in emissions)
        return emissions

    def _unroutable(self) -> list[Emission]:
        self.counts.unroutable += 1
        return []

    def _stray(self) -> list[Emission]:
        self.counts.stray += 1
        return []

    def _filtered(self) -> list[Emission]:
        self.counts.filtered += 1
        return []


def _with_source(source: Endpoint, emission: Emission) -> Emission:
    packet = read(emission.packet)
    if packet is None or emission.own:
        return emission
    flow = packet.flow._replace(source=source)
    raw = Translation(packet.flow, flow).apply(packet.raw, packet.payload_at, hops=0)
    return emission._replace(packet=raw)
