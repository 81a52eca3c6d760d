"""The client's end of one connection."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    CLIENT_TRANSITIONS,
    Bye,
    ClientConversation,
    ClientEvent,
    ClientMessage,
    ClientState,
    Code,
    CoordinatorMessage,
    Dismissed,
    Error,
    Failed,
    FrameReader,
    Introduced,
    Leave,
    Lost,
    Message,
    Opening,
    Outcome,
    Ping,
    Pong,
    ProbeAnswered,
    Probed,
    Reject,
    Rejected,
    Result,
    Settled,
    Verdict,
    Welcome,
    Welcomed,
    WireError,
    encode_frame,
)
from simopen.rendezvous.protocol._limits import LONGEST_DELAY, LONGEST_ELAPSED, WELCOME_TIMEOUT

from .makers import attach, framed, join, offer, probe
from .test_frames import STREAMS, cut
from .test_messages import INTRODUCE

WELCOME = Welcome(observed="203.0.113.1:40000", probe=(7338,), idle=50.0)
ANSWERS: list[CoordinatorMessage] = [
    WELCOME,
    Probed(observed="203.0.113.1:40001"),
    INTRODUCE,
    Reject(code=Code.ROOM_FULL, message="full"),
    Error(code=Code.REPLACED, message="replaced"),
    Bye(),
]
LAST_EVENTS = (Rejected, Failed, Dismissed, ProbeAnswered, Lost)
BEGINNINGS: dict[ClientState, tuple[Opening, list[CoordinatorMessage]]] = {
    ClientState.JOINING: (join(), []),
    ClientState.WAITING: (join(), [WELCOME]),
    ClientState.INTRODUCED: (join(), [WELCOME, INTRODUCE]),
    ClientState.ATTACHING: (attach(), []),
    ClientState.ATTACHED: (attach(), [WELCOME]),
    ClientState.PROBING: (probe(), []),
    ClientState.ENDED: (join(), [Bye()]),
}
LIVE = [each for each in ClientState if each is not ClientState.ENDED]


def frames(*messages: Message) -> bytes:
    """Messages as bytes."""
    return b"".join(encode_frame(message) for message in messages)


def conversation_in(state: ClientState) -> ClientConversation:
    """A conversation brought into a state by what it is told, at time zero."""
    opening, answers = BEGINNINGS[state]
    conversation = ClientConversation(opening, now=0.0)
    assert said(conversation) == [opening]
    conversation.receive(frames(*answers), 0.0) if answers else None
    assert conversation.state is state
    return conversation


def said(conversation: ClientConversation) -> list[ClientMessage]:
    """What the conversation wants to be sent."""
    return list(FrameReader(CLIENT_MESSAGES).feed(conversation.data_to_send()))


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("message", ANSWERS, ids=lambda each: type(each).__name__)
def test_table_is_what_happens(state: ClientState, message: CoordinatorMessage) -> None:
    """A message in its place makes one event; any other is a WireError and the end."""
    conversation = conversation_in(state)
    next_state = CLIENT_TRANSITIONS.get((state, type(message)))
    if next_state is None:
        with pytest.raises(WireError, match="has no place here"):
            conversation.receive(frames(message), 1.0)
        assert conversation.ended
    else:
        (event,) = conversation.receive(frames(message), 1.0)
        assert conversation.state is next_state
        assert conversation.ended == isinstance(event, LAST_EVENTS)
    assert said(conversation) == []


def test_table_cannot_be_changed() -> None:
    """The table is read-only."""
    assert not hasattr(CLIENT_TRANSITIONS, "__setitem__")


def test_what_ends_a_seat_reaches_all_its_connections() -> None:
    """A rejection, an error and a goodbye have a place wherever the peer is still to come."""
    for state in set(LIVE) - {ClientState.INTRODUCED}:
        assert {(state, Reject), (state, Error), (state, Bye)} <= set(CLIENT_TRANSITIONS)
    assert (ClientState.INTRODUCED, Reject) not in CLIENT_TRANSITIONS


@pytest.mark.parametrize("state", LIVE)
def test_pings_are_answered_in_every_state(state: ClientState) -> None:
    """With their number; pongs mean no more than that somebody is there."""
    conversation = conversation_in(state)
    assert conversation.receive(frames(Ping(number=7), Pong(number=3)), 1.0) == []
    assert said(conversation) == [Pong(number=7)]
    assert conversation.state is state


def test_a_second_introduction_is_refused() -> None:
    """A coordinator cannot make one join fire at several targets."""
    conversation = conversation_in(ClientState.WAITING)
    with pytest.raises(WireError):
        conversation.receive(frames(INTRODUCE, INTRODUCE), 1.0)


def test_nothing_after_the_end() -> None:
    """What ended is deaf, mute and without a deadline."""
    conversation = conversation_in(ClientState.ENDED)
    assert conversation.receive(frames(WELCOME) + b"\xff", 1.0) == []
    assert conversation.receive(b"", 1.0) == []
    assert conversation.tick(1e9) == []
    conversation.settle()
    conversation.leave()
    assert conversation.data_to_send() == b""
    assert conversation.next_deadline() == math.inf


def test_what_follows_the_last_message_is_not_read() -> None:
    """A goodbye is a goodbye, whatever comes with it."""
    conversation = conversation_in(ClientState.WAITING)
    assert conversation.receive(frames(Bye(), INTRODUCE) + b"\xff" * 4, 1.0) == [Dismissed()]


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message", "event"),
    [
        (ClientState.JOINING, WELCOME, Welcomed("203.0.113.1:40000", (7338,))),
        (ClientState.ATTACHING, WELCOME, Welcomed("203.0.113.1:40000", (7338,))),
        (ClientState.PROBING, ANSWERS[1], ProbeAnswered("203.0.113.1:40001")),
        (ClientState.JOINING, ANSWERS[3], Rejected(Code.ROOM_FULL, "full")),
        (ClientState.WAITING, ANSWERS[4], Failed(Code.REPLACED, "replaced")),
        (
            ClientState.WAITING,
            INTRODUCE,
            Introduced(
                round=1,
                delay=0.5,
                at=3.0,
                observed=INTRODUCE.observed,
                offer=offer(1),
                mapping=Verdict.STABLE,
                peer_mapping=Verdict.VARIES,
            ),
        ),
    ],
)
def test_events_tell_what_came(
    state: ClientState, message: CoordinatorMessage, event: ClientEvent
) -> None:
    """Every message becomes the event that says the same."""
    assert conversation_in(state).receive(frames(message), 3.0) == [event]


@pytest.mark.parametrize(("asked", "taken"), [(-3.0, 0.0), (1.5, 1.5), (1e12, LONGEST_DELAY)])
def test_the_delay_is_clamped(asked: float, taken: float) -> None:
    """A coordinator can neither hold us for ever nor send us back in time."""
    payload = encode_frame(INTRODUCE)[4:].replace(b'"delay":0.5', f'"delay":{asked}'.encode())
    (event,) = conversation_in(ClientState.WAITING).receive(framed(payload), 3.0)
    assert isinstance(event, Introduced)
    assert event.delay == taken


def test_an_introduction_hides_the_offer() -> None:
    """Its repr tells nothing of the sealed bytes."""
    (event,) = conversation_in(ClientState.WAITING).receive(frames(INTRODUCE), 3.0)
    assert "offer" not in repr(event)


def test_a_coordinators_words_are_printable() -> None:
    """What a terminal would obey is taken out."""
    message = Reject(code=Code.ROOM_FULL, message="so\x1b[2J\nrry")
    (event,) = conversation_in(ClientState.JOINING).receive(frames(message), 1.0)
    assert event == Rejected(Code.ROOM_FULL, "so?[2J?rry")


@pytest.mark.parametrize("state", LIVE)
def test_the_end_of_the_stream_is_a_loss(state: ClientState) -> None:
    """A coordinator that closes without a word is lost, not silent."""
    conversation = conversation_in(state)
    assert conversation.receive(b"", 1.0) == [Lost(silent=False)]
    assert conversation.ended


# -- what we say ----------------------------------------------------------------------------------


def test_what_a_member_says() -> None:
    """Settled, the result of the introduction's round, and the farewell, in that order."""
    conversation = conversation_in(ClientState.INTRODUCED)
    conversation.settle()
    conversation.result(Outcome.FAILED, elapsed=0.25)
    conversation.leave()
    result = Result(round=INTRODUCE.round, outcome=Outcome.FAILED, elapsed=0.25)
    assert said(conversation) == [Settled(), result, Leave()]
    assert conversation.ended


