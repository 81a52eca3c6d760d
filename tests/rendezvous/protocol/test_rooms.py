"""The matching core: who meets whom, and what holds whatever clients do."""

from __future__ import annotations

import itertools
import math
from typing import TypeVar

import pytest

from simopen.rendezvous.protocol import (
    Action,
    Asked,
    Bye,
    Close,
    Code,
    CoordinatorLimits,
    CoordinatorMessage,
    Error,
    Family,
    Hit,
    Introduce,
    Leave,
    Limit,
    Outcome,
    Paired,
    Path,
    Postponed,
    Probed,
    Reject,
    Reported,
    Result,
    Room,
    Rooms,
    RoomStore,
    Send,
    Settled,
    Verdict,
    Welcome,
)
from simopen.rendezvous.protocol._limits import LONGEST_ELAPSED
from simopen.rendezvous.protocol._room import MemoryStore
from simopen.rendezvous.protocol._rooms import STORE_RETRY

from .makers import MILK, TEA, attach, join, offer, path, probe

LIMITS = CoordinatorLimits(rooms=3)
V4, V6 = Family.IPV4, Family.IPV6
S = TypeVar("S", bound=CoordinatorMessage)


class Desk:
    """Rooms, and the actions they ask for, by connection."""

    def __init__(self, limits: CoordinatorLimits = LIMITS, store: RoomStore | None = None) -> None:
        self.rooms = Rooms(limits, probe_ports=(7338,), store=store)
        self.now = 0.0
        self.actions: list[Action] = []
        self._connections = itertools.count(1)

    def ask(self, message: Asked, seen: Path | None = None, *, by: int = 0) -> int:
        """Hand in a message by a connection, a new one unless told; returns it."""
        connection = by or next(self._connections)
        self.actions = self.rooms.handle(connection, seen or path(), message, self.now)
        return connection

    def lose(self, connection: int) -> None:
        """Close a connection from outside."""
        self.actions = self.rooms.lost(connection, self.now)

    def tick(self, now: float) -> None:
        """Let it be that late."""
        self.now = now
        self.actions = self.rooms.tick(now)

    def sent(self, connection: int, kind: type[S]) -> list[S]:
        """The messages of one kind that the last call sent on a connection."""
        return [
            action.message
            for action in self.actions
            if isinstance(action, Send)
            and action.connection == connection
            and isinstance(action.message, kind)
        ]

    def closed(self) -> list[int]:
        """The connections that the last call closed."""
        return [action.connection for action in self.actions if isinstance(action, Close)]

    def hits(self) -> list[Limit]:
        """The limits that the last call hit."""
        return [action.limit for action in self.actions if isinstance(action, Hit)]

    def code(self, connection: int) -> Code:
        """The code with which the last call turned a connection away; it must close it too."""
        assert connection in self.closed()
        rejects, errors = self.sent(connection, Reject), self.sent(connection, Error)
        (code,) = [each.code for each in rejects] + [each.code for each in errors]
        return code

    def meeting(self) -> tuple[int, int]:
        """Two members who have been introduced to each other."""
        first, second = self.ask(join(1), path(1)), self.ask(join(2), path(2))
        assert self.sent(first, Introduce)
        return first, second

    def report(self, connection: int, outcome: Outcome, round_: int = 1) -> None:
        """Report a round."""
        self.ask(Result(round=round_, outcome=outcome, elapsed=0.1), by=connection)


# -- meeting --------------------------------------------------------------------------------------


