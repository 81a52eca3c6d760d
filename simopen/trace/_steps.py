"""Recorded packets of one pair of endpoints, told as the steps of a handshake.

Theory of operation
===================

Packets are read in time order, as our side has sent and received them. A SYN of ours with a new
initial sequence number begins an *attempt*; the same SYN once more is a repetition. Each packet is
a happening to our side, and :mod:`._states` says which state it leaves us in.

The recorder stands in front of this host's firewall, so a SYN that it shows may not have come to
our socket. One that did is answered with SYN-ACK at once: without that it is a stray.

*Who answered what* is what a handshake can be measured by. A SYN-ACK or a reset answers our SYN: of
several that were equal the one whose timestamp it echoes (RFC 7323 §3), or else the latest before
it. Any other acknowledgement answers our latest SYN-ACK, and nothing else is known to have arrived.
From a packet to its answer it takes one round trip.

Invariants
==========

- The handshake ends with the first open state. Behind it only what still belongs to it is told:
  SYNs, resets, and empty segments whose numbers are those of the handshake.
- The same packet seen on a second interface (a bridge and its port) is told once.
- Sequence numbers are relative to the initial ones, modulo 2^32.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from simopen.capture.ladder import UNREACHABLE, spoken
from simopen.capture.packets import Flags, Packet, Segment, Unreachable

from ._states import OPEN, Happening, State, after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SYN_ACK = Flags.SYN | Flags.ACK
_SEQUENCE_SPACE = 1 << 32
_FAR = 1 << 20  # a number further off belongs to something else: no handshake goes so far
_RECENT = 16  # attempts whose packets may still be on their way
_NS_PER_S = 1_000_000_000
_TWICE_SEEN_NS = 10_000_000  # a packet passes two interfaces of one host sooner than that


class Frame(NamedTuple):
    """A packet as the kernel has shown it.

    Attributes:
        time_ns: Nanoseconds since the epoch.
        outgoing: Whether it left this host.
        interface: Name of the network interface.
        data: Its headers.
    """

    time_ns: int
    outgoing: bool
    interface: str
    data: bytes


class Seen(NamedTuple):
    """The same, read.

    Attributes:
        time_ns: Nanoseconds since the epoch.
        outgoing: Whether it left this host.
        interface: Name of the network interface.
        data: Its headers.
        packet: What they say.
    """

    time_ns: int
    outgoing: bool
    interface: str
    data: bytes
    packet: Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """One packet of a handshake, as our side saw it.

    Attributes:
        at: Seconds since the first packet of the trace.
        outgoing: Whether we sent it.
        flags: ``"SYN"``, ``"SYN-ACK"``, ``"ACK"``, ``"RST-ACK"``, …; ``"UNREACHABLE"`` for ICMP;
            ``"answer"`` where only the socket was looked at and which packet came is not known.
        seq: Sequence number relative to its sender's initial one; None where that is not known,
            as with what is left of an earlier connection.
        ack: What it acknowledges, relative to the other's initial one; None where nothing, or
            where that is not known.
        payload_bytes: Length of what it carries, which itself is not recorded.
        state: The TCP state of our side after it (RFC 9293 §3.3.2).
        attempt: To which of our attempts it belongs, 1 for the first; 0 before any.
        repeated: Whether it is the same SYN or SYN-ACK once more.
        answered_at: When the packet came that shows that this one has arrived, on the same clock;
            None where none did, or for what was received.
    """

    at: float
    outgoing: bool
    flags: str
    seq: int | None = None
    ack: int | None = None
    payload_bytes: int = 0
    state: str
    attempt: int
    repeated: bool = False
    answered_at: float | None = None


@dataclass(slots=True)
class _Numbers:
    """What is known of both sides' sequence numbers."""

    ours: list[int] = field(default_factory=list)  # initial ones, latest last
    theirs: list[int] = field(default_factory=list)
    taken: frozenset[int] = frozenset()  # those of theirs that our SYN-ACKs acknowledge

    def learn(self, segment: Segment, *, outgoing: bool) -> None:
        known = self.ours if outgoing else self.theirs
        if Flags.SYN in segment.flags and segment.seq not in known[-1:]:
            known.append(segment.seq)

    def acknowledges_us(self, segment: Segment) -> bool:
        """Whether a segment acknowledges our latest SYN, behind which we have sent nothing."""
        expected = [(initial + 1) % _SEQUENCE_SPACE for initial in self.ours[-1:]]
        return Flags.ACK in segment.flags and segment.ack in expected


