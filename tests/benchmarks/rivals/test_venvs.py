from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rivals import venvs


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """What would be run, with a folder of the test's own."""
    found: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        found.append(command)
        (tmp_path / "name").mkdir(exist_ok=True)
        refused = "refused==1" in command
        return subprocess.CompletedProcess(command, refused, "", "a\nERROR: No match\nbye\n")

    monkeypatch.setattr(venvs, "FOLDER", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_our_own() -> None:
    """Who needs no package runs in our own environment."""
    assert venvs.python_of("") == Path(sys.executable)


def test_made_once(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    """An environment is made for a package and version, once, and anew for another version."""
    for _ in range(2):
        assert venvs.python_of("name==1") == tmp_path / "name" / "bin" / "python"
    assert [command[-1] for command in commands] == [str(tmp_path / "name"), "name==1"]
    venvs.python_of("name==2")
    assert commands[-1][-1] == "name==2"


def test_refused(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    """What cannot be installed says why, in the installer's words, and is tried again next time."""
    for _ in range(2):
        (tmp_path / "refused").mkdir(exist_ok=True)
        with pytest.raises(venvs.CannotInstallError, match=r"^ERROR: No match$"):
            venvs.python_of("refused==1")
    assert len(commands) == 4


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Traceback\n  line\nModuleNotFoundError: no x\n\n", "ModuleNotFoundError: no x"),
        ("killed\n", "killed"),
        ("", "it said nothing"),
    ],
)
def test_last_error(said: str, why: str) -> None:
    """The last line that speaks of an error, or the last one at all."""
    assert venvs.last_error(said) == why
