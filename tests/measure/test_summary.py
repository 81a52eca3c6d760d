from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from simopen.measure._records import End, Results, Run, Side, Trial
from simopen.measure._summary import counts, failure, summarise, table

RUN = Run(
    run="0a",
    at="2025-01-31T12:00:00+00:00",
    label="alice",
    peer_label="bob",
    mode="rendezvous",
    encrypted=True,
    trials=4,
    timeout=10.0,
    skews=(0.0, 0.05),
    environment={},
)
SIDE = Side(
    ok=True,
    elapsed=0.1,
    attempts=1,
    path="IPv4",
    local="10.0.0.2:40000",
    observed=("203.0.113.1:40000",),
    mapping="stable",
    rounds=1,
)
FAILED = Side(ok=False, elapsed=10.0, rounds=5, cause="silence", error="PeerTimeoutError")
GOOD = Trial(
    run="0a",
    number=1,
    planned=0.0,
    ok=True,
    took=0.12,
    limit=0.1,
    bound=0.06,
    ours=SIDE,
    theirs=replace(SIDE, attempts=4, observed=("198.51.100.1:62000",), mapping="varies"),
)
BAD = Trial(run="0a", number=3, planned=-0.05, ok=False, ours=FAILED, theirs=SIDE)
ABSENT = Trial(run="0a", number=4, ok=False, ours=replace(FAILED, rounds=0, cause="nobody came"))
DONE = End(run="0a", finished=True, why="done")
TRIALS = [GOOD, replace(GOOD, number=2, planned=0.05, took=0.2), BAD, ABSENT]


def test_the_rate_and_the_times() -> None:
    """Only trials to which the peer came count, and only those that connected have times."""
    summary = summarise(Results(RUN, TRIALS, DONE))
    row = summary.all
    assert (row.trials, row.succeeded, summary.not_counted) == (
        3,
        2,
        {"nobody came": 1},
    )
    assert row.interval == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert row.times == pytest.approx((0.16, 0.192, 0.1992, 0.2))
    assert (row.limit, row.bound) == (0.1, 0.06)
    assert row.over_limit == pytest.approx(1.6)
    assert row.over_bound == pytest.approx(0.16 / 0.06)


def test_each_skew_has_a_row() -> None:
    """Whoever began."""
    rows = summarise(Results(RUN, TRIALS, DONE)).by_skew
    assert [(row.skew, row.succeeded, row.trials) for row in rows] == [(0.0, 1, 1), (0.05, 1, 2)]


def test_syns_paths_failures_and_nats() -> None:
    """Are those of both sides, where both are known."""
    summary = summarise(Results(RUN, TRIALS, DONE))
    assert summary.syns == {"attempts": (2.5, 4), "refusals": (0, 0), "refreshes": (0, 0)}
    assert summary.paths == {"IPv4": 2}
    assert summary.failures == {"silence": 1}
    assert summary.nats == {
        "alice": {"mapping stable, port kept": 2},
        "bob": {"mapping varies, port changed": 2, "mapping stable, port kept": 1},
    }


@pytest.mark.parametrize(
    ("trial", "counted", "why"),
    [
        (BAD, True, "silence"),
        (replace(BAD, ours=SIDE, theirs=FAILED), True, "at the peer: silence"),
        (replace(BAD, ours=SIDE), True, "the stream carried nothing"),
        (replace(BAD, theirs=None), True, "silence"),
        (replace(BAD, ours=replace(FAILED, cause=None)), True, "PeerTimeoutError"),
        (replace(ABSENT, theirs=ABSENT.ours), True, "nobody came"),
        (replace(BAD, ours=replace(FAILED, rounds=0), theirs=None), False, "silence"),
        (ABSENT, False, "nobody came"),
        (replace(BAD, ours=SIDE, theirs=None), False, "the stream carried nothing"),
    ],
)
def test_what_counts_as_a_failure(trial: Trial, counted: bool, why: str) -> None:  # noqa: FBT001
    """What is known to be one: not that nobody came, nor a stream from which the peer has gone."""
    assert counts(trial) is counted
    assert failure(trial) == why


def test_two_hosts_of_one_name_are_told_apart() -> None:
    """As hosts often are that nobody has named."""
    run = replace(RUN, peer_label="alice")
    assert set(summarise(Results(run, TRIALS, DONE)).nats) == {"alice", "alice (the peer)"}


def test_an_opening_that_failed_counts() -> None:
    """As a trial without a skew."""
    summary = summarise(Results(RUN, [replace(BAD, number=0, planned=None, theirs=None)], DONE))
    assert (summary.all.trials, summary.openings, summary.by_skew) == (1, 1, ())


def test_what_only_the_peer_could_say() -> None:
    """Between fixed endpoints the table has what such trials would make of the rate."""
    silent = replace(BAD, ours=replace(FAILED, rounds=0), theirs=None)
    run = replace(RUN, mode="direct")
    lines = table(Results(run, [GOOD, silent, replace(silent, number=4)], DONE)).splitlines()
    assert "success: 1 of 1, 100.0 % (95 % interval 20.7 to 100.0 %)" in lines
    assert "not counted, as the peer has told nothing of them: silence (2)" in lines
    assert "had it been there each time, success: 1 of 3, 33.3 %" in lines


def test_nothing() -> None:
    """Has no times, and a rate that may be anything."""
    summary = summarise(Results(RUN))
    assert summary.all.interval == (0.0, 1.0)
    assert all(map(math.isnan, summary.all.times))


def test_the_table() -> None:
    """Everything a person asks for, in columns that line up."""
    text = table(Results(RUN, TRIALS, DONE))
    lines = text.splitlines()
    assert lines[0] == "alice <-> bob, rendezvous, encrypted; times in ms"
    assert len({len(line) for line in lines if line.startswith("|")}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0][:2] == ["starts apart", "connected"]
    assert cells[4] == ["all", "2/3", "160", "192", "199", "200", "100", "1.60", "60.0", "2.67"]
    assert "success: 2 of 3, 66.7 % (95 % interval 20.8 to 93.9 %)" in lines
    assert "of a side, median: attempts 2.5 (most 4), refusals 0 (most 0)" in text
    assert "reached by: IPv4 (2)" in lines
    assert "NAT of alice: mapping stable, port kept (2)" in lines
    assert "failures: silence (1)" in lines
    words = "not counted, as the peer has told nothing of them: nobody came (1)"
    assert words in lines
    assert "had it been there" not in text  # nobody came: the coordinator knows
    assert "not finished" not in text


@pytest.mark.parametrize(
    ("end", "words"),
    [(None, "it was killed"), (replace(DONE, finished=False, why="interrupted"), "interrupted")],
)
def test_a_run_that_was_not_finished(end: End | None, words: str) -> None:
    """The table says so, and how far it came."""
    text = table(Results(RUN, TRIALS[:1], end))
    assert f"not finished: 1 of 4 trials were run; {words}" in text


def test_a_table_without_a_trial() -> None:
    """Is one all the same, without a coordinator's columns in direct mode."""
    text = table(Results(replace(RUN, mode="direct", peer_label=None), [], DONE))
    assert "alice <-> nobody, direct" in text
    assert "T*" not in text
    assert "nothing is known" in text
