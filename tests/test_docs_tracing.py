"""The page on tracing says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from simopen.cli import _app
from simopen.trace._log import MAX_PACKETS
from simopen.trace._words import tell
from simopen.trace.recording._tracing import NOT_PERMITTED
from tests.trace.makers import CROSSING, OURS_MET_THEIRS, REFUSED, THEIRS_MET_OURS
from tests.trace.test_reading import read_packets

PAGE = (Path(__file__).parent.parent / "docs" / "tracing.md").read_text()
FLAT = " ".join(PAGE.split())


def test_the_words_are_the_codes() -> None:
    """What happened is said on the page as the trace says it."""
    for packets in (CROSSING, OURS_MET_THEIRS, THEIRS_MET_OURS):
        assert tell(read_packets(packets))[0] in FLAT
    assert tell(read_packets(OURS_MET_THEIRS, at_a_peer=False))[0] in FLAT
    assert tell(read_packets(REFUSED[:2], connected=False))[0] in FLAT
    assert f"Without packets ({NOT_PERMITTED})" in FLAT


def test_numbers_are_the_codes() -> None:
    """How many packets are kept."""
    assert f"the latest {MAX_PACKETS} packets" in FLAT


def test_the_options_exist() -> None:
    """Every option on the page is one of the command's."""
    command = _app.app["trace"]
    known = {name for each in command.assemble_argument_collection() for name in each.names}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known


def test_ladders_fit_a_terminal() -> None:
    """As they do when they are printed."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    ladders = [text for language, text in blocks if not language]
    assert ladders
    assert max(len(line) for block in ladders for line in block.splitlines()) <= 80
