"""The state machine of one handshake: each pair of state and event, and what is said."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.raw._handshake import (
    FIRST_WAIT,
    SYN_ACK_RETRIES,
    SYN_RETRIES,
    TRANSITIONS,
    Action,
    Event,
    Handshake,
    Numbers,
    Offer,
    State,
)
from simopen.raw._segments import ACK, FIN, RST, SYN, Address, Flow, Options, Segment, Timestamps

LOCAL, REMOTE = Address(bytes((192, 0, 2, 1)), 7777), Address(bytes((192, 0, 2, 2)), 40_000)
OFFER = Offer(mss=1460, window=64_240, window_scale=7)
ISS, IRS = 1000, 2**32 - 1  # theirs wraps at once
THEIRS = Options(mss=1400, window_scale=9, sack_permitted=True, timestamps=Timestamps(70, 0))


def come(flags: int, *, seq: int = 0, ack: int = ISS + 1, data: bytes = b"") -> Segment:
    """A segment of the peer's."""
    options = THEIRS if flags & SYN else Options()
    return Segment(
        source=REMOTE.port,
        destination=LOCAL.port,
        seq=seq,
        ack=ack if flags & ACK else 0,
        flags=flags,
        window=500,
        options=options,
        data=data,
    )


THEIR_SYN = come(SYN, seq=IRS)
THEIR_SYN_ACK = come(SYN | ACK, seq=IRS)


def handshake(*, passive: bool, offer: Offer = OFFER) -> Handshake:
    """One that has not begun."""
    return Handshake(Flow(LOCAL, REMOTE), offer, Numbers(sequence=ISS, stamp=5000), passive=passive)


def brought_to(state: State, *, passive: bool = True) -> Handshake:
    """One in a state, by what comes, at time zero."""
    shake = handshake(passive=passive)
    if not passive:
        shake.start(0.0)
    if state in (State.SYN_RECEIVED, State.ESTABLISHED):
        shake.receive(THEIR_SYN, 0.0)
    if state is State.ESTABLISHED:
        shake.receive(come(ACK), 0.0)
    assert shake.state is state
    return shake


PROVOKE: dict[Event, Callable[[Handshake], Action]] = {
    Event.OPEN: lambda shake: shake.start(0.0),
    Event.SYN: lambda shake: shake.receive(THEIR_SYN, 0.0),
    Event.SYN_ACK: lambda shake: shake.receive(THEIR_SYN_ACK, 0.0),
    Event.ACK: lambda shake: shake.receive(come(ACK), 0.0),
    Event.BAD_ACK: lambda shake: shake.receive(come(ACK, ack=ISS + 2), 0.0),
    Event.OTHER_SYN: lambda shake: shake.receive(come(SYN, seq=5), 0.0),
    Event.OUTSIDE: lambda shake: shake.receive(come(ACK, seq=100_000), 0.0),
    Event.RESET: lambda shake: shake.receive(come(RST | ACK), 0.0),
    Event.NOTHING: lambda shake: shake.receive(come(FIN), 0.0),
    Event.OVERDUE: lambda shake: shake.tick(1.0),
    Event.EXPIRED: lambda shake: [shake.tick(1.0) for _ in range(SYN_RETRIES + 1)][-1],
}


def starting(state: State) -> Handshake:
    """One in a state; active where no passive one gets there."""
    if state is State.CLOSED:
        return handshake(passive=False)
    if state is State.LISTEN:
        return handshake(passive=True)
    return brought_to(state, passive=state is not State.SYN_SENT)


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in TRANSITIONS if pair[1] is not Event.EXPIRED],
    ids=lambda value: value.name,
)
def test_each_transition(state: State, event: Event) -> None:
    """What the table says is what happens."""
    shake = starting(state)
    assert PROVOKE[event](shake) is TRANSITIONS[state, event][1]
    assert shake.state is TRANSITIONS[state, event][0]


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, (Event.OPEN, Event.OVERDUE))
     if pair not in TRANSITIONS],
    ids=lambda value: value.name,
)  # fmt: skip
def test_what_is_not_in_the_table_is_a_bug(state: State, event: Event) -> None:
    """A call at the wrong time is loud."""
    with pytest.raises(LookupError):
        PROVOKE[event](starting(state))


LISTENING = [
    pytest.param(SYN, Action.SEND_SYN_ACK, id="SYN"),
    *(
        pytest.param(flags, Action.IGNORE, id=f"{flags:#x}")
        for flags in (0, ACK, RST, FIN, SYN | ACK, SYN | RST, SYN | FIN, SYN | ACK | RST)
    ),
]


@pytest.mark.parametrize(("flags", "action"), LISTENING)
def test_only_a_syn_opens(flags: int, action: Action) -> None:
    """Of what comes to a port (§3.10.7.2) the kernel answers all but a SYN."""
    assert handshake(passive=True).receive(come(flags, seq=IRS), 0.0) is action


