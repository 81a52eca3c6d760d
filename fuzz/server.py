"""Whatever clients send and when, a coordinator's answers go by the clients' table, within bounds.

Each pair of bytes is something that happens: a connection opens, bytes arrive on one, it is lost,
time passes, the coordinator stops. Bytes are messages, whole, cut or run together, and garbage. The
connections and the rooms are put together as the coordinator's shell does it.

What holds: nothing is raised; nothing is sent on a connection after it was closed; what is sent has
its place in the client's table; a connection that never made a request is gone in the time of the
handshake; rooms, seats and what is held of unread bytes stay within their limits; when everybody
has left nothing is left.
"""

from __future__ import annotations

import math
from collections import Counter

from simopen.rendezvous.protocol import (
    CLIENT_TRANSITIONS,
    Action,
    ClientState,
    Close,
    CoordinatorLimits,
    CoordinatorMessage,
    Family,
    Hangup,
    Leave,
    Opening,
    Outcome,
    Ping,
    Pong,
    Reply,
    Request,
    Result,
    Rooms,
    Send,
    ServerConnection,
    Settled,
    Step,
    encode_frame,
)
from simopen.rendezvous.protocol._frames import HEADER
from simopen.rendezvous.protocol._limits import LARGEST_FRAME
from tests.rendezvous.protocol.makers import MILK, attach, framed, join, path, probe

LONGEST = 24

_LIMITS = CoordinatorLimits(rooms=2, message_burst=8, members_per_address=2)
_ADDRESSES = 3  # that connections come from in turn, of each family
# Requests that wait for the round trip to be measured: what may come in that time.
_MOST_HELD = _LIMITS.message_burst + _LIMITS.message_rate * _LIMITS.round_trip_wait
_SEATS = (1, 2, 3)
_MOST_MEMBERS = _LIMITS.rooms * (2 + _LIMITS.queue)

_OPENINGS: list[Opening] = [
    *(join(seat, round_) for seat in _SEATS for round_ in (1, 2)),
    *(join(seat, 1, families=(Family.IPV6,)) for seat in _SEATS[:2]),
    *(join(seat, 1, tag=tag) for seat in _SEATS for tag in (MILK, bytes(32))),
    *(attach(seat) for seat in _SEATS),
    *(probe(seat) for seat in _SEATS),
]
_OPENED_BY = {
    encode_frame(opening): state
    for opening in _OPENINGS
    for kind, state in (
        ("join", ClientState.JOINING),
        ("attach", ClientState.ATTACHING),
        ("probe", ClientState.PROBING),
    )
    if opening.__struct_config__.tag == kind
}
_SAID = [
    *_OPENED_BY,
    encode_frame(Settled()),
    encode_frame(Leave()),
    *(
        encode_frame(Result(round=round_, outcome=outcome, elapsed=1.0))
        for round_ in (1, 2)
        for outcome in Outcome
    ),
    encode_frame(Ping(number=1)),
    encode_frame(Pong(number=0)),
    framed(b'{"type":"join","v":2}'),
    framed(b"[" * 99),
    b"\0\0\x20\1",
    b"\0",
]
_GAPS = (0.0, 0.25, 1.0, 5.0, 15.0, 49.0, 50.0)  # seconds

SEEDS = (
    b"\x00\x00\x20\x00\x01\x00\x21\x02",
    b"\x00\x00\x20\x00\x01\x00\x21\x02\x20\x14\x21\x15",
    b"\x00\x00\x20\x06\x05\x00\x21\x07\x80\x01",
    b"\x00\x00\x20\x00\x01\x00\x21\x02\x60\x00\x80\x04",
    b"\x00\x00\x20\x00\x01\x00\x21\x02\x02\x00\x22\x04\x03\x00\x23\x01",
    b"\x08\x00\x28\x00\x80\x02\x10\x00\x22\x0f",
    b"\x00\x00\x40\x00\x80\x03\xa0\x00",
)


class Line:
    """A connection, and its client as the client's table has it."""

    def __init__(self, number: int, how: int, now: float) -> None:
        self.number = number
        family = Family.IPV6 if how & 1 else Family.IPV4
        self.seen = path(number % _ADDRESSES, family=family, round_trip=0.1 if how & 2 else None)
        self.probing = bool(how & 4)
        self.connection = ServerConnection(
            _LIMITS, now=now, probing=self.probing, measuring=bool(how & 8)
        )
        self.state: ClientState | None = None  # unless its first bytes are an opening, whole
        self.spoke = self.asked = self.closed = False
        self.prove_by = now + _LIMITS.handshake

    def takes(self, message: CoordinatorMessage) -> None:
        """The client is told something."""
        assert not self.closed
        if self.state is None or isinstance(message, Ping | Pong):
            return
        assert self.state is not ClientState.ENDED, message
        self.state = CLIENT_TRANSITIONS[self.state, type(message)]


