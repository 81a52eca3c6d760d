"""The matching core: who sits in which room, and who is introduced to whom.

Theory of operation
===================

A **seat** is a name of random bytes that only the coordinator and its client know. Joining takes
it in the room of a tag; joining again, on another connection and with a new offer, begins a new
round: the new connection is welcomed, and only then are the older ones of the seat told
``replaced`` and closed. Further families are attached by connections of their own.

A room pairs two members that both **wait**. They are introduced at once if a family of each is
observed that the other has too, or if none is still to come; else when one comes, or
``family_wait`` after the second began to wait. Each is told the other's endpoints and offer, and
the delay after which both fire together.

The same two hosts may meet again at once, before their old seats have left. So a newcomer to a
room in which somebody **meets** is **queued**: it takes the first place that falls free. If the
two old members are introduced again instead, there is no place for it.

States of a member
==================

=========  ===========================  =======================================================
state      left for                     when
=========  ===========================  =======================================================
QUEUED     WAITING                      a place falls free
QUEUED     gone                         the two members were introduced again
WAITING    MEETING                      introduced
MEETING    RESTING                      it reports that the round failed
MEETING    WAITING                      it joins again, with a higher round
RESTING    WAITING                      it joins again
any        gone                         it reports ``ok``, leaves, or its connection is lost;
                                        MEETING outlives that by ``grace``
MEETING,   gone                         it has been so, the one or the other, for ``meeting``
RESTING
=========  ===========================  =======================================================

Invariants
==========

- At most two members of a room have a place; nobody is queued while a place is free.
- An offer is introduced once: the two of a pair are told it in the same call, each the other's.
- A connection belongs to at most one member; of a member that is gone no connection, deadline or
  empty room is left.
- Every table is bounded: rooms by a limit, the members of a room by two and the queue, those of an
  address by a limit, the connections of a member by the families, deadlines by rooms and members.
- What the store raises in a request goes to the caller. A loss or a deadline is tried again until
  it has been done; a room that the store has lost by then needs nothing done.
"""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ._actions import Action, Close, Hit, Paired, Path, Postponed, Reported, Send
from ._answers import (
    CROWDED,
    OVERDUE,
    REPLACED,
    ROOM_FULL,
    introduction,
    rejected,
    turned_away,
)
from ._connection import Asked
from ._limits import LONGEST_ELAPSED, CoordinatorLimits, Limit
from ._messages import (
    Attach,
    Bye,
    Code,
    CoordinatorMessage,
    Error,
    Family,
    Join,
    Leave,
    Outcome,
    Probe,
    Probed,
    Result,
    Seat,
    Settled,
    Tag,
    Welcome,
)
from ._quota import Quota
from ._room import Member, MemberState, MemoryStore, Room, RoomStore
from ._timing import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STORE_RETRY = 1.0  # seconds until what the store has raised at is tried again


