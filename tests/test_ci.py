"""The hosted CI does what ``.ci/run`` does, on every Python that is promised."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
JOBS = WORKFLOW["jobs"]


def commands(job: str) -> list[str]:
    """What a job runs, in order."""
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def promised() -> list[str]:
    """The Pythons of the classifiers."""
    prefix = "Programming Language :: Python :: 3."
    found = (each.removeprefix(prefix) for each in PROJECT["classifiers"] if prefix in each)
    return [f"3.{minor}" for minor in sorted(found, key=int)]


def test_runs_on_every_python_that_is_promised() -> None:
    """The classifiers', of which the oldest is the least that is required."""
    assert JOBS["test"]["strategy"]["matrix"]["python"] == promised()
    assert PROJECT["requires-python"] == f">={promised()[0]}"


def test_does_what_the_script_does() -> None:
    """By running it."""
    assert commands("test")[-1].endswith(" .ci/run")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_oldest_dependencies_run_on_the_oldest_python() -> None:
    """Newer ones have no builds of them."""
    assert commands("lowest") == ["make lowest"]
    [python] = [
        step["with"]["python-version"]
        for step in JOBS["lowest"]["steps"]
        if "setup-python" in step.get("uses", "")
    ]
    assert python == promised()[0]


def test_every_verb_is_there() -> None:
    """Both CIs ask of ``make`` what it knows."""
    makefile = (ROOT / "Makefile").read_text()
    lines = re.findall(r"^make (.*)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    verbs = [word for line in lines for word in line.split() if re.fullmatch(r"[a-z-]+", word)]
    assert {"lint", "typecheck", "test"} <= {*verbs}
    for verb in [*verbs, "lowest"]:
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb


def test_contributors_are_told_what_is_there() -> None:
    """Every verb is one of ``make``'s, every folder and module is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"`make ([a-z-]+)`", text))
    assert {"lint", "typecheck", "test", "bench"} <= verbs
    for verb in verbs:
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb
    paths = re.findall(r"`((?:simopen|tests|benchmarks|fuzz|docs)/[\w./]*\w)`", text)
    assert "benchmarks/cells.py" in paths
    for path in paths:
        assert (ROOT / path).exists(), path
