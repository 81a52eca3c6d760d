"""``CHANGELOG.md`` has the form that it says it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import simopen

TEXT = (Path(__file__).parent.parent / "CHANGELOG.md").read_text()
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
HEADINGS = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
RELEASES = re.findall(
    r"^## \[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$", TEXT, re.MULTILINE
)


def test_the_newest_version_is_this_one() -> None:
    """Versions go down from the package's own, and only the newest can still be to come."""
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    assert versions == sorted(set(versions), reverse=True)
    assert RELEASES[0][0] == simopen.__version__
    assert "unreleased" not in {date for _, date in RELEASES[1:]}


def test_every_section_is_a_version() -> None:
    """But for what is to come after a release, which may be first."""
    assert len(HEADINGS) - (HEADINGS[0] == "[Unreleased]") == len(RELEASES)


SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("section", SECTIONS, ids=HEADINGS)
def test_changes_are_listed_by_their_kind(section: str) -> None:
    """Each kind once, none of another name, none empty, and nothing beside the lists."""
    _, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
    kinds = [part.partition("\n")[0] for part in parts]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) <= KINDS
    for part in parts:
        assert re.fullmatch(r"\w+\n\n(- .+\n(  .+\n)*)+\n?", part), part[:200]
