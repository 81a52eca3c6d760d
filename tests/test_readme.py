"""The README's programs are the ones in ``examples/``, and they run."""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from benchmarks import common
from benchmarks.statistics import percentile
from docs import benchmark_tables
from simopen import lab
from simopen.cli._app import app
from tests.helpers import free_port, on_cpu

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_shows_the_example_as_it_is() -> None:
    """The block after the marker is the file, to the letter."""
    found = re.search(r"<!-- examples/hello.py -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found
    assert found[1] == (ROOT / "examples" / "hello.py").read_text()


def test_the_time_of_the_median_punch_is_the_measured_one() -> None:
    """As the row of paths without loss has it."""
    (row,) = (line for line in benchmark_tables.grid_table().splitlines() if "| clean |" in line)
    assert f"median punch took {row.split('|')[7].strip()} times its" in " ".join(README.split())


RIVALS = common.RESULTS / "rivals.jsonl"
REFUSING = (("rst", "rst"), ("rst", "far-rst"))
SYMMETRIC = (("symmetric", "open"),)
ROWS = {  # of the table of others, and who they are in the benchmark
    "**simopen**": "simopen, coordinator",
    "[warpgate]": "warpgate",
    "[py-libp2p]": "py-libp2p",
    "[punchhole]": "punchhole",
    "[aiortc]": "aiortc (UDP)",
    "loop": "naive loop",
}


class Rivals:
    """The trials of the last full run against others."""

    def __init__(self) -> None:
        self.trials = [json.loads(line) for line in RIVALS.read_text().splitlines()[1:]]

    def of(self, contender: str, *pairs: tuple[str, str]) -> list[dict[str, Any]]:
        """The trials of one at some pairs of sites."""
        return [
            each
            for each in self.trials
            if each["contender"] == contender and tuple(each["pair"]) in pairs
        ]

    def met(self, contender: str, *pairs: tuple[str, str]) -> str:
        """How many of them succeeded."""
        found = self.of(contender, *pairs)
        return f"{sum(each['ok'] for each in found)} of {len(found)}"

    def median(self, contender: str, *pairs: tuple[str, str]) -> float:
        """Seconds until both could use the connection."""
        return percentile([each["usable"] for each in self.of(contender, *pairs) if each["ok"]], 50)


def test_the_table_of_others_is_the_measured_one() -> None:
    """Successes at refusing and at symmetric NATs are those of the file."""
    rivals = Rivals()
    for row, contender in ROWS.items():
        (line,) = (line for line in README.splitlines() if line.startswith(f"| {row}"))
        *_, refusing, symmetric, _, _ = line.split("|")
        assert refusing.strip() == rivals.met(contender, *REFUSING)
        assert symmetric.strip() == rivals.met(contender, *SYMMETRIC)


def test_the_reading_of_the_picture_is_the_file_s() -> None:
    """What the README says in words of who is how fast, and who gets through."""
    rivals, text = Rivals(), " ".join(README.split())
    pairs = {tuple(each["pair"]) for each in rivals.trials}
    easy = [pair for pair in pairs if "symmetric" not in pair]
    for pair in easy:
        ours, naive = rivals.median("simopen, endpoints", pair), rivals.median("naive loop", pair)
        assert (ours < 1.1 * naive) if "blocked" in pair else abs(ours - naive) < 0.1 * naive
        assert rivals.median("punchhole", pair) < rivals.median("simopen, coordinator", pair)
    blocked, lossy = ("blocked", "drop"), ("lossy-drop", "drop")
    slow, fast = (rivals.median(each, blocked) for each in ("naive loop", "simopen, endpoints"))
    assert f"costs it {slow:.1f} s instead of {fast:.1f} s" in text
    slow, fast = (
        max(each["usable"] for each in rivals.of(name, lossy))
        for name in ("naive loop", "simopen, endpoints")
    )
    assert f"at worst {slow:.1f} s instead of {fast:.1f} s" in text
    medians = sorted(rivals.median("simopen, coordinator", pair) for pair in easy)
    assert f"takes {medians[0]:.1f} to {medians[-1]:.1f} s" in text
    met, _, trials = rivals.met("punchhole", *easy).partition(" of ")
    assert f"missed {int(trials) - int(met)} of {trials}" in text


def test_who_passes_a_symmetric_nat() -> None:
    """Opposite an open host ICE, and at times py-libp2p; opposite a home router nobody."""
    through = {
        (each["contender"], each["pair"][1])
        for each in Rivals().trials
        if each["ok"] and each["pair"][0] == "symmetric"
    }
    names = ("aioice (UDP)", "aiortc (UDP)", "py-libp2p", "py-libp2p, relay")
    assert through == {(name, "open") for name in names}


def test_every_command_is_on_the_map() -> None:
    """Whoever adds a command tells of it."""
    shown = re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \|", README, re.MULTILINE)
    told = {name for names in shown for name in re.findall(r"[a-z]+", names)}
    assert {name for name in app if not name.startswith("-")} <= told


def test_the_commands_exist() -> None:
    """Every ``make`` verb in the README is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    verbs = re.findall(r"(?:`|^\$ )make (\w+)", README, re.MULTILINE)
    assert verbs
    for verb in verbs:
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)


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
