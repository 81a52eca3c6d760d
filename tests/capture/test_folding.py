"""Long runs told as one."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.capture.folding import Fold, fold
from simopen.capture.ladder import UNREACHABLE, Step


def _conversation(*packets: tuple[str, str, int]) -> list[Step]:
    """Return steps one after the other, each arriving before the next leaves."""
    seq = {"a": count(0, 10_000), "b": count(0, 10_000)}
    return [
        Step(number, number + 0.5, sender, flags, payload, next(seq[sender]), packet_id=number)
        for number, (sender, flags, payload) in enumerate(packets)
    ]


_REFUSED = (("a", "SYN", 0), ("b", "RST-ACK", 0))
_OPENED = (("a", "SYN", 0), ("b", "SYN-ACK", 0), ("a", "ACK", 0))


def test_repeated_refusals_become_one_line_after_the_first() -> None:
    """The first SYN and its RST stay, the others are counted."""
    first, answer, folded = fold(_conversation(*_REFUSED * 38))
    assert (first, answer) == tuple(_conversation(*_REFUSED))
    assert isinstance(folded, Fold)
    assert (folded.kind, folded.syns, folded.seconds) == ("refusals", 37, 73.5)


def test_icmp_refuses_as_well() -> None:
    """An unreachable answer counts like an RST."""
    items = fold(_conversation(*(("a", "SYN", 0), ("b", UNREACHABLE, 0)) * 9))
    assert [type(item) for item in items] == [Step, Step, Fold]


def test_a_gateway_refuses_as_well() -> None:
    """A SYN that a gateway dropped and answered is one that was refused."""
    steps = [
        step
        for number in range(0, 20, 2)
        for step in (
            Step(number, None, "a", "SYN", packet_id=number, receiver="b"),
            Step(
                *(number + 0.5, number + 0.9, "b-site", "RST"),
                packet_id=number + 1,
                receiver="a",
                from_gateway=True,
            ),
        )
    ]
    first, answer, folded = fold(steps)
    assert [first, answer] == steps[:2]
    assert isinstance(folded, Fold)
    assert (folded.kind, folded.syns) == ("refusals", 9)


def test_lost_syns_become_one_line_after_the_first() -> None:
    """SYNs of both sides that never arrive come to nothing, answered or not."""
    steps = [Step(n, None, "ab"[n % 2], "SYN", packet_id=n) for n in range(12)]
    assert fold(steps) == [*steps[:2], Fold("refusals", tuple(steps[2:]))]


def test_a_run_is_shown_up_to_its_first_answer() -> None:
    """Where both sides begin with a SYN each, the first refusal is still to be seen."""
    packets = [("a", "SYN", 0), ("b", "SYN", 0), ("b", "RST", 0), ("a", "RST", 0)]
    items = fold(_conversation(*packets * 5))
    assert [item.flags for item in items if isinstance(item, Step)] == ["SYN", "SYN", "RST"]
    assert len(items) == 4


@pytest.mark.parametrize("most", [3, 10, 40])
def test_a_long_conversation_loses_its_middle(most: int) -> None:
    """There are no more items than asked for, and what is left out is one of them."""
    steps = _conversation(*(("a", "FIN-ACK", 0), ("b", "SYN-ACK", 0)) * 50)
    items = fold(steps, most)
    assert len(items) == most
    (rest,) = (item for item in items if isinstance(item, Fold))
    assert (rest.kind, len(rest.steps)) == ("rest", 101 - most)
    assert items[0] == steps[0]


def test_two_refusals_are_not_worth_a_fold() -> None:
    """A short run is drawn in full."""
    steps = _conversation(*_REFUSED * 2)
    assert fold(steps) == steps


def test_data_becomes_one_line_and_the_handshake_stays() -> None:
    """Segments and their acknowledgements fold; SYN, SYN-ACK, the first ACK and FIN do not."""
    data = (("a", "ACK", 1000), ("a", "ACK", 1000), ("b", "ACK", 0), ("b", "ACK", 5))
    items = fold(_conversation(*_OPENED, *data, ("a", "FIN-ACK", 0)))
    kinds = [item.flags if isinstance(item, Step) else item.kind for item in items]
    assert kinds == ["SYN", "SYN-ACK", "ACK", "data", "FIN-ACK"]
    folded = items[3]
    assert isinstance(folded, Fold)
    assert (folded.payload_bytes("a"), folded.payload_bytes("b")) == (2000, 5)


def test_a_retransmission_counts_once_and_a_loss_not_at_all() -> None:
    """The bytes told are those that reached the other side."""
    arrived = Step(0, 1, "a", "ACK", 100, seq=1)
    lost = Step(1, None, "a", "ACK", 100, seq=101)
    assert Fold("data", (arrived, arrived, lost)).payload_bytes("a") == 100


def test_a_crossing_syn_is_never_folded_away() -> None:
    """A SYN that crossed another stays, even when a reset follows."""
    steps = _conversation(*_REFUSED * 5)
    crossing = [
        Step(20, 22, "a", "SYN", packet_id=20),
        Step(21, 23, "b", "SYN", packet_id=21),
        Step(24, 25, "b", "RST-ACK", packet_id=24),
    ]
    assert fold([*steps, *crossing])[-3:] == crossing


_FLAGS = st.sampled_from(["SYN", "SYN-ACK", "ACK", "RST", "RST-ACK", "FIN-ACK", UNREACHABLE])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), _FLAGS, st.sampled_from([0, 0, 9]))),
    st.none() | st.integers(3, 20),
)
def test_folding_loses_and_moves_nothing(
    packets: list[tuple[str, str, int]], most: int | None
) -> None:
    """Unfolded again, every conversation is what it was."""
    steps = _conversation(*packets)
    items = fold(steps, most)
    unfolded = [
        step for item in items for step in (item.steps if isinstance(item, Fold) else [item])
    ]
    assert unfolded == steps
    assert most is None or len(items) <= most
