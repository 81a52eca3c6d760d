from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simopen.lab.pytest_plugin import MakeNetwork
from tests.examples.programs import EXAMPLES, Homes, Running, as_shown, header

ROOT = EXAMPLES.parent
SCRIPT = str(EXAMPLES / "two_machines.py")


def test_needs_nothing_but_python(tmp_path: Path) -> None:
    """Where simopen is not installed the script installs it from its clone and starts again."""
    clone = tmp_path / "clone"
    for folder in ("simopen", "examples"):
        shutil.copytree(ROOT / folder, clone / folder)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, clone)
    # -S: no site-packages, where simopen is in a developer's environment.
    command = [sys.executable, "-S", "examples/two_machines.py", "wrong", "use"]
    done = subprocess.run(command, cwd=clone, capture_output=True, check=False, text=True)
    assert done.stdout == f"the first time: setting up {clone}/.venv-two-machines\n"
    assert done.stderr.endswith(header("two_machines.py") + "\n"), done.stderr
    again = subprocess.run(command, cwd=clone, capture_output=True, check=False, text=True)
    assert again.stdout == ""
    assert again.stderr == header("two_machines.py") + "\n"


@pytest.fixture
def machines(lab_network: MakeNetwork, tmp_path: Path) -> Iterator[Homes]:
    """The hosts of two homes, and a server on which nothing runs."""
    with ExitStack() as stack:
        yield Homes(lab_network("two-homes"), tmp_path, stack)


def measured(side: Running) -> None:
    """Wait for the end, and see that both figures are as in the header."""
    code, said = side.end()
    assert code == 0, said
    found = said[said.index("waiting for the other machine") :]
    assert len(found.splitlines()) == 4
    assert as_shown("two_machines.py", found), found


@pytest.mark.lab
def test_the_first_says_what_to_do(machines: Homes) -> None:
    """What the first machine prints is done on the second, and both measure the way."""
    one = machines.start("server", SCRIPT)
    (url,) = one.until(r"two_machines\.py (tcp://\S+)\n").groups()
    (invite,) = one.until(r"\n    (simopen1-\S+)\n").groups()
    two = machines.start("alice", SCRIPT, url)
    two.type(f"{invite}\n")
    measured(one)
    measured(two)


@pytest.mark.lab
def test_with_a_coordinator_elsewhere(machines: Homes) -> None:
    """Two machines behind routers meet where both can reach a coordinator."""
    machines.serve()
    one = machines.start("alice", SCRIPT, machines.url)
    one.type("\n")
    (invite,) = one.until(r"\n    (simopen1-\S+)\n").groups()
    two = machines.start("bob", SCRIPT, machines.url)
    two.type(f"{invite}\n")
    measured(one)
    measured(two)
