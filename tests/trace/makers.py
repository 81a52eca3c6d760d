"""Packets as a recorder would have shown them, and logs of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from simopen.capture.packets import Endpoint, Flags, Segment
from simopen.trace._log import Log
from simopen.trace._steps import Frame
from tests.capture.makers import raw, unreachable

OURS, THEIRS = Endpoint("192.0.2.1", 40000), Endpoint("198.51.100.7", 40001)
SYN, ACK, RST, FIN = Flags.SYN, Flags.ACK, Flags.RST, Flags.FIN
SYN_ACK = SYN | ACK
US, THEM = 1000, 0xFFFF_FFFF  # initial sequence numbers; theirs goes over the edge at once
_START_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True, slots=True)
class Passing:
    """A packet that passes the recorder."""

    at_ms: float
    outgoing: bool
    data: bytes
    interface: str = "eth0"


def sent(  # noqa: PLR0913 - one for each thing a test may want to say
    at_ms: float,
    flags: Flags,
    seq: int = 0,
    ack: int = 0,
    *,
    ours: int = US,
    theirs: int = THEM,
    payload_bytes: int = 0,
    timestamps: tuple[int, int] | None = None,
) -> Passing:
    """What we send; numbers are relative to the initial ones."""
    number = (theirs + ack) % 2**32 if Flags.ACK in flags else 0
    segment = Segment(
        OURS,
        THEIRS,
        flags,
        (ours + seq) % 2**32,
        number,
        64240,
        payload_bytes,
        timestamps=timestamps,
    )
    return Passing(at_ms, outgoing=True, data=raw(segment))


def got(  # noqa: PLR0913 - likewise
    at_ms: float,
    flags: Flags,
    seq: int = 0,
    ack: int = 0,
    *,
    ours: int = US,
    theirs: int = THEM,
    payload_bytes: int = 0,
    timestamps: tuple[int, int] | None = None,
) -> Passing:
    """What they send."""
    number = (ours + ack) % 2**32 if Flags.ACK in flags else 0
    segment = Segment(
        THEIRS,
        OURS,
        flags,
        (theirs + seq) % 2**32,
        number,
        64240,
        payload_bytes,
        timestamps=timestamps,
    )
    return Passing(at_ms, outgoing=False, data=raw(segment))


def no_way(at_ms: float, *, ours: int = US) -> Passing:
    """An ICMP "unreachable" about a SYN of ours."""
    return Passing(
        at_ms, outgoing=False, data=unreachable(Segment(OURS, THEIRS, SYN, ours, 0, 64240, 0))
    )


def elsewhere(passing: Passing, interface: str = "br0") -> Passing:
    """The same on another interface, a little later."""
    return replace(passing, at_ms=passing.at_ms + 0.01, interface=interface)


def log_of(packets: Iterable[Passing], *, connected: bool = True, at_a_peer: bool = True) -> Log:
    """A log of one pair of endpoints."""
    log = Log(pairs=[(OURS, THEIRS)], at_a_peer=at_a_peer)
    for each in packets:
        time_ns = _START_NS + round(each.at_ms * 1e6)
        log.note_packet(Frame(time_ns, each.outgoing, each.interface, each.data))
    log.connected = (OURS, THEIRS) if connected else None
    return log


CROSSING = (
    sent(0, SYN),
    got(35, SYN),
    sent(35.1, SYN_ACK, 0, 1),
    got(40, SYN_ACK, 0, 1),
    sent(40.1, ACK, 1, 1),
)
OURS_MET_THEIRS = (sent(0, SYN), got(40, SYN_ACK, 0, 1), sent(40.1, ACK, 1, 1))
THEIRS_MET_OURS = (sent(0, SYN), got(100, SYN), sent(100.1, SYN_ACK, 0, 1), got(140.1, ACK, 1, 1))
LOST_TWICE = (
    sent(0, SYN),
    sent(1010, SYN),
    sent(2030, SYN),
    got(2070, SYN_ACK, 0, 1),
    sent(2070.1, ACK, 1, 1),
)
REFUSED = (
    sent(0, SYN),
    got(40, RST | ACK, 1, 1),
    sent(40.2, SYN, ours=5000),
    got(80.2, RST | ACK, 1, 1, ours=5000),
)
