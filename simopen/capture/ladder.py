"""One TCP conversation as data: every packet with its departure and arrival, and who crossed whom.

Theory of operation
-------------------
`journey` joins the records of each packet, `conversation` finds out between whom it went, and
`steps` tells those of one conversation as its two parties would: who sent what, when it left and
when it arrived. A packet without an arrival was lost, or dropped by a gateway (or was still on its
way when the capture ended); its path says where it was last seen. A gateway that answers by itself
is the sender of what it says. Packets that left before the capture began are not told.

Sequence numbers are told relative to the initial ones: those of the sender's latest SYN, and for
acknowledgements those of the latest SYN that had reached the sender. A connection retried on the
same ports is one conversation with many SYNs.

A departure is noted when the wire reads it from the sender's device, which can be a moment after
the wire has delivered something to that sender. Where what they say proves another order (a SYN-ACK
that repeats its sender's own SYN answers a SYN that came after that one had left), the departure is
told as the last possible moment.

Two SYNs *cross* when each leaves before the other arrives. That is what simultaneous open is made
of: where no SYNs cross, and nobody listens, there is no connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from simopen.capture.conversation import Conversation, Message, Party, group
from simopen.capture.journey import Sighting, journeys
from simopen.capture.packets import Flags, Segment
from simopen.capture.pcapng import Direction, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NS_PER_S = 1_000_000_000
_SEQUENCE_SPACE = 1 << 32
_JUST_BEFORE = 1e-6  # seconds

UNREACHABLE = "UNREACHABLE"
"""The flags text of an ICMP "destination unreachable"."""

_SPOKEN = (Flags.SYN, Flags.FIN, Flags.RST, Flags.ACK)  # in the order people say them


@dataclass(frozen=True, slots=True)
class Step:
    """One packet of a conversation.

    Attributes:
        sent_at: When it left its sender, in seconds from the conversation's first packet.
        arrived_at: When it reached its receiver, on the same clock; None when it never did.
        sender: Name of the host, or of the site whose gateway answered by itself.
        flags: What it is, such as "SYN", "SYN-ACK", "ACK", "RST-ACK", "FIN-ACK", "UNREACHABLE".
        payload_bytes: What it carries.
        seq: Sequence number relative to the sender's initial one.
        ack: Acknowledgement relative to the other's initial sequence number; 0 without ACK.
        packet_id: Its number in the capture.
        receiver: Name of the host it was meant for, or the endpoint where no host is known there.
        from_gateway: Whether the sender is a gateway.
        copies: How often it arrived again, because a link had duplicated it.
        path: Where it was seen, its departure first; equal steps may have gone different ways.
    """

    sent_at: float
    arrived_at: float | None
    sender: str
    flags: str
    payload_bytes: int = 0
    seq: int = 0
    ack: int = 0
    packet_id: int = 0
    receiver: str = ""
    from_gateway: bool = False
    copies: int = 0
    path: tuple[Sighting, ...] = field(default=(), compare=False, repr=False)

    def seen_at(self, sighting: Sighting) -> float:
        """Return the time of a sighting on its path, on the conversation's clock."""
        return self.sent_at + (sighting.time_ns - self.path[0].time_ns) / _NS_PER_S

    def leaves(self, side: str) -> bool:
        """Return whether it goes from a party to the other, in whose name a gateway may speak."""
        return self.receiver != side if self.from_gateway else self.sender == side


def conversations(records: Iterable[Record]) -> list[Conversation]:
    """Return who exchanges TCP with whom in a capture, in order of first packet."""
    return list(group(journeys(records)))


def steps(records: Iterable[Record], conversation: Conversation | None = None) -> list[Step]:
    """Return the packets of one conversation in the order they were sent.

    Args:
        records: A capture.
        conversation: Which one, of `conversations`; the first when not given.
    """
    found = group(journeys(records))
    if conversation is None:
        return _steps(next(iter(found.values()), ()))
    return _steps(found.get(conversation, ()))


def crossings(steps: Sequence[Step]) -> list[tuple[Step, Step]]:
    """Return the pairs of two hosts' SYNs that crossed: each left before the other arrived.

    In each pair the SYN that left earlier comes first.
    """
    syns = [
        step
        for step in steps
        if step.flags == "SYN" and step.arrived_at is not None and not step.from_gateway
    ]
    flying: list[Step] = []
    pairs: list[tuple[Step, Step]] = []
    for syn in sorted(syns, key=lambda step: step.sent_at):
        flying = [other for other in flying if (other.arrived_at or 0.0) > syn.sent_at]
        pairs += [(other, syn) for other in flying if other.sender != syn.sender]
        flying.append(syn)
    return pairs


