"""The page on self-connections and its examples say what happens."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from simopen.cli._app import run
from tests.helpers import free_port

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "self_connection.md").read_text()
NUMBER = re.compile(r"\d[\d,.]*( ms| s\b)?")


def in_shape(text: str) -> str:
    """A text without what differs from run to run: numbers, times, line breaks, long lines."""
    return re.sub("─+", "─", NUMBER.sub("#", " ".join(text.split())))


def announced(example: Path) -> str:
    """What the header of an example says that it prints."""
    header = ast.get_docstring(ast.parse(example.read_text())) or ""
    _, _, after = header.partition("\nprints")
    found = re.search(r"\n\n((?: {4}.*\n|\n)+)", f"{after}\n")
    assert found
    return textwrap.dedent(found[1])


def printed(example: Path, *arguments: str) -> str:
    """What it prints."""
    command = [sys.executable, str(example), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_self_connection(host: str) -> None:
    """It prints what its header says, for IPv6 with other addresses."""
    example = ROOT / "examples" / "self_connection.py"
    shown = printed(example, f"{host}:{free_port()}")
    assert "sent and received: hello, me" in shown
    if host == "127.0.0.1":
        assert in_shape(shown) == in_shape(announced(example))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give ports in other ways")
def test_accidental_self_connection() -> None:
    """The accident happens, the guard says so, and all is as the header says."""
    example = ROOT / "examples" / "accidental_self_connection.py"
    assert in_shape(printed(example)) == in_shape(announced(example))


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_bound_not_listening() -> None:
    """The SYN is answered by a reset, as drawn in the header, and ``connect_peer`` says why."""
    example = ROOT / "examples" / "bound_not_listening.py"
    assert in_shape(printed(example)) == in_shape(announced(example))


def test_the_command_on_the_page(capfd: pytest.CaptureFixture[str]) -> None:
    """Its screen is as shown, but for the numbers."""
    (shown,) = re.findall(r"^\$ simopen self [^\n]*\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert run(["self", f"127.0.0.1:{free_port()}"]) == 0
    assert in_shape(capfd.readouterr().out) == in_shape(shown)
