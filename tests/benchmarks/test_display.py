"""How benchmarks show their figures."""

from __future__ import annotations

from benchmarks.display import table


def test_a_table_is_markdown() -> None:
    """A head, a rule, a line for each row."""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
