"""The tutorials and guides: each command on them is run, and says what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import simopen
from benchmarks.common import read_lines
from simopen._diagnosis import CONNTRACK_HOLD
from simopen.net._pairs import MAX_LANES
from simopen.net._sockets import MAX_SEGMENT
from simopen.rendezvous.protocol._limits import LONGEST_PING_INTERVAL
from tests import terminals

DOCS = Path(__file__).parent.parent / "docs"
PLAYED = (
    *("first_connection", "first_meeting", "your_application"),
    *("asyncio_streams", "trio", "own_tls", "http", "testing"),
)


OPTIONS = simopen.PunchOptions()
NUMBERS = [
    ("kernel", f"`TCP_MAXSEG` {MAX_SEGMENT}"),
    ("kernel", f"most {MAX_SEGMENT:,} bytes"),
    ("nats", f"for up to {CONNTRACK_HOLD / 60:.0f} minutes".replace("2", "two")),
    ("nats", f"up to {MAX_LANES}."),
    ("nats", f"a ping every {LONGEST_PING_INTERVAL:g} seconds"),
    ("timing", f"at least {OPTIONS.refresh_known:g} s"),
    ("timing", f"{OPTIONS.refresh_round_trips:g} round trips"),
    ("timing", f"pace of {OPTIONS.syn_rate:g} SYNs a second"),
    ("timing", f"{OPTIONS.round_time:g} seconds, and half as much again"),
]


@pytest.mark.parametrize(("name", "words"), NUMBERS)
def test_the_numbers_are_the_ones_in_the_code(name: str, words: str) -> None:
    """What the explanations say of the engine it does."""
    assert words in (DOCS / f"{name}.md").read_text()


def test_the_lock_row_is_as_told() -> None:
    """The trials of the row that would lock, and how many succeeded."""
    cells = [each for each in read_lines("grid.jsonl")[1] if each["path"]["row"] == "lock"]
    trials, succeeded = (sum(each[what] for each in cells) for what in ("trials", "succeeded"))
    page = " ".join((DOCS / "timing.md").read_text().split())
    assert f"{trials:,} trials, of which {succeeded:,} succeeded" in page


@pytest.mark.parametrize("page", ["kernel", "nats", "no_listener"])
def test_the_tests_named_are_there(page: str) -> None:
    """What is said to be tested by name is."""
    named = re.findall(r"`(test_\w+)`", (DOCS / f"{page}.md").read_text())
    assert named
    tests = "".join(path.read_text() for path in DOCS.parent.glob("tests/**/test_*.py"))
    for name in named:
        assert f"def {name}(" in tests


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
def test_the_hard_pair_meets_over_ipv6(tmp_path: Path) -> None:
    """As the page on the first meeting says, and by no other way."""
    page = (DOCS / "first_meeting.md").read_text()
    hosts = terminals.Terminals(tmp_path)
    for step in terminals.steps(page):
        if "invite >" in step.command or "phone-and-home" in step.command:
            (said,) = hosts.run(step.command)
    assert re.search(r"^phone +\| \[.* IPv6, ", said, re.MULTILINE)


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
