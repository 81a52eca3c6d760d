"""Whatever the other side says of the trials, a talk goes by its states or ends in a TalkError.

The first byte chooses which side we are, whether we know the other one already, and what the rest
is: the bytes themselves; lines of JSON, which are made messages; or things that happen, one a byte.
What was told is within bounds, and a result file that has it is read as it was written.
"""

from __future__ import annotations

import math

import msgspec

from simopen.measure._pairing import Mine, trial_record
from simopen.measure._records import Side, decode_line, encode_line
from simopen.measure._talk import (
    LONGEST_AFTER,
    MOST_BYTES,
    PINGS,
    Agreed,
    DifferentParametersError,
    Go,
    Hello,
    Message,
    Outcome,
    Parameters,
    Ping,
    Pong,
    Reader,
    State,
    Talk,
    TalkError,
    Told,
    encode,
)
from simopen.measure._timetable import TALK

LONGEST = 96
MOST_HAPPENS = 24  # twice what a whole talk needs

_LINES, _RAW = 0, 1  # else: what happens
_PARAMETERS = Parameters(mode="direct", trials=3, timeout=10.0, skews=(0.0, 0.05))
_OTHER = msgspec.structs.replace(_PARAMETERS, trials=4)
_LOW = Hello(half="0" * 32, number=2, parameters=_PARAMETERS, label="low", environment={})
_HIGH = msgspec.structs.replace(_LOW, half="f" * 32)
_SIDE = Side(ok=True, elapsed=0.5, attempts=2)
_OURS = Outcome(number=1, epoch=0, began=0.25, side=_SIDE)
_MINE = Mine(_OURS, 0.05, proven=True, round_trip=0.04)

# What chance would hardly find: the fields that either side's hello must have, and an outcome's.
_HELLO = b'"half":"%s","number":2,"parameters":' + msgspec.json.encode(_PARAMETERS)
_FIELDS = {
    b"\1": _HELLO % _HIGH.half.encode(),
    b"\2": _HELLO % _LOW.half.encode(),
    b"\3": b'"epoch":0,"side":' + msgspec.json.encode(_SIDE),
}

_ARRIVES = [
    *(encode(each) for each in (_LOW, _HIGH, Told(), Agreed(), _OURS)),
    *(encode(msgspec.structs.replace(_OURS, number=number)) for number in (0, 3, 4)),
    *(encode(Ping(index)) for index in range(PINGS + 1)),
    *(encode(Pong(index)) for index in range(PINGS + 1)),
    *(encode(Go(index=index, after=0.3, round_trip=0.04)) for index in range(PINGS + 1)),
    encode(Go(index=0, after=1e3, round_trip=0.0)),
    encode(msgspec.structs.replace(_HIGH, number=3)),
    encode(msgspec.structs.replace(_HIGH, version=2)),
    *(encode(msgspec.structs.replace(hello, parameters=_OTHER)) for hello in (_LOW, _HIGH)),
    b"\0\0\0\2{}",
    b"\0\1\0\1",
    b"\0",
]
_GAPS = (0.0, 1e-6, 0.02, 1.0)  # seconds

SEEDS = (
    b'\0{"say":"hello",\1,"label":"a","environment":{"cpus":2,"sysctls":{"tcp":null}}}',
    b'\0{"say":"hello",\1,"label":"","environment":{}}\n{"say":"outcome","number":3,"began":1e9,\3}',
    b'\1{"say":"hello",\2,"label":"","environment":{}}\n{"say":"told"}\n{"say":"ping","index":0}',
    b"\4\0\0\0\2{}",
    b"\4\0\1\0\1",
    bytes((8, 1, 4, 2, *range(13, 17), 3)),
    bytes((9, 0, 6, 2, *range(8, 12), 18)),
    bytes((11, 0x80, 0x41, 2, 0xC8, 9, 18)),
)


