"""Which protection stands against what, and the tests that fail without it.

A test proves a protection only if it fails when the protection is taken out. So each protection is
a row in one of the TOML files beside this module: where in the code it is, what the code would be
without it, and which tests then have to fail. ``python -m tests.protections`` takes out one after
the other; the ordinary suite holds that the rows still fit the code, and that no attacker of
``docs/security.md`` and no limit of a coordinator is without one.

Fields of a row::

    [[protection]]
    name = "one-word-for-each"       # unique
    against = "a flood"              # how the attacker's row in docs/security.md begins, or
                                     # "a fault": something breaks and nobody meant it
    limit = "handshake"              # where it is one: the limit's name
    file = "simopen/..."             # where it is
    old = "..."                      # its text, which is there exactly once
    new = "..."                      # the text without it; it breaks nothing else
    tests = ["tests/...::test_..."]  # at least one of these fails then
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FAULT = "a fault"
HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """One row."""

    name: str
    against: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    limit: str | None = None

    def removed_from(self, text: str) -> str:
        """The file's text without the protection.

        Raises:
            ValueError: The protection is not in it, or not once.
        """
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.file} has its text {count} times")
        return text.replace(self.old, self.new)


def load() -> list[Protection]:
    """All rows of all files."""
    files = sorted(HERE.glob("*.toml"))
    rows = [row for path in files for row in tomllib.loads(path.read_text())["protection"]]
    return [Protection(**row | {"tests": tuple(row["tests"])}) for row in rows]


def attackers() -> list[str]:
    """The first cells of the table "Who attacks" in ``docs/security.md``."""
    text = (ROOT / "docs" / "security.md").read_text()
    section = text.partition("\n## Who attacks\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return [cell for cell in cells if cell != "who"]