def test_two_members_are_introduced() -> None:
    """Each is told the other's endpoint and offer, the nearer one the delay; nobody else."""
    desk = Desk()
    near = desk.ask(join(1), path(1, round_trip=0.02))
    assert desk.actions == [
        Send(near, Welcome(observed="203.0.113.1:40000", probe=(7338,), idle=LIMITS.idle))
    ]
    desk.now = 3.0
    far = desk.ask(join(2), path(2, round_trip=0.06))
    told: dict[str, object] = {
        "round": 1,
        "mapping": Verdict.UNKNOWN,
        "peer_mapping": Verdict.UNKNOWN,
    }
    (to_near,), (to_far,) = desk.sent(near, Introduce), desk.sent(far, Introduce)
    assert to_near.delay == pytest.approx(0.02)
    assert to_far.delay == 0
    assert (to_near.observed, to_near.offer) == (("203.0.113.2:40000",), offer(2))
    assert (to_far.observed, to_far.offer) == (("203.0.113.1:40000",), offer(1))
    for introduction in (to_near, to_far):
        assert (
            told.items()
            <= {
                name: getattr(introduction, name) for name in introduction.__struct_fields__
            }.items()
        )
    assert desk.actions[-1] == Paired(round=1, waited=3.0)


def test_rooms_are_apart() -> None:
    """Members of different rooms never meet, and a seat's name means nothing in another room."""
    desk = Desk()
    for number, tag in ((1, TEA), (2, MILK), (1, MILK)):
        desk.ask(join(number, tag=tag), path(number))
    assert desk.rooms.rooms == 2
    assert desk.rooms.members == 3
    introduced = [each for each in desk.actions if isinstance(each, Send)]
    assert [each.connection for each in introduced] == [3, 2, 3]


def test_success_empties_the_room() -> None:
    """Whoever reports ok has left; both: nothing is left."""
    desk = Desk()
    first, second = desk.meeting()
    desk.report(first, Outcome.OK)
    assert desk.actions == [Reported(Outcome.OK, 0.1), Close(first)]
    desk.report(second, Outcome.OK)
    assert desk.rooms.members == desk.rooms.rooms == 0


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.AUTH_FAILED])
def test_a_failed_round_is_followed_by_another(outcome: Outcome) -> None:
    """With fresh joins on fresh connections; the old ones are told after the welcome."""
    desk = Desk()
    old = desk.meeting()
    for connection in old:
        desk.report(connection, outcome)
        assert desk.actions == [Reported(outcome, 0.1)]
    first = desk.ask(join(1, 2), path(1, port=40001))
    assert [type(getattr(each, "message", each)) for each in desk.actions] == [
        Welcome,
        Error,
        Close,
    ]
    assert desk.code(old[0]) is Code.REPLACED
    second = desk.ask(join(2, 2), path(2, port=40001))
    (introduction,) = desk.sent(first, Introduce)
    assert introduction.round == 2
    assert introduction.offer == offer(2, 2)
    assert introduction.observed == ("203.0.113.2:40001",)
    assert desk.sent(second, Introduce)


def test_a_member_may_be_ahead() -> None:
    """One whose round failed first waits for the other, whose own result is still to come."""
    desk = Desk()
    first, second = desk.meeting()
    fresh = desk.ask(join(1, 2), path(1))
    assert desk.code(first) is Code.REPLACED
    assert not desk.sent(fresh, Introduce)
    desk.report(second, Outcome.FAILED)
    desk.ask(join(2, 2), path(2))
    assert desk.sent(fresh, Introduce)


def test_an_offer_is_introduced_once() -> None:
    """A join with a round that has been introduced, or an older one, is stale."""
    desk = Desk()
    first, _ = desk.meeting()
    assert desk.code(desk.ask(join(1, 1), path(1))) is Code.STALE
    desk.report(first, Outcome.FAILED)
    assert desk.code(desk.ask(join(1, 1), path(1))) is Code.STALE
    fresh = desk.ask(join(1, 5), path(1))
    assert desk.sent(fresh, Welcome)
    assert desk.code(desk.ask(join(1, 4), path(1))) is Code.STALE


def test_a_cut_client_takes_its_seat_again() -> None:
    """Its new connection replaces the one that nobody knows to be dead, whose end is no news."""
    desk = Desk()
    dead = desk.ask(join(1), path(1))
    alive = desk.ask(join(1), path(1, port=50000))
    assert desk.code(dead) is Code.REPLACED
    desk.lose(dead)
    assert desk.actions == []
    desk.ask(join(2), path(2))
    assert desk.sent(alive, Introduce)


