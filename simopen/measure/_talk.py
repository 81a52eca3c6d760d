"""What the two sides say to each other over a stream, once it has been timed.

Theory of operation
===================

The streams of the trials are all that connects the two hosts, so each carries what is to be told:

1. Both say who they are (:class:`Hello`), what became of the trials that the other has not heard of
   (:class:`Outcome`), and that this is all (:class:`Told`).
2. The one that leads, whose name in the ``Hello`` is the smaller, sends a :class:`Ping` at a time,
   and times the :class:`Pong`.
3. It says which ping was back soonest, and how long after that one the next trial begins
   (:class:`Go`). The other one took that ping's moment when it came, the leading one takes the
   middle between ping and pong; so both mean the same moment, but for half the difference between
   the two ways, and a packet that was lost or late spoils nothing.
4. :class:`Agreed` ends it.

A message is its length in four bytes and then JSON.

States
======

========  =============================================  ==========================
state     meaning                                        left by
========  =============================================  ==========================
TELLING   the other side has not told all                Told
PINGING   the round trip is being taken                  Go, or Agreed for it
AGREED    both know the next trial's begin (final)
========  =============================================  ==========================

Invariants
==========

- Whatever arrives is taken in or raises :class:`TalkError`; nothing is kept of it but messages
  that are complete, and less than one more, of ``MOST_IN_ALL`` bytes together.
- ``proven`` is only ever true when bytes have crossed both ways.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec

from simopen._errors import RemoteProtocolError, UsageError

from ._records import Count, Offset, Seconds, Side, Word

VERSION = 1  # of what is said here
MOST_BYTES = 65_536  # of a message; an outcome with all its events has some 10,000
MOST_IN_ALL = 1 << 24  # bytes of a talk; 10,000 outcomes without events have 6,000,000
MOST_SAID = 100  # settings of an environment
PINGS = 4  # by which both agree on a moment
LONGEST_AFTER = 60.0  # seconds that a beginning may be away
START_AFTER = 0.2  # seconds, and two round trips, from the agreement to the next trial
_LENGTH = 4  # bytes


Setting: TypeAlias = Word | Count | None
Environment: TypeAlias = Annotated[
    dict[Word, Setting | Annotated[dict[Word, Setting], msgspec.Meta(max_length=MOST_SAID)]],
    msgspec.Meta(max_length=MOST_SAID),
]


class TalkError(RemoteProtocolError):
    """What came over the stream is not what the other side would say."""


class DifferentParametersError(UsageError):
    """The two sides were not started with the same options."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What must be the same on both sides.

    Attributes:
        mode: ``"rendezvous"`` or ``"direct"``.
        trials: How many.
        timeout: Seconds for each.
        skews: Seconds between the starts.
    """

    mode: Word
    trials: Count
    timeout: Seconds
    skews: Annotated[tuple[Seconds, ...], msgspec.Meta(max_length=16)]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", tag="hello"):
    """Who is here.

    Attributes:
        version: ``VERSION``.
        half: The side's half of the run's name, drawn anew for each run.
        number: The trial that has opened the stream.
        parameters: What was asked for.
        label: The host's name.
        environment: What it is.
    """

    version: int = VERSION
    half: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    number: Count
    parameters: Parameters
    label: Word
    environment: Environment


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", tag="outcome"):
    """What became of a trial at the side that says so.

    Attributes:
        number: The trial's.
        epoch: The trial whose stream has agreed on the moment that ``began`` counts from.
        began: Seconds from that moment to the side's start.
        side: The rest.
    """

    number: Count
    epoch: Count
    began: Offset
    side: Side


class Told(msgspec.Struct, frozen=True, tag_field="say", tag="told"):
    """That was all."""


class Ping(msgspec.Struct, frozen=True, tag_field="say", tag="ping"):
    """Answer at once."""

    index: Count


class Pong(msgspec.Struct, frozen=True, tag_field="say", tag="pong"):
    """The answer."""

    index: Count


class Go(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", tag="go"):
    """The next trial's begin.

    Attributes:
        index: The ping whose moment counts.
        after: Seconds from it to the begin.
        round_trip: Seconds that it took, the least of all.
    """

    index: Count
    after: Seconds
    round_trip: Seconds


class Agreed(msgspec.Struct, frozen=True, tag_field="say", tag="agreed"):
    """To the ``Go``."""


Message: TypeAlias = Hello | Outcome | Told | Ping | Pong | Go | Agreed

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """One message as bytes."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_LENGTH, "big") + body