def sides(steps: Iterable[Step]) -> tuple[str, str]:
    """Return the names of the two parties of a conversation: hosts first, in order of name."""
    names = {
        name
        for step in steps
        for name in (step.receiver, "" if step.from_gateway else step.sender)
        if name
    }
    left, right, *_ = *sorted(names, key=lambda name: (":" in name, name)), "?", "?"
    return left, right


def _steps(messages: Sequence[Message]) -> list[Step]:
    """Tell packets in the order of their departures, learning initial numbers as others do."""
    numbers = _Numbers()
    told: list[Step] = []
    for message, sighting in _events(messages):
        numbers.learn(message, sighting)
        if sighting is message.journey.path[0]:
            told.append(_step(message, numbers, messages[0].journey.path[0].time_ns))
    if late := _noted_late(told, {each.journey.packet_id: each for each in messages}):
        told = [replace(step, sent_at=late.get(step.packet_id, step.sent_at)) for step in told]
        told.sort(key=lambda step: step.sent_at)
    return told


def _noted_late(told: Sequence[Step], messages: Mapping[int, Message]) -> dict[int, float]:
    """Return SYNs that were noted after they must have left, with the moment they left at last."""
    syns: dict[tuple[Party, int], Step] = {}
    late: dict[int, float] = {}
    for step in told:
        message = messages[step.packet_id]
        packet = message.journey.packet
        if not isinstance(packet, Segment) or Flags.SYN not in packet.flags:
            continue
        if Flags.ACK not in packet.flags:
            syns.setdefault((message.sender, packet.seq), step)
            continue
        own = syns.get((message.sender, packet.seq))
        answered = syns.get((message.receiver, (packet.ack - 1) % _SEQUENCE_SPACE))
        arrived_at = answered.arrived_at if answered else None
        if own and arrived_at is not None and own.sent_at >= arrived_at:
            late[own.packet_id] = arrived_at - _JUST_BEFORE
    return late


def _events(messages: Sequence[Message]) -> Iterable[tuple[Message, Sighting]]:
    """Return departures and arrivals in time order; who answers at once has seen what arrived."""
    events = [
        (sighting.time_ns, sighting.direction is Direction.OUTBOUND, number, message, sighting)
        for number, message in enumerate(messages)
        for sighting in message.journey.path
        if sighting is message.journey.path[0] or sighting.direction is Direction.INBOUND
    ]
    events.sort(key=lambda event: event[:3])
    return ((message, sighting) for *_, message, sighting in events)


@dataclass(slots=True)
class _Numbers:
    """Initial sequence numbers: each party's own, and the other's as each has seen it."""

    own: dict[Party, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    def learn(self, message: Message, sighting: Sighting) -> None:
        packet = message.journey.packet
        if not isinstance(packet, Segment) or Flags.SYN not in packet.flags:
            return
        if sighting.direction is Direction.OUTBOUND:
            self.own[message.sender] = packet.seq
        else:
            self.others[sighting.interface] = packet.seq


def _step(message: Message, numbers: _Numbers, start_ns: int) -> Step:
    journey = message.journey
    departure, last = journey.path[0], journey.path[-1]
    packet = journey.packet
    flags, payload_bytes, seq, ack = UNREACHABLE, 0, 0, 0
    if isinstance(packet, Segment):
        flags = spoken(packet.flags)
        payload_bytes = packet.payload_bytes
        seq = _relative(packet.seq, numbers.own.get(message.sender))
        if Flags.ACK in packet.flags:
            ack = _relative(packet.ack, numbers.others.get(departure.interface))
    return Step(
        sent_at=(departure.time_ns - start_ns) / _NS_PER_S,
        arrived_at=(last.time_ns - start_ns) / _NS_PER_S if journey.arrived else None,
        sender=departure.interface,
        flags=flags,
        payload_bytes=payload_bytes,
        seq=seq,
        ack=ack,
        packet_id=journey.packet_id,
        receiver=message.receiver.name,
        from_gateway=journey.from_gateway,
        copies=journey.copies,
        path=journey.path,
    )


@cache  # as many values as there are sets of flags
def spoken(flags: Flags) -> str:
    """Return control bits as people say them, such as "SYN-ACK"."""
    return "-".join(str(flag.name) for flag in _SPOKEN if flag in flags) or "none"


def _relative(number: int, initial: int | None) -> int:
    """Return a sequence number's distance from the initial one; 0 stays 0, as in a bare RST."""
    if number == 0 or initial is None:
        return number
    return (number - initial) % _SEQUENCE_SPACE