@pytest.mark.parametrize("result", [Result(round=2, outcome=Outcome.OK, elapsed=1.0)])
def test_results_of_other_rounds_mean_nothing(result: Result) -> None:
    """Neither an introduction that never was nor a second report changes anything."""
    desk = Desk()
    first, _ = desk.meeting()
    desk.ask(result, by=first)
    assert desk.actions == []
    desk.report(first, Outcome.FAILED)
    desk.report(first, Outcome.OK)
    assert desk.actions == []
    assert desk.rooms.members == 2


def test_reported_times_are_clamped() -> None:
    """A client cannot spoil the metrics with a number."""
    desk = Desk()
    first, _ = desk.meeting()
    desk.ask(Result(round=1, outcome=Outcome.FAILED, elapsed=1e300), by=first)
    assert desk.actions == [Reported(Outcome.FAILED, LONGEST_ELAPSED)]


# -- families -------------------------------------------------------------------------------------


def test_a_family_in_common_is_enough() -> None:
    """Nobody waits for more."""
    desk = Desk()
    desk.ask(join(1, families=(V6,)), path(1))
    second = desk.ask(join(2, families=(V6,)), path(2))
    assert desk.sent(second, Introduce)


def test_members_of_two_families_wait_for_the_attach() -> None:
    """They are introduced with all endpoints, IPv4 first, as soon as one is in common."""
    desk = Desk()
    first = desk.ask(join(1, families=(V4,)), path(1, family=V6))
    second = desk.ask(join(2), path(2))
    assert not desk.sent(second, Introduce)
    assert desk.rooms.next_deadline() == LIMITS.family_wait
    attached = desk.ask(attach(1), path(1, port=40001))
    assert desk.sent(attached, Welcome)
    (introduction,) = desk.sent(second, Introduce)
    assert introduction.observed == ("203.0.113.1:40001", "[2001:db8::1]:40000")
    assert desk.sent(first, Introduce)
    assert desk.rooms.next_deadline() == LIMITS.meeting


def test_members_of_two_families_wait_no_longer_than_a_moment() -> None:
    """Then what they offer each other may still do."""
    desk = Desk()
    first = desk.ask(join(1, families=(V4,)), path(1, family=V6))
    desk.now = 5.0
    desk.ask(join(2), path(2))
    desk.tick(5 + LIMITS.family_wait - 0.001)
    assert desk.actions == []
    desk.tick(5 + LIMITS.family_wait)
    assert desk.sent(first, Introduce)
    assert desk.hits() == [Limit.FAMILY_WAIT]
    assert desk.rooms.next_deadline() == 5 + LIMITS.family_wait + LIMITS.meeting


def test_members_of_two_families_without_more_to_come_meet_at_once() -> None:
    """Waiting would bring nothing; settling says so where the join did not."""
    desk = Desk()
    first = desk.ask(join(1, families=(V4,)), path(1, family=V6))
    desk.ask(join(2), path(2))
    assert desk.actions[1:] == []
    desk.ask(Settled(), by=first)
    assert desk.sent(first, Introduce)


def test_a_wait_for_a_family_ends_with_its_pair() -> None:
    """When one of the two leaves nobody is left to be woken for."""
    desk = Desk()
    first = desk.ask(join(1, families=(V4,)), path(1, family=V6))
    desk.ask(join(2), path(2))
    desk.ask(Leave(), by=first)
    assert desk.rooms.next_deadline() == math.inf


def test_an_attach_needs_a_seat() -> None:
    """Nobody attaches to a seat, or in a room, that is not there."""
    desk = Desk()
    assert desk.code(desk.ask(attach(1), path(1, family=V6))) is Code.SEAT
    desk.ask(join(1), path(1))
    assert desk.code(desk.ask(attach(2), path(1, family=V6))) is Code.SEAT
    assert desk.code(desk.ask(attach(1, tag=MILK), path(1, family=V6))) is Code.SEAT


