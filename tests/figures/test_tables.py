from __future__ import annotations

from msgspec.structs import replace

from simopen.figures._series import panels
from simopen.figures._sources import read
from simopen.figures._tables import Table, tables
from tests.figures.makers import cell, grid, lines, measured, trial


def of(name: str, data: bytes) -> list[Table]:
    """The tables of a file."""
    source = read(name, data)
    return tables([source], panels(source.batches))


def test_a_grid_has_rates_and_times() -> None:
    """One table for a row of the grid, with a line for each class."""
    (table,) = of("g.jsonl", grid(cell(succeeded=3), cell(succeeded=0, rtt=0.1)))
    assert table.title == "Success and time to connect: no loss (g.jsonl)"
    assert table.rows[0][:3] == ("RTT 40 ms", "4", "75 %")
    assert table.rows[0][4:] == ("60", "60", "60", "60", "1.50")
    assert table.rows[1][2] == "0 %"
    assert set(table.rows[1][4:]) == {"–"}  # noqa: RUF001  # the dash of tables


def test_a_run_has_efforts_and_failures() -> None:
    """What both sides sent, how their NATs were seen, and why trials failed."""
    rates, efforts, failures = of("a.jsonl", lines(measured(10)))
    assert [row[1] for row in rates.rows] == ["3", "4", "3"]
    assert efforts.rows[0] == ("alice (with bob)", "10", "1", "4", "0", "6", "stable 10")
    assert efforts.rows[1][0] == "bob (with alice)"
    assert failures.rows == (
        ("alice (with bob): silence", "2"),
        ("bob (with alice): silence", "2"),
    )


def test_a_trial_that_does_not_count_is_no_failure() -> None:
    """What came of it is there, and says so."""
    run, one, end = measured(1)
    alone = replace(trial(2, ok=False), theirs=None)
    *_, failures = of("a.jsonl", lines([run, one, alone, end]))
    assert failures.rows == (("alice (with bob): silence (not counted)", "1"),)


def test_markdown() -> None:
    """Names on the left, numbers on the right, and no text becomes markup."""
    table = Table("t", ("a|b", "n"), (("<script>*x*", "1"), ("[y](z)", "2")))
    assert table.markdown() == (
        "| a\\|b | n |\n| --- | ---: |\n| \\<script\\>\\*x\\* | 1 |\n| \\[y\\](z) | 2 |\n"
    )


def test_html() -> None:
    """A table with a caption and heads; no text becomes markup."""
    markup = Table("a & b", ("x", "n"), (("<script>", "1"),)).html()
    assert "<caption>a &amp; b</caption>" in markup
    assert "<th scope=row>&lt;script&gt;</th><td>1</td>" in markup
    assert "<script>" not in markup