class Coordinator:
    """Connections and rooms, without sockets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rooms = Rooms(_LIMITS, probe_ports=(7338,))
        self.lines: dict[int, Line] = {}
        self.used = 0

    def opens(self, how: int) -> None:
        """A connection is accepted."""
        line = self.lines[self.used] = Line(self.used, how, self.now)
        self.used += 1
        self.do(line, line.connection.start(self.now))

    def arrives(self, line: Line, data: bytes) -> None:
        """Bytes come on a connection."""
        if not line.spoke:
            line.spoke, line.state = True, _OPENED_BY.get(data)
        self.do(line, line.connection.receive(data, self.now))
        assert len(line.connection._reader._buffer) < HEADER.size + LARGEST_FRAME
        assert len(line.connection._held) <= _MOST_HELD

    def do(self, line: Line, steps: list[Step]) -> None:
        """What a connection asks for."""
        for step in steps:
            if line.closed:
                return
            match step:
                case Request(message):
                    line.asked = True
                    self.follow(self.rooms.handle(line.number, line.seen, message, self.now))
                case Reply(told):
                    line.takes(told)
                case Hangup():
                    self.close(line)

    def follow(self, actions: list[Action]) -> None:
        """What the rooms ask for."""
        for action in actions:
            match action:
                case Send(number, message):
                    self.lines[number].takes(message)
                case Close(number):
                    self.close(self.lines[number])

    def close(self, line: Line) -> None:
        """A connection is closed, by whichever side; the rooms are told at once."""
        line.closed = True
        line.connection.end()
        self.lines.pop(line.number)
        self.follow(self.rooms.lost(line.number, self.now))

    def waits(self, seconds: float) -> None:
        """Time passes, with a look at each deadline."""
        end = self.now + seconds
        while (due := self.next_deadline()) <= end:
            self.now = max(due, self.now)
            self.follow(self.rooms.tick(self.now))
            for line in list(self.lines.values()):
                if not line.closed and line.connection.next_deadline() <= self.now:
                    self.do(line, line.connection.tick(self.now))
            assert self.next_deadline() > self.now
        self.now = end

    def next_deadline(self) -> float:
        """When something falls due."""
        lines = (line.connection.next_deadline() for line in self.lines.values())
        return min(self.rooms.next_deadline(), min(lines, default=math.inf))

    def check(self) -> None:
        """What holds at every moment."""
        assert self.rooms.rooms <= _LIMITS.rooms
        assert 0 <= self.rooms.waiting <= self.rooms.members <= _MOST_MEMBERS
        held = Counter(self.rooms._counted.values())
        assert all(count <= _LIMITS.members_per_address for count in held.values())
        assert set(self.rooms._places) <= set(self.lines)
        for line in self.lines.values():
            assert line.asked or self.now < line.prove_by

    def ends(self) -> None:
        """Everybody leaves, and the last grace passes."""
        for line in list(self.lines.values()):
            if not line.closed:
                self.close(line)
        self.waits(_LIMITS.grace)
        assert self.rooms.rooms == self.rooms.members == len(self.rooms._places) == 0
        assert self.rooms.waiting == len(self.rooms._counted) == 0


def check(data: bytes) -> None:
    """Try some bytes."""
    coordinator = Coordinator()
    for at in range(0, len(data) - 1, 2):
        _happen(coordinator, data[at], data[at + 1])
        coordinator.check()
    coordinator.ends()


def _happen(coordinator: Coordinator, kind: int, what: int) -> None:
    which, chosen = kind >> 5, kind & 0x1F
    lines = list(coordinator.lines.values())
    if which == 0:
        coordinator.opens(chosen)
    elif which == 4:
        coordinator.waits(_GAPS[what % len(_GAPS)])
    elif which == 5:
        coordinator.follow(coordinator.rooms.drain(coordinator.now))
    elif lines:
        line, said = lines[chosen % len(lines)], _SAID[what % len(_SAID)]
        if which == 1:
            coordinator.arrives(line, said)
        elif which == 2:
            half = len(said) // 2
            coordinator.arrives(line, said[:half])
            if not line.closed:
                coordinator.arrives(line, said[half:])
        elif which == 3:
            coordinator.close(line)
        elif which == 6:
            coordinator.arrives(line, said + _SAID[(what + chosen) % len(_SAID)])
        else:
            coordinator.arrives(line, said[:-1])
