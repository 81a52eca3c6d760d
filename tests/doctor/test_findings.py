from __future__ import annotations

from simopen.doctor import Finding, Severity, Subject
from simopen.doctor._findings import Row, Table

TABLE: Table[int] = Table(
    Subject.MACHINE,
    (
        Row("even", Severity.FINE, lambda n: None if n % 2 else {"n": n}, "{n} is even", "good"),
        Row("big", Severity.NOTE, lambda n: {"n": n} if n > 9 else None, "big", "{n}", "halve {n}"),
    ),
)


def test_every_row_that_applies_is_a_finding() -> None:
    """With its values in all three texts, in the table's order."""
    assert TABLE.judge(3) == []
    assert [each.code for each in TABLE.judge(12)] == ["even", "big"]
    assert TABLE.judge(11) == [
        Finding(
            code="big",
            subject=Subject.MACHINE,
            severity=Severity.NOTE,
            title="big",
            meaning="11",
            advice="halve 11",
        )
    ]
