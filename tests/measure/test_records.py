from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simopen import UsageError
from simopen.measure._records import (
    SCHEMA,
    End,
    Moment,
    Record,
    ResultFileError,
    Run,
    Side,
    Trial,
    decode_line,
    encode_line,
    read_results,
)

RUN = Run(
    run="0a0b",
    at="2025-01-31T12:00:00+00:00",
    label="alice",
    mode="direct",
    trials=2,
    timeout=10.0,
    skews=(0.0, 0.05),
    environment={"kernel": "6.8", "sysctls": {"tcp_syn_retries": "6", "tcp_timestamps": None}},
)
SIDE = Side(ok=True, elapsed=0.04, attempts=1, events=(Moment(0.0, "punch.attempt", 0),))
TRIAL = Trial(run="0a0b", number=1, ok=True, ours=SIDE)
END = End(run="0a0b", finished=True, why="done")

seconds = st.floats(0, 1e6)
counts = st.integers(0, 10_000)
words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)
sides = st.builds(
    Side,
    ok=st.booleans(),
    elapsed=seconds,
    attempts=counts,
    path=words,
    observed=st.lists(words, max_size=8).map(tuple),
    mapping=st.sampled_from(["stable", "varies", "unknown"]),
    round_trip=st.none() | seconds,
    cause=st.none() | words,
    events=st.lists(st.builds(Moment, seconds, words, st.none() | counts), max_size=5).map(tuple),
)
trials = st.builds(
    Trial,
    run=words,
    number=counts,
    skew=st.none() | st.floats(-10, 10),
    ok=st.booleans(),
    took=st.none() | seconds,
    ours=sides,
    theirs=st.none() | sides,
)


def lines(*records: Record) -> list[str]:
    """A file's."""
    return [encode_line(record) + "\n" for record in records]


@given(trials)
def test_what_is_written_is_read(trial: Trial) -> None:
    """Every trial survives its line, and takes no more than one."""
    line = encode_line(trial)
    assert "\n" not in line
    assert decode_line(line) == trial


def test_a_record_says_what_it_is() -> None:
    """The lines are the documented ones, for whoever reads them without us."""
    run, trial, end = (json.loads(line) for line in lines(RUN, TRIAL, END))
    assert (run["record"], run["schema"]) == ("run", "simopen.measure/1")
    assert (trial["record"], trial["number"], trial["theirs"]) == ("trial", 1, None)
    assert trial["ours"]["events"] == [[0.0, "punch.attempt", 0]]
    assert end == {"record": "end", "run": "0a0b", "finished": True, "why": "done"}


def test_fields_of_a_later_version_are_ignored() -> None:
    """In the record and in what stands in it."""
    line: dict[str, Any] = json.loads(encode_line(TRIAL))
    line["colour"] = line["ours"]["colour"] = "red"
    assert decode_line(json.dumps(line)) == TRIAL


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"record": "cell"}',
        encode_line(RUN).replace(SCHEMA, "simopen.measure/2"),
        encode_line(END).replace("true", '"yes"'),
        encode_line(TRIAL).replace('"attempts":1', '"attempts":-1'),
        encode_line(TRIAL).replace('"attempts":1', f'"attempts":{10**400}'),
        encode_line(TRIAL).replace('"elapsed":0.04', '"elapsed":null'),
        encode_line(TRIAL).replace('"elapsed":0.04', '"elapsed":1e300'),
        encode_line(TRIAL).replace('"unknown"', '"sometimes"'),
        encode_line(TRIAL)[:-5],
        encode_line(TRIAL).replace("punch.attempt", r"\u001b[2Jpunch"),
        encode_line(TRIAL).replace("punch.attempt", r"punch.attempt\n"),
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_none_of_ours(line: str | bytes) -> None:
    """Is one kind of error, and one of wrong use."""
    with pytest.raises(ResultFileError) as caught:
        decode_line(line)
    assert isinstance(caught.value, UsageError)


@given(st.text() | st.binary())
def test_any_line_is_read_or_refused(line: str | bytes) -> None:
    """By no error but one."""
    try:
        decode_line(line)
    except ResultFileError:
        return
    raise AssertionError("no record is found by chance")


def test_a_file_with_two_runs() -> None:
    """Each has its trials; the second was killed."""
    again = replace(RUN, run="0c")
    second = replace(TRIAL, number=2)
    one, two = read_results(["\n", *lines(RUN, TRIAL, second, END, again)])
    assert (one.run, one.trials, one.end) == (RUN, [TRIAL, second], END)
    assert (two.run, two.trials, two.end) == (again, [], None)


@pytest.mark.parametrize(
    ("records", "line"),
    [((TRIAL,), 1), ((RUN, END, TRIAL), 3), ((RUN, END, END), 3)],
)
def test_a_record_in_the_wrong_place(records: tuple[Record, ...], line: int) -> None:
    """The error names its line."""
    with pytest.raises(ResultFileError, match=f"^line {line}: "):
        read_results(lines(*records))


def test_a_record_of_another_run() -> None:
    """Is refused, since two hosts' files may have been mixed."""
    other = End(run="0c", finished=True, why="done")
    with pytest.raises(ResultFileError, match=r"^line 2: "):
        read_results(lines(RUN, other))


def test_what_the_peer_told_later() -> None:
    """Of a trial that was written twice the later one counts; openings are all their own."""
    later = replace(TRIAL, theirs=SIDE)
    opening = replace(TRIAL, number=0, ok=False)
    second = replace(TRIAL, number=2)
    (results,) = read_results(lines(RUN, opening, opening, TRIAL, second, later))
    assert results.trials == [opening, opening, later, second]
