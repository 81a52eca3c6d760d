"""One TCP conversation as data: every packet with its departure and arrival, and who crossed whom.

Theory of operation
-------------------
A capture holds two records of a packet, joined by its packet id: outbound at its sender, inbound at
its receiver. `steps` joins them into a `Step`; a packet without an arrival was lost (or was still
on its way when the capture ended). Sequence numbers are told relative to the initial ones: those of
the sender's latest SYN, and for acknowledgements those of the latest SYN that had reached the
sender. A connection retried on the same ports is one conversation with many SYNs.

Two SYNs *cross* when each leaves before the other arrives. That is what simultaneous open is made
of: where no SYNs cross, and nobody listens, there is no connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from simopen.lab.packets import Endpoint, Flags, Packet, Segment, Unreachable, parse
from simopen.lab.pcapng import Direction, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NS_PER_S = 1_000_000_000
_SEQUENCE_SPACE = 1 << 32

UNREACHABLE = "UNREACHABLE"
"""The flags text of an ICMP "destination unreachable"."""

_SPOKEN = (Flags.SYN, Flags.FIN, Flags.RST, Flags.ACK)  # in the order people say them

Conversation: TypeAlias = frozenset[Endpoint]


@dataclass(frozen=True, slots=True)
class Step:
    """One packet of a conversation.

    Attributes:
        sent_at: When it left its sender, in seconds from the conversation's first packet.
        arrived_at: When it reached its receiver, on the same clock; None when it never did.
        sender: Name of the host.
        flags: What it is, such as "SYN", "SYN-ACK", "ACK", "RST-ACK", "FIN-ACK", "UNREACHABLE".
        payload_bytes: What it carries.
        seq: Sequence number relative to the sender's initial one.
        ack: Acknowledgement relative to the other's initial sequence number; 0 without ACK.
        packet_id: Its number in the capture.
    """

    sent_at: float
    arrived_at: float | None
    sender: str
    flags: str
    payload_bytes: int = 0
    seq: int = 0
    ack: int = 0
    packet_id: int = 0


@dataclass(slots=True)
class _Reading:
    """What is known while records are gone through in time order."""

    start_ns: int
    steps: dict[int, Step] = field(default_factory=dict)
    sent_isn: dict[str, int] = field(default_factory=dict)
    seen_isn: dict[str, int] = field(default_factory=dict)
    syns: dict[int, int] = field(default_factory=dict)


def conversations(records: Iterable[Record]) -> list[Conversation]:
    """Return the pairs of endpoints that exchange TCP in a capture, in order of first packet."""
    found = (_conversation(packet) for record in records if (packet := parse(record.data)))
    return list(dict.fromkeys(found))


def steps(records: Iterable[Record], conversation: Conversation | None = None) -> list[Step]:
    """Return the packets of one conversation in the order they were sent.

    Args:
        records: A capture.
        conversation: Which one, of `conversations`; the first when not given.
    """
    reading: _Reading | None = None
    for record in sorted(records, key=lambda record: record.time_ns):
        packet = parse(record.data)
        if packet is None or (conversation and _conversation(packet) != conversation):
            continue
        conversation = conversation or _conversation(packet)
        reading = reading or _Reading(record.time_ns)
        if record.direction is Direction.OUTBOUND:
            _depart(reading, record, packet)
        else:
            _arrive(reading, record)
    return list(reading.steps.values()) if reading else []


def crossings(steps: Sequence[Step]) -> list[tuple[Step, Step]]:
    """Return the pairs of SYNs that crossed: each left before the other arrived.

    In each pair the SYN that left earlier comes first.
    """
    syns = [step for step in steps if step.flags == "SYN" and step.arrived_at is not None]
    flying: list[Step] = []
    pairs: list[tuple[Step, Step]] = []
    for syn in sorted(syns, key=lambda step: step.sent_at):
        flying = [other for other in flying if (other.arrived_at or 0.0) > syn.sent_at]
        pairs += [(other, syn) for other in flying if other.sender != syn.sender]
        flying.append(syn)
    return pairs


def _conversation(packet: Packet) -> Conversation:
    return frozenset((packet.source, packet.destination))


def _depart(reading: _Reading, record: Record, packet: Packet) -> None:
    sent_at = (record.time_ns - reading.start_ns) / _NS_PER_S
    if isinstance(packet, Unreachable):
        step = Step(sent_at, None, record.interface, UNREACHABLE, packet_id=record.packet_id)
    else:
        step = _segment_step(reading, record, packet, sent_at)
    reading.steps[record.packet_id] = step


def _segment_step(reading: _Reading, record: Record, segment: Segment, sent_at: float) -> Step:
    sender = record.interface
    if Flags.SYN in segment.flags:
        reading.sent_isn[sender] = reading.syns[record.packet_id] = segment.seq
    acks = Flags.ACK in segment.flags
    return Step(
        sent_at=sent_at,
        arrived_at=None,
        sender=sender,
        flags="-".join(str(flag.name) for flag in _SPOKEN if flag in segment.flags) or "none",
        payload_bytes=segment.payload_bytes,
        seq=_relative(segment.seq, reading.sent_isn.get(sender)),
        ack=_relative(segment.ack, reading.seen_isn.get(sender)) if acks else 0,
        packet_id=record.packet_id,
    )


def _arrive(reading: _Reading, record: Record) -> None:
    step = reading.steps.get(record.packet_id)
    if step is None or step.arrived_at is not None:
        return  # left before the capture began, or is a duplicate
    if record.packet_id in reading.syns:
        reading.seen_isn[record.interface] = reading.syns[record.packet_id]
    arrived_at = (record.time_ns - reading.start_ns) / _NS_PER_S
    reading.steps[record.packet_id] = replace(step, arrived_at=arrived_at)


def _relative(number: int, initial: int | None) -> int:
    """Return a sequence number's distance from the initial one; 0 stays 0, as in a bare RST."""
    if number == 0 or initial is None:
        return number
    return (number - initial) % _SEQUENCE_SPACE
