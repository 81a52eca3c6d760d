"""What the rooms say to clients."""

from __future__ import annotations

from types import MappingProxyType

from ._actions import Action, Close, Hit, Send
from ._limits import Limit
from ._messages import Code, Error, Introduce, Reject
from ._room import Member
from ._timing import firing_delay

CROWDED = Error(code=Code.RATE, message="too many members from your address")
OVERDUE = Error(code=Code.TIMEOUT, message="the meeting takes too long")
REPLACED = Error(code=Code.REPLACED, message="a newer connection of this seat took over")
ROOM_FULL = Reject(code=Code.ROOM_FULL, message="two others are in this room")

_REJECTS = MappingProxyType(
    {
        each.code: each
        for each in (
            ROOM_FULL,
            Reject(code=Code.ROOMS_FULL, message="the coordinator has no room left"),
            Reject(code=Code.SEAT, message="nobody in this room has that seat"),
            Reject(
                code=Code.STALE, message="this seat has had an offer of this round or a later one"
            ),
            Reject(code=Code.SHUTTING_DOWN, message="the coordinator is stopping"),
        )
    }
)


def introduction(own: Member, peer: Member, meeting: int) -> Action:
    """Tell one member of the other.

    Args:
        own: Who is told; it has a connection.
        peer: Of whom.
        meeting: Counts the room's.
    """
    if own.line is None:
        raise LookupError("a member without a connection cannot be introduced")
    introduce = Introduce(
        round=meeting,
        delay=firing_delay(own.round_trip, peer.round_trip),
        observed=peer.observed,
        offer=peer.offer,
        mapping=own.verdict,
        peer_mapping=peer.verdict,
    )
    return Send(own.line, introduce)


def rejected(connection: int, code: Code, limit: Limit | None = None) -> list[Action]:
    """Refuse what was asked for, because of a limit or not."""
    return turned_away(connection, _REJECTS[code], limit)


def turned_away(connection: int, word: Reject | Error, limit: Limit | None = None) -> list[Action]:
    """Say why, and close."""
    hits: list[Action] = [] if limit is None else [Hit(limit)]
    return [*hits, Send(connection, word), Close(connection)]
