"""What the rooms are told of a connection, and what they ask for: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ._limits import Limit
from ._messages import CoordinatorMessage, Family, Outcome
from ._quota import counted_address


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

    @property
    def address(self) -> str:
        """What the limits count it by."""
        return counted_address(self.observed.rpartition(":")[0].strip("[]"))


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
        round: Of the introduction; 1 is the room's first.
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


@dataclass(frozen=True, slots=True)
class Hit:
    """For the metrics: a limit has been hit.

    Attributes:
        limit: Which.
    """

    limit: Limit


@dataclass(frozen=True, slots=True)
class Postponed:
    """For the log: the store has raised; what was to be done will be tried again.

    Attributes:
        error: What it raised.
    """

    error: Exception


Action: TypeAlias = Send | Close | Paired | Reported | Hit | Postponed
