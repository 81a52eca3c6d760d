"""From facts to findings: a table of rows, each with its condition and its words. Pure.

A row looks at one fact (:class:`~._facts.Machine`, …) and answers with the values for its texts,
or None where it does not apply. Every row that applies becomes a finding, in the table's order.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

F = TypeVar("F")
Words: TypeAlias = Mapping[str, object]


class Severity(enum.Enum):
    """What a finding means for connecting."""

    FINE = "fine"  # as it should be
    NOTE = "note"  # worth knowing; connections come about all the same
    HINDERS = "hinders"  # will keep connections from coming about, or some of them


class Subject(enum.Enum):
    """What a finding is about."""

    MACHINE = "this machine"
    PORT = "the local port"
    COORDINATOR = "the coordinator"
    NAT = "the NAT"
    REMOTE = "the remote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the doctor has found.

    Attributes:
        code: Its name, for programs; they are listed in ``docs/doctor.md``.
        subject: What it is about.
        severity: Whether it hinders.
        title: What was found.
        meaning: What that means for connecting.
        advice: What to do; empty where there is nothing to do.
    """

    code: str
    subject: Subject
    severity: Severity
    title: str
    meaning: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Row(Generic[F]):
    """One line of a table.

    Attributes:
        code: The finding's.
        severity: The finding's.
        look: The values for the texts, or None where the row does not apply.
        title: A template, as the two that follow.
        meaning: What it means.
        advice: What to do.
    """

    code: str
    severity: Severity
    look: Callable[[F], Words | None]
    title: str
    meaning: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Table(Generic[F]):
    """All rows about one subject.

    Attributes:
        subject: The findings'.
        rows: In the order in which they are told.
    """

    subject: Subject
    rows: tuple[Row[F], ...]

    def judge(self, facts: F) -> list[Finding]:
        """The findings about one fact."""
        found: Iterable[tuple[Row[F], Words | None]]
        found = ((row, row.look(facts)) for row in self.rows)
        return [self._finding(row, words) for row, words in found if words is not None]

    def _finding(self, row: Row[F], words: Words) -> Finding:
        return Finding(
            code=row.code,
            subject=self.subject,
            severity=row.severity,
            title=row.title.format(**words),
            meaning=row.meaning.format(**words),
            advice=row.advice.format(**words),
        )
