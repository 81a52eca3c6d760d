"""One room: its members, their states, and where rooms are kept."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

from ._actions import Path
from ._limits import MEMBERS_PER_ROOM, Limit
from ._messages import Family, Join, Offer, Seat, Tag, Verdict

_FAMILIES = tuple(Family)  # to go through an enumeration takes longer


class MemberState(enum.Enum):
    """What a member is about."""

    QUEUED = enum.auto()  # it has an offer, but no place yet
    WAITING = enum.auto()  # it has an offer that nobody was given yet
    MEETING = enum.auto()  # it was introduced, and has not said how that ended
    RESTING = enum.auto()  # that failed; its next offer is still to come


@dataclass(slots=True, repr=False, eq=False)
class Member:
    """A seat that is taken.

    Attributes:
        seat: Its name, known to its client alone.
        state: What it is about.
        offer: The sealed offer of its last join.
        round: The round of its last join.
        since: When that was.
        line: The connection it joined by; None when that is lost.
        paths: How it is seen, and over which connection, by family.
        expected: Families that may still come.
        verdict: Whether its NAT maps one port to one endpoint, by the last round with a probe.
        probed: Whether this round has had one.
        meeting: The round of its last introduction.
    """

    seat: Seat
    state: MemberState
    offer: Offer = b""
    round: int = 0
    since: float = 0.0
    line: int | None = None
    paths: dict[Family, tuple[int, Path]] = field(default_factory=dict)
    expected: set[Family] = field(default_factory=set)
    verdict: Verdict = Verdict.UNKNOWN
    probed: bool = False
    meeting: int = 0

    @property
    def lines(self) -> list[int]:
        """All its connections."""
        return [line for line, _ in self.paths.values()]

    @property
    def observed(self) -> tuple[str, ...]:
        """Its endpoints, IPv4 first."""
        return tuple(self.paths[family][1].observed for family in _FAMILIES if family in self.paths)

    @property
    def round_trip(self) -> float | None:
        """Seconds to it and back over the connection it joined by."""
        return next(
            (path.round_trip for line, path in self.paths.values() if line == self.line), None
        )

    def accepts(self, join: Join) -> bool:
        """Whether a join's offer may stand for this seat: an introduced one never comes back."""
        if self.state in (MemberState.WAITING, MemberState.QUEUED):
            return join.round >= self.round
        return join.round > self.round

    @property
    def is_between(self) -> bool:
        """Whether it was introduced, and has not joined again."""
        return self.state in (MemberState.MEETING, MemberState.RESTING)

    def begin(self, join: Join, *, line: int, now: float) -> None:
        """Begin a round.

        Args:
            join: What begins it.
            line: The connection it came by.
            now: When.
        """
        self.offer = join.offer
        self.round = join.round
        self.since = now
        self.line = line
        self.paths.clear()
        self.expected = set(join.families)
        self.probed = False
        if self.state is not MemberState.QUEUED:
            self.state = MemberState.WAITING

    def note_probe(self, *, same: bool) -> None:
        """Take a probe's answer; a round's first one replaces what was known of another port.

        Until then that stands: whoever joins last is introduced before any probe of the round.

        Args:
            same: It was seen at the endpoint that the peer is told.
        """
        if not same:
            self.verdict = Verdict.VARIES
        elif not self.probed:
            self.verdict = Verdict.STABLE
        self.probed = True

    def may_meet(self, other: Member) -> bool:
        """Whether there is nothing to wait for."""
        return bool(self.paths.keys() & other.paths.keys()) or not (self.expected or other.expected)


@dataclass(slots=True, repr=False, eq=False)
class Room:
    """Who shares a tag.

    Seats are looked up by hash: how long that takes tells nothing of how much of a guess is right.

    Attributes:
        tag: The room's.
        members: By seat, in the order they came.
        meetings: Introductions so far.
        counted: How many of its members wait, in the word of who counts them.
    """

    tag: Tag
    members: dict[Seat, Member] = field(default_factory=dict)
    meetings: int = 0
    counted: int = 0

    def seated(self) -> list[Member]:
        """Those who have a place, two at most."""
        return [each for each in self.members.values() if each.state is not MemberState.QUEUED]

    def waiting(self) -> list[Member]:
        """Those of them who have an offer that nobody was given yet."""
        return [each for each in self.members.values() if each.state is MemberState.WAITING]

    def queued(self) -> list[Member]:
        """Those who have none yet."""
        return [each for each in self.members.values() if each.state is MemberState.QUEUED]

    def place(self, *, queue: int) -> MemberState | Limit:
        """What a newcomer would be, or what keeps it out.

        Args:
            queue: How many may be without a place.
        """
        seated = self.seated()
        if len(seated) < MEMBERS_PER_ROOM:
            return MemberState.WAITING
        if not any(each.state is MemberState.MEETING for each in seated):
            return Limit.MEMBERS_PER_ROOM
        return MemberState.QUEUED if len(self.queued()) < queue else Limit.QUEUE

    def fill(self) -> None:
        """Give places that are free to those who came first."""
        for member in self.queued()[: MEMBERS_PER_ROOM - len(self.seated())]:
            member.state = MemberState.WAITING

    def pair(self) -> list[Member]:
        """The two who both wait, or nobody."""
        waiting = self.waiting()
        return waiting if len(waiting) == MEMBERS_PER_ROOM else []


class RoomStore(Protocol):
    """Where rooms are kept, by tag.

    What it raises is logged, and ends what was being done: the request of one client. What nobody
    would ask for again, a loss or what is due at some moment, is tried again a second later.
    """

    def get(self, tag: Tag) -> Room | None:
        """The room of that tag, or None."""

    def put(self, room: Room) -> None:
        """Keep a room, new or changed."""

    def discard(self, tag: Tag) -> None:
        """Forget a room, if it is there."""

    def __len__(self) -> int:
        """How many there are."""


class MemoryStore:
    """Rooms in this process."""

    def __init__(self) -> None:
        self._rooms: dict[Tag, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, tag: Tag) -> Room | None:
        """The room of that tag, or None."""
        return self._rooms.get(tag)

    def put(self, room: Room) -> None:
        """Keep a room, new or changed."""
        self._rooms[room.tag] = room

    def discard(self, tag: Tag) -> None:
        """Forget a room, if it is there."""
        self._rooms.pop(tag, None)
