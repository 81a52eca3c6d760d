"""What the pages on the rendezvous and on security show can be done; their numbers are right."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import anyio
import pytest

import simopen
from simopen import _round
from simopen.rendezvous import _health, _seat, _tls_files, _url
from simopen.rendezvous._candidates import LEAST_PORT, MOST_OFFERED
from simopen.rendezvous._files import files_for
from simopen.rendezvous.protocol import _limits
from simopen.security import _secret
from tests.rendezvous.certificates import write_certificate
from tests.terminals import Terminals

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RENDEZVOUS = (ROOT / "docs" / "rendezvous.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
PAGES = {
    "README.md": README,
    "rendezvous.md": RENDEZVOUS,
    "security.md": SECURITY,
    "operating.md": OPERATING,
}

OPTIONS = simopen.PunchOptions()
LIMITS = simopen.CoordinatorLimits()

NUMBERS = [
    (RENDEZVOUS, f"ports {_url.DEFAULT_PORT} and {_url.DEFAULT_PORT + 1}"),
    (RENDEZVOUS, f"No delay is longer than {_limits.LONGEST_DELAY:g} seconds"),
    (RENDEZVOUS, f"offered up to {MOST_OFFERED} addresses"),
    (RENDEZVOUS, f"race, {_round.LANE_PACE * 1000:g} ms apart"),
    (RENDEZVOUS, f"begin {OPTIONS.lane_delay:g} s (`lane_delay`) after"),
    (RENDEZVOUS, f"ends after {OPTIONS.round_time:g} seconds (`round_time`)"),
    (RENDEZVOUS, f"after {OPTIONS.rounds} (`rounds`)"),
    (RENDEZVOUS, f"given up within {_seat.FIRST_PATIENCE:g} seconds where it refuses"),
    (RENDEZVOUS, f"at most {_seat.AGAIN_LONGEST:g} seconds apart"),
    (RENDEZVOUS, f"each wait up to {_seat.AGAIN_SPREAD:.0%} shorter".replace("%", " %")),
    (OPERATING, f"looked at every {_tls_files.LOOK_INTERVAL:g} seconds"),
    (RENDEZVOUS, f"have {LIMITS.drain:g} seconds (`drain`)"),
    (OPERATING, f"LimitNOFILE={files_for(LIMITS.connections)}"),
    (OPERATING, f"nofile={files_for(LIMITS.connections)}:{files_for(LIMITS.connections)}"),
    (OPERATING, f"{files_for(0)} are for the rest"),
    (OPERATING, f"for the default of {LIMITS.connections:,}"),
    (OPERATING, f"`--limit connections=50000` it has to be {files_for(50_000)}"),
    (OPERATING, f"have {LIMITS.drain:g} seconds (`drain`)"),
    (OPERATING, f"at most {_seat.AGAIN_LONGEST:g} seconds apart"),
    (OPERATING, f"the pings' {_limits.LONGEST_PING_INTERVAL:g} seconds"),
    (OPERATING, f"not finished ({_limits.LARGEST_FRAME // 1024} KiB)"),
    (OPERATING, f"is not read ({LIMITS.outbox // 1024} KiB)"),
    (OPERATING, f"takes {_health.AT_ONCE} requests at once"),
    (OPERATING, f"{_url.DEFAULT_PORT} for joins and {_url.DEFAULT_PORT + 1} for probes"),
    (SECURITY, f"a port below {LEAST_PORT}"),
    (SECURITY, f"on a port from {LEAST_PORT} up"),
    (SECURITY, f"by up to {_limits.LONGEST_DELAY:g} seconds"),
    (SECURITY, f"the {LIMITS.addresses:,} addresses"),
    (SECURITY, f"{8 * _secret.MATERIAL_LENGTH} random bits"),
    (SECURITY, f"`bytes`, at least {_secret.MIN_BYTES}"),
    (SECURITY, f"text, at least {_secret.MIN_CHARACTERS} characters"),
    (README, f"ports {_url.DEFAULT_PORT} and {_url.DEFAULT_PORT + 1}"),
]


@pytest.mark.parametrize(("page", "words"), NUMBERS, ids=[words for _, words in NUMBERS])
def test_the_numbers_in_words(page: str, words: str) -> None:
    """What the text says of a number is what the code has."""
    assert words in " ".join(page.split())


@pytest.mark.parametrize("page", PAGES)
def test_the_calls_shown_can_be_made(page: str) -> None:
    """Every call of simopen's in a program shown has arguments that go together."""
    calls = [
        (node.func.attr, node)
        for block in re.findall(r"^```python\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "simopen"
    ]
    assert calls or page in ("security.md", "operating.md")
    for name, call in calls:
        keywords = {each.arg: ... for each in call.keywords if each.arg is not None}
        inspect.signature(getattr(simopen, name)).bind(*call.args, **keywords)


@cache
def help_of(verb: str) -> str:
    """What a command says of itself, in lines long enough for its options."""
    return subprocess.run(
        [sys.executable, "-m", "simopen", verb, "--help"],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_options_shown_exist(page: str) -> None:
    """Every option of a command in the text is in the command's help."""
    text = PAGES[page].replace("\\\n", "")
    for verb, rest in re.findall(r"simopen (coordinator|connect|invite)\b([^`|\n]*)", text):
        for option in re.findall(r" (--[a-z]+[a-z-]*)", rest):
            assert f"{option} " in help_of(verb)


# -- programs --------------------------------------------------------------------------------------


def program(name: str) -> str:
    """A program of the page on the rendezvous that says of itself that it runs."""
    found = re.search(
        rf"^<!-- runs: {name} -->\n```python\n(.*?)^```", RENDEZVOUS, re.DOTALL | re.MULTILINE
    )
    assert found
    return found[1]


def test_a_coordinator_in_a_program(tmp_path: Path) -> None:
    """The program that has one introduces two hosts."""
    terminals = Terminals(tmp_path)
    (tmp_path / "own.py").write_text(program("coordinator").replace("7337", str(terminals.port)))
    (tmp_path / "tea.invite").write_text(simopen.Invite.new("tea").reveal())
    hello = "python examples/hello.py tcp://127.0.0.1:7337 tea.invite"
    with terminals.serving("python own.py"):
        for shown in terminals.run(hello, hello):
            assert "encrypted" in shown


def test_a_coordinator_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """The program that trusts its own authority meets its like."""
    certificate, key = write_certificate(tmp_path)
    certificate.rename(tmp_path / "authority.pem")
    (tmp_path / "tea.invite").write_text(simopen.Invite.new("tea").reveal())

    async def meet() -> list[str]:
        files = simopen.CertificateFiles(tmp_path / "authority.pem", key)
        async with simopen.Coordinator("127.0.0.1:0", certificate=files) as coordinator:
            terminals = Terminals(tmp_path)
            text = program("tls").replace("coord.example:7337", str(coordinator.endpoints[0]))
            (tmp_path / "call.py").write_text(text)
            return await anyio.to_thread.run_sync(terminals.run, "python call.py", "python call.py")

    for shown in anyio.run(meet):
        assert "rendezvous='tls://127.0.0.1:" in shown


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_behind_nats(tmp_path: Path) -> None:
    """The commands for the lab let alice and bob meet behind their routers."""
    _, _, part = RENDEZVOUS.partition("## How to try it behind NATs")
    invite, run = re.findall(r"^\$ (.*)$", part.replace("\\\n", ""), re.MULTILINE)
    terminals = Terminals(tmp_path)
    terminals.run(invite)
    (shown,) = terminals.run(run)
    assert "alice  | echo: is anybody there?" in shown
    assert "alice  | echo: is anybody there?" in part