class _Place(NamedTuple):
    """Whom a connection belongs to."""

    tag: Tag
    seat: Seat
    family: Family


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
            probe_ports: Ports that take probes, ``MOST_PROBE_PORTS`` at most; told in every
                welcome.
            store: Where rooms are kept. Default: in memory.
        """
        self._limits = limits
        self._probe_ports = probe_ports
        self._store: RoomStore = MemoryStore() if store is None else store
        self._places: dict[int, _Place] = {}
        self._seats = Quota(limits.members_per_address)
        self._counted: dict[tuple[Tag, Seat], str] = {}  # under which address a seat is
        self._waiting = 0
        self._family_waits: Timeouts[Tag] = Timeouts(limits.family_wait)
        self._meetings: Timeouts[tuple[Tag, Seat]] = Timeouts(limits.meeting)
        self._graces: Timeouts[tuple[Tag, Seat]] = Timeouts(limits.grace)
        self._postponed: Timeouts[Callable[[float], list[Action]]] = Timeouts(STORE_RETRY)
        self._draining = False
        self._drain_until = math.inf

    @property
    def rooms(self) -> int:
        """How many rooms there are."""
        return len(self._store)

    @property
    def members(self) -> int:
        """How many seats are taken, queued ones included."""
        return self._seats.total

    @property
    def waiting(self) -> int:
        """How many members have a place, and nobody to meet yet."""
        return self._waiting

    @property
    def drained(self) -> bool:
        """Whether nobody is left after :meth:`drain`."""
        return self._draining and not self._places

    def handle(self, connection: int, path: Path, message: Asked, now: float) -> list[Action]:
        """Take what a client asks for.

        Args:
            connection: The one it came by.
            path: How the client is seen over it.
            message: From a :class:`~simopen.rendezvous.protocol.Request`.
            now: The time.
        """
        return self._HANDLERS[type(message)](self, connection, path, message, now)

    def knows(self, connection: int) -> bool:
        """Whether a connection is of somebody here."""
        return connection in self._places

    def lost(self, connection: int, now: float) -> list[Action]:
        """Note that a connection is closed; one that is not known any more is none of ours."""
        place = self._places.pop(connection, None)
        if place is None:
            return []
        return self._attempt(partial(self._end_line, connection, place), now)

    def tick(self, now: float) -> list[Action]:
        """Do what the time asks for."""
        due: list[Callable[[float], list[Action]]] = [
            *(partial(self._end_family_wait, tag) for tag in self._family_waits.pop_due(now)),
            *(partial(self._end_meeting, *key) for key in self._meetings.pop_due(now)),
            *(partial(self._end_grace, *key) for key in self._graces.pop_due(now)),
            *self._postponed.pop_due(now),
        ]
        actions = [action for work in due for action in self._attempt(work, now)]
        if now >= self._drain_until:
            self._drain_until = math.inf
            actions += self._dismiss(now, every=True)
        return actions

    def drain(self, now: float) -> list[Action]:
        """Stop: reject who comes, dismiss who waits, give meetings ``limits.drain`` seconds."""
        self._draining = True
        self._drain_until = now + self._limits.drain
        return self._dismiss(now, every=False)

    def next_deadline(self) -> float:
        """When to call :meth:`tick`; ``math.inf`` for never."""
        return min(
            self._family_waits.next_deadline(),
            self._meetings.next_deadline(),
            self._graces.next_deadline(),
            self._postponed.next_deadline(),
            self._drain_until,
        )

    # -- what clients ask for ---------------------------------------------------------------------

    def _join(self, connection: int, path: Path, join: Join, now: float) -> list[Action]:
        if self._draining:
            return rejected(connection, Code.SHUTTING_DOWN)
        room = self._store.get(join.tag)
        if room is None:
            if len(self._store) >= self._limits.rooms:
                return rejected(connection, Code.ROOMS_FULL, Limit.ROOMS)
            room = Room(join.tag)
        member = room.members.get(join.seat)
        if member is not None and not member.accepts(join):
            return rejected(connection, Code.STALE)
        if member is None:
            state = room.place(queue=self._limits.queue)
            if isinstance(state, Limit):
                return rejected(connection, Code.ROOM_FULL, state)
            member = Member(join.seat, state)
        key, address = (join.tag, join.seat), path.address
        if self._counted.get(key) != address and self._seats.is_full(address):
            return turned_away(connection, CROWDED, Limit.MEMBERS_PER_ADDRESS)
        room.members[join.seat] = member
        actions = self._begin(room, member, connection, path, join, now)
        self._uncount(key)  # after what may raise
        self._counted[key] = address
        self._seats.take(address)
        return actions

    def _begin(
        self, room: Room, member: Member, connection: int, path: Path, join: Join, now: float
    ) -> list[Action]:
        self._meetings.discard((room.tag, member.seat))
        self._graces.discard((room.tag, member.seat))
        older = member.lines
        member.begin(join, line=connection, now=now)
        actions = self._seat(room, member, connection, path, now)
        return [*actions, *self._close(older, REPLACED)]

    def _attach(self, connection: int, path: Path, attach: Attach, now: float) -> list[Action]:
        found = self._find(attach.tag, attach.seat)
        if found is None:
            return rejected(connection, Code.SEAT)
        room, member = found
        old = member.paths.get(path.family)
        if old is not None and old[0] == member.line:
            text = f"the seat has joined over {path.family} itself"
            return turned_away(connection, Error(code=Code.UNEXPECTED, message=text))
        replaced = [] if old is None else self._close([old[0]], REPLACED)
        return [*self._seat(room, member, connection, path, now), *replaced]

    def _probe(self, connection: int, path: Path, probe: Probe, _now: float) -> list[Action]:
        found = self._find(probe.tag, probe.seat)
        if found is None:
            return rejected(connection, Code.SEAT)
        room, member = found
        if (known := member.paths.get(path.family)) is not None:
            member.note_probe(same=path.observed == known[1].observed)
            self._keep(room)
        return [Send(connection, Probed(observed=path.observed)), Close(connection)]

    def _settled(self, connection: int, _path: Path, _: Settled, now: float) -> list[Action]:
        if (place := self._places.get(connection)) is None:
            return []
        room, member = self._at(place)
        member.expected.clear()
        return self._match(room, now)

    def _result(self, connection: int, _path: Path, result: Result, now: float) -> list[Action]:
        if (place := self._places.get(connection)) is None:
            return []
        room, member = self._at(place)
        if member.state is not MemberState.MEETING or result.round != member.meeting:
            return []
        told = Reported(result.outcome, min(result.elapsed, LONGEST_ELAPSED))
        if result.outcome is Outcome.OK:
            return [told, *self._drop(room, member, now)]
        if self._draining:
            return [told, *self._drop(room, member, now, farewell=Bye())]
        member.state = MemberState.RESTING
        self._keep(room)
        return [told]

    def _leave(self, connection: int, _path: Path, _: Leave, now: float) -> list[Action]:
        if (place := self._places.get(connection)) is None:
            return []
        return self._drop(*self._at(place), now)

    _HANDLERS: ClassVar[Mapping[type[Asked], Callable[..., list[Action]]]] = MappingProxyType(
        {
            Join: _join,
            Attach: _attach,
            Probe: _probe,
            Settled: _settled,
            Result: _result,
            Leave: _leave,
        }
    )

    # -- introductions ----------------------------------------------------------------------------

    def _match(self, room: Room, now: float) -> list[Action]:
        """Introduce whom there is to introduce, and keep the room as it is then."""
        pair = room.pair()
        actions: list[Action] = []
        if pair and not pair[0].may_meet(pair[1]):
            if room.tag not in self._family_waits:
                self._family_waits.set(room.tag, now)
        else:
            self._family_waits.discard(room.tag)
            actions = self._introduce(room, pair, now) if pair else []
        self._keep(room)
        return actions

    def _introduce(self, room: Room, pair: list[Member], now: float) -> list[Action]:
        first, second = pair
        room.meetings += 1
        waited = now - min(first.since, second.since)
        actions = [
            introduction(first, second, room.meetings),
            introduction(second, first, room.meetings),
            Paired(room.meetings, waited),
        ]
        for member in (first, second):
            member.state = MemberState.MEETING
            member.meeting = room.meetings
            self._meetings.set((room.tag, member.seat), now)
        for member in room.queued():
            actions.append(Hit(Limit.MEMBERS_PER_ROOM))
            actions += self._drop(room, member, now, farewell=ROOM_FULL)
        return actions

    # -- coming and going -------------------------------------------------------------------------

    def _seat(
        self, room: Room, member: Member, connection: int, path: Path, now: float
    ) -> list[Action]:
        member.paths[path.family] = (connection, path)
        member.expected.discard(path.family)
        welcome = Welcome(observed=path.observed, probe=self._probe_ports, idle=self._limits.idle)
        actions = [Send(connection, welcome), *self._match(room, now)]
        self._places[connection] = _Place(room.tag, member.seat, path.family)
        return actions

    def _close(self, lines: list[int], farewell: CoordinatorMessage | None) -> list[Action]:
        actions: list[Action] = []
        for line in lines:
            self._places.pop(line, None)
            actions += [] if farewell is None else [Send(line, farewell)]
            actions.append(Close(line))
        return actions

    def _drop(
        self, room: Room, member: Member, now: float, farewell: CoordinatorMessage | None = None
    ) -> list[Action]:
        del room.members[member.seat]
        room.fill()
        actions = self._match(room, now)
        self._meetings.discard((room.tag, member.seat))
        self._graces.discard((room.tag, member.seat))
        self._uncount((room.tag, member.seat))
        return [*actions, *self._close(member.lines, farewell)]

    def _dismiss(self, now: float, *, every: bool) -> list[Action]:
        tags = {place.tag for place in self._places.values()}
        return [
            action
            for tag in tags
            for action in self._attempt(partial(self._dismiss_room, tag, every=every), now)
        ]

    def _dismiss_room(self, tag: Tag, now: float, *, every: bool) -> list[Action]:
        if (room := self._store.get(tag)) is None:
            return []
        actions: list[Action] = []
        for member in reversed(list(room.members.values())):  # the queued first: none moves up
            if every or member.state is not MemberState.MEETING:
                actions += [Hit(Limit.DRAIN)] if every else []
                actions += self._drop(room, member, now, farewell=Bye())
        return actions

    # -- losses and deadlines ---------------------------------------------------------------------

    def _attempt(self, work: Callable[[float], list[Action]], now: float) -> list[Action]:
        """Do what nobody would ask for again; later, where the store raises."""
        try:
            return work(now)
        except Exception as error:  # noqa: BLE001 - whatever the operator's store raises
            self._postponed.set(work, now)
            return [Postponed(error)]

    def _end_line(self, connection: int, place: _Place, now: float) -> list[Action]:
        found = self._find(place.tag, place.seat)
        if found is None:
            return []
        room, member = found
        if member.paths.get(place.family, (None,))[0] != connection:
            return []  # replaced, while the store was away
        del member.paths[place.family]
        if connection == member.line:
            if member.state is not MemberState.MEETING:
                return self._drop(room, member, now)
            member.line = None
            self._graces.set((room.tag, member.seat), now)
        self._keep(room)
        return []

    def _end_family_wait(self, tag: Tag, now: float) -> list[Action]:
        room = self._store.get(tag)
        if room is None or not (pair := room.pair()):
            return []
        actions = [Hit(Limit.FAMILY_WAIT), *self._introduce(room, pair, now)]
        self._keep(room)
        return actions

    def _end_meeting(self, tag: Tag, seat: Seat, now: float) -> list[Action]:
        found = self._find(tag, seat)
        if found is None or not found[1].is_between or (tag, seat) in self._meetings:
            return []
        return [Hit(Limit.MEETING), *self._drop(*found, now, farewell=OVERDUE)]

    def _end_grace(self, tag: Tag, seat: Seat, now: float) -> list[Action]:
        found = self._find(tag, seat)
        if found is None or found[1].line is not None:
            return []
        return [Hit(Limit.GRACE), *self._drop(*found, now)]

    # -- looking up and keeping -------------------------------------------------------------------

    def _keep(self, room: Room) -> None:
        former, room.counted = room.counted, len(room.waiting())
        if room.members:
            self._store.put(room)
        else:
            self._store.discard(room.tag)
        self._waiting += room.counted - former  # after what may raise

    def _uncount(self, key: tuple[Tag, Seat]) -> None:
        if (address := self._counted.pop(key, None)) is not None:
            self._seats.release(address)

    def _at(self, place: _Place) -> tuple[Room, Member]:
        found = self._find(place.tag, place.seat)
        if found is None:
            raise LookupError("the store has lost a seat")
        return found

    def _find(self, tag: Tag, seat: Seat) -> tuple[Room, Member] | None:
        room = self._store.get(tag)
        if room is None or seat not in room.members:
            self._uncount((tag, seat))  # what the store has lost has no place here either
            return None
        return room, room.members[seat]
