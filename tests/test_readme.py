"""The README's programs are the ones in ``examples/``, and they run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

import simopen
from benchmarks import connect
from simopen import lab
from tests.helpers import free_port, on_cpu

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_shows_the_example_as_it_is() -> None:
    """The block after the marker is the file, to the letter."""
    found = re.search(r"<!-- examples/hello.py -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found
    assert found[1] == (ROOT / "examples" / "hello.py").read_text()


def test_the_figures_are_the_measured_ones() -> None:
    """Every cell of the last full run stands in the README as the benchmark prints it."""
    lines = (ROOT / "benchmarks" / "results" / "connect.jsonl").read_text().splitlines()
    cells = [json.loads(line) for line in lines[1:]]
    assert cells
    for line in (connect.HEAD, *map(connect.table_row, cells)):
        assert line in README


def test_the_commands_exist() -> None:
    """Every ``make`` verb in the README is in the Makefile, every option in the help."""
    makefile = (ROOT / "Makefile").read_text()
    for verb in set(re.findall(r"`make (\w+)`|^\$ make (\w+)", README)):
        assert re.search(rf"^{''.join(verb)}:", makefile, re.MULTILINE)
    command = [sys.executable, "-m", "simopen", "connect", "--help"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    lines = "".join(line for line in README.splitlines() if "simopen connect" in line)
    options = re.findall(r"--[a-z][a-z-]*", lines)
    options += re.findall(r"`(--(?:room|secret-file|invite-file|json))\b", README)
    assert options
    for option in options:
        assert option in shown


async def run_pair(example: str, one: list[str], two: list[str]) -> dict[str, bytes]:
    """Run an example and its mirror image on loopback; what each printed."""
    a, b = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    return await run_both(example, [b, a, *one], [a, b, *two])


async def run_meeting(
    folder: Path, example: str, one: list[str], two: list[str], *, how: int = 0
) -> dict[str, bytes]:
    """Run an example twice through a coordinator on loopback; what each printed.

    Where the program is told how it finds its peer goes before the arguments' place ``how``.
    """
    path = folder / "tea.invite"
    path.write_text(simopen.Invite.new("tea").reveal() + "\n")
    async with simopen.Coordinator("127.0.0.1:0") as coordinator:
        where = [f"tcp://{coordinator.endpoints[0]}", str(path)]
        return await run_both(
            example, [*one[:how], *where, *one[how:]], [*two[:how], *where, *two[how:]]
        )


async def run_both(example: str, one: list[str], two: list[str]) -> dict[str, bytes]:
    """Run an example twice at once; what each printed."""
    script = [sys.executable, str(ROOT / "examples" / example)]
    printed: dict[str, bytes] = {}

    async def run(name: str, command: list[str]) -> None:
        done = await anyio.run_process(command, stderr=None)
        printed[name] = done.stdout

    async with anyio.create_task_group() as group:
        group.start_soon(run, "one", [*on_cpu(0), *script, *one])
        group.start_soon(run, "two", [*on_cpu(1), *script, *two])
    return printed


def test_hello() -> None:
    """Each prints the other's line and the report."""
    for shown in anyio.run(run_pair, "hello.py", [], []).values():
        assert shown.startswith(b"hello from ")
        assert b"direct" in shown


def test_hello_through_a_coordinator(tmp_path: Path) -> None:
    """Each prints the other's line and that the stream is encrypted."""
    for shown in anyio.run(run_meeting, tmp_path, "hello.py", [], []).values():
        assert shown.startswith(b"hello from ")
        assert b"encrypted" in shown


def test_echo_through_a_coordinator(tmp_path: Path) -> None:
    """Who asks gets the echo."""
    meet = partial(run_meeting, how=2)
    printed = anyio.run(meet, tmp_path, "echo.py", ["answer", "meet"], ["ask", "meet"])
    assert printed == {"one": b"", "two": b"echo: is anybody there?\n"}


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_hello_between_two_hosts() -> None:
    """With the wildcard as local address, as the README has it."""

    async def meet() -> None:
        script = [sys.executable, str(ROOT / "examples" / "hello.py")]
        async with lab.two_hosts(0.005) as net, anyio.create_task_group() as group:
            for host, other in ((net.a, net.b), (net.b, net.a)):
                command = [*script, f"{other.ipv4}:40000", "0.0.0.0:40000"]
                group.start_soon(lambda host, command: host.run(command), host, command)

    anyio.run(meet)