@pytest.mark.parametrize(("elapsed", "told"), [(-1.0, 0.0), (1e9, LONGEST_ELAPSED)])
def test_a_report_is_within_its_bounds(elapsed: float, told: float) -> None:
    """A clock gone wrong makes no message that the coordinator would refuse."""
    conversation = conversation_in(ClientState.INTRODUCED)
    conversation.result(Outcome.OK, elapsed=elapsed)
    assert said(conversation) == [Result(round=1, outcome=Outcome.OK, elapsed=told)]


def test_no_report_without_an_introduction() -> None:
    """There is no round to report on."""
    with pytest.raises(LookupError):
        conversation_in(ClientState.WAITING).result(Outcome.OK, elapsed=1.0)


@pytest.mark.parametrize("state", [ClientState.ATTACHED, ClientState.PROBING])
def test_only_a_join_speaks_for_the_seat(state: ClientState) -> None:
    """A connection of another kind says nothing but its first message; leaving just ends it."""
    conversation = conversation_in(state)
    with pytest.raises(LookupError):
        conversation.settle()
    conversation.leave()
    assert conversation.data_to_send() == b""
    assert conversation.ended


# -- deadlines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ClientState.JOINING, ClientState.ATTACHING, ClientState.PROBING])
def test_the_answer_must_come_in_time(state: ClientState) -> None:
    """Pings do not put that off."""
    conversation = conversation_in(state)
    conversation.receive(frames(Ping(number=1)), 1.0)
    assert conversation.next_deadline() == WELCOME_TIMEOUT
    assert conversation.tick(WELCOME_TIMEOUT - 0.001) == []
    assert conversation.tick(WELCOME_TIMEOUT) == [Lost(silent=True)]


