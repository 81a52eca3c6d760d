"""What holds for every command, those to come as well: they are found in the program itself."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import cyclopts
import pytest

from simopen.cli import _groups
from simopen.cli._app import app, run
from tests.cli.terminals import COLOUR, on_a_terminal
from tests.helpers import free_port

GROUPS = [group for group in vars(_groups).values() if isinstance(group, cyclopts.Group)]

# Runs command lines one after the other.
RUN = """\
import sys, shlex
from simopen.cli._app import run
for line in sys.argv[1:]:
    run(shlex.split(line))
    print(end="\f", flush=True)
"""
END = "\f"


def commands(parent: cyclopts.App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command as the words that name it, those of groups of commands included."""
    for name in parent:
        if not name.startswith("-"):
            yield (*path, name)
            yield from commands(parent[name], (*path, name))


COMMANDS = sorted(commands())
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@cache
def helps() -> dict[tuple[str, ...], str]:
    """The help of every command and the map, in lines that are never broken."""
    every = [(), *COMMANDS]
    lines = [shlex.join([*command, "--help"]) for command in every]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *lines],
        capture_output=True,
        check=True,
        env=os.environ | {"COLUMNS": "250"},
        text=True,
    )
    assert done.stderr == ""
    return dict(zip(every, done.stdout.split(END)[:-1], strict=True))


@pytest.mark.parametrize("name", [name for name in app if not name.startswith("-h")])
def test_is_in_the_map(name: str) -> None:
    """In one of the panels that say what it is for, with its first line."""
    groups = app[name].group
    [group] = [each for each in GROUPS if isinstance(groups, tuple) and each in groups]
    panel = helps()[()].partition(f"─ {group.name} ─")[2].partition("╰")[0]
    assert re.search(rf"^│ {name} +(\(-h\) +)?\w.*\.", panel, re.MULTILINE)


def examples(text: str) -> list[str]:
    """The command lines in a help text: what is set apart from prose, and what is to be tried."""
    text = text.replace("\\\n", " ")
    lines = re.findall(r"^(?: +|Try.*?: )(?!│)(.*)$", text, re.MULTILINE)
    found = (re.search(r"(?:^|[|;] )(simopen [^|>)]*)", line) for line in lines)
    return [match[1].strip() for match in found if match]


@each_command
def test_has_an_example(command: tuple[str, ...]) -> None:
    """Its help shows the command in use, in lines that it takes."""
    lines = examples(helps()[command])
    assert any(line.split()[1 : 1 + len(command)] == list(command) for line in lines)
    for line in lines:
        app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


@each_command
def test_wrong_use_leaves_standard_output_alone(
    command: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong and what to try is no data."""
    assert run([*command, "--no-such-option"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "--no-such-option" in err
    assert f"try: simopen {' '.join(command)} --help" in err


# What can be tried anywhere, and what its data is.
DATA = {
    "completion bash": r"# Bash completion .*",
    "invite": r"\S+\n",
    "lab": r"((topology|preset)\t[^\t\n]+\t[^\t\n]+\n)+",
    "lab show home-router": r"home-router.*",
    "lab show two-homes": r"two-homes.*",
    "--version": r"\d+\.\d+\.\d+\n",
    f"connect --timeout 0.1 127.0.0.1:9 --local 127.0.0.1:{free_port()}": "",
    "measure --trials 0": "",
    "report /dev/null": "",
    "coordinator --listen nowhere": "",
    "raw accept nowhere": "",
    "self nowhere": "",
    "trace": "",
}


@pytest.mark.parametrize("line", DATA)
def test_nothing_but_data_on_standard_output(line: str) -> None:
    """What a pipe is given is what was asked for, whatever happened."""
    command = [sys.executable, "-m", "simopen", *shlex.split(line)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert re.fullmatch(DATA[line], done.stdout, re.DOTALL)


def test_no_color_is_honoured() -> None:
    """No command's help, error or answer has a colour on a terminal if it is not wanted."""
    run_lines = [sys.executable, "-c", RUN]
    lines = [shlex.join([*command, "--help"]) for command in COMMANDS]
    lines += ["--help", "conect", "lab", "lab show two-homes", "lab show symmetric"]
    lines += [f"connect --timeout 0.3 127.0.0.1:9 --local 127.0.0.1:{free_port()}"]
    lines += ["doctor", "self 127.0.0.1:0", "trace --timeout 1 127.0.0.1:9"]
    assert COLOUR.search(on_a_terminal([*run_lines, "--help"]))  # as it is where nobody minds
    plain = on_a_terminal([*run_lines, *lines], NO_COLOR="1")
    for part in (b"Commands", b"two-homes", b"could not connect"):
        assert part in plain
    assert not COLOUR.search(plain)
