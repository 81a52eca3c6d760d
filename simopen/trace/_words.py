"""What happened in a handshake, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from simopen._report import count, format_seconds
from simopen.capture.ladder import UNREACHABLE

from ._reading import HandshakeKind, is_open

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._reading import Reading
    from ._steps import TraceStep

_HAPPENED = {
    HandshakeKind.CROSSING: (
        "True crossing: both SYNs were on their way at once, and each met a waiting SYN_SENT. "
        "Nobody listened; both sides went through SYN_RECEIVED (RFC 9293 §3.5)."
    ),
    HandshakeKind.THREE_WAY: (
        "Three-way handshake: a listener answered our SYN with SYN-ACK, and we acknowledged it."
    ),
    HandshakeKind.SELF: (
        "Self-connection: our own SYN came back and met the SYN_SENT of the very socket that had "
        "sent it. One socket is both ends."
    ),
    HandshakeKind.UNSEEN: "Connected; which handshake it was cannot be seen.",
}
_OURS_MET_THEIRS = "One-sided: our SYN met their waiting SYN_SENT, and they answered with SYN-ACK."
_THEIRS_MET_OURS = (
    "One-sided: their SYN met our waiting SYN_SENT. Ours had not reached them: it was lost, or "
    "dropped on its way."
)
_ALIKE = "(A listener would have answered alike: on the wire the two cannot be told apart.)"
_ALIKE_A_PEER = "(A waiting SYN_SENT would have answered alike.)"
_CAME = {  # by flags, which a SYN-ACK shares with a SYN: without a connection none has come
    "RST": ("reset",),
    UNREACHABLE: ("ICMP unreachable", "ICMP unreachables"),
    "SYN": ("SYN of theirs", "SYNs of theirs"),
}
_US_PER_S = 1_000_000
_SHORT = 1e-3  # seconds
_HALF_OPEN = "Their SYN was seen to meet our waiting SYN_SENT: nobody had to listen."


def tell(reading: Reading) -> list[str]:
    """Return what happened, a line for each thing."""
    return [
        _happened(reading),
        *_times(reading),
        *_retransmits(reading),
        *_earlier(reading),
        *_others(reading),
        *_source(reading),
    ]


def _happened(reading: Reading) -> str:
    match reading.kind:
        case HandshakeKind.NONE:
            return _not_connected(reading)
        case HandshakeKind.ONE_SIDED if reading.theirs_met_ours:
            return _THEIRS_MET_OURS
        case HandshakeKind.ONE_SIDED:
            return _OURS_MET_THEIRS if reading.certain else f"{_OURS_MET_THEIRS} {_ALIKE}"
        case HandshakeKind.THREE_WAY:
            return f"{_HAPPENED[reading.kind]} {_ALIKE_A_PEER}"
        case HandshakeKind.UNSEEN if reading.theirs_met_ours:
            return f"{_HAPPENED[reading.kind]} {_HALF_OPEN}"
    return _HAPPENED[reading.kind]


def _not_connected(reading: Reading) -> str:
    syns = sum(step.outgoing and step.flags == "SYN" for step in reading.steps)
    if not syns:
        return "No connection: no SYN has left this host."
    came = Counter(step.flags.removesuffix("-ACK") for step in reading.steps if not step.outgoing)
    said = [f"{count(came[flags], *nouns)} came" for flags, nouns in _CAME.items() if came[flags]]
    kept = " (counted in the packets that are kept)" if reading.dropped else ""
    return f"No connection: {count(syns, 'SYN')} left; {', '.join(said) or 'nothing came'}{kept}."


def _times(reading: Reading) -> Iterator[str]:
    opened = next((s.at for s in reversed(_opening(reading)) if is_open(s)), None)
    if reading.kind is HandshakeKind.NONE or opened is None:
        return
    first = next((step.at for step in _opening(reading) if step.outgoing), opened)
    trip = reading.round_trip
    path = "" if trip is None else f"; the round trip took {_duration(trip)}"
    yield f"Connected {_duration(opened - first)} after the attempt's first SYN{path}."


def _duration(seconds: float) -> str:
    """Return a time in words: over loopback microseconds count."""
    if seconds < _SHORT:
        return f"{seconds * _US_PER_S:.0f} µs"
    return format_seconds(seconds)


def _opening(reading: Reading) -> list[TraceStep]:
    """Return the last attempt, up to its first open state."""
    last = [step for step in reading.steps if step.attempt == reading.steps[-1].attempt]
    end = next((place for place, step in enumerate(last, 1) if is_open(step)), len(last))
    return last[:end]


def _retransmits(reading: Reading) -> Iterator[str]:
    if reading.retransmits is None:
        return
    if not reading.retransmits:
        if reading.kind is not HandshakeKind.NONE:
            yield "No SYN had to be sent again."
        return
    what = "segment" if not reading.packets else _repeated(reading)
    again = count(reading.retransmits, what)
    if reading.retransmit_cost:
        cost = format_seconds(reading.retransmit_cost)
        yield f"{again} had to be sent again, which cost {cost}: the kernel waits 1 s at first."
    elif reading.theirs_met_ours:
        yield f"{again} left again; none was answered, and their SYN ended the wait."
    else:
        yield f"{again} left again."


def _repeated(reading: Reading) -> str:
    flags = {step.flags for step in reading.steps if step.outgoing and step.repeated}
    return "SYN" if flags == {"SYN"} else "SYN-ACK" if flags == {"SYN-ACK"} else "SYN or SYN-ACK"


def _earlier(reading: Reading) -> Iterator[str]:
    if (earlier := reading.attempts - 1) > 0:
        yield f"Before the last attempt there {_were(earlier)} {count(earlier, 'other')}."


def _others(reading: Reading) -> Iterator[str]:
    if reading.other_pairs:
        syns = count(reading.other_syns, "attempt")
        pairs = count(reading.other_pairs, "other pair")
        yield f"{pairs} of endpoints {_were(reading.other_pairs)} tried as well, with {syns}."


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _source(reading: Reading) -> Iterator[str]:
    if reading.why_no_packets is not None:
        yield (
            f"Without packets ({reading.why_no_packets}): told by the socket's states and the "
            "engine's events, at the times of its looks."
        )
    elif reading.dropped:
        is_missing = "is missing" if reading.dropped == 1 else "are missing"
        yield f"{count(reading.dropped, 'packet')} of it {is_missing}: only the latest are kept."
