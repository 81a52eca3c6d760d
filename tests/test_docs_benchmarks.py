"""The benchmarks' page has all of them, with tables made from what they have written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks import common
from benchmarks.population import lines
from benchmarks.populations import load
from benchmarks.predictions import Run, new_cells
from docs import benchmark_tables, tables

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
THERE = [name for name in everything.COMMANDS if everything.is_there(name)]


def section(name: str) -> str:
    """What the page says of a benchmark."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"no section for {name}"
    return found[1]


def is_kept(name: str) -> bool:
    """Whether the result of a full run is there."""
    return (RESULTS / f"{name}.jsonl").exists()


@pytest.mark.parametrize("name", THERE)
def test_every_benchmark_has_its_section(name: str) -> None:
    """With what it asks, its command, the name of its result file and a place for its table."""
    text = section(name)
    assert text.lstrip().startswith("**")
    assert f"`python -m benchmarks.{name}`" in text
    assert f"`{name}.jsonl`" in text
    assert f"<!-- begin table of {name} -->\n" in text


@pytest.mark.parametrize("name", [name for name in THERE if is_kept(name)])
def test_a_result_that_is_kept_has_a_table_and_a_link(name: str) -> None:
    """Whoever doubts the one finds the other."""
    text = section(name)
    made = text.partition(f"<!-- begin table of {name} -->")[2].partition("<!-- end ")[0]
    assert "\n|" in made
    assert f"(../benchmarks/results/{name}.jsonl)" in text


def test_no_table_is_made_of_a_result_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place says so, and that alone."""
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    for name in benchmark_tables.TABLES:
        assert benchmark_tables.part(name) == benchmark_tables.NOT_YET


RIVALS = [
    {"at": "2026-01-02T03:04:05", "kernel": "6", "python": "3", "cpus": 2}
    | {"rivals": {"warpgate": "4.0.14"}, "absent": {"punchhole": "punchhole==0.0.2: no network"}},
    {"contender": "warpgate", "pair": ["drop", "rst"], "number": 0, "skew": 0.05, "ok": True}
    | {"false": 0, "usable": 1.25, "encrypted": None, "words": ["", ""]},
]


def test_the_rivals_table_waits_for_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is there, the page has who succeeded, how soon, and who could not be run."""
    lines = "".join(json.dumps(each) + "\n" for each in RIVALS)
    (tmp_path / "rivals.jsonl").write_text(lines)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    part = benchmark_tables.part("rivals")
    assert "| warpgate | 1/1 |" in part
    assert "| warpgate | 1250 (1250) |" in part
    assert "| punchhole | punchhole==0.0.2: no network |" in part
    assert "warpgate 4.0.14" in part
    assert "(../benchmarks/results/rivals.jsonl)" in part


def test_the_population_table_waits_for_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is there, the page has what is predicted, what is lost, and the paths in words."""
    found = load()
    cells = new_cells()
    for cell in cells.values():
        cell.trials, cell.succeeded = 4, 3
    head = {"at": "2026-01-02T03:04:05", "kernel": "6", "python": "3", "cpus": 2}
    head |= {"conditions": {each.name: each.words for each in found.conditions}}
    records = [head, *lines(found, {Run("near", "lab"): cells})]
    path = tmp_path / "population.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    part = benchmark_tables.part("population")
    assert "DCUtR in the wild: 70.0% (62.9% to 77.1%) | near | lab | 75.0% (" in part
    assert "| 2022-2025 | near | lab | one-shot | " in part
    assert "*near*: 5 ms, no loss" in part


def test_method_and_caveats_come_first() -> None:
    """Before any figure."""
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings[:2] == ["Method", "Caveats"]


def test_every_part_is_made_by_something() -> None:
    """A marker that nobody fills would stay as it is without a word."""
    begun = re.findall(r"<!-- begin (.*?) -->", PAGE)
    assert begun
    assert set(begun) <= set(tables.PARTS)


def test_every_result_file_is_on_the_page() -> None:
    """What is kept is told of."""
    for path in RESULTS.glob("*.jsonl"):
        if not path.name.startswith("quick-"):
            assert f"results/{path.name})" in PAGE


def test_a_table_follows_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another result makes another page, and the environment is that of the file."""
    shutil.copy(RESULTS / "connect.jsonl", tmp_path)
    head, *cells = map(json.loads, (tmp_path / "connect.jsonl").read_text().splitlines())
    head["kernel"], cells[0]["met"] = "9.9.9", 17
    lines = "".join(json.dumps(each) + "\n" for each in (head, *cells))
    (tmp_path / "connect.jsonl").write_text(lines)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    part = benchmark_tables.part("connect")
    assert "17/100" in part
    assert "kernel 9.9.9" in part


def test_a_table_that_is_not_its_file_s_is_renewed() -> None:
    """One trial more or less is enough."""
    assert tables.renewed(PAGE.replace("100/100", "1/100", 1)) == PAGE
