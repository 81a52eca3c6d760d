"""What the soak makes of its samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.commands import Judgement
from benchmarks.soak import INTERVAL, Sample, failures, growth, remains, show
from benchmarks.soak_picture import draw

EMPTY = Sample("plain", 0.0, 2.0**26, 12, 8, connections=0, members=0, rooms=0)


def samples(memory: Iterable[float]) -> list[Sample]:
    """A sample for each value."""
    return [
        replace(EMPTY, at=INTERVAL * number, memory=value) for number, value in enumerate(memory)
    ]


def test_growth_is_told_as_a_part_of_the_mean() -> None:
    """From the first judged sample to the last one, by the line through all of them."""
    assert growth(samples([100.0] * 40), "memory") == 0.0
    rising = samples(85.0 + number for number in range(40))  # 95 to 124 where it is judged
    assert growth(rising, "memory") == pytest.approx(29 / 109.5)


def test_the_warm_up_is_not_judged() -> None:
    """The first quarter may grow as it likes."""
    assert growth(samples([*range(1, 11), *[100.0] * 30]), "memory") == 0.0


@pytest.mark.parametrize("name", ["connections", "members", "rooms", "descriptors", "tasks"])
def test_what_is_left_when_everybody_has_gone(name: str) -> None:
    """Is named, one more than before is enough; memory is not given back, and is not."""
    assert remains(EMPTY, replace(EMPTY, memory=2 * EMPTY.memory)) == []
    assert remains(EMPTY, replace(EMPTY, **{name: getattr(EMPTY, name) + 1})) == [name]


def test_the_verdict_takes_in_all_of_it() -> None:
    """Growth, what is left, and visits that went wrong; growth takes a run that is not short."""
    flat = samples([100.0] * 40)
    good, grown, bad = Judgement(True, True), Judgement(False, True), Judgement(False, False)
    assert show([EMPTY], flat, [EMPTY], {"meet": 3}) == good
    assert show([EMPTY], samples(range(1, 41)), [EMPTY], {"meet": 3}) == grown
    assert show([EMPTY], flat, [replace(EMPTY, rooms=1)], {"meet": 3}) == bad
    assert show([EMPTY], flat, [EMPTY], {"meet": 3, "meet: AssertionError: no": 1}) == bad


def test_failures_are_told_from_visits() -> None:
    """By their words."""
    assert failures({"meet": 3, "meet: TimeoutError: ": 1}) == {"meet: TimeoutError: ": 1}


def test_the_picture(tmp_path: Path) -> None:
    """Is drawn from the lines that are samples."""
    source, picture = tmp_path / "soak.jsonl", tmp_path / "soak.png"
    line = '{"service": "plain", "at": 10, "memory": 1048576, "descriptors": 3, "tasks": 4}'
    source.write_text(f'{{"seed": 6}}\n{line}\n{{"visits": {{}}}}\n')
    draw(source, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
