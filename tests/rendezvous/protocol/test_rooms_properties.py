"""The matching core, whatever clients do in whatever order: a model walks beside it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simopen.rendezvous.protocol import (
    Action,
    Asked,
    ClientConversation,
    Close,
    CoordinatorLimits,
    Family,
    Introduce,
    Join,
    Leave,
    Opening,
    Outcome,
    Paired,
    Path,
    Result,
    Rooms,
    Send,
    Settled,
    Welcome,
    encode_frame,
)
from simopen.rendezvous.protocol._limits import LONGEST_DELAY
from simopen.rendezvous.protocol._room import MemberState, MemoryStore

from .makers import MILK, TEA, attach, offer, path, probe, seat


@dataclass
class Line:
    """What the model knows of a connection that is in use, and its client."""

    tag: bytes
    number: int
    path: Path
    joined: Join | None
    client: ClientConversation


class AnyClients(RuleBasedStateMachine):
    """Clients do whatever they like in whatever order; the rooms hold their invariants.

    The model follows welcomes, closes and losses alone: what a client knows. What is sent to a
    client has its place in the client's own table, or the test ends with a WireError.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limits = CoordinatorLimits(rooms=2, members_per_address=3)
        self.store = MemoryStore()
        self.rooms = Rooms(self.limits, store=self.store)
        self.now = 0.0
        self.open: dict[int, Line] = {}
        self.rounds: dict[tuple[bytes, int], int] = {}
        self.introduced: set[tuple[bytes, int, bytes]] = set()  # tag, number, offer
        self.ids = itertools.count(1)
        self.draining = False

    # -- what the last call asked for -------------------------------------------------------------

    def follow(self, actions: list[Action], newcomer: tuple[int, Line] | None = None) -> None:
        """Check the actions of one call, and do them."""
        lines = self.open | (dict([newcomer]) if newcomer else {})
        reachable = set(lines)
        introductions: list[tuple[int, Introduce]] = []
        for action in actions:
            match action:
                case Send(connection, message):
                    assert connection in reachable
                    lines[connection].client.receive(encode_frame(message), self.now)
                    if isinstance(message, Welcome):
                        assert newcomer is not None
                        assert connection == newcomer[0]
                        self.take_in(*newcomer)
                    if isinstance(message, Introduce):
                        introductions.append((connection, message))
                case Close(connection):
                    assert connection in reachable
                    reachable.remove(connection)
        for one, other in zip(introductions[::2], introductions[1::2], strict=True):
            self.check_pair(one, other)
        assert sum(isinstance(each, Paired) for each in actions) * 2 == len(introductions)
        self.open = {each: line for each, line in self.open.items() if each in reachable}
        self.introduced = {each for each in self.introduced if self.is_seated(each[0], each[1])}

    def is_seated(self, tag: bytes, number: int) -> bool:
        """Whether the rooms still know a seat; one that they forgot may begin anew."""
        room = self.store.get(tag)
        return room is not None and seat(number) in room.members

    def take_in(self, connection: int, line: Line) -> None:
        """A welcome: the older connections of the seat do not count any more."""
        for each in list(self.lines_of(line)):
            if line.joined or self.open[each].path.family is line.path.family:
                self.open[each].path = Path(line.path.family, "replaced")
        self.open[connection] = line

    def lines_of(self, line: Line) -> list[int]:
        """All connections of the same seat."""
        owner = (line.tag, line.number)
        return [each for each, other in self.open.items() if (other.tag, other.number) == owner]

    def check_pair(self, one: tuple[int, Introduce], other: tuple[int, Introduce]) -> None:
        """Two different seats of one room are told each other, once, and fire together."""
        lines = self.open[one[0]], self.open[other[0]]
        assert lines[0].tag == lines[1].tag
        assert lines[0].number != lines[1].number
        assert one[1].round == other[1].round
        for told, peer in ((one[1], lines[1]), (other[1], lines[0])):
            assert peer.joined is not None
            assert told.offer == peer.joined.offer
            introduced = (peer.tag, peer.number, told.offer)
            assert introduced not in self.introduced
            self.introduced.add(introduced)
            seen = {self.open[each].path.observed for each in self.lines_of(peer)} - {"replaced"}
            assert set(told.observed) == seen
            assert 0 <= told.delay <= LONGEST_DELAY
        self.check_moment(one[1].delay, other[1].delay, lines)

    @staticmethod
    def check_moment(delay: float, other: float, lines: tuple[Line, Line]) -> None:
        """Half the round trip and the delay are the same sum on both sides."""
        trips = [line.path.round_trip for line in lines]
        if trips[0] is None or trips[1] is None:
            assert delay == other == 0
        else:
            assert trips[0] / 2 + delay == pytest.approx(trips[1] / 2 + other)

    # -- what clients do --------------------------------------------------------------------------

    @rule(
        number=st.integers(min_value=1, max_value=4),
        tag=st.sampled_from([TEA, TEA, TEA, MILK, bytes(32)]),
        ahead=st.sampled_from([1, 1, 1, 0, -1]),
        family=st.sampled_from(Family),
        more=st.lists(st.sampled_from(Family), max_size=2),
        round_trip=st.none() | st.floats(min_value=0, max_value=2),
    )
    def join(
        self,
        number: int,
        tag: bytes,
        ahead: int,
        family: Family,
        more: list[Family],
        round_trip: float | None,
    ) -> None:
        """Take a seat, or come back to it."""
        round_ = max(1, self.rounds.get((tag, number), 0) + ahead)
        self.rounds[tag, number] = max(round_, self.rounds.get((tag, number), 0))
        connection = next(self.ids)
        message = Join(
            tag=tag,
            seat=seat(number),
            offer=offer(number, round_),
            round=round_,
            families=tuple(more),
        )
        self.arrive(connection, number, tag, message, self.seen(family, connection, round_trip))

    @rule(
        number=st.integers(min_value=1, max_value=4),
        tag=st.sampled_from([TEA, TEA, MILK]),
        family=st.sampled_from(Family),
        probing=st.booleans(),
    )
    def add(self, number: int, tag: bytes, family: Family, probing: bool) -> None:  # noqa: FBT001  # drawn
        """Attach to a seat or probe for it, whether or not it is there."""
        connection = next(self.ids)
        message = probe(number, tag=tag) if probing else attach(number, tag=tag)
        self.arrive(connection, number, tag, message, self.seen(family, connection, None))

    def seen(self, family: Family, connection: int, round_trip: float | None) -> Path:
        """An endpoint of its own for every connection."""
        host = 1 + connection % 3
        return path(host, family=family, port=connection, round_trip=round_trip)

    def arrive(
        self, connection: int, number: int, tag: bytes, message: Opening, seen: Path
    ) -> None:
        """Open a connection with its first message."""
        joined = message if isinstance(message, Join) else None
        actions = self.rooms.handle(connection, seen, message, self.now)
        client = ClientConversation(message, now=self.now)
        self.follow(actions, (connection, Line(tag, number, seen, joined, client)))

    @precondition(lambda self: any(line.joined for line in self.open.values()))
    @rule(data=st.data(), family=st.sampled_from(Family))
    def join_again(self, data: Any, family: Family) -> None:
        """Come back to a seat that has joined, whatever became of its last round."""
        seats = {(line.number, line.tag) for line in self.open.values() if line.joined}
        number, tag = data.draw(st.sampled_from(sorted(seats)))
        self.join(number, tag, 1, family, [], None)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), kind=st.sampled_from(["settled", "leave", "result", "lost"]))
    def act(self, data: Any, kind: str) -> None:
        """Say something on a connection that has joined, or lose any."""
        connection = data.draw(st.sampled_from(sorted(self.open)))
        line = self.open[connection]
        if kind == "lost":
            del self.open[connection]
            self.follow(self.rooms.lost(connection, self.now))
        elif line.joined is not None:
            outcome = data.draw(st.sampled_from(Outcome))
            told = line.client._round or 1
            round_ = data.draw(st.sampled_from([told, told, told + 1]))
            messages: dict[str, Asked] = {
                "settled": Settled(),
                "leave": Leave(),
                "result": Result(round=round_, outcome=outcome, elapsed=1.0),
            }
            message = messages[kind]
            self.follow(self.rooms.handle(connection, line.path, message, self.now))

    @rule(gap=st.sampled_from([0.01, 0.25, 1.0, 15.0, 120.0]))
    def pass_time(self, gap: float) -> None:
        """Let time pass, with a tick at every deadline."""
        end = self.now + gap
        while (due := self.rooms.next_deadline()) <= end:
            self.now = due
            self.follow(self.rooms.tick(due))
            assert self.rooms.next_deadline() > due
        self.now = end

    @precondition(lambda self: not self.draining and len(self.introduced) > 2)
    @rule(really=st.sampled_from([False, False, False, True]))
    def drain(self, really: bool) -> None:  # noqa: FBT001  # drawn
        """Stop, now and then."""
        if really:
            self.draining = True
            self.follow(self.rooms.drain(self.now))

    # -- what holds -------------------------------------------------------------------------------

    @invariant()
    def rooms_and_clients_agree(self) -> None:
        """The rooms know the connections that clients hold, and no others."""
        assert set(self.rooms._places) == set(self.open)
        rooms = self.store._rooms.values()
        seats = [member for room in rooms for member in room.members.values()]
        assert self.rooms.members == len(seats)
        assert sorted(self.open) == sorted(line for member in seats for line in member.lines)

    @invariant()
    def rooms_are_in_order(self) -> None:
        """Two places a room; a queue only behind two; nobody forgotten, nothing without bound."""
        assert self.rooms.rooms <= self.limits.rooms
        for room in self.store._rooms.values():
            assert room.members
            assert len(room.seated()) <= 2
            assert len(room.queued()) <= self.limits.queue
            assert not room.queued() or len(room.seated()) == 2
            assert bool(room.pair()) == (room.tag in self.rooms._family_waits)
            for member in room.members.values():
                graced = (room.tag, member.seat) in self.rooms._graces
                assert graced == (member.line is None)
                assert not graced or member.state is MemberState.MEETING
                assert ((room.tag, member.seat) in self.rooms._meetings) == member.is_between
                assert len(member.lines) <= len(Family)
        assert len(self.rooms._family_waits) <= self.rooms.rooms
        assert len(self.rooms._graces) <= self.rooms.members
        assert len(self.rooms._meetings) <= self.rooms.members

    @invariant()
    def counts_are_exact(self) -> None:
        """Who waits, and how many seats each address has, never more than it may."""
        members = {
            (room.tag, member.seat): member
            for room in self.store._rooms.values()
            for member in room.members.values()
        }
        waiting = [each for each in members.values() if each.state is MemberState.WAITING]
        assert self.rooms.waiting == len(waiting)
        counted = self.rooms._counted
        assert counted.keys() == members.keys()
        for key, member in members.items():
            if member.line is not None:
                seen = [path for line, path in member.paths.values() if line == member.line]
                assert [path.address for path in seen] == [counted[key]]
        addresses = Counter(counted.values())
        assert self.rooms._seats._counts == addresses
        assert all(count <= self.limits.members_per_address for count in addresses.values())

    def teardown(self) -> None:
        """When everybody has gone nothing is left."""
        for connection in list(self.open):
            if connection in self.open:
                del self.open[connection]
                self.follow(self.rooms.lost(connection, self.now))
        self.pass_time(self.limits.grace)
        assert self.rooms.members == self.rooms.rooms == len(self.rooms._places) == 0
        assert len(self.rooms._graces) == len(self.rooms._meetings) == 0
        assert len(self.rooms._family_waits) == self.rooms.waiting == 0
        assert self.rooms.next_deadline() == math.inf
        assert self.rooms.drained == self.draining


TestAnyClients = AnyClients.TestCase
TestAnyClients.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