class Watched:
    """A talk and what has to hold for it."""

    def __init__(self, *, leads: bool, knows: bool) -> None:
        ours, theirs = (_LOW, _HIGH) if leads else (_HIGH, _LOW)
        self.talk = Talk(ours, (), peer=theirs.half if knows else None)
        self.now = 0.0
        self.over = False
        self._leads = leads
        self._said: list[type[Message]] = []
        self._before = State.TELLING

    def arrive(self, data: bytes) -> None:
        """Bytes of the other side."""
        if self.over:
            return
        try:
            answers = Reader().feed(self.talk.feed(data, self.now))
        except TalkError:
            self.over = True
        except DifferentParametersError as error:
            assert "here" in str(error)
            assert self.talk.peer is None
            self.over = True
        else:
            self._said += map(type, answers)
            self._check_order()
        assert self._before.value <= self.talk.state.value
        self._before = self.talk.state
        assert len(self.talk._reader._rest) < MOST_BYTES + 4

    def _check_order(self) -> None:
        """We answer as our part has it, and nothing is proven or agreed that was not answered."""
        said, talk = self._said, self.talk
        if self._leads:
            assert said == [Ping, Ping, Ping, Ping, Go][: len(said)]
            assert talk.proven == (len(said) > 1)
        else:
            pongs = len(said) - (Agreed in said)
            assert pongs <= PINGS
            assert said == [Pong] * pongs + [Agreed] * (len(said) - pongs)
            assert talk.proven == (pongs > 0)
        if talk.state is State.AGREED:
            assert said[-1] is (Go if self._leads else Agreed)

    def check(self) -> None:
        """What holds in the end."""
        talk = self.talk
        if talk.peer is not None:
            assert talk.peer.parameters == _PARAMETERS
            assert "\x1b" not in talk.peer.label
            assert msgspec.json.decode(msgspec.json.encode(talk.peer), type=Hello) == talk.peer
        if talk.state is State.AGREED:
            assert 0 <= talk.after <= LONGEST_AFTER
            assert talk.round_trip is not None
            assert 0 <= talk.round_trip <= 10**9
        assert set(talk.outcomes) <= set(range(_PARAMETERS.trials + 1))
        for outcome in talk.outcomes.values():
            _check(outcome)


def check(data: bytes) -> None:
    """Try some bytes."""
    first = data[0] if data else 0
    watched = Watched(leads=not first & 1, knows=bool(first & 2))
    how = first >> 2
    if how == _LINES:
        watched.arrive(b"".join(_framed(line) for line in data[1:].split(b"\n")))
    elif how == _RAW:
        for at in range(1, len(data), 16):
            watched.arrive(data[at : at + 16])
    else:
        for byte in data[1 : 1 + MOST_HAPPENS]:
            _happens(watched, byte)
    watched.check()


def _framed(line: bytes) -> bytes:
    for place, field in _FIELDS.items():
        line = line.replace(place, field)
    return len(line).to_bytes(4, "big") + line


def _happens(watched: Watched, byte: int) -> None:
    """Something comes, whole or in two pieces, or time passes, as much as a talk has."""
    kind, what = byte >> 6, byte & 0x3F
    message = _ARRIVES[what % len(_ARRIVES)]
    if kind == 0:
        watched.arrive(message)
    elif kind == 1:
        watched.now = min(TALK, watched.now + _GAPS[what % len(_GAPS)])
    else:
        watched.arrive(message[: what % 7])
        watched.arrive(message[what % 7 :])


def _check(outcome: Outcome) -> None:
    """What was told is bounded, and so is what is made of it."""
    side = outcome.side
    assert max(side.attempts, side.refusals, side.refreshes, side.rounds, outcome.epoch) <= 10**9
    assert 0 <= side.elapsed <= 10**9
    assert len(side.events) <= 200
    trial = trial_record("0a", _MINE, outcome, encrypted=True, scheme="tls")
    assert trial.took is None or math.isfinite(trial.took)
    assert decode_line(encode_line(trial)) == trial
