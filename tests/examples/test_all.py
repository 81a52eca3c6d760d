"""What holds for every program in ``examples/``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, header

TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.parent.rglob("test_*.py"))
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))

# Arguments that a program cannot do anything with.
WRONG_USE = {
    "chat.py": [],
    "echo.py": [],
    "forward.py": [],
    "hello.py": [],
    "http_get.py": [],
    "ping_asyncio.py": [],
    "ping_trio.py": [],
    "send_file.py": [],
    "traced.py": [],
    "two_machines.py": ["some", "thing"],
}


@pytest.mark.parametrize("name", WRONG_USE)
def test_says_how_it_is_used(name: str) -> None:
    """In place of a traceback it prints its header, which has the commands."""
    command = [sys.executable, str(EXAMPLES / name), *WRONG_USE[name]]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == header(name).strip()
    assert f"{name} " in done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_tried(name: str) -> None:
    """A program that no test runs is no example."""
    assert name in TESTS.replace(f'"{name}": [', "")
