from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from simopen.figures._batches import together
from simopen.figures._sources import MEASURED, Source, read, without_other_sides
from simopen.measure._records import ResultFileError
from tests.figures.makers import HEAD, RTT, cell, grid, lines, measured, trial


def test_a_run_becomes_batches_by_difference_of_starts() -> None:
    """Trials with the same size of skew are one batch, whoever began."""
    source = read("a.jsonl", lines(measured(30)))
    assert [batch.skew for batch in source.batches] == [0.0, 0.05, 0.4]
    assert {batch.row for batch in source.batches} == {MEASURED}
    assert {batch.rtt for batch in source.batches} == {RTT}
    assert {batch.sites for batch in source.batches} == {("alice", "bob")}
    tally = together(source.batches)
    assert (tally.trials, tally.succeeded, len(tally.times)) == (30, 24, 24)
    assert source.notes == ()


def test_an_unknown_skew_is_a_batch_of_its_own() -> None:
    """A trial whose skew is not known is counted, and put at no skew."""
    records = measured(1)
    records[1] = trial(0, ok=False)
    unknown = json.loads(lines([records[1]])) | {"skew": None}
    data = lines(records[:1]) + json.dumps(unknown).encode() + b"\n"
    (batch,) = read("a.jsonl", data).batches
    assert (batch.skew, batch.trials, batch.succeeded) == (None, 1, 0)


def test_nobody_to_connect_to_is_no_failure() -> None:
    """A trial of which the peer has told nothing is in no rate, and in a note."""
    alone = replace(trial(2, ok=False), theirs=None)
    source = read("a.jsonl", lines([*measured(1)[:2], alone, *measured(1)[2:]]))
    tally = together(source.batches)
    assert (tally.trials, tally.succeeded) == (1, 1)
    assert any("1 trial of the run of" in note for note in source.notes)


def test_the_planned_skew_counts() -> None:
    """A trial that began later than was meant stays in its batch, and so does a failed one."""
    record = json.loads(lines([trial(1, skew=0.3)])) | {"planned": -0.05}
    data = lines(measured(0)[:1]) + json.dumps(record).encode() + b"\n"
    (batch,) = read("a.jsonl", data).batches
    assert batch.skew == 0.05


def test_a_grid_becomes_batches() -> None:
    """Every cell is a batch with its conditions."""
    (one, other) = read("g.jsonl", grid(cell(), cell("naive", 3, naive=True, loss=0.05))).batches
    assert (one.row, one.who, one.loss, one.succeeded) == ("clean", "simopen", 0.0, 4)
    assert one.ratios == pytest.approx([1.5] * 4)
    assert (other.who, other.loss, other.trials, other.succeeded) == ("naive loop", 0.05, 4, 3)


@pytest.mark.parametrize(
    "data", [lines(measured(4)[:-1]), grid(cell(), cell())], ids=["run", "grid"]
)
def test_a_last_line_that_is_cut_is_left_out_with_a_note(data: bytes) -> None:
    """A file whose writer was killed in mid-write is read up to there."""
    whole = read("f.jsonl", data)
    cut = read("f.jsonl", data[:-30])
    assert together(cut.batches).trials < together(whole.batches).trials
    assert any("is cut short" in note for note in cut.notes)
    assert not any("is cut short" in note for note in whole.notes)


@pytest.mark.parametrize("data", [lines(measured(4)), grid(cell(), cell())], ids=["run", "grid"])
def test_a_last_line_without_newline_counts(data: bytes) -> None:
    """A whole record is one, newline or not."""
    assert read("f.jsonl", data[:-1]).batches == read("f.jsonl", data).batches
    assert read("f.jsonl", data[:-1]).notes == read("f.jsonl", data).notes


def test_a_run_that_goes_on_or_ended_early_is_noted() -> None:
    """The reader is told that trials are missing."""
    records = measured(3)
    assert "has no end" in read("f", lines(records[:-1])).notes[0]
    end = json.dumps({"record": "end", "run": "ab12", "finished": False, "why": "interrupted"})
    assert "interrupted" in read("f", lines(records[:-1]) + end.encode() + b"\n").notes[0]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"not JSON\n", "line 1"),
        (b"[1]\n", "line 1"),
        (b'{"a":1}\n', "line 1"),
        (b"\x89PNG\r\n\x1a\n", "line 1"),
        (b'{"schema":"simopen.measure/9","record":"run"}\n', "line 1"),
        (lines(measured(3)[:2]) + b"{}\n" + lines(measured(3)[2:]), "line 3"),
        (lines(measured(3)[:2]) + b"\xff\xfe\n" + lines(measured(3)[2:]), "line 3"),
        (grid(cell()) + b"{}\n", "line 3"),
        (grid(cell()) + b'{"path"\n', "line 3"),
        (grid(cell(trials=3)), "line 2"),
        (grid(cell() | {"succeeded": 3}), "line 2"),
        (grid(cell(rtt=-1.0)), "line 2"),
        (grid(cell(loss=2.0)), "line 2"),
        (grid(cell() | {"times": [1e400] * 4}), "line 2"),
        (json.dumps({"kernel": 1}).encode() + b"\n", "line 1"),
    ],
)
def test_a_damaged_file_is_one_error_with_file_and_line(data: bytes, where: str) -> None:
    """Whatever is wrong, the error says where."""
    with pytest.raises(ResultFileError, match=rf"^worst\.jsonl.*{where}"):
        read("worst.jsonl", data)


@settings(max_examples=300)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda data, at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
        st.sampled_from([lines(measured(3)), grid(cell(), cell("loss"))]),
        st.integers(0, 900),
        st.integers(0, 255),
    )
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """There is no other error than the one."""
    try:
        source = read("f", data)
    except ResultFileError:
        return
    assert isinstance(source, Source)


def test_the_other_side_of_a_run_is_not_counted_twice() -> None:
    """Of both hosts' files of one run the first counts, and the second says so."""
    alice, bob = (read(name, lines(measured(5, label=name))) for name in ("alice", "bob"))
    other = read("other", lines(measured(5, run="cd34")))
    first, second, third = without_other_sides([alice, bob, other])
    assert (first, third) == (alice, other)
    assert (second.batches, second.runs) == ((), ())
    assert "counts there" in second.notes[-1]


def test_names_are_fit_to_be_drawn() -> None:
    """A host's name has no control characters, and an end."""
    (batch,) = read("f", lines(measured(1, label="a\u202e" + "x" * 100))).batches
    assert batch.sites[0].isprintable()
    assert len(batch.sites[0]) <= 24


def test_two_hosts_of_one_name_are_told_apart() -> None:
    """As hosts often are that nobody has named."""
    (batch,) = read("f", lines(measured(1, label="bob"))).batches
    assert batch.sites == ("bob", "peer bob")


def test_what_a_file_was_taken_on() -> None:
    """When and on what stands beside every file."""
    (about,) = read("g", grid(cell())).about
    assert HEAD["at"][:19] in about
    assert f"Linux {HEAD['kernel']}" in about
    (about,) = read("a", lines(measured(1))).about
    assert "direct, kernel 6.1" in about