def test_an_attach_replaces_an_attach_but_not_the_join() -> None:
    """The seat lives by the connection that joined."""
    desk = Desk()
    joined = desk.ask(join(1), path(1))
    assert desk.code(desk.ask(attach(1), path(1))) is Code.UNEXPECTED
    old = desk.ask(attach(1), path(1, family=V6))
    new = desk.ask(attach(1), path(1, family=V6, port=40001))
    assert desk.code(old) is Code.REPLACED
    desk.lose(new)
    assert desk.actions == []
    desk.ask(attach(1), path(1, family=V6))
    desk.lose(joined)
    assert desk.closed() == [new + 1]


def test_a_lost_attach_takes_its_endpoint_along() -> None:
    """The peer is told only of endpoints that still have a connection behind them."""
    desk = Desk()
    desk.ask(join(1), path(1))
    attached = desk.ask(attach(1), path(1, family=V6))
    desk.lose(attached)
    second = desk.ask(join(2), path(2))
    assert desk.sent(second, Introduce)[0].observed == ("203.0.113.1:40000",)


# -- probes ---------------------------------------------------------------------------------------


def test_probes_make_the_verdict() -> None:
    """The same endpoint seen from the second port is a stable mapping, another is not."""
    desk = Desk()
    first = desk.ask(join(1), path(1))
    desk.ask(join(2, tag=MILK), path(2))
    asked = desk.ask(probe(1), path(1))
    assert desk.actions == [Send(asked, Probed(observed="203.0.113.1:40000")), Close(asked)]
    desk.ask(probe(2, tag=MILK), path(2, port=40001))
    desk.ask(probe(2, tag=MILK), path(2))
    second = desk.ask(join(3, tag=MILK), path(3))
    assert desk.sent(second, Introduce)[0].peer_mapping is Verdict.VARIES
    desk.ask(join(4), path(4))
    (introduction,) = desk.sent(first, Introduce)
    assert (introduction.mapping, introduction.peer_mapping) == (Verdict.STABLE, Verdict.UNKNOWN)


def test_a_verdict_outlives_the_round() -> None:
    """Until the fresh port is probed, which is too late for whoever joins last."""
    desk = Desk()
    first, second = desk.meeting()
    desk.ask(probe(1), path(1, port=40001))
    desk.report(first, Outcome.FAILED)
    desk.report(second, Outcome.FAILED)
    fresh = desk.ask(join(1, 2), path(1))
    desk.ask(join(2, 2), path(2))
    assert desk.sent(fresh, Introduce)[0].mapping is Verdict.VARIES


@pytest.mark.parametrize("ports", [(40000,), (40000, 40001), (40001, 40000)])
def test_probes_of_a_fresh_port_make_a_fresh_verdict(ports: tuple[int, ...]) -> None:
    """The last round's port counts no more; of one round any probe that differs does."""
    for earlier in (40000, 40001):
        desk = Desk()
        first, second = desk.meeting()
        desk.ask(probe(1), path(1, port=earlier))
        desk.report(first, Outcome.FAILED)
        desk.report(second, Outcome.FAILED)
        fresh = desk.ask(join(1, 2), path(1))
        for port in ports:
            desk.ask(probe(1), path(1, port=port))
        desk.ask(join(2, 2), path(2))
        expected = Verdict.STABLE if ports == (40000,) else Verdict.VARIES
        assert desk.sent(fresh, Introduce)[0].mapping is expected


def test_a_probe_of_another_family_is_no_verdict() -> None:
    """There is nothing to compare it with; and without a seat there is no answer."""
    desk = Desk()
    first = desk.ask(join(1), path(1))
    desk.ask(probe(1), path(1, family=V6))
    assert desk.code(desk.ask(probe(2), path(1))) is Code.SEAT
    desk.ask(join(2), path(2))
    assert desk.sent(first, Introduce)[0].mapping is Verdict.UNKNOWN


