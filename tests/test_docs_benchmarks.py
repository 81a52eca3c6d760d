"""The benchmarks' page has all of them, with tables made from what they have written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks import common
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


@pytest.mark.parametrize("name", THERE)
def test_every_benchmark_has_its_section(name: str) -> None:
    """With what it asks, its command, its result file and a table made from that."""
    text = section(name)
    assert text.lstrip().startswith("**")
    assert f"`python -m benchmarks.{name}`" in text
    assert f"(../benchmarks/results/{name}.jsonl)" in text
    assert f"<!-- begin table of {name} -->\n|" in text


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
