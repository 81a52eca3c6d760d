"""The coordinator's end of one connection: every place a message may have, and every way out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import (
    SERVER_TRANSITIONS,
    Asked,
    ClientMessage,
    Code,
    CoordinatorLimits,
    Error,
    Hangup,
    Hit,
    Leave,
    Limit,
    Outcome,
    Ping,
    Pong,
    Reply,
    Request,
    Result,
    ServerConnection,
    ServerState,
    Settled,
    Step,
    encode_frame,
)

from .makers import attach, framed, join, probe
from .test_frames import STREAMS, cut

LIMITS = CoordinatorLimits()
RESULT = Result(round=1, outcome=Outcome.OK, elapsed=0.1)
ASKED: list[Asked] = [join(), attach(), probe(), Settled(), RESULT, Leave()]
LIVE = [each for each in ServerState if each is not ServerState.ENDED]
OPENED_BY: dict[ServerState, Asked] = {
    ServerState.JOINED: join(),
    ServerState.ATTACHED: attach(),
    ServerState.PROBED: probe(),
}


def connection_in(state: ServerState) -> ServerConnection:
    """A connection brought into a state by what it is told, at time zero."""
    probing = state in (ServerState.PROBING, ServerState.PROBED)
    connection = ServerConnection(LIMITS, now=0.0, probing=probing)
    assert connection.start(0.0) == []
    if state in OPENED_BY:
        connection.receive(encode_frame(OPENED_BY[state]), 0.0)
    if state is ServerState.ENDED:
        connection.end()
    assert connection.state is state
    return connection


def errors(steps: list[Step]) -> list[Code]:
    """The codes of the errors among the steps; each must be followed by the hang-up."""
    codes = []
    for step, after in itertools.pairwise([*steps, None]):
        if isinstance(step, Reply) and isinstance(step.message, Error):
            assert after == Hangup()
            codes.append(step.message.code)
    return codes


def hits(steps: list[Step]) -> list[Limit]:
    """The limits that are hit among the steps."""
    return [step.limit for step in steps if isinstance(step, Hit)]


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("message", ASKED, ids=lambda each: type(each).__name__)
def test_table_is_what_happens(state: ServerState, message: Asked) -> None:
    """A message in its place is handed on; any other is answered with an error and the end."""
    connection = connection_in(state)
    steps = connection.receive(encode_frame(message), 1.0)
    next_state = SERVER_TRANSITIONS.get((state, type(message)))
    if next_state is None:
        assert errors(steps) == [Code.UNEXPECTED]
        assert connection.state is ServerState.ENDED
    else:
        assert steps == [Request(message)]
        assert connection.state is next_state


def test_table_cannot_be_changed() -> None:
    """The table is read-only."""
    assert not hasattr(SERVER_TRANSITIONS, "__setitem__")


@pytest.mark.parametrize("state", LIVE)
def test_pings_are_answered_in_every_state(state: ServerState) -> None:
    """With their number; a pong that was not asked for means nothing."""
    connection = connection_in(state)
    data = encode_frame(Ping(number=7)) + encode_frame(Pong(number=8))
    assert connection.receive(data, 1.0) == [Reply(Pong(number=7))]
    assert connection.state is state
    assert connection.round_trip is None


def test_nothing_after_the_end() -> None:
    """A connection that has ended is deaf and without a deadline."""
    connection = connection_in(ServerState.ENDED)
    assert connection.receive(encode_frame(join()), 1.0) == []
    assert connection.receive(b"\xff" * 100, 1.0) == []
    assert connection.tick(1e9) == []
    assert connection.next_deadline() == math.inf


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Code.MALFORMED),
        (framed(b"{}"), Code.MALFORMED),
        (framed(b'{"type":"join","v":3}'), Code.VERSION),
        (encode_frame(join()) + encode_frame(join()), Code.UNEXPECTED),
    ],
)
def test_what_is_wrong_is_answered_once(data: bytes, code: Code) -> None:
    """One error, the hang-up, and nothing more."""
    connection = connection_in(ServerState.NEW)
    assert errors(connection.receive(data, 0.0)) == [code]
    assert connection.receive(data, 0.0) == []


def test_a_frame_too_long() -> None:
    """It is told as what it is, to the metrics alone: other garbage is no limit's business."""
    for data, limits in ((b"\xff" * 4, [Limit.FRAME]), (framed(b"{}"), [])):
        steps = connection_in(ServerState.NEW).receive(data, 0.0)
        assert errors(steps) == [Code.MALFORMED]
        assert hits(steps) == limits


def test_what_came_before_an_error_counts() -> None:
    """A join that is followed by garbage in the same bytes has been made."""
    connection = connection_in(ServerState.NEW)
    steps = connection.receive(encode_frame(join()) + framed(b"?"), 0.0)
    assert steps[0] == Request(join())
    assert errors(steps) == [Code.MALFORMED]


def test_too_many_messages() -> None:
    """More at once than the burst are one too many; at the rate they may come for ever."""
    connection = connection_in(ServerState.NEW)
    ping = encode_frame(Ping(number=1))
    assert errors(connection.receive(ping * LIMITS.message_burst, 0.0)) == []
    steps = connection.receive(ping, 0.0)
    assert errors(steps) == [Code.RATE]
    assert hits(steps) == [Limit.MESSAGE_RATE]

    patient = connection_in(ServerState.JOINED)
    for number in range(1, 200):
        assert errors(patient.receive(ping, number / LIMITS.message_rate)) == []