def tell(packets: Iterable[Seen]) -> list[TraceStep]:
    """Return the steps of a handshake.

    Args:
        packets: Those of one pair of endpoints, in any order.
    """
    packets = _in_order(packets)
    numbers, state, attempt = _Numbers(taken=_taken(packets)), State.CLOSED, 0
    told: list[tuple[Seen, TraceStep]] = []
    for seen in _once_each(packets):
        before = len(numbers.ours)
        if isinstance(seen.packet, Segment):
            numbers.learn(seen.packet, outgoing=seen.outgoing)
        attempt += len(numbers.ours) > before
        happening = _happening(seen, numbers, state)
        if state in OPEN and not _belongs(seen.packet, numbers, outgoing=seen.outgoing):
            continue
        state = after(state, happening)
        start_ns = told[0][0].time_ns if told else seen.time_ns
        at = (seen.time_ns - start_ns) / _NS_PER_S
        told.append((seen, _step(seen, numbers, at, state, attempt)))
    return _with_answers(_with_repetitions(told))


def _in_order(packets: Iterable[Seen]) -> list[Seen]:
    """Sort by time, and put our SYN before the SYN that it took in.

    A packet that leaves and one that comes may be noted on two CPUs, some microseconds off. Our
    SYN-ACK with our SYN's number says that our SYN had left when the one it acknowledges came.
    """
    ordered = sorted(packets, key=lambda seen: seen.time_ns)
    came = {
        seen.packet.seq: seen.time_ns
        for seen in reversed(ordered)
        if isinstance(seen.packet, Segment) and not seen.outgoing
        if seen.packet.flags & _SYN_ACK == Flags.SYN
    }
    latest = {
        each.packet.seq: came.get((each.packet.ack - 1) % _SEQUENCE_SPACE, each.time_ns)
        for each in reversed(ordered)
        if isinstance(each.packet, Segment) and each.outgoing
        if each.packet.flags & _SYN_ACK == _SYN_ACK
    }
    for place, seen in enumerate(ordered):
        if isinstance(seen.packet, Segment) and seen.outgoing:
            came_at = latest.pop(seen.packet.seq, seen.time_ns + 1)  # only of the first SYN
            if came_at <= seen.time_ns:
                ordered[place] = seen._replace(time_ns=came_at - 1)
    return sorted(ordered, key=lambda seen: seen.time_ns)


def _taken(packets: Iterable[Seen]) -> frozenset[int]:
    """Return the initial sequence numbers of the SYNs that our side has answered with SYN-ACK."""
    return frozenset(
        (seen.packet.ack - 1) % _SEQUENCE_SPACE
        for seen in packets
        if seen.outgoing and isinstance(seen.packet, Segment)
        if seen.packet.flags & _SYN_ACK == _SYN_ACK
    )


def _once_each(packets: Sequence[Seen]) -> Iterator[Seen]:
    """Leave out what was seen already on another interface."""
    recent: list[Seen] = []
    for seen in packets:
        recent = [each for each in recent if seen.time_ns - each.time_ns < _TWICE_SEEN_NS]
        if not any(_same_elsewhere(seen, each) for each in recent):
            yield seen
        recent.append(seen)


def _same_elsewhere(one: Seen, other: Seen) -> bool:
    return (
        one.interface != other.interface
        and one.outgoing == other.outgoing
        and one.packet == other.packet
    )


def _happening(seen: Seen, numbers: _Numbers, state: State) -> Happening:
    packet = seen.packet
    if isinstance(packet, Unreachable):
        return Happening.GOT_UNREACHABLE if packet.seq in numbers.ours[-1:] else Happening.STRAY
    return _sent(packet.flags) if seen.outgoing else _got(packet, numbers, state)


def _sent(flags: Flags) -> Happening:
    if Flags.RST in flags:
        return Happening.SENT_RST
    if Flags.SYN in flags:
        return Happening.SENT_SYN_ACK if Flags.ACK in flags else Happening.SENT_SYN
    return Happening.SENT_FIN if Flags.FIN in flags else Happening.SENT_ACK


def _got(segment: Segment, numbers: _Numbers, state: State) -> Happening:
    flags = segment.flags
    if Flags.RST in flags:
        return Happening.GOT_RST if _resets(segment, numbers, state) else Happening.STRAY
    if flags & (Flags.SYN | Flags.ACK) == Flags.SYN:
        return Happening.GOT_SYN if segment.seq in numbers.taken else Happening.STRAY
    if not numbers.acknowledges_us(segment):
        return Happening.STRAY
    if Flags.SYN in flags:
        return Happening.GOT_SYN_ACK
    return Happening.GOT_FIN if Flags.FIN in flags else Happening.GOT_ACK


