"""What the rooms are told of a connection, and what they ask for: plain values.

Structs of msgspec rather than dataclasses: a frozen one is made in a fifth of the time, and there
are several to each message.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ._limits import Limit
from ._messages import CoordinatorMessage, Family, Outcome
from ._quota import counted_address


class Path(msgspec.Struct, frozen=True):
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


class Send(msgspec.Struct, frozen=True):
    """Send a message on a connection, after what was sent before."""

    connection: int
    message: CoordinatorMessage


class Close(msgspec.Struct, frozen=True):
    """Close a connection when what was sent before has left; the rooms have forgotten it."""

    connection: int


class Paired(msgspec.Struct, frozen=True):
    """For the metrics: two members have been introduced.

    Attributes:
        round: Of the introduction; 1 is the room's first.
        waited: Seconds that the first of them had waited.
    """

    round: int
    waited: float


class Reported(msgspec.Struct, frozen=True):
    """For the metrics: a member has told how its round ended.

    Attributes:
        outcome: In its word.
        elapsed: Seconds in its word, 0 to ``LONGEST_ELAPSED``.
    """

    outcome: Outcome
    elapsed: float


class Hit(msgspec.Struct, frozen=True):
    """For the metrics: a limit has been hit.

    Attributes:
        limit: Which.
    """

    limit: Limit


class Postponed(msgspec.Struct, frozen=True):
    """For the log: the store has raised; what was to be done will be tried again.

    Attributes:
        error: What it raised.
    """

    error: Exception


Action: TypeAlias = Send | Close | Paired | Reported | Hit | Postponed