ANSWERS = [
    pytest.param(come(SYN | ACK, seq=IRS), Action.ACKNOWLEDGE, id="a SYN-ACK of ours"),
    pytest.param(come(SYN | ACK, seq=IRS, ack=ISS), Action.SEND_RESET, id="of an older SYN"),
    pytest.param(come(ACK, ack=77), Action.SEND_RESET, id="an ACK of something else"),
    pytest.param(come(ACK), Action.IGNORE, id="an ACK without a SYN"),
    pytest.param(come(RST | ACK), Action.END, id="a reset of ours"),
    pytest.param(come(RST | ACK, ack=77), Action.IGNORE, id="a reset of something else"),
    pytest.param(come(RST), Action.IGNORE, id="a reset of nothing"),
    pytest.param(come(SYN, seq=IRS), Action.SEND_SYN_ACK, id="a SYN that crosses"),
]


@pytest.mark.parametrize(("segment", "action"), ANSWERS)
def test_answers_to_a_syn(segment: Segment, action: Action) -> None:
    """In SYN_SENT segments are judged by §3.10.7.3."""
    assert brought_to(State.SYN_SENT, passive=False).receive(segment, 0.0) is action


HALF_OPEN = [
    pytest.param(THEIR_SYN, Action.SEND_SYN_ACK, id="the same SYN"),
    pytest.param(come(SYN, seq=9), Action.END, id="another SYN in the window"),
    pytest.param(come(SYN, seq=99_999), Action.SEND_ACK, id="another SYN outside it"),
    pytest.param(come(ACK), Action.HAND_OVER, id="the ACK"),
    pytest.param(come(ACK, data=b"data"), Action.HAND_OVER, id="the ACK with data"),
    pytest.param(come(ACK, seq=9, data=b"data"), Action.HAND_OVER, id="data behind a lost ACK"),
    pytest.param(come(ACK | FIN), Action.HAND_OVER, id="the ACK with a FIN"),
    pytest.param(come(ACK, ack=ISS), Action.SEND_RESET, id="an ACK of less"),
    pytest.param(come(ACK, ack=ISS + 2), Action.SEND_RESET, id="an ACK of more"),
    pytest.param(come(ACK, seq=64_240), Action.SEND_ACK, id="an ACK after the window"),
    pytest.param(come(ACK, seq=IRS), Action.SEND_ACK, id="an ACK before it"),
    pytest.param(come(RST), Action.END, id="a reset"),
    pytest.param(come(RST, seq=9), Action.SEND_ACK, id="a reset somewhere in the window"),
    pytest.param(come(RST, seq=99_999), Action.IGNORE, id="a reset outside it"),
    pytest.param(come(RST | SYN, seq=IRS), Action.IGNORE, id="a reset with the SYN's number"),
    pytest.param(come(0), Action.IGNORE, id="no flag at all"),
    pytest.param(THEIR_SYN_ACK, Action.HAND_OVER, id="a SYN-ACK, as of a crossing"),
]


@pytest.mark.parametrize(("segment", "action"), HALF_OPEN)
def test_what_comes_half_open(segment: Segment, action: Action) -> None:
    """In SYN_RECEIVED segments are judged by §3.10.7.4, and resets by RFC 5961."""
    assert brought_to(State.SYN_RECEIVED).receive(segment, 0.0) is action


def test_a_crossing_survives_another_syn() -> None:
    """Who began is not sent back to LISTEN: another SYN is challenged."""
    shake = brought_to(State.SYN_RECEIVED, passive=False)
    assert shake.receive(come(SYN, seq=9), 0.0) is Action.SEND_ACK
    assert shake.receive(THEIR_SYN_ACK, 0.0) is Action.HAND_OVER


@pytest.mark.parametrize(
    ("passive", "retries"),
    [(True, SYN_ACK_RETRIES), (False, SYN_RETRIES)],
    ids=["passive", "active"],
)
def test_retransmissions_back_off_and_end(*, passive: bool, retries: int) -> None:
    """The wait doubles from one second on, and after the last one all is over."""
    shake = brought_to(State.SYN_RECEIVED if passive else State.SYN_SENT, passive=passive)
    now, waits = 0.0, []
    while (deadline := shake.next_deadline()) < math.inf:
        waits.append(deadline - now)
        now = deadline
        shake.tick(now)
    assert waits == [FIRST_WAIT * 2**number for number in range(retries + 1)]
    assert shake.state is State.CLOSED


def test_repeated_syns_do_not_put_off_the_end() -> None:
    """A peer that sends its SYN for ever holds a place no longer than one that is silent."""
    shake = brought_to(State.SYN_RECEIVED)
    deadline = shake.next_deadline()
    shake.receive(THEIR_SYN, 0.9)
    assert shake.next_deadline() == deadline


