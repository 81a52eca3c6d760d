"""``simopen report`` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simopen.cli._app import run
from tests.figures.makers import cell, grid, lines, measured


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result file."""
    path = tmp_path / "alice.jsonl"
    path.write_bytes(lines(measured(4)))
    return path


def test_a_report(result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Tables on standard output, where the files are on standard error."""
    out = tmp_path / "out"
    assert run(["report", str(result), "--out", str(out)]) == 0
    said = capfd.readouterr()
    assert said.out.startswith("**Success and time to connect: alice")
    assert "| starts together | 1 | 100 % |" in said.out
    assert f"written: {out / 'report.html'}" in said.err
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_notes_are_told(result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is cut short is drawn, with a word about it on standard error and on the page."""
    result.write_bytes(result.read_bytes()[:-20])
    assert run(["report", str(result), "--out", str(tmp_path / "out")]) == 0
    assert "note: alice.jsonl: line 6 is cut short" in capfd.readouterr().err
    assert "is cut short" in (tmp_path / "out" / "report.html").read_text()


def test_files_of_one_name_are_told_apart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By their folders; the same file given twice counts once."""
    files = [tmp_path / name / "grid.jsonl" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(grid(cell()))
    out = str(tmp_path / "out")
    assert run(["report", *map(str, [*files, files[0]]), "--out", out]) == 0
    said = capfd.readouterr().out.replace("\\", "")
    assert [said.count(f"({file})") for file in files] == [1, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "alice.jsonl is empty"),
        (b"{}\n", "alice.jsonl, line 1: neither"),
        (grid(cell()) + b"{}\n", "alice.jsonl, line 3: "),
        (lines(measured(0)), "there is no trial in alice.jsonl"),
    ],
)
def test_what_cannot_be_drawn(
    result: Path, content: bytes | None, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line says which file and where; nothing is written."""
    result.unlink()
    if content is not None:
        result.write_bytes(content)
    out = result.parent / "out"
    assert run(["report", str(result), "--out", str(out)]) == 2
    assert words in capfd.readouterr().err
    assert not out.exists()


def test_wrong_use(result: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No file, or a folder that cannot be one."""
    assert run(["report"]) == 2
    assert "needs a result file" in capfd.readouterr().err
    assert run(["report", str(result), "--out", str(result)]) == 2
    assert "--out" in capfd.readouterr().err


def test_a_file_without_end(
    result: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """More than can be meant is refused before it is read."""
    monkeypatch.setattr("simopen.figures.MOST_BYTES", 1 << 20)
    assert run(["report", "/dev/zero"]) == 2
    assert "/dev/zero is larger than 1 MiB" in capfd.readouterr().err
    assert result.exists()


def test_without_matplotlib(result: Path) -> None:
    """The error names what to install."""
    program = (
        "import sys; sys.modules['matplotlib'] = None; from simopen.cli._app import run;"
        f"sys.exit(run(['report', {str(result)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"pip install 'simopen[plot]'" in done.stderr
    assert b"Traceback" not in done.stderr
