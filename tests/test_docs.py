"""The documentation says what the code says, and what it shows can be done."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs import tables
from simopen import lab
from simopen.lab._planning import plan

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LAB = (ROOT / "docs" / "lab.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the lab's page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", LAB, re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What links to the headings of a page end with."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings}


def commands() -> list[str]:
    """The commands shown on the lab's page, continuation lines joined."""
    text = "".join(blocks("console")).replace("\\\n", "")
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_generated_parts_are_current(page: Path) -> None:
    """`python -m docs.tables` would change nothing."""
    assert tables.renewed(page.read_text()) == page.read_text()


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every picture, file and heading that a page names is there."""
    for target in re.findall(r"\]\(([^)]*)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        if "://" in name:
            continue
        there = page.parent / name if name else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_every_preset_has_a_row() -> None:
    """No preset is missing from the table."""
    for name in lab.PRESETS:
        assert f"| `{name}` |" in LAB


def test_the_declaration_in_toml(tmp_path: Path) -> None:
    """The file shown is a topology."""
    (text,) = blocks("toml")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert len(list(plan(lab.load(path)).hosts())) == 4


def test_the_declaration_in_python() -> None:
    """The sites shown are the same as in TOML."""
    (text,) = (block for block in blocks("python") if "lab.network([home, cell" in block)
    shown: dict[str, list[lab.Site]] = {}
    exec(text.partition("async with")[0] + "sites = [home, cell, server]", shown)  # noqa: S102  # it is our own page
    assert len(list(plan(lab.Topology(sites=shown["sites"])).hosts())) == 4


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_the_tutorial(tmp_path: Path) -> None:
    """The commands of the tutorial, one after the other, print what the page says."""
    (tmp_path / "echo.py").write_text((ROOT / "examples" / "echo.py").read_text())
    codes, printed = [], ""
    for command in commands():
        if command.startswith(("simopen lab run", "simopen lab ladder", "simopen lab show")):
            words = shlex.split(command.replace("python echo.py", f"{sys.executable} echo.py"))
            done = subprocess.run(
                [sys.executable, "-m", *words],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            codes.append(done.returncode)
            printed += done.stdout + done.stderr
    assert codes == [0, 0, 124, 0, 0, 0, 0, 0]
    for line in (
        "├── flat  home-router  10 ms",
        "alice  | echo: is anybody there?",
        "alice | echo: is anybody there?",
        "captured; to draw it: simopen lab ladder punched.pcapng",
    ):
        assert line in LAB
        assert line in printed