# -- places ---------------------------------------------------------------------------------------


def test_newcomers_queue_while_two_meet() -> None:
    """As many as may; who is next takes the place that falls free, whose is whose is no matter."""
    desk = Desk()
    first, second = desk.meeting()
    queued = [desk.ask(join(number), path(number)) for number in (3, 4)]
    assert desk.sent(queued[1], Welcome)
    assert desk.code(desk.ask(join(5), path(5))) is Code.ROOM_FULL
    assert desk.hits() == [Limit.QUEUE]
    desk.report(first, Outcome.OK)
    assert not desk.sent(queued[0], Introduce)
    desk.report(second, Outcome.OK)
    assert [len(desk.sent(each, Introduce)) for each in queued] == [1, 1]


def test_the_queue_ends_when_the_old_two_meet_again() -> None:
    """There is no place for anybody else then."""
    desk = Desk()
    first, second = desk.meeting()
    queued = desk.ask(join(3), path(3))
    attached = desk.ask(attach(3), path(3, family=V6))
    desk.report(first, Outcome.FAILED)
    desk.report(second, Outcome.FAILED)
    desk.ask(join(1, 2), path(1))
    assert queued not in desk.closed()
    desk.ask(join(2, 2), path(2))
    assert desk.code(queued) is desk.code(attached) is Code.ROOM_FULL
    assert desk.hits() == [Limit.MEMBERS_PER_ROOM]
    assert desk.rooms.members == 2


def test_no_queue_where_nobody_meets() -> None:
    """Two who are between rounds keep their room."""
    desk = Desk()
    first, second = desk.meeting()
    desk.report(first, Outcome.FAILED)
    desk.report(second, Outcome.FAILED)
    assert desk.code(desk.ask(join(3), path(3))) is Code.ROOM_FULL
    assert desk.hits() == [Limit.MEMBERS_PER_ROOM]


def test_a_third_is_told() -> None:
    """While two wait for their families, nobody else has a place."""
    desk = Desk()
    first = desk.ask(join(1, families=(V4,)), path(1, family=V6))
    desk.ask(join(2), path(2))
    assert desk.code(desk.ask(join(3), path(3))) is Code.ROOM_FULL
    assert desk.hits() == [Limit.MEMBERS_PER_ROOM]
    desk.ask(attach(1), path(1))
    assert desk.sent(first, Introduce)


def test_a_limit_on_rooms() -> None:
    """One more is rejected; those that are there are served on."""
    desk = Desk()
    for number in range(LIMITS.rooms):
        desk.ask(join(1, tag=bytes([number]) * 32), path(1))
    assert desk.code(desk.ask(join(1, tag=TEA), path(1))) is Code.ROOMS_FULL
    assert desk.hits() == [Limit.ROOMS]
    second = desk.ask(join(2, tag=bytes(32)), path(2))
    assert desk.sent(second, Introduce)


def test_so_many_members_of_an_address() -> None:
    """One more is told so, in whatever room; who has a seat can join again, or give it up."""
    desk = Desk(CoordinatorLimits(members_per_address=2))
    first = desk.ask(join(1), path(1, port=40001))
    desk.ask(join(2, tag=MILK), path(1, port=40002))
    assert desk.code(desk.ask(join(3), path(1, port=40003))) is Code.RATE
    assert desk.hits() == [Limit.MEMBERS_PER_ADDRESS]
    assert desk.rooms.members == 2
    again = desk.ask(join(1, 2), path(1, port=40004))
    assert desk.sent(again, Welcome)
    assert desk.code(first) is Code.REPLACED
    assert desk.sent(desk.ask(join(4), path(2)), Welcome)
    desk.ask(Leave(), by=again)
    assert desk.sent(desk.ask(join(3), path(1)), Welcome)


