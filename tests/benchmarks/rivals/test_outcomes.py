from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.rivals.agent import Answer
from benchmarks.rivals.outcomes import (
    AdapterError,
    Result,
    answered,
    came_up,
    failure_row,
    judge,
    successes,
    tables,
    times,
)

PAIR = ("drop", "rst")
HELD = Answer(began=10.0, usable=10.25, encrypted=10.5, proven=True)
LATER = Answer(began=10.125, usable=10.375, encrypted=10.75, proven=True)
FAILED = Answer(began=10.0, words="ConnectionError: ICE failed")


def result(first: Answer = HELD, second: Answer = LATER, contender: str = "warpgate") -> Result:
    """What two answers of one trial come to."""
    return judge(contender, PAIR, 0, 0.05, (first, second))


def test_versions_are_read() -> None:
    """An adapter's first line gives its packages' versions."""
    assert came_up(b'{"versions": {"warpgate": "4.0.14"}}') == {"warpgate": "4.0.14"}


@pytest.mark.parametrize("line", [b"hello", b"\xff", b"{}", b'{"versions": 1}', b'{"version": {}}'])
def test_a_first_line_without_versions_is_one_error(line: bytes) -> None:
    """What a rival prints on being imported is no sign of life."""
    with pytest.raises(AdapterError):
        came_up(line)


def test_an_answer_is_read() -> None:
    """An answer's line gives the answer."""
    line = b'{"began": 10.0, "usable": 10.25, "encrypted": 10.5, "proven": true, "words": ""}'
    assert answered(line) == HELD


def test_a_word_for_the_peer_is_read() -> None:
    """A line for the peer gives what is in it, which nobody but the peer looks into."""
    assert answered(b'{"ours": {"seen": [["192.0.2.1", 5000]]}}') == {"seen": [["192.0.2.1", 5000]]}


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"ours": 1}',
        b'{"began": "soon"}',
        b'{"began": 1.0, "proven": 2}',
    ],
)
def test_what_is_no_answer_is_one_error(line: bytes) -> None:
    """Whatever else an adapter prints is an AdapterError and nothing else."""
    with pytest.raises(AdapterError):
        answered(line)


def test_time_is_from_the_later_start_to_the_last_side() -> None:
    """Both times run from the later start until the last side is there."""
    assert result().ok
    assert (result().usable, result().encrypted) == (0.25, 0.625)


@pytest.mark.parametrize(
    ("second", "false"),
    [
        (FAILED, 0),
        (replace(LATER, proven=False), 1),
        (replace(LATER, usable=None, proven=False), 0),
        (replace(LATER, usable=None), 0),
    ],
)
def test_one_side_is_no_success(second: Answer, false: int) -> None:
    """A trial fails, and has no times, unless both sides hold what carried the other's bytes."""
    for sides in ((HELD, second), (second, HELD)):
        one = result(*sides)
        assert (one.ok, one.usable, one.encrypted, one.false) == (False, None, None, false)


def test_encrypted_is_a_word_for_both_sides() -> None:
    """Where one side has nothing encrypted, the trial has not, and succeeds all the same."""
    one = result(second=replace(LATER, encrypted=None))
    assert (one.ok, one.usable, one.encrypted) == (True, 0.25, None)


def test_successes_count_who_was_deceived() -> None:
    """Sides that held what carried nothing are counted where there are any."""
    deceived = result(second=replace(LATER, proven=False))
    assert successes([result(), result(FAILED)]) == "1/2"
    assert successes([result(), deceived]) == "1/2, 1 false"


def test_times_are_of_what_is_known() -> None:
    """Median and longest leave out trials that have no time, and say so where none has."""
    assert times([0.1, None, 0.3, 0.2]) == "200 (300)"
    assert times([None]) == "-"


def test_failures_say_what_was_said_most_often() -> None:
    """A failure's row has the commonest words of either side, unable to break the table."""
    other = replace(FAILED, words="a|b")
    row = failure_row(("warpgate", PAIR), [result(FAILED, other), result(other), result()])
    assert row == ["warpgate", "drop~rst", "2", "a\\|b"]
    assert failure_row(("warpgate", PAIR), [result()]) is None


def test_nobody_is_left_out() -> None:
    """The tables have every contender in the catalogue's order, and who is absent with the why."""
    text = tables(
        [result(contender="punchhole"), result(contender="naive loop")],
        {"py-libp2p": "libp2p==0.8.1: ERROR: no matching distribution"},
    )
    assert text.index("| naive loop | 1/1 |") < text.index("| punchhole | 1/1 |")
    assert "| naive loop | 250 (250) |" in text
    assert "| naive loop | 625 (625) |" in text
    assert "| py-libp2p | libp2p==0.8.1: ERROR: no matching distribution |" in text
    assert "failures" not in text
    assert "warpgate" not in text  # was not asked for
