"""The table of half-open connections: bounded, in order, and hard to guess."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simopen.raw._half_open import HalfOpenTable, numbers
from simopen.raw._handshake import SYN_ACK_RETRIES, Action, Offer
from simopen.raw._segments import ACK, RST, SYN, Address, Flow, Segment, plus

SECRET = bytes(range(16))
OFFER = Offer(mss=1460, window=64_240, window_scale=7)
LOCAL = Address(bytes((192, 0, 2, 1)), 7777)


def flow(number: int) -> Flow:
    """The flow of one client."""
    return Flow(LOCAL, Address(bytes((192, 0, 2, 2)), 1000 + number))


def segment(number: int, flags: int, *, seq: int = 0, ack: int = 0) -> Segment:
    """A segment of one client."""
    return Segment(source=1000 + number, destination=7777, seq=seq, ack=ack, flags=flags)


def begin(table: HalfOpenTable, number: int, now: float = 0.0) -> Segment:
    """Have one client send its SYN; the SYN-ACK to it."""
    handshake, action = table.receive(flow(number), segment(number, SYN), OFFER, now)
    assert action is Action.SEND_SYN_ACK
    return handshake.segment(action, now)


def test_a_handshake_leaves_when_it_is_done() -> None:
    """Established, or reset, it takes no place."""
    table = HalfOpenTable(SECRET)
    answer = begin(table, 1)
    begin(table, 2)
    assert len(table) == 2
    assert flow(1) in table
    ack = segment(1, ACK, seq=1, ack=plus(answer.seq, 1))
    assert table.receive(flow(1), ack, OFFER, 0.1)[1] is Action.HAND_OVER
    assert table.receive(flow(2), segment(2, RST, seq=1), OFFER, 0.1)[1] is Action.END
    assert len(table) == 0
    assert flow(1) not in table
    assert table.next_deadline() == math.inf


def test_nothing_but_a_syn_takes_a_place() -> None:
    """Other segments of unknown flows leave no trace."""
    table = HalfOpenTable(SECRET)
    for flags in (ACK, RST, SYN | ACK, SYN | RST, 0):
        assert table.receive(flow(1), segment(1, flags), OFFER, 0.0)[1] is Action.IGNORE
    assert len(table) == 0


def test_a_full_table_drops_the_oldest() -> None:
    """The one that has waited longest goes, be it in a later generation; nobody else."""
    table = HalfOpenTable(SECRET, most=3)
    begin(table, 1)
    list(table.tick(1.0))  # the first has its SYN-ACK a second time
    for number in (2, 3, 4):
        begin(table, number, 1.0 + number / 10)
    assert [flow(number) in table for number in (1, 2, 3, 4)] == [False, True, True, True]
    begin(table, 5, 2.0)
    assert [flow(number) in table for number in (2, 3, 4, 5)] == [False, True, True, True]
    assert table.dropped == 2


def test_syn_acks_are_sent_again_until_the_end() -> None:
    """Each at its time; then the client is forgotten."""
    table = HalfOpenTable(SECRET)
    begin(table, 1)
    begin(table, 2, 0.5)
    sent = []
    while (now := table.next_deadline()) < math.inf:
        sent += [(each.flow.remote.port - 1000, now) for each, _ in table.tick(now)]
    assert sent[:4] == [(1, 1.0), (2, 1.5), (1, 3.0), (2, 3.5)]
    assert len(sent) == 2 * SYN_ACK_RETRIES
    assert len(table) == 0


def test_a_crowded_table_sends_nothing_twice() -> None:
    """In a flood each SYN is answered once, and what it left still ends."""
    table = HalfOpenTable(SECRET, most=3)
    begin(table, 1)
    begin(table, 2)
    while (now := table.next_deadline()) < math.inf:
        assert list(table.tick(now)) == []
    assert len(table) == 0


def test_ports_of_some() -> None:
    """Who is half-open, as far as is asked."""
    table = HalfOpenTable(SECRET)
    for number in range(5):
        begin(table, number)
    assert table.ports(5) == {1000, 1001, 1002, 1003, 1004}
    assert len(table.ports(3)) == 3


@pytest.mark.parametrize(
    "other",
    [
        flow(2),
        flow(1)._replace(local=LOCAL._replace(port=7778)),
        flow(1)._replace(local=Address(bytes((192, 0, 2, 9)), 7777)),
        flow(1)._replace(remote=Address(bytes((192, 0, 2, 3)), 1001)),
    ],
)
def test_numbers_differ_by_flow_and_secret(other: Flow) -> None:
    """Who knows the numbers of one connection does not know those of another (RFC 6528)."""
    ours = numbers(flow(1), SECRET, 0.0)
    assert numbers(flow(1), SECRET, 0.0) == ours
    for strange in (numbers(other, SECRET, 0.0), numbers(flow(1), SECRET[::-1], 0.0)):
        assert strange.sequence != ours.sequence
        assert strange.stamp != ours.stamp


def test_numbers_of_one_flow_go_up() -> None:
    """A flow's next connection begins where no packet of the last one can be taken for its own."""
    first, second = (numbers(flow(1), SECRET, at) for at in (0.0, 1.0))
    assert plus(first.sequence, 250_000) == second.sequence
    assert first.stamp == second.stamp


class Flooded(RuleBasedStateMachine):
    """Any order of segments, acknowledgements and ticks."""

    MOST = 4

    def __init__(self) -> None:
        super().__init__()
        self.table = HalfOpenTable(SECRET, most=self.MOST)
        self.now = 0.0
        self.answers: dict[int, int] = {}

    @rule(number=st.integers(0, 9), flags=st.integers(0, 31), seq=st.sampled_from([0, 1, 99_999]))
    def comes(self, number: int, flags: int, seq: int) -> None:
        """A segment, mostly nonsense."""
        handshake, action = self.table.receive(
            flow(number), segment(number, flags, seq=seq), OFFER, self.now
        )
        if action is Action.SEND_SYN_ACK:
            self.answers[number] = handshake.segment(action, self.now).seq

    @rule(number=st.integers(0, 9))
    def acknowledges(self, number: int) -> None:
        """A client that has an answer goes on."""
        ack = segment(number, ACK, seq=1, ack=plus(self.answers.get(number, 0), 1))
        self.table.receive(flow(number), ack, OFFER, self.now)
        assert flow(number) not in self.table or number in self.answers

    @rule(step=st.floats(0, 20))
    def time_passes(self, step: float) -> None:
        """And what is overdue is sent."""
        self.now += step
        for handshake, action in self.table.tick(self.now):
            assert action is Action.SEND_SYN_ACK
            assert handshake.flow in self.table

    @invariant()
    def is_bounded(self) -> None:
        """Never more than asked for; no deadline is left behind."""
        assert len(self.table) <= self.MOST
        assert (self.table.next_deadline() == math.inf) == (len(self.table) == 0)


TestFlooded = Flooded.TestCase
TestFlooded.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