# -- deadlines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ServerState.NEW, ServerState.PROBING])
def test_a_drip_does_not_extend_the_handshake(state: ServerState) -> None:
    """Neither bytes nor pings move its deadline, which is absolute."""
    connection = connection_in(state)
    connection.receive(encode_frame(Ping(number=1)), 1.0)
    for place, byte in enumerate(encode_frame(join())[:40]):
        connection.receive(bytes([byte]), 1 + place / 100)
    assert connection.next_deadline() == LIMITS.handshake
    assert connection.tick(LIMITS.handshake - 0.001) == []
    steps = connection.tick(LIMITS.handshake)
    assert errors(steps) == [Code.TIMEOUT]
    assert hits(steps) == [Limit.HANDSHAKE]


def test_silence_ends_it() -> None:
    """Every message puts the end off; pieces of one do not."""
    connection = connection_in(ServerState.JOINED)
    assert connection.next_deadline() == LIMITS.idle
    connection.receive(encode_frame(Ping(number=1)), 30.0)
    assert connection.next_deadline() == 30 + LIMITS.idle
    connection.receive(encode_frame(Ping(number=1))[:-1], 40.0)
    assert connection.next_deadline() == 30 + LIMITS.idle
    steps = connection.tick(30 + LIMITS.idle)
    assert errors(steps) == [Code.IDLE]
    assert hits(steps) == [Limit.IDLE]


# -- measuring ------------------------------------------------------------------------------------


def measuring() -> ServerConnection:
    """A connection that pings at once, at time 10."""
    connection = ServerConnection(LIMITS, now=10.0, measuring=True)
    assert connection.start(10.0) == [Reply(Ping(number=0))]
    return connection


def test_a_request_waits_for_the_round_trip() -> None:
    """What is asked before the pong is handed on with it, in order."""
    connection = measuring()
    data = encode_frame(join()) + encode_frame(Settled())
    assert connection.receive(data, 10.01) == []
    assert connection.next_deadline() == 10 + LIMITS.round_trip_wait
    steps = connection.receive(encode_frame(Pong(number=0)), 10.04)
    assert steps == [Request(join()), Request(Settled())]
    assert connection.round_trip == pytest.approx(0.04)
    assert connection.next_deadline() == 10.04 + LIMITS.idle


def test_a_request_after_the_pong_waits_for_nothing() -> None:
    """Once the round trip is known there is nothing to hold back."""
    connection = measuring()
    assert connection.receive(encode_frame(Pong(number=0)), 10.04) == []
    assert connection.receive(encode_frame(join()), 10.05) == [Request(join())]
    connection.receive(encode_frame(Pong(number=0)), 12.0)
    assert connection.round_trip == pytest.approx(0.04)


def test_a_client_without_pong_is_served_all_the_same() -> None:
    """After a moment the request goes on without a round trip, and nothing wakes us again."""
    connection = measuring()
    assert connection.receive(encode_frame(join()), 10.01) == []
    assert connection.tick(10.5) == []
    steps = connection.tick(10 + LIMITS.round_trip_wait)
    assert steps == [Hit(Limit.ROUND_TRIP_WAIT), Request(join())]
    assert connection.round_trip is None
    assert connection.next_deadline() == 10.01 + LIMITS.idle


def test_what_is_held_back_is_dropped_at_the_end() -> None:
    """An error while a request waits ends both."""
    connection = measuring()
    steps = connection.receive(encode_frame(join()) + framed(b"?"), 10.01)
    assert errors(steps) == [Code.MALFORMED]
    assert len(steps) == 2
    assert not connection._held
    assert connection.tick(10 + LIMITS.round_trip_wait) == []


# -- anything -------------------------------------------------------------------------------------


def converse(chunks: list[bytes], *, probing: bool) -> list[Step]:
    """All that comes of some chunks."""
    connection = ServerConnection(LIMITS, now=0.0, probing=probing)
    steps: list[Step] = []
    for chunk in chunks:
        steps += connection.receive(chunk, 0.0)
        assert len(connection._reader._buffer) < 8196
        assert len(connection._held) <= LIMITS.message_burst
    return steps


@given(STREAMS, st.lists(st.integers(min_value=0)), st.booleans())
def test_any_bytes_are_served_or_answered(data: bytes, places: list[int], probing: bool) -> None:  # noqa: FBT001  # drawn
    """No bytes raise; after at most one error comes the hang-up, and then nothing."""
    steps = converse(cut(data, places), probing=probing)
    assert steps == converse([data], probing=probing)
    assert len(errors(steps)) == steps.count(Hangup()) <= 1
    assert Hangup() not in steps[:-1]


MESSAGES: list[ClientMessage] = [*ASKED, Ping(number=1), Pong(number=0)]


@given(st.lists(st.tuples(st.sampled_from(MESSAGES), st.floats(min_value=0, max_value=20))))
def test_any_conversation_ends_in_time(messages: list[tuple[ClientMessage, float]]) -> None:
    """There is always a deadline until the end, never farther ahead than the idle time."""
    now = 0.0
    connection = ServerConnection(LIMITS, now=now, measuring=True)
    steps: list[Any] = connection.start(now)
    for message, gap in messages:
        now += gap
        while connection.next_deadline() <= now:
            steps += connection.tick(connection.next_deadline())
        steps += connection.receive(encode_frame(message), now)
        ended = connection.state is ServerState.ENDED
        assert ended == (connection.next_deadline() == math.inf) == (Hangup() in steps)
        assert ended or connection.next_deadline() <= now + LIMITS.idle