@pytest.mark.parametrize(("idle", "interval"), [(50.0, 25.0), (3600.0, 25.0), (10.0, 5.0)])
def test_pings_leave_in_time(idle: float, interval: float) -> None:
    """Twice in what the coordinator allows, and often enough for any NAT."""
    conversation = conversation_in(ClientState.JOINING)
    conversation.receive(frames(Welcome(observed="203.0.113.1:1", idle=idle)), 1.0)
    now = 1.0
    for number in (1, 2, 3):
        assert conversation.tick(now) == []
        assert said(conversation) == []
        now += interval
        assert conversation.next_deadline() == pytest.approx(now)
        assert conversation.tick(now) == []
        assert said(conversation) == [Ping(number=number)]
        conversation.receive(frames(Pong(number=number)), now)


def test_a_silent_coordinator_is_given_up() -> None:
    """When none of our pings has been answered for the idle time."""
    conversation = conversation_in(ClientState.WAITING)
    conversation.receive(frames(Pong(number=1)), 20.0)
    assert conversation.tick(25.0) == []
    assert conversation.tick(50.0) == []
    assert conversation.next_deadline() == 70.0
    assert conversation.tick(70.0) == [Lost(silent=True)]


# -- anything -------------------------------------------------------------------------------------


def converse(opening: Opening, chunks: list[bytes]) -> tuple[list[Any], bytes, str | None]:
    """All that comes of some chunks: events, bytes to send, the error."""
    conversation = ClientConversation(opening, now=0.0)
    events: list[Any] = []
    sent = bytearray()
    try:
        for chunk in filter(None, chunks):
            events += conversation.receive(chunk, 0.0)
            sent += conversation.data_to_send()
            assert len(conversation._reader._buffer) < 8196
    except WireError as error:
        assert conversation.ended
        return events, bytes(sent), str(error)
    return events, bytes(sent), None


@given(
    st.sampled_from([join(), attach(), probe()]),
    st.lists(st.sampled_from([*map(frames, ANSWERS), frames(Ping(number=1))])).map(b"".join)
    | STREAMS,
    st.lists(st.integers(min_value=0)),
)
def test_any_bytes_parse_or_raise_one_error(
    opening: Opening, data: bytes, places: list[int]
) -> None:
    """Whatever a coordinator sends, the outcome depends on the bytes and not on their cutting."""
    whole, pieces = converse(opening, [data]), converse(opening, cut(data, places))
    assert whole[2] == pieces[2]
    if whole[2] is None:
        assert whole == pieces
    last = [isinstance(event, LAST_EVENTS) for event in pieces[0]]
    assert not any(last[:-1])
    assert sum(isinstance(event, Introduced) for event in pieces[0]) <= 1


def test_every_pair_of_the_table_is_tested() -> None:
    """All states before the last, all messages that are no ping."""
    pairs = set(itertools.product(LIVE, map(type, ANSWERS)))
    assert set(CLIENT_TRANSITIONS) <= pairs
