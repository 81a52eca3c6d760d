"""Every limit of the protocol and of a coordinator, with its unit and its reason."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, fields

LARGEST_FRAME = 8192  # bytes of JSON; an introduction, the longest message, has 3,100
LONGEST_DELAY = 2.0  # seconds that a coordinator can make a client wait before it fires
LONGEST_ELAPSED = 3600.0  # seconds that a client can report; what is longer counts as that
LONGEST_PING_INTERVAL = 25.0  # seconds; NATs forget idle connections, some soon after this
MEMBERS_PER_ROOM = 2  # that have a place
WELCOME_TIMEOUT = 10.0  # seconds that a client waits for the answer to its first message


class Limit(enum.StrEnum):
    """What can be hit; a closed set, for the metrics.

    Each but the last two is a field of :class:`CoordinatorLimits`; a burst is hit as its rate.
    """

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    CONNECTION_RATE = "connection_rate"
    ADDRESSES = "addresses"
    MEMBERS_PER_ADDRESS = "members_per_address"
    ROOMS = "rooms"
    QUEUE = "queue"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    MESSAGE_RATE = "message_rate"
    ROUND_TRIP_WAIT = "round_trip_wait"
    FAMILY_WAIT = "family_wait"
    MEETING = "meeting"
    GRACE = "grace"
    DRAIN = "drain"
    OUTBOX = "outbox"
    FRAME = "frame"  # LARGEST_FRAME
    MEMBERS_PER_ROOM = "members_per_room"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorLimits:
    """What one coordinator bears. The defaults suit one process that is reached directly.

    Attributes:
        connections: Open at once. Default 22,000: 20,000 waiting members and those in passing.
        connections_per_address: Open at once from one IPv4 address or IPv6 /64. Default 512: a
            carrier's NAT has many subscribers behind one address.
        connection_rate: New connections per second from one address, on average. Default 20.0:
            a round takes three or four, so this is five rounds a second.
        connection_burst: New connections from one address that may come at once. Default 200:
            fifty hosts behind one NAT that come back after a restart.
        addresses: Addresses whose rates are remembered; the one unheard of longest is forgotten
            first. Default 16,384: a few MiB.
        members_per_address: Seats held at once from one address. Default 256: as many hosts as a
            carrier's NAT may have here; a seat can outlive its connection by ``grace``, so that
            connections alone do not bound it.
        rooms: At once. Default 20,000: one for each waiting member.
        queue: Newcomers a room keeps waiting while two members meet. Default 2: the same two
            hosts meeting again before their old seats have left.
        handshake: Seconds from accepting a connection to its first message. Default 5.0:
            three round trips with TLS, and a lost packet among them.
        idle: Seconds without a message after which a connection is given up; clients ping twice
            as often. Default 50.0: a ping every 25 keeps a NAT from forgetting the connection.
        message_rate: Messages per second on one connection, on average. Default 5.0: a ping
            every 25 seconds, and a few words a round.
        message_burst: Messages that may come at once. Default 20: a call needs fewer than ten.
        round_trip_wait: Seconds that a request waits for its connection's round trip to be
            known. Default 1.0: no usual path is longer.
        family_wait: Seconds after the later join that two members without a family in common
            wait for one that is still to come. Default 0.25: as RFC 8305 §5 lets the second
            family wait.
        meeting: Seconds after an introduction by which a member has reported success, or has joined
            again. Default 120.0: a default call's longest round takes 17, and a seat is
            no place to stay.
        grace: Seconds that the seat of a member is kept whose connection was lost while it met
            its peer. Default 15.0: it may have lost the coordinator alone, and come back.
        drain: Seconds that meetings in progress are given when the coordinator stops.
            Default 10.0: a first round is over by then, and who is cut off can come back.
        outbox: Bytes that may wait to be sent on one connection. Default 65,536: some twenty
            introductions; a client that reads nothing is given up.
    """

    connections: int = 22_000
    connections_per_address: int = 512
    connection_rate: float = 20.0
    connection_burst: int = 200
    addresses: int = 16_384
    members_per_address: int = 256
    rooms: int = 20_000
    queue: int = 2
    handshake: float = 5.0
    idle: float = 50.0
    message_rate: float = 5.0
    message_burst: int = 20
    round_trip_wait: float = 1.0
    family_wait: float = 0.25
    meeting: float = 120.0
    grace: float = 15.0
    drain: float = 10.0
    outbox: int = 65_536

    def __post_init__(self) -> None:
        """Refuse numbers that make no coordinator.

        Raises:
            ValueError: A value is out of its range; the message names it.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be a finite number >= 0, not {value!r}")
        if not 1 <= self.idle <= 3600:  # noqa: PLR2004  # what a welcome can carry
            raise ValueError(f"idle must be 1 to 3600 seconds, not {self.idle!r}")
        if not self.handshake:
            raise ValueError("handshake must be more than 0 seconds")
        for name in (
            *("connections", "connections_per_address", "connection_burst", "addresses"),
            *("members_per_address", "rooms", "message_burst", "meeting", "outbox"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")


class Allowance:
    """So many at once, and so many a second on average: a token bucket."""

    __slots__ = ("_burst", "_rate", "_spent", "_when")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        """Make a full one.

        Args:
            rate: Per second.
            burst: At once.
            now: Seconds on the caller's monotonic clock.
        """
        self._rate = rate
        self._burst = burst
        self._spent = 0.0
        self._when = now

    def take(self, now: float) -> bool:
        """Take one; False where none is left."""
        self._spent = max(0.0, self._spent - (now - self._when) * self._rate)
        self._when = now
        if self._spent + 1 > self._burst:
            return False
        self._spent += 1
        return True
