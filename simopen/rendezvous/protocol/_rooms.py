"""The matching core: who sits in which room, and who is introduced to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ._limits import CoordinatorLimits
from ._messages import CoordinatorMessage, Family, Outcome

if TYPE_CHECKING:
    from ._connection import Asked


@dataclass(frozen=True, slots=True)
class Path:
    """How a client is seen over one connection.

    Attributes:
        family: Of its address.
        observed: Where it comes from, as ``"host:port"`` or ``"[v6]:port"``, without a zone; an
            IPv4 address mapped into IPv6 as IPv4.
        round_trip: Seconds; None where nothing is known.
    """

    family: Family
    observed: str
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a connection, after what was sent before."""

    connection: int
    message: CoordinatorMessage


@dataclass(frozen=True, slots=True)
class Close:
    """Close a connection when what was sent before has left; the rooms have forgotten it."""

    connection: int


@dataclass(frozen=True, slots=True)
class Paired:
    """For the metrics: two members have been introduced.

    Attributes:
        round: Of the introduction; 1 is their first.
        waited: Seconds that the first of them had waited.
    """

    round: int
    waited: float


@dataclass(frozen=True, slots=True)
class Reported:
    """For the metrics: a member has told how its round ended.

    Attributes:
        outcome: In its word.
        elapsed: Seconds in its word, 0 to ``LONGEST_ELAPSED``.
    """

    outcome: Outcome
    elapsed: float


Action: TypeAlias = Send | Close | Paired | Reported


class RoomStore(Protocol):
    """Where rooms are kept, by tag."""

    def get(self, tag: bytes) -> Room | None:
        """The room of that tag, or None."""

    def put(self, room: Room) -> None:
        """Keep a room, new or changed."""

    def discard(self, tag: bytes) -> None:
        """Forget a room, if it is there."""

    def __len__(self) -> int:
        """How many there are."""


class Room:
    """Who is in a room."""


class Rooms:
    """All rooms of one coordinator.

    Connections are numbers of the caller's choice, never used twice. Do the actions that each
    call returns, in order. ``now`` is seconds on the caller's monotonic clock.
    """

    def __init__(
        self,
        limits: CoordinatorLimits,
        *,
        probe_ports: tuple[int, ...] = (),
        store: RoomStore | None = None,
    ) -> None:
        """Make a coordinator's rooms, all empty.

        Args:
            limits: The coordinator's.
            probe_ports: Ports that take probes; told in every welcome.
            store: Where rooms are kept. Default: in memory.
        """
        raise NotImplementedError

    def handle(self, connection: int, path: Path, message: Asked, now: float) -> list[Action]:
        """Take what a client asks for.

        Args:
            connection: The one it came by.
            path: How the client is seen over it.
            message: From a :class:`~simopen.rendezvous.protocol.Request`.
            now: The time.
        """
        raise NotImplementedError

    def lost(self, connection: int, now: float) -> list[Action]:
        """Note that a connection is closed; one that is not known any more is none of ours."""
        raise NotImplementedError

    def tick(self, now: float) -> list[Action]:
        """Do what the time asks for."""
        raise NotImplementedError

    def drain(self, now: float) -> list[Action]:
        """Stop: reject who comes, dismiss who waits, give meetings ``limits.drain`` seconds."""
        raise NotImplementedError

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        raise NotImplementedError

    @property
    def rooms(self) -> int:
        """How many rooms there are."""
        raise NotImplementedError

    @property
    def members(self) -> int:
        """How many seats are taken, queued ones included."""
        raise NotImplementedError

    @property
    def drained(self) -> bool:
        """Whether nobody is left after :meth:`drain`."""
        raise NotImplementedError
