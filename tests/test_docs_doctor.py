"""What the doctor's page and example show is what is printed, times aside."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

import anyio
import pytest

from simopen import doctor, lab
from simopen.cli import _doctor_pictures as pictures
from simopen.doctor import _probe

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "doctor.md").read_text()
EXAMPLE = ROOT / "examples" / "ask_the_doctor.py"
SERVER = "import socket, time; s = socket.create_server(('127.0.0.1', 7000)); time.sleep(99)"
NO_COLOURS = {"NO_COLOR": "1", "COLUMNS": "80", "TERM": "dumb"}

in_the_lab = pytest.mark.usefixtures("require_lab")


def without_times(text: str) -> str:
    """The text with one time for all, on lines that break where they break."""
    return re.sub(r"\s+", " ", re.sub(r"\b[\d.]+ (µs|ms|s)\b", "T", text)).strip()


async def in_a_host(*command: str, server: bool = False) -> str:
    """What a command prints in a host of its own, where all ports are free."""
    site = lab.Site("home", hosts=["host"])
    async with lab.network([site]) as net:
        host = net["host"]
        if server:
            await host.popen([sys.executable, "-c", SERVER])
            with anyio.fail_after(20):
                while not host.listeners():  # noqa: ASYNC110
                    await anyio.sleep(0.02)
        done = await host.run([sys.executable, *command], check=False, env=NO_COLOURS)
    return done.stdout.decode()


@pytest.mark.lab
@in_the_lab
def test_the_example_prints_what_its_header_says() -> None:
    """All of it."""
    header = ast.get_docstring(ast.parse(EXAMPLE.read_text())) or ""
    (shown,) = re.findall(r"prints:\n\n((?: {4}.*\n)+)", header)
    printed = anyio.run(in_a_host, str(EXAMPLE))
    assert without_times(printed) == without_times(textwrap.dedent(shown))


@pytest.mark.lab
@in_the_lab
def test_the_screen_on_the_page() -> None:
    """From the local port to the verdict."""
    (shown,) = re.findall(r"^```\n(The local port\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (words,) = re.findall(r"^\$ simopen (doctor \S+ --local .*)$", PAGE, re.MULTILINE)[-1:]
    command = ("-m", "simopen", *words.split())
    printed = anyio.run(lambda: in_a_host(*command, server=True))
    assert without_times(printed).endswith(without_times(shown))


def test_the_picture_of_the_schedule() -> None:
    """Linux's own settings."""
    schedule = doctor.syn_schedule(6, 4)
    assert "\n".join(pictures.schedule(schedule, 69)) in PAGE
    assert f"gives up at {schedule.gives_up:g} s" in PAGE


def test_how_polite_it_is() -> None:
    """The numbers are the code's."""
    words = {6: "six"}[_probe.MOST_SYNS]
    assert f"At most {words} SYNs go to the remote" in PAGE
    assert f"asked three times, {_probe.PAUSE:g} s apart" in PAGE
    assert _probe.KNOCKS == 3
    longest = _probe.PATIENCE + (_probe.PATIENCE_AGAIN + _probe.PAUSE) * 2 + _probe.PATIENCE_AGAIN
    assert longest <= 6


@pytest.mark.parametrize("name", ["schema", "hinders", "findings", "facts"])
def test_the_json_is_documented(name: str) -> None:
    """Every field of the object; the tables below it are made from the code."""
    assert name in doctor.judge(doctor.Machine(system="Linux")).to_json()
    assert f"| `{name}` |" in PAGE


def test_no_other_field_is_there() -> None:
    """Nor any kind of facts that the page does not name."""
    told = doctor.judge(doctor.Machine(system="Linux")).to_json()
    facts = told["facts"]
    assert len(told) == 4
    assert isinstance(facts, dict)
    for name in facts:
        assert f"`{name}` (" in PAGE