def test_a_seat_without_a_connection_counts() -> None:
    """Whoever meets and hangs up has its seat for the grace, and is no newcomer's room."""
    desk = Desk(CoordinatorLimits(members_per_address=1))
    desk.lose(desk.meeting()[0])
    assert desk.code(desk.ask(join(3, tag=MILK), path(1))) is Code.RATE
    desk.tick(LIMITS.grace)
    assert desk.sent(desk.ask(join(3, tag=MILK), path(1)), Welcome)


def test_a_member_is_counted_where_it_joined_last() -> None:
    """It moves to a new address if there is room for it there; else it stays as it was."""
    desk = Desk(CoordinatorLimits(members_per_address=1))
    first = desk.ask(join(1), path(1))
    desk.ask(join(2, tag=MILK), path(2))
    assert desk.code(desk.ask(join(1, 2), path(2))) is Code.RATE
    assert first not in desk.closed()
    assert desk.sent(desk.ask(join(1, 2), path(3)), Welcome)
    assert desk.sent(desk.ask(join(4, tag=MILK), path(1)), Welcome)


def test_an_ipv6_customer_has_one_address() -> None:
    """A /64 counts as one, and the next one as another."""
    desk = Desk(CoordinatorLimits(members_per_address=1))
    desk.ask(join(1), Path(V6, "[2001:db8::1]:40000"))
    neighbour = Path(V6, "[2001:db8::ffff:1]:40000")
    assert desk.code(desk.ask(join(2), neighbour)) is Code.RATE
    assert desk.sent(desk.ask(join(3), Path(V6, "[2001:db8:0:1::1]:40000")), Welcome)


def test_who_waits_is_counted() -> None:
    """Apart from those who meet, are between rounds or have no place."""
    desk = Desk()
    counts = []
    first = desk.ask(join(1), path(1))
    counts.append(desk.rooms.waiting)
    second = desk.ask(join(2), path(2))
    desk.ask(join(3), path(3))
    counts.append(desk.rooms.waiting)
    desk.report(first, Outcome.FAILED)
    counts.append(desk.rooms.waiting)
    desk.report(second, Outcome.OK)
    counts.append(desk.rooms.waiting)
    assert counts == [1, 0, 0, 1]


# -- losses ---------------------------------------------------------------------------------------


def test_who_waits_leaves_with_its_connection() -> None:
    """The room is free again at once."""
    desk = Desk()
    first = desk.ask(join(1), path(1))
    desk.lose(first)
    assert desk.rooms.members == desk.rooms.rooms == 0


def test_who_meets_is_given_grace() -> None:
    """It may have lost the coordinator alone, and comes back; or it does not."""
    desk = Desk()
    first, second = desk.meeting()
    desk.lose(first)
    desk.lose(second)
    assert desk.rooms.members == 2
    assert desk.rooms.next_deadline() == LIMITS.grace
    desk.now = 1.0
    fresh = desk.ask(join(1, 2), path(1))
    desk.tick(LIMITS.grace)
    assert desk.rooms.members == 1
    assert desk.hits() == [Limit.GRACE]
    assert desk.rooms.next_deadline() == math.inf
    desk.ask(join(3), path(3))
    assert desk.sent(fresh, Introduce)


@pytest.mark.parametrize("reports", [False, True])
def test_a_meeting_has_an_end(*, reports: bool) -> None:
    """Who neither reports success nor joins again loses its seat, however long it stays."""
    desk = Desk()
    first, second = desk.meeting()
    attached = desk.ask(attach(1), path(1, family=V6))
    if reports:
        desk.report(first, Outcome.FAILED)
    desk.report(second, Outcome.OK)
    desk.tick(LIMITS.meeting - 0.001)
    assert desk.actions == []
    assert desk.rooms.next_deadline() == LIMITS.meeting
    desk.tick(LIMITS.meeting)
    assert desk.hits() == [Limit.MEETING]
    assert desk.code(first) is desk.code(attached) is Code.TIMEOUT
    assert desk.rooms.members == desk.rooms.rooms == 0
    assert desk.rooms.next_deadline() == math.inf