class Reader:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._left = MOST_IN_ALL

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now.

        Raises:
            TalkError: One of them is none, or would be too long, or they are too much in all.
        """
        self._left -= len(data)
        if self._left < 0:
            raise TalkError(f"more than {MOST_IN_ALL:,} bytes")
        self._rest += data
        found = []
        while (end := self._end()) is not None and len(self._rest) >= end:
            found.append(_decoded(bytes(self._rest[_LENGTH:end])))
            del self._rest[:end]
        return found

    def _end(self) -> int | None:
        """Where the first message ends, if its length has come."""
        if len(self._rest) < _LENGTH:
            return None
        length = int.from_bytes(self._rest[:_LENGTH], "big")
        if length > MOST_BYTES:
            raise TalkError(f"a message of {length:,} bytes")
        return _LENGTH + length


def _decoded(body: bytes) -> Message:
    try:
        message: Message = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise TalkError(f"no message: {error}") from None
    return message


class State(enum.Enum):
    """How far the talk has come."""

    TELLING = enum.auto()
    PINGING = enum.auto()
    AGREED = enum.auto()


# What may come, by the state and by whether we lead, which is not known before the hello.
_EXPECTED: Mapping[tuple[State, bool | None], tuple[type[Message], ...]] = {
    (State.TELLING, None): (Hello,),
    (State.TELLING, True): (Outcome, Told),
    (State.TELLING, False): (Outcome, Told),
    (State.PINGING, True): (Pong, Agreed),
    (State.PINGING, False): (Ping, Go),
}


class Talk:
    """One side of one talk: bytes in, bytes out.

    Send what :meth:`begin` returns, then what each :meth:`feed` returns, until ``state`` is AGREED.

    Attributes:
        state: How far it has come.
        peer: The other side's hello; None before it.
        outcomes: What it has told, by the number of the trial.
        proven: Whether bytes have crossed both ways.
        round_trip: Seconds to the other side and back, the least seen; None before that is known.
        moment: The agreed moment on the caller's clock.
        after: Seconds from it to the next trial's begin.
    """

    def __init__(self, hello: Hello, outcomes: Iterable[Outcome], *, peer: str | None) -> None:
        """Begin a talk.

        Args:
            hello: What we say of ourselves.
            outcomes: What the other side has not heard of.
            peer: Its half of the run's name; None where it has not been met yet.
        """
        self.state = State.TELLING
        self.peer: Hello | None = None
        self.outcomes: dict[int, Outcome] = {}
        self.proven = False
        self.round_trip: float | None = None
        self.moment = 0.0
        self.after = 0.0
        self._hello = hello
        self._told = [*outcomes]
        self._known = peer
        self._reader = Reader()
        self._pinged: list[float] = []  # when each was sent, or came
        self._best = 0

    @property
    def leads(self) -> bool:
        """Whether we are the one that pings; known with the hello."""
        return self.peer is not None and self._hello.half < self.peer.half

    def begin(self) -> bytes:
        """What we have to say before anything has come."""
        messages: list[Message] = [self._hello, *self._told, Told()]
        return b"".join(encode(message) for message in messages)

    def feed(self, data: bytes, now: float) -> bytes:
        """Take in what has come, and say what is to be answered.

        Args:
            data: What the stream had.
            now: Seconds on the caller's monotonic clock.

        Raises:
            TalkError: It is not what the other side would say.
            DifferentParametersError: It was started with other options.
        """
        answers = [self._take(message, now) for message in self._reader.feed(data)]
        return b"".join(encode(answer) for answer in answers if answer is not None)

    def _take(self, message: Message, now: float) -> Message | None:
        role = None if self.peer is None else self.leads
        if not isinstance(message, _EXPECTED.get((self.state, role), ())):
            raise TalkError(f"a {type(message).__name__} that has no place here")
        return self._REACTIONS[type(message)](self, message, now)

    def _meet(self, hello: Hello, _now: float) -> None:
        if hello.version != VERSION:
            raise TalkError(f"the other side speaks version {hello.version}, and we {VERSION}")
        if hello.half == self._hello.half:
            raise TalkError("the other side is ourselves")
        if (self._known or hello.half) != hello.half or hello.number != self._hello.number:
            raise TalkError("the other side is in another run, or in another trial")
        if hello.parameters != self._hello.parameters:
            raise DifferentParametersError(_differences(self._hello.parameters, hello.parameters))
        self.peer = hello

    def _note(self, outcome: Outcome, _now: float) -> None:
        if outcome.number > self._hello.parameters.trials or outcome.number in self.outcomes:
            raise TalkError("an outcome of no trial, or a second one")
        self.outcomes[outcome.number] = outcome

    def _heard(self, _told: Told, now: float) -> Ping | None:
        self.state = State.PINGING
        return self._ping(now) if self.leads else None

    def _ping(self, now: float) -> Ping:
        self._pinged.append(now)
        return Ping(len(self._pinged) - 1)

    def _answer(self, ping: Ping, now: float) -> Pong:
        if ping.index != len(self._pinged) or ping.index >= PINGS:
            raise TalkError("a ping out of turn")
        self.proven = True  # nobody pings before it has heard all that we told
        self._pinged.append(now)
        return Pong(ping.index)

    def _time(self, pong: Pong, now: float) -> Message:
        if pong.index != len(self._pinged) - 1 or self.after:
            raise TalkError("a pong out of turn")
        self.proven = True
        took = now - self._pinged[-1]
        if self.round_trip is None or took < self.round_trip:
            self.round_trip = took
            self._best = pong.index
        if len(self._pinged) < PINGS:
            return self._ping(now)
        self.moment = self._pinged[self._best] + self.round_trip / 2
        self.after = now - self.moment + START_AFTER + 2 * self.round_trip
        return Go(index=self._best, after=self.after, round_trip=self.round_trip)

    def _agree(self, go: Go, _now: float) -> Agreed:
        if go.index >= len(self._pinged) or go.after > LONGEST_AFTER:
            raise TalkError("a beginning that counts from no ping, or is too far away")
        self.moment = self._pinged[go.index]
        self.after = go.after
        self.round_trip = go.round_trip
        self.state = State.AGREED
        return Agreed()

    def _close(self, _agreed: Agreed, _now: float) -> None:
        if not self.after:
            raise TalkError("an agreement to nothing")
        self.state = State.AGREED

    _REACTIONS: ClassVar[Mapping[type[Message], Callable[[Talk, Any, float], Message | None]]] = {
        Hello: _meet,
        Outcome: _note,
        Told: _heard,
        Ping: _answer,
        Pong: _time,
        Go: _agree,
        Agreed: _close,
    }


def _differences(ours: Parameters, theirs: Parameters) -> str:
    pairs = [(name, getattr(ours, name), getattr(theirs, name)) for name in ours.__struct_fields__]
    told = [
        f"{name}: {here!r} here, {there!r} there" for name, here, there in pairs if here != there
    ]
    return f"the two sides were started with different options ({'; '.join(told)}): give the same"
