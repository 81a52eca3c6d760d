from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simopen.measure._pairing import Mine, trial_record
from simopen.measure._records import Side, decode_line, encode_line
from simopen.measure._talk import Outcome

MINE = Mine(
    Outcome(number=3, epoch=2, began=0.30, side=Side(ok=True, elapsed=0.10, attempts=1)),
    planned=0.05,
    proven=True,
    round_trip=0.04,
)
THEIRS = Outcome(number=3, epoch=2, began=0.25, side=Side(ok=True, elapsed=0.13, attempts=2))


def test_a_trial_that_connected() -> None:
    """From the later start to the last side's stream, and both sides know the round trip."""
    trial = trial_record("0a", MINE, THEIRS, encrypted=False, scheme=None)
    assert trial.ok
    assert (trial.number, trial.planned, trial.skew) == (3, 0.05, 0.05)
    assert trial.took == pytest.approx(0.10)
    assert trial.limit == pytest.approx(0.06)
    assert trial.bound is None
    assert trial.theirs is not None
    assert (trial.ours.round_trip, trial.theirs.round_trip) == (0.04, 0.04)


def test_the_proof_is_part_of_the_limit() -> None:
    """Where the stream is not handed over before it."""
    trial = trial_record("0a", MINE, THEIRS, encrypted=True, scheme=None)
    assert trial.limit == pytest.approx(0.06 + 0.08)


def test_through_a_coordinator() -> None:
    """There is a bound where both know how far the coordinator is."""
    near = replace(MINE.outcome.side, coordinator_round_trip=0.02)
    mine = Mine(replace(MINE.outcome, side=near), 0.05, proven=True, round_trip=0.04)
    theirs = replace(THEIRS, side=replace(THEIRS.side, coordinator_round_trip=0.02))
    trial = trial_record("0a", mine, theirs, encrypted=True, scheme="tcp")
    assert trial.bound == pytest.approx(1.5 * 0.02 + 0.01 + 0.04 + 0.08)
    assert trial.limit == pytest.approx(0.04 + 0.08)  # both fire together, whoever came first
    assert trial_record("0a", mine, THEIRS, encrypted=True, scheme="tcp").bound is None


@pytest.mark.parametrize("proven", [True, False])
def test_a_side_that_held_nothing(proven: bool) -> None:  # noqa: FBT001
    """It takes both, and bytes across, to have connected; otherwise there is no time."""
    failed = replace(THEIRS, side=Side(ok=False, elapsed=10.0, cause="silence"))
    theirs = failed if proven else THEIRS
    mine = Mine(MINE.outcome, 0.05, proven=proven, round_trip=0.04)
    trial = trial_record("0a", mine, theirs, encrypted=False, scheme=None)
    assert (trial.ok, trial.took, trial.limit) == (False, None, None)
    assert trial.skew == 0.05


def test_a_peer_that_has_told_nothing() -> None:
    """Nothing is said of it, and the trial has not connected as far as is known."""
    trial = trial_record("0a", MINE, None, encrypted=False, scheme=None)
    assert (trial.ok, trial.theirs, trial.skew, trial.took) == (False, None, None, None)


def test_clocks_that_cannot_be_compared() -> None:
    """There is no skew and no time, but what each side had is known."""
    trial = trial_record("0a", MINE, replace(THEIRS, epoch=1), encrypted=False, scheme=None)
    assert (trial.ok, trial.skew, trial.took, trial.limit) == (True, None, None, None)


@given(*(st.floats(0, 100) for _ in range(4)))
def test_a_record_can_always_be_written(a: float, b: float, c: float, d: float) -> None:
    """Whatever the peer tells of its times; none is less than nothing."""
    mine = Mine(replace(MINE.outcome, began=a, side=Side(ok=True, elapsed=b)), 0.0, proven=True)
    theirs = replace(THEIRS, began=c, side=Side(ok=True, elapsed=d))
    trial = trial_record("0a", mine, theirs, encrypted=False, scheme=None)
    assert decode_line(encode_line(trial)) == trial
