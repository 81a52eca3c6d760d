"""What is recorded of a target's fuzzing, and which inputs are kept; libFuzzer is played here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fuzz import _campaign, _targets
from fuzz._targets import Target

SAID = """\
#2	INITED cov: 3 ft: 4 corp: 2/8b exec/s: 0 rss: 61Mb
#5000	DONE   cov: 31 ft: 75 corp: 9/281b lim: 192 exec/s: 2500 rss: 62Mb
stat::number_of_executed_units: 5000
"""
FOUND = """\
==1== ERROR: libFuzzer: fuzz target exited
stat::number_of_executed_units: 61
"""
TARGET = Target("frames", "It holds.", lambda _: None, (b"seed",), 64)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is written goes here; an older corpus is here already."""
    monkeypatch.setattr(_targets, "CORPUS", tmp_path / "corpus")
    monkeypatch.setattr(_campaign, "FOUND", tmp_path / "found")
    monkeypatch.setattr(_campaign, "RESULTS", tmp_path)
    monkeypatch.setattr(_campaign, "RECORDS", tmp_path / "fuzz.jsonl")
    TARGET.folder.mkdir(parents=True)
    (TARGET.folder / "old").write_bytes(b"older")
    return tmp_path


def play(monkeypatch: pytest.MonkeyPatch, status: int, said: str, kept: list[bytes]) -> list[str]:
    """Let workers end so, and merging keep these; what they were asked for is noted."""
    asked: list[str] = []

    def worker(_: Target, *arguments: str) -> tuple[int, str]:
        asked.extend(arguments)
        if arguments[0] == "-set_cover_merge=1":
            for number, data in enumerate(kept):
                (Path(arguments[-2]) / f"{number}").write_bytes(data)
            return 0, ""
        begun_with = {path.read_bytes() for path in Path(arguments[-1]).iterdir()}
        assert begun_with == {*TARGET.seeds, *(path.read_bytes() for path in TARGET.corpus())}
        return status, said

    monkeypatch.setattr(_campaign, "_worker", worker)
    return asked


def test_what_libfuzzer_says_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own numbers, and the corpus that is kept, which replaces the older one."""
    asked = play(monkeypatch, 0, SAID, [b"one", b"three"])
    campaign = _campaign.run(TARGET, 5000)
    assert {"-runs=5000", "-max_len=64"} <= set(asked)
    assert (campaign.executions, campaign.coverage, campaign.features) == (5000, 31, 75)
    assert (campaign.corpus, campaign.corpus_bytes, campaign.crashes) == (2, 8, 0)
    assert [path.name for path in TARGET.corpus()] == ["0", "1"]


def test_a_find_is_recorded_and_leaves_the_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends with a find has one crash and as many executions as it came to."""
    play(monkeypatch, 77, FOUND, [b"new"])
    campaign = _campaign.run(TARGET, 5000)
    assert (campaign.crashes, campaign.executions, campaign.coverage) == (1, 61, None)
    assert [path.name for path in TARGET.corpus()] == ["old"]


def test_a_corpus_is_not_lost_with_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where merging keeps nothing something is wrong, and the older corpus stays."""
    play(monkeypatch, 0, SAID, [])
    with pytest.raises(RuntimeError, match="frames"):
        _campaign.run(TARGET, 5000)
    assert [path.name for path in TARGET.corpus()] == ["old"]


def test_records_are_appended(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """One line each, with where it was and which atheris."""
    play(monkeypatch, 0, SAID, [b"one"])
    monkeypatch.setattr(_campaign, "version", lambda _: "3")
    for _ in range(2):
        _campaign.record(_campaign.run(TARGET, 5000))
    lines = [json.loads(line) for line in (folder / "fuzz.jsonl").read_text().splitlines()]
    assert [line["target"] for line in lines] == ["frames", "frames"]
    assert {"at", "python", "atheris", "executions", "crashes"} <= lines[0].keys()


def test_the_shortest_are_kept() -> None:
    """A corpus has the shortest files, as many and as large as it may be."""
    many = [(size, f"{size}") for size in range(100, 0, -1)]
    assert _campaign.shortest(many) == [f"{size}" for size in range(1, _campaign.MOST_FILES + 1)]
    large = [(_campaign.MOST_BYTES // 2, name) for name in "abc"]
    assert _campaign.shortest(large) == ["a", "b"]
    assert _campaign.shortest([]) == []