def test_a_meeting_ends_with_a_join() -> None:
    """Who waits again waits as long as it likes; the next introduction begins the time anew."""
    desk = Desk()
    _, second = desk.meeting()
    fresh = desk.ask(join(1, 2), path(1))
    desk.report(second, Outcome.OK)
    assert desk.rooms.next_deadline() == math.inf
    desk.now = 1000.0
    desk.ask(join(3), path(3))
    assert desk.sent(fresh, Introduce)
    assert desk.rooms.next_deadline() == 1000 + LIMITS.meeting


def test_unknown_connections_mean_nothing() -> None:
    """What was closed before, or never was, may be lost, report, settle and leave in vain."""
    desk = Desk()
    first, _ = desk.meeting()
    desk.report(first, Outcome.OK)
    for message in (Leave(), Settled(), Result(round=1, outcome=Outcome.OK, elapsed=0.0)):
        desk.ask(message, by=first)
        assert desk.actions == []
    desk.lose(first)
    desk.lose(99)
    assert desk.actions == []


# -- a store that raises --------------------------------------------------------------------------


class Store(MemoryStore):
    """Cannot be reached while it is away, nor written to while it is full."""

    away = False
    full = False

    def get(self, tag: bytes) -> Room | None:
        """The room of that tag, or None."""
        if self.away:
            raise ConnectionError("the store is away")
        return super().get(tag)

    def put(self, room: Room) -> None:
        """Keep a room, new or changed."""
        if self.full:
            raise OSError("the store is full")
        super().put(room)


class StoredDesk(Desk):
    """A desk whose store may be away."""

    def __init__(self) -> None:
        self.store = Store()
        super().__init__(store=self.store)

    def postponed(self) -> int:
        """How much the last call could not do."""
        return sum(isinstance(each, Postponed) for each in self.actions)


def test_what_is_due_waits_for_the_store() -> None:
    """A wait for a family, a grace and a meeting end when the store is back, and no sooner."""
    desk = StoredDesk()
    first, second = desk.meeting()
    desk.lose(first)
    waiting = desk.ask(join(1, tag=MILK, families=(V4,)), path(1, family=V6))
    desk.ask(join(2, tag=MILK), path(2))
    desk.store.away = True
    desk.tick(LIMITS.meeting)
    assert desk.postponed() == len(desk.actions) == 4  # as two meetings and one grace are due
    desk.tick(desk.rooms.next_deadline())
    assert desk.now == LIMITS.meeting + STORE_RETRY
    assert desk.postponed() == len(desk.actions) == 4
    desk.store.away = False
    desk.tick(desk.rooms.next_deadline())
    assert sorted(desk.hits()) == [Limit.FAMILY_WAIT, Limit.MEETING, Limit.MEETING]
    assert desk.sent(waiting, Introduce)
    assert desk.code(second) is Code.TIMEOUT
    assert desk.rooms.members == 2


def test_a_loss_waits_for_the_store() -> None:
    """The seat of a connection that was lost meanwhile is free once the store is back."""
    desk = StoredDesk()
    first = desk.ask(join(1), path(1))
    desk.store.away = True
    desk.lose(first)
    assert desk.postponed() == 1
    desk.store.away = False
    desk.tick(STORE_RETRY)
    assert desk.rooms.members == desk.rooms.rooms == 0
    assert desk.rooms.next_deadline() == math.inf


