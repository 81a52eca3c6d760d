"""Whatever a coordinator says and when, a client's conversation goes by its table and ends once.

The first byte tells what opens the conversation; then each byte is something that happens: a
message, whole or cut, garbage, time that passes, a word of our own. Only WireError is raised, an
introduction comes once at most and within bounds, and nothing happens after the end.
"""

from __future__ import annotations

import math
from typing import Any

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    SERVER_TRANSITIONS,
    Bye,
    ClientConversation,
    ClientEvent,
    Code,
    Dismissed,
    Error,
    Failed,
    FrameReader,
    Introduce,
    Introduced,
    Lost,
    Opening,
    Outcome,
    Ping,
    Pong,
    ProbeAnswered,
    Probed,
    Reject,
    Rejected,
    ServerState,
    Welcome,
    Welcomed,
    WireError,
    encode_frame,
)
from simopen.rendezvous.protocol._limits import (
    LONGEST_DELAY,
    LONGEST_PING_INTERVAL,
    WELCOME_TIMEOUT,
)
from tests.rendezvous.protocol.makers import attach, framed, join, offer, probe

LONGEST = 16

_OPENINGS: list[Opening] = [join(), attach(), probe()]
_ENDINGS = (Rejected, Failed, Dismissed, Lost, ProbeAnswered)


def _introduce(delay: float) -> bytes:
    message = Introduce(round=1, delay=delay, observed=("192.0.2.1:4000",), offer=offer(2))
    return encode_frame(message)


_ARRIVES = [
    encode_frame(Welcome(observed="192.0.2.7:4000", probe=(7338,), idle=50)),
    encode_frame(Welcome(observed="[2001:db8::7]:4000", idle=1)),
    _introduce(0.5),
    _introduce(-1e300),
    _introduce(1e300),
    encode_frame(Probed(observed="192.0.2.7:4000")),
    encode_frame(Reject(code=Code.ROOM_FULL, message="\x1b[2J\u202e")),
    encode_frame(Error(code=Code.IDLE, message="x" * 200)),
    encode_frame(Bye()),
    encode_frame(Ping(number=7)),
    encode_frame(Pong(number=1)),
    framed(b'{"type":"welcome","observed":"x","idle":0}'),
    b"\xff\xff\xff\xff",
    b"",
]
_GAPS = [0.0, 0.4, 1.0, 9.0, 10.0, 12.5, 25.0, 60.0]  # seconds
_WORDS = ("settle", "result", "leave", "nothing")

SEEDS = (
    b"\0\x00\x02\x31\x29",
    b"\0\x01\x43\x09\x40\x04",
    b"\0\x80\x81\x08\x02",
    b"\1\x00\x45\x06",
    b"\2\x05\x05",
    b"\0\x46\x46\x00",
    b"\0\x00\x0d\x30",
    b"\0\x00\x02\x02",
)


class Talk:
    """One conversation and what has to hold for it."""

    def __init__(self, opening: Opening) -> None:
        self.now = 0.0
        self.client = ClientConversation(opening, now=0.0)
        self.joined = opening is _OPENINGS[0]
        self.welcome_by = WELCOME_TIMEOUT
        self.welcomed = self.introduced = self.over = False
        self.server = ServerState.PROBING if opening is _OPENINGS[2] else ServerState.NEW
        self.reader: FrameReader[Any] = FrameReader(CLIENT_MESSAGES)

    def arrive(self, data: bytes) -> None:
        """Bytes, or the end of the stream."""
        try:
            self.follow(self.client.receive(data, self.now))
        except WireError:
            assert not self.over
            self.over = True

    def cut(self, data: bytes) -> None:
        """Bytes in two pieces."""
        for part in (data[: len(data) // 3], data[len(data) // 3 :]):
            if part:
                self.arrive(part)

    def wait(self, seconds: float) -> None:
        """Time passes, with a look at each deadline."""
        end = self.now + seconds
        while (due := self.client.next_deadline()) <= end:
            self.now = max(due, self.now)
            self.follow(self.client.tick(self.now))
            assert self.client.next_deadline() > self.now
        self.now = end
        assert self.over or self.welcomed or self.now < self.welcome_by

    def say(self, word: str) -> None:
        """A word of our own."""
        try:
            match word:
                case "settle":
                    self.client.settle()
                case "result":
                    self.client.result(Outcome.OK, elapsed=1e9)
                case "leave":
                    self.client.leave()
                    self.over = True
        except LookupError:
            assert not self.joined or (word == "result" and not self.introduced)

    def follow(self, events: list[ClientEvent]) -> None:
        """Take the events of one call."""
        for event in events:
            assert not self.over
            match event:
                case Welcomed():
                    assert not self.welcomed
                    self.welcomed = True
                case Introduced():
                    assert self.welcomed
                    assert not self.introduced
                    assert 0 <= event.delay <= LONGEST_DELAY
                    self.introduced = True
                case Rejected() | Failed():
                    assert event.message.isprintable()
            self.over = isinstance(event, _ENDINGS)

    def check(self) -> None:
        """What holds at every moment."""
        assert self.client.ended == self.over
        due = self.client.next_deadline()
        assert due == math.inf if self.over else due <= self.now + LONGEST_PING_INTERVAL
        for message in self.reader.feed(self.client.data_to_send()):
            if not isinstance(message, Ping | Pong):
                self.server = SERVER_TRANSITIONS[self.server, type(message)]


def check(data: bytes) -> None:
    """Try some bytes."""
    if not data:
        return
    talk = Talk(_OPENINGS[data[0] % len(_OPENINGS)])
    talk.check()
    for byte in data[1:]:
        kind, what = byte >> 6, byte & 0x3F
        if kind == 0 and what < 0x20:
            talk.arrive(_ARRIVES[what % len(_ARRIVES)])
        elif kind == 0:
            talk.say(_WORDS[what % len(_WORDS)])
        elif kind == 1:
            talk.wait(_GAPS[what % len(_GAPS)])
        elif kind == 2:
            talk.cut(_ARRIVES[what % len(_ARRIVES)])
        else:
            first, second = _ARRIVES[what % len(_ARRIVES)], _ARRIVES[what // 8]
            talk.arrive(first + second)
        talk.check()
