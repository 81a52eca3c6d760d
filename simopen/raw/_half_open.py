"""The half-open connections of a port: bounded, whoever sends the SYNs.

Theory of operation
===================

A SYN of an unknown flow makes a :class:`~._handshake.Handshake`; whatever else comes for an unknown
flow is nothing to us: the kernel answers it with the reset that it deserves. Established and ended
handshakes leave the table at once.

A flood of SYNs fills the table; then the oldest handshake makes room, as its peer has had the most
time to answer. 8,192 of them are the default: this process can answer some 20,000 SYNs a second at
most, so that even then a true client has 0.4 s, which is more than most paths' round trip; and its
SYN comes again. Cookies, which need no table, would have to give up options (RFC 4987 §3.6) and buy
nothing below that rate. While the table is more than half full no SYN-ACK is sent twice, so that a
flood with false addresses hits each of its victims with one packet a SYN.

Handshakes stand in generations by how many of their SYN-ACKs the clock has sent. Those of one
generation wait equally long, so each is in order of its deadlines, and no heap is needed.

Initial sequence numbers are those of RFC 6528: a clock, and a keyed hash of the flow. The same hash
is the origin of its timestamps.

Invariants
==========

- Never more than ``most`` handshakes, and all of them in SYN_RECEIVED.
- Each generation is in order of its deadlines.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING

from ._handshake import SYN_ACK_RETRIES, Action, Handshake, Numbers, Offer, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._segments import Flow, Segment

DEFAULT_MOST = 8192  # half-open connections at a time
_TICKS = 250_000  # of a sequence number in a second (RFC 6528 §3: one every 4 µs)


def numbers(flow: Flow, secret: bytes, now: float) -> Numbers:
    """The numbers of a connection, which only who has the secret can tell.

    Args:
        flow: The connection.
        secret: Random bytes, 16 or more, the same as long as the host runs.
        now: Seconds on a clock that never goes back.
    """
    ends = b"".join(struct.pack("!16sHI", *each) for each in flow)
    digest = hashlib.blake2s(ends, key=secret, digest_size=8).digest()
    origin, stamp = struct.unpack("!II", digest)
    return Numbers(sequence=(origin + int(now * _TICKS)) % 2**32, stamp=stamp)


class HalfOpenTable:
    """All handshakes of an acceptor.

    Attributes:
        dropped: How many were dropped to make room.
    """

    def __init__(self, secret: bytes, *, most: int = DEFAULT_MOST) -> None:
        """Make an empty one.

        Args:
            secret: See :func:`numbers`.
            most: How many handshakes it holds.
        """
        self.dropped: int = 0
        self._secret = secret
        self._most = most
        self._generations: list[OrderedDict[Flow, Handshake]] = [
            OrderedDict() for _ in range(SYN_ACK_RETRIES + 1)
        ]

    def __len__(self) -> int:
        """How many are half-open."""
        return sum(map(len, self._generations))

    def __contains__(self, flow: Flow) -> bool:
        """Whether a handshake is going on."""
        return self._find(flow) is not None

    def ports(self, most: int) -> set[int]:
        """The ports of some peers that are half-open.

        Args:
            most: How many peers to look at.
        """
        flows = itertools.chain.from_iterable(self._generations)
        return {flow.remote.port for flow in itertools.islice(flows, most)}

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        firsts = (next(iter(each.values())) for each in self._generations if each)
        return min((first.next_deadline() for first in firsts), default=math.inf)

    def receive(
        self, flow: Flow, segment: Segment, offer: Offer, now: float
    ) -> tuple[Handshake, Action]:
        """Take a segment.

        Args:
            flow: Whose it is.
            segment: What came.
            offer: What this host would offer to a new connection from there.
            now: Seconds on the caller's monotonic clock.
        """
        known = self._find(flow)
        handshake = known or Handshake(flow, offer, numbers(flow, self._secret, now), passive=True)
        action = handshake.receive(segment, now)
        if known is not None and handshake.state is not State.SYN_RECEIVED:
            del self._generations[known.sent - 1][flow]
        if known is None and handshake.state is State.SYN_RECEIVED:
            self._make_room()
            self._generations[0][flow] = handshake
        return handshake, action

    def tick(self, now: float) -> Iterator[tuple[Handshake, Action]]:
        """What is overdue, with what to do about it.

        Args:
            now: Seconds on the caller's monotonic clock.
        """
        crowded = 2 * len(self) > self._most
        for generation in reversed(self._generations):  # so that nobody is looked at twice
            while generation and (first := next(iter(generation.values()))).next_deadline() <= now:
                del generation[first.flow]
                action = first.tick(now)
                if first.state is not State.SYN_RECEIVED:
                    continue
                self._generations[first.sent - 1][first.flow] = first
                if not crowded:
                    yield first, action

    def _find(self, flow: Flow) -> Handshake | None:
        return next((each[flow] for each in self._generations if flow in each), None)

    def _make_room(self) -> None:
        if len(self) >= self._most:
            oldest = next(each for each in reversed(self._generations) if each)
            oldest.popitem(last=False)
            self.dropped += 1