def test_what_has_changed_meanwhile_is_not_done() -> None:
    """A seat that was taken again while its loss or its grace waited for the store stays."""
    desk = StoredDesk()
    first, second = desk.meeting()
    desk.lose(first)
    desk.store.away = True
    desk.lose(second)
    desk.tick(LIMITS.grace)
    assert desk.postponed() == 2
    desk.store.away = False
    fresh = desk.ask(join(1, 2), path(1))
    again = desk.ask(join(2, 2), path(2))
    assert desk.sent(fresh, Introduce)
    desk.tick(LIMITS.grace + STORE_RETRY)
    assert desk.actions == []
    assert desk.rooms.members == 2
    desk.lose(again)
    assert desk.rooms.next_deadline() == desk.now + LIMITS.grace


def test_a_join_that_cannot_be_kept() -> None:
    """It was never there: no seat, no address and no place counts it."""
    desk = StoredDesk()
    desk.store.full = True
    with pytest.raises(OSError, match="full"):
        desk.ask(join(1), path(1))
    assert desk.rooms.members == desk.rooms.waiting == len(desk.rooms._places) == 0
    desk.store.full = False
    first = desk.ask(join(1), path(1))
    assert (desk.rooms.members, desk.rooms.waiting) == (1, 1)
    desk.lose(first)
    assert desk.rooms.members == desk.rooms.waiting == 0


def test_a_room_that_the_store_has_lost() -> None:
    """Nothing is tried again for it, and nobody who was in it is counted any more."""
    desk = StoredDesk()
    first, second = desk.meeting()
    desk.lose(first)
    desk.store.discard(TEA)
    desk.lose(second)
    desk.tick(LIMITS.meeting)
    assert desk.actions == []
    assert desk.rooms.next_deadline() == math.inf
    assert desk.rooms.members == 0


def test_a_seat_that_the_store_has_lost() -> None:
    """Who asks from it is told nothing, and the error does not name it."""
    desk = StoredDesk()
    first, _ = desk.meeting()
    room = desk.store.get(TEA)
    assert room is not None
    room.members.clear()
    with pytest.raises(LookupError, match="the store has lost a seat"):
        desk.ask(Settled(), by=first)


def test_a_join_that_cannot_be_kept_beside_somebody() -> None:
    """Where the store gives out its own rooms it has come in, uncounted; then it goes like that."""
    desk = StoredDesk()
    first = desk.ask(join(1), path(1))
    desk.store.full = True
    with pytest.raises(OSError, match="full"):
        desk.ask(join(2), path(1))
    desk.store.full = False
    desk.tick(LIMITS.meeting)
    assert desk.postponed() == 0
    assert desk.rooms.members == 0
    desk.lose(first)


# -- stopping -------------------------------------------------------------------------------------


def test_draining() -> None:
    """Who waits is dismissed, who comes is rejected, who meets has a while to report."""
    desk = Desk()
    waiting = desk.ask(join(1, tag=MILK), path(1))
    attached = desk.ask(attach(1, tag=MILK), path(1, family=V6))
    first, second = desk.meeting()
    queued = desk.ask(join(3), path(3))
    desk.actions = desk.rooms.drain(desk.now)
    assert sorted(desk.closed()) == [waiting, attached, queued]
    assert desk.hits() == []
    assert all(desk.sent(each, Bye) for each in (waiting, attached, queued))
    assert desk.code(desk.ask(join(9), path(9))) is Code.SHUTTING_DOWN
    desk.report(first, Outcome.FAILED)
    assert desk.sent(first, Bye)
    assert not desk.rooms.drained
    desk.tick(LIMITS.drain)
    assert desk.sent(second, Bye)
    assert desk.closed() == [second]
    assert desk.hits() == [Limit.DRAIN]
    assert desk.rooms.drained
    assert desk.rooms.rooms == 0
    assert desk.rooms.next_deadline() == math.inf


def test_nothing_secret_in_a_repr() -> None:
    """Seats, tags and offers do not show in rooms or members, nor in the actions."""
    desk = Desk()
    desk.meeting()
    told = repr([desk.actions, Room(TEA), desk.rooms])
    assert not any(word in told for word in ("ttt", "\\x00", "b'"))
