from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simopen import RemoteProtocolError, UsageError
from simopen.measure._records import MOST_EVENTS, Moment, Side
from simopen.measure._talk import (
    MOST_BYTES,
    MOST_IN_ALL,
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

PARAMETERS = Parameters(mode="direct", trials=20, timeout=10.0, skews=(0.0, 0.05))
SIDE = Side(ok=False, elapsed=10.0, cause="silence", events=(Moment(0.1, "punch.attempt", 0),))
LOW = Hello(half="0" * 32, number=0, parameters=PARAMETERS, label="low", environment={"cpus": 2})
HIGH = replace(LOW, half="f" * 32, label="high")
OUTCOME = Outcome(number=3, epoch=0, began=1.5, side=SIDE)


def converse(
    low: Talk, high: Talk, *, ways: tuple[float, float] = (0.02, 0.02), ahead: float = 1000.0
) -> float:
    """Carry what each says to the other; how far apart they take the agreed moment to be.

    Args:
        low: Whose half is the smaller.
        high: The other.
        ways: Seconds from the first to the second, and back.
        ahead: Seconds by which the second's clock is ahead.
    """
    clock = 0.0
    wires = {True: deque([low.begin()]), False: deque([high.begin()])}
    talks, offsets = {True: low, False: high}, {True: 0.0, False: ahead}
    while any(wires.values()):
        for sender in (True, False):
            if wires[sender]:
                clock += ways[0] if sender else ways[1]
                receiver = not sender
                answer = talks[receiver].feed(wires[sender].popleft(), clock + offsets[receiver])
                wires[receiver].extend([answer] if answer else [])
    return abs(high.moment - ahead - low.moment)


def test_two_sides_agree() -> None:
    """On who leads, on what the other has to tell, on the round trip and on one moment."""
    low, high = Talk(LOW, [OUTCOME], peer=None), Talk(HIGH, [], peer=None)
    apart = converse(low, high)
    assert (low.state, high.state) == (State.AGREED, State.AGREED)
    assert (low.leads, high.leads) == (True, False)
    assert (low.peer, high.peer) == (HIGH, LOW)
    assert (low.outcomes, high.outcomes) == ({}, {3: OUTCOME})
    assert low.proven
    assert high.proven
    assert low.round_trip == high.round_trip == pytest.approx(0.04)
    assert low.after == high.after > 0.2
    assert apart == pytest.approx(0.0, abs=1e-9)


@given(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5), st.floats(-1e5, 1e5))
def test_the_error_of_the_agreed_moment(there: float, back: float, ahead: float) -> None:
    """Is half the difference of the two ways, whatever the clocks show."""
    low, high = Talk(LOW, [], peer=None), Talk(HIGH, [], peer=None)
    apart = converse(low, high, ways=(there, back), ahead=ahead)
    assert apart == pytest.approx(abs(there - back) / 2, abs=1e-6)


def test_a_late_ping_spoils_nothing() -> None:
    """The one that was back soonest is what counts."""
    low = Talk(LOW, [], peer=None)
    now = 100.0
    low.feed(encode(HIGH) + encode(Told()), now)
    for index, took in enumerate((0.5, 0.04, 0.3, 0.2)):
        now += took
        answer = low.feed(encode(Pong(index)), now)
    (go,) = Reader().feed(answer)
    assert isinstance(go, Go)
    assert go.index == 1
    assert go.round_trip == pytest.approx(0.04)
    assert low.moment == pytest.approx(100.52)
    assert low.moment + low.after == pytest.approx(now + 0.2 + 0.08)


def test_bytes_come_in_any_pieces() -> None:
    """Also one at a time."""
    low = Talk(LOW, [], peer=None)
    for byte in encode(HIGH) + encode(OUTCOME) + encode(Told()):
        answer = low.feed(bytes([byte]), 1.0)
    assert Reader().feed(answer) == [Ping(0)]
    assert low.outcomes == {3: OUTCOME}