def _resets(segment: Segment, numbers: _Numbers, state: State) -> bool:
    """Whether a reset is acceptable: in SYN_SENT by what it acknowledges, later by its number."""
    if state is State.SYN_SENT:
        return numbers.acknowledges_us(segment)
    expected = [(initial + 1) % _SEQUENCE_SPACE for initial in numbers.theirs[-1:]]
    return segment.seq in expected


def _belongs(packet: Packet, numbers: _Numbers, *, outgoing: bool) -> bool:
    """Whether a packet behind the handshake still is a part of it."""
    if isinstance(packet, Unreachable) or packet.flags & (Flags.SYN | Flags.RST):
        return True
    seq, ack = _relative(packet, numbers, outgoing=outgoing)
    return packet.payload_bytes == 0 and (seq or 0) <= 1 and (ack or 0) <= 1


def _relative(
    segment: Segment, numbers: _Numbers, *, outgoing: bool
) -> tuple[int | None, int | None]:
    own, other = (numbers.ours, numbers.theirs) if outgoing else (numbers.theirs, numbers.ours)
    seq = _distance(segment.seq, own)
    return seq, _distance(segment.ack, other) if Flags.ACK in segment.flags else None


def _distance(number: int, initial: Sequence[int]) -> int | None:
    """Return a number relative to the nearest initial one before it; 0 stays 0, as in a RST."""
    recent = initial[-_RECENT:]
    nearest = min(((number - each) % _SEQUENCE_SPACE for each in recent), default=_FAR)
    if nearest < _FAR:
        return nearest
    return 0 if number == 0 else None


def _step(seen: Seen, numbers: _Numbers, at: float, state: State, attempt: int) -> TraceStep:
    packet = seen.packet
    if isinstance(packet, Unreachable):
        return TraceStep(
            at=at, outgoing=False, flags=UNREACHABLE, state=state.value, attempt=attempt
        )
    seq, ack = _relative(packet, numbers, outgoing=seen.outgoing)
    return TraceStep(
        at=at,
        outgoing=seen.outgoing,
        flags=spoken(packet.flags),
        seq=seq,
        ack=ack,
        payload_bytes=packet.payload_bytes,
        state=state.value,
        attempt=attempt,
    )


def _with_repetitions(told: Sequence[tuple[Seen, TraceStep]]) -> list[tuple[Seen, TraceStep]]:
    known: set[tuple[bool, Flags, int]] = set()
    marked = []
    for seen, step in told:
        if isinstance(seen.packet, Segment) and Flags.SYN in seen.packet.flags:
            key = seen.outgoing, seen.packet.flags, seen.packet.seq
            marked.append((seen, replace(step, repeated=key in known)))
            known.add(key)
        else:
            marked.append((seen, step))
    return marked


def _with_answers(told: Sequence[tuple[Seen, TraceStep]]) -> list[TraceStep]:
    sent: defaultdict[tuple[str, int], list[tuple[int, Segment]]] = defaultdict(list)
    answered: dict[int, float] = {}  # by place, when the first answer came
    for place, (seen, step) in enumerate(told):
        if seen.outgoing and isinstance(seen.packet, Segment):
            sent[step.flags, seen.packet.seq].append((place, seen.packet))
        elif (asked := _answered(seen.packet, sent)) is not None:
            answered.setdefault(asked, step.at)
    return [replace(step, answered_at=answered.get(place)) for place, (_, step) in enumerate(told)]


def _answered(
    answer: Packet, sent: Mapping[tuple[str, int], Sequence[tuple[int, Segment]]]
) -> int | None:
    """Return the place of the packet of ours that a received one shows to have arrived."""
    if isinstance(answer, Unreachable):
        wanted, initial, echoed = "SYN", answer.seq, None
    elif Flags.ACK in answer.flags:
        wanted = "SYN" if answer.flags & (Flags.SYN | Flags.RST) else "SYN-ACK"
        initial = (answer.ack - 1) % _SEQUENCE_SPACE
        echoed = answer.timestamps[1] if answer.timestamps else None
    else:
        return None
    asked = sent.get((wanted, initial), ())
    echo = [place for place, each in asked if each.timestamps and each.timestamps[0] == echoed]
    places = echo or [place for place, _ in asked]
    return places[-1] if places else None