# -- what is said ----------------------------------------------------------------------------------


def test_the_syn() -> None:
    """A SYN offers everything."""
    shake = handshake(passive=False)
    syn = shake.segment(shake.start(2.0), 2.0)
    assert (syn.seq, syn.ack, syn.flags, syn.window) == (ISS, 0, SYN, 64_240)
    assert syn.options == Options(
        mss=1460, window_scale=7, sack_permitted=True, timestamps=Timestamps(7000, 0)
    )


def test_the_syn_ack() -> None:
    """A SYN-ACK acknowledges, echoes, and is not scaled."""
    shake = handshake(passive=True)
    answer = shake.segment(shake.receive(THEIR_SYN, 2.0), 2.0)
    assert (answer.seq, answer.ack, answer.flags) == (ISS, 0, SYN | ACK)
    assert answer.window == 64_240
    assert answer.options.timestamps == Timestamps(7000, 70)
    assert (answer.source, answer.destination) == (LOCAL.port, REMOTE.port)


def test_the_last_ack() -> None:
    """Who began acknowledges with a scaled window."""
    shake = brought_to(State.SYN_SENT, passive=False)
    ack = shake.segment(shake.receive(THEIR_SYN_ACK, 1.0), 1.0)
    assert (ack.seq, ack.ack, ack.flags, ack.window) == (ISS + 1, 0, ACK, 64_240 >> 7)
    assert ack.options == Options(timestamps=Timestamps(6000, 70))


def test_a_reset_fits_what_it_answers() -> None:
    """It has the number that its receiver expects next, and no ACK (§3.10.7)."""
    shake = brought_to(State.SYN_RECEIVED)
    bad = come(ACK, ack=4242)
    reset = shake.segment(shake.receive(bad, 0.0), 0.0, bad)
    assert (reset.seq, reset.flags) == (4242, RST)
    assert shake.segment(Action.SEND_RESET, 0.0).seq == ISS + 1


@given(
    st.builds(
        Options,
        mss=st.none() | st.integers(0, 65_535),
        window_scale=st.none() | st.integers(0, 14),
        sack_permitted=st.booleans(),
        timestamps=st.none() | st.just(Timestamps(70, 0)),
    ),
    st.none() | st.integers(0, 14),
    st.booleans(),
    st.booleans(),
)
def test_only_what_both_offer_is_agreed(
    theirs: Options,
    scale: int | None,
    sack: bool,  # noqa: FBT001 - drawn
    timestamps: bool,  # noqa: FBT001 - drawn
) -> None:
    """An option is in the SYN-ACK and in the connection if both sides have it, and not else."""
    offer = Offer(mss=1460, window=64_240, window_scale=scale, sack=sack, timestamps=timestamps)
    shake = handshake(passive=True, offer=offer)
    answer = shake.segment(shake.receive(replace(THEIR_SYN, options=theirs), 0.0), 0.0)
    shake.receive(come(ACK), 0.0)
    made = shake.connection(0.0)
    scaling = scale is not None and theirs.window_scale is not None
    stamping = timestamps and theirs.timestamps is not None
    assert answer.options.mss == 1460
    assert answer.options.window_scale == (scale if scaling else None)
    assert answer.options.sack_permitted == made.sack == (sack and theirs.sack_permitted)
    assert (answer.options.timestamps is not None) == (made.timestamp is not None) == stamping
    assert made.scales == ((theirs.window_scale, scale) if scaling else None)
    assert made.send_window == 500 << ((theirs.window_scale or 0) if scaling else 0)
    assert made.mss == max(536 if theirs.mss is None else theirs.mss, 88)
    assert (made.send_next, made.receive_next) == (ISS + 1, 0)


@given(st.lists(st.builds(
    Segment,
    source=st.just(40_000),
    destination=st.just(7777),
    seq=st.sampled_from([IRS, 0, 1, 99_999]),
    ack=st.sampled_from([ISS, ISS + 1, ISS + 2]),
    flags=st.integers(0, 31),
    window=st.integers(0, 65_535),
    data=st.binary(max_size=3),
), max_size=6), st.booleans())  # fmt: skip
def test_nothing_opens_without_an_acknowledgement_of_ours(
    segments: list[Segment],
    passive: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever comes is judged, and ESTABLISHED takes an ACK of our SYN's number."""
    shake = handshake(passive=passive)
    if not passive:
        shake.start(0.0)
    for segment in segments:
        before = shake.state
        shake.receive(segment, 0.0) if before in (
            State.LISTEN,
            State.SYN_SENT,
            State.SYN_RECEIVED,
        ) else None
        if shake.state is State.ESTABLISHED is not before:
            assert segment.flags & ACK
            assert segment.ack == ISS + 1
            assert not segment.flags & RST