def test_the_largest_outcome_fits() -> None:
    """With as many events as there may be, and long words."""
    events = (Moment(1234.567891, "rendezvous.introduced", 15),) * MOST_EVENTS
    side = replace(SIDE, events=events, observed=("w" * 256,) * 8)
    data = encode(replace(OUTCOME, side=side))
    assert len(data) < MOST_BYTES / 2
    assert len(Reader().feed(data)) == 1


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([replace(HIGH, version=2)], "version 2"),
        ([LOW], "ourselves"),
        ([replace(HIGH, label="\x1b[2J")], "no message"),
        ([replace(HIGH, half="f" * 32 + "\n")], "no message"),
        ([replace(HIGH, environment={"cpus": 10**30})], "no message"),
        ([replace(HIGH, environment={"a": {"b": {"c": None}}})], "no message"),
        ([replace(HIGH, half="e" * 32)], "another run"),
        ([replace(HIGH, number=1)], "another trial"),
        ([OUTCOME], "no place"),
        ([HIGH, HIGH], "no place"),
        ([HIGH, OUTCOME, OUTCOME], "second one"),
        ([HIGH, replace(OUTCOME, number=21)], "no trial"),
        ([HIGH, Told(), Ping(0)], "no place"),
        ([HIGH, Told(), Pong(1)], "out of turn"),
        ([HIGH, Told(), *map(Pong, range(PINGS)), Pong(PINGS - 1)], "out of turn"),
        ([HIGH, Told(), Agreed()], "agreement to nothing"),
        ([HIGH, Told(), *(Pong(index) for index in range(PINGS + 1))], "out of turn"),
        ([HIGH, Told(), *map(Pong, range(PINGS)), Agreed(), Agreed()], "no place"),
    ],
)
def test_what_the_following_side_would_not_say(messages: list[Message], words: str) -> None:
    """Is an error, of the kind that is the other side's fault."""
    low = Talk(LOW, [], peer=HIGH.half)
    with pytest.raises(TalkError, match=words) as caught:
        low.feed(b"".join(map(encode, messages)), 0.0)
    assert isinstance(caught.value, RemoteProtocolError)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Pong(0)], "no place"),
        ([Ping(1)], "out of turn"),
        ([*map(Ping, range(PINGS + 1))], "out of turn"),
        ([Go(index=0, after=0.3, round_trip=0.04)], "no ping"),
        ([Ping(0), Go(index=0, after=1e6, round_trip=0.04)], "too far"),
    ],
)
def test_what_the_leading_side_would_not_say(messages: list[Message], words: str) -> None:
    """Likewise."""
    high = Talk(HIGH, [], peer=LOW.half)
    with pytest.raises(TalkError, match=words):
        high.feed(b"".join(map(encode, [LOW, Told(), *messages])), 0.0)


def test_nothing_is_proven_before_an_answer_has_come() -> None:
    """What the other side tells of itself shows only one of the two ways."""
    low, high = Talk(LOW, [], peer=None), Talk(HIGH, [], peer=None)
    low.feed(encode(HIGH) + encode(Told()), 0.0)
    high.feed(encode(LOW) + encode(Told()), 0.0)
    assert not low.proven
    assert not high.proven
    high.feed(encode(Ping(0)), 0.0)
    low.feed(encode(Pong(0)), 0.0)
    assert low.proven
    assert high.proven


def test_different_options() -> None:
    """The error says what differs, and is one of wrong use."""
    other = replace(PARAMETERS, trials=30, skews=(0.0,))
    with pytest.raises(DifferentParametersError) as caught:
        Talk(LOW, [], peer=None).feed(encode(replace(HIGH, parameters=other)), 0.0)
    assert isinstance(caught.value, UsageError)
    assert "trials: 20 here, 30 there; skews: (0.0, 0.05) here, (0.0,) there" in str(caught.value)
    assert "timeout" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        (MOST_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x02\xff\xff",
        b"\x00\x00\x00\x00",
        b"HTTP/1.0 400 Bad Request\r\n",
    ],
)
def test_no_message(data: bytes) -> None:
    """What is too long is refused by its length alone."""
    with pytest.raises(TalkError):
        Reader().feed(data)


def test_a_talk_has_an_end() -> None:
    """However many messages come, they are so many bytes in all."""
    reader = Reader()
    few = encode(Told()) * 1000
    for _ in range(MOST_IN_ALL // len(few)):
        reader.feed(few)
    with pytest.raises(TalkError, match="more than"):
        reader.feed(few)


VALID: list[Message] = [LOW, HIGH, OUTCOME, Told(), Agreed(), Ping(0), Ping(1), Pong(0), Pong(1)]
pieces_of_talk = st.binary(max_size=60) | st.sampled_from([encode(each) for each in VALID])


@given(st.lists(pieces_of_talk, max_size=12), st.booleans())
def test_anything_is_taken_or_refused(pieces: list[bytes], leads: bool) -> None:  # noqa: FBT001
    """By no error but one, and what is kept of it is less than a message."""
    talk = Talk(LOW if leads else HIGH, [], peer=None)
    now: Any = 0.0
    for piece in pieces:
        now += 0.01
        try:
            talk.feed(piece, now)
        except TalkError:
            return
        assert len(talk._reader._rest) < MOST_BYTES + 4
