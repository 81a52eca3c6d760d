"""The tutorials and guides: each command on them is run, and says what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests import terminals

DOCS = Path(__file__).parent.parent / "docs"
PLAYED = (
    *("first_connection", "first_meeting", "your_application"),
    *("asyncio_streams", "trio", "own_tls", "http", "testing"),
)


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
@pytest.mark.parametrize("name", PLAYED)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    """From its first command to its last."""
    done = terminals.play((DOCS / f"{name}.md").read_text(), tmp_path)
    assert done
    assert not terminals.missing(done)


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_the_ladder_is_of_a_crossing(tmp_path: Path) -> None:
    """The page on the kernel draws what its commands draw: a refusal or none, and two SYNs."""
    page = (DOCS / "kernel.md").read_text()
    _, ladder = (said for _, said in terminals.play(page, tmp_path))
    for line in (
        "├─ SYN",
        "SYN ─┤",
        "├─ SYN-ACK",
        "SYN-ACK ─┤",
        "two SYNs cross: simultaneous open",
    ):
        assert line in page
        assert line in ladder


def test_the_workflow_is_one() -> None:
    """What is to be copied parses, and its options are the plugin's."""
    page = (DOCS / "testing.md").read_text()
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    steps = yaml.safe_load(text)["jobs"]["nats"]["steps"]
    assert any("--lab-required" in step.get("run", "") for step in steps)


def test_a_line_that_is_not_said_is_missed(tmp_path: Path) -> None:
    """A page that shows another answer fails; another number is none."""
    page = "```console\n$ echo 12 things\n7 things\n$ echo one\ntwo\n```\n"
    (said,) = terminals.missing(terminals.play(page, tmp_path))
    assert said.startswith("echo one: 'two' is not in")
