"""What every benchmark's command has, and all of them in a row."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks import commands
from simopen import lab

ROOT = Path(__file__).parent.parent.parent
THERE = [name for name in everything.COMMANDS if everything.is_there(name)]


def test_every_benchmark_is_in_the_list() -> None:
    """A module with a command of its own that takes ``--quick`` is run with all the others."""
    folder = ROOT / "benchmarks"
    modules = [path for path in folder.glob("*.py") if path.stem != "__main__"]
    packages = list(folder.glob("*/__main__.py"))
    found = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in (*modules, *packages)
        if "= arguments(" in path.read_text()
    }
    assert found == set(THERE)


@pytest.mark.parametrize("name", THERE)
def test_every_benchmark_knows_quick(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its help names the option and says what the benchmark asks."""
    monkeypatch.setattr("sys.argv", [name, "--help"])
    module = command = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "__path__"):
        command = importlib.import_module(f"benchmarks.{name}.__main__")
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--quick" in shown
    assert (module.__doc__ or "").split()[0] in shown


def test_a_benchmark_that_fails_or_is_missing_stops_no_other() -> None:
    """All are tried, each with its row, and the whole has failed."""
    asked: list[tuple[str, Sequence[str]]] = []

    def run(name: str, options: Sequence[str]) -> str:
        asked.append((name, options))
        return "done" if name != "grid" else "FAILED: exit status 1"

    rows, met = everything.run_all(("grid", "no_such_thing", "lab"), ["--quick"], run)
    assert asked == [("grid", ["--quick"]), ("lab", ["--quick"])]
    assert [row[-1] for row in rows] == ["FAILED: exit status 1", everything.MISSING, "done"]
    assert not met


def test_all_done_is_a_success() -> None:
    """Every one was run and met what is asked."""
    assert everything.run_all(("grid", "lab"), [], lambda *_: "done")[1]


@pytest.mark.parametrize(
    ("met", "sound", "quick", "status"),
    [
        (True, True, False, 0),
        (False, True, False, 1),
        (False, True, True, 0),
        (False, False, True, 1),
        (True, False, True, 1),
        (True, False, False, 0),
    ],
)
def test_a_short_run_is_judged_by_less(*, met: bool, sound: bool, quick: bool, status: int) -> None:
    """By what no machine is too slow for; a full one by all that is asked."""
    with pytest.raises(SystemExit) as ended:
        commands.conclude(commands.Judgement(met, sound), quick=quick)
    assert int(ended.value.code or 0) == status


def test_what_a_short_run_leaves_unjudged_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """So that nobody takes a success for more than it is."""
    with pytest.raises(SystemExit):
        commands.conclude(commands.Judgement(met=False, sound=True), quick=True)
    assert "a short run is not judged by that" in capsys.readouterr().err


def test_judgements_add_up() -> None:
    """One that is not met is enough, in either respect."""
    good, late = commands.Judgement(met=True, sound=True), commands.Judgement(met=False, sound=True)
    assert commands.all_of([good, late]) == late
    assert commands.all_of([]) == good


def test_without_a_lab_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with it."""
    monkeypatch.setattr(lab, "why_unavailable", lambda: "no namespaces")
    with pytest.raises(SystemExit, match="needs the lab: no namespaces"):
        commands.require_lab()
