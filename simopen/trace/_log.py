"""What is known of one call: packets, the engine's events, and what the socket says at the end.

Memory is bounded: of packets and of events the latest are kept. A handshake is a handful of them,
and the end of a long punch says more than its beginning; what was dropped is counted. Packets are
read at the end, when few of them are left: a peer may send tens of thousands of SYNs a second.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from simopen._events import (
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
)
from simopen.capture.packets import Endpoint, Unreachable, parse

from ._steps import Frame, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simopen import _endpoints
    from simopen._events import Event

Pair: TypeAlias = tuple[Endpoint, Endpoint]
"""Our endpoint and theirs."""

MAX_PACKETS = 512
"""Packets kept, of all pairs of endpoints together."""

MAX_EVENTS = 512
"""Events kept, likewise."""

Told: TypeAlias = PunchAttempt | PunchRefused | PunchRefreshed | PunchHalfOpen


@dataclass(slots=True)
class Log:
    """One call.

    Attributes:
        pairs: The pairs of endpoints that are tried, in the order of the engine's lanes.
        at_a_peer: Whether the other end connects as well, as far as the caller says.
        why_no_packets: What stood against recording packets, in words; None where they were.
        frames: The latest packets, unread.
        events: Those of lanes, the latest.
        dropped: How many packets are not among those, or were missed by the kernel.
        syns: How many attempts were made on each lane.
        connected: The pair that was handed over.
        connected_at: When, in seconds since the call began.
        retransmits: How many segments the kernel has sent again on it (``TCP_INFO``).
        round_trip: Its shortest round trip in seconds (``TCP_INFO``).
    """

    pairs: Sequence[Pair] = ()
    at_a_peer: bool = True
    why_no_packets: str | None = None
    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=MAX_PACKETS))
    events: deque[Told] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    dropped: int = 0
    syns: Counter[int] = field(default_factory=Counter)
    connected: Pair | None = None
    connected_at: float | None = None
    retransmits: int | None = None
    round_trip: float | None = None

    def note_packet(self, frame: Frame) -> None:
        """Take a packet that the kernel has shown."""
        self.dropped += len(self.frames) == MAX_PACKETS
        self.frames.append(frame)

    def packets(self) -> list[Seen]:
        """Read the packets that are of the pairs.

        Over loopback each may be shown twice, when it leaves and when it arrives: of ours the first
        is one, of theirs the second. Of a socket that is connected to itself both are.
        """
        frames = _noted_in_time(self.frames)
        read = (Seen(*frame, packet) for frame in frames if (packet := parse(frame.data)))
        return [seen for seen in read if any(belongs(seen, pair) for pair in self.pairs)]

    def note_event(self, event: Event) -> None:
        """Take what the engine says."""
        if isinstance(event, PunchAttempt):
            self.syns[event.lane] += 1
        if isinstance(event, Told):
            self.events.append(event)
        elif isinstance(event, PunchConnected):
            self.connected = pair_of(event.report.local, event.report.remote)
            self.connected_at = event.at
        elif isinstance(event, PunchFailed):
            self.connected = None


def _noted_in_time(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames, none later than one behind it: those were shown in the order they passed.

    A packet that passed before the kernel noted times has that of its reading.
    """
    latest, noted = None, []
    for frame in reversed(frames):
        latest = frame.time_ns if latest is None else min(latest, frame.time_ns)
        noted.append(frame._replace(time_ns=latest))
    return noted[::-1]


def pair_of(local: _endpoints.Endpoint, remote: _endpoints.Endpoint) -> Pair:
    """Return two endpoints of ours as they stand in packets, where no address has a zone."""
    ours, theirs = (Endpoint(end.host.partition("%")[0], end.port) for end in (local, remote))
    return ours, theirs


def belongs(seen: Seen, pair: Pair) -> bool:
    """Return whether a packet is one that we send to the other endpoint, or get from there."""
    ends = seen.packet.source, seen.packet.destination
    if isinstance(seen.packet, Unreachable):
        return not seen.outgoing and _fits(pair, *ends)
    return _fits(pair, *(ends if seen.outgoing else ends[::-1]))


def _fits(pair: Pair, ours: Endpoint, theirs: Endpoint) -> bool:
    """Whether a pair is meant; the address of ours may be a wildcard."""
    wildcard = pair[0].address in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    own = pair[0].port == ours.port if wildcard else pair[0] == ours
    return own and pair[1] == theirs
