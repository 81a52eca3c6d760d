"""``simopen doctor`` as a user runs it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from simopen import Endpoint
from simopen.cli import _doctor_pictures as pictures
from simopen.cli._app import run
from simopen.cli._doctor import print_examination
from simopen.doctor import (
    Answer,
    Examination,
    Knock,
    LocalPort,
    Machine,
    Mapping,
    PortRange,
    Remote,
    SynSchedule,
    Visit,
    judge,
    syn_schedule,
)
from tests.helpers import free_port

URL = "tcp://198.51.100.1:7337"
LOCAL, KEPT, MOVED = (
    Endpoint("192.168.1.2", 40000),
    Endpoint("203.0.113.7", 40000),
    Endpoint("203.0.113.7", 1111),
)
MACHINE = Machine(
    system="Linux",
    release="6.18.44",
    syn_retries=6,
    syn_linear_timeouts=4,
    port_range=PortRange(32768, 60999),
    addresses=("192.168.1.2",),
)
VISIT = Visit(url=URL, remote=KEPT, local=LOCAL, observed=KEPT, probed=(MOVED,), round_trip=0.012)
REMOTE = Remote(remote=Endpoint("2001:db8::1", 40001), knocks=(Knock(answer=Answer.OPEN, after=1),))
ALL = judge(MACHINE, port=LocalPort(local=LOCAL), visits=[VISIT], remote=REMOTE)


def screen(examination: Examination, *, width: int = 80, color: bool = False) -> str:
    """What a terminal of that width shows."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="standard" if color else None,
        highlight=False, markup=False, emoji=False,
    )  # fmt: skip
    print_examination(examination, console)
    return out.getvalue()


def test_a_heading_for_each_subject() -> None:
    """In the order of the examination, and the verdict last."""
    lines = screen(ALL).splitlines()
    headings = [line for line in lines[:-1] if line and not line.startswith(" ")]
    assert headings == [
        "This machine",
        "The local port",
        "The coordinator",
        "The NAT",
        "The remote",
    ]
    assert lines[-1] == "2 things will hinder connecting: nat-varies, remote-listens"


def test_nothing_in_the_way() -> None:
    """The verdict of a machine with notes only."""
    assert screen(judge(MACHINE)).splitlines()[-1] == "Nothing stands in the way of connecting."


def test_every_finding_has_its_words() -> None:
    """What it means for connecting, title, meaning and advice, on a screen that is wide enough."""
    text = re.sub(r"\s+", " ", screen(ALL))
    for each in ALL.findings:
        assert f" {each.severity.value} {each.title} {each.meaning}." in text
        assert not each.advice or f" next: {each.advice} " in text


@pytest.mark.parametrize("width", [30, 40, 80, 100])
def test_it_fits(width: int) -> None:
    """No line is longer than the terminal is wide, nor has blanks at its end."""
    for line in screen(ALL, width=width).splitlines():
        assert len(line) <= width
        assert line == line.rstrip()


@pytest.mark.parametrize(("width", "shown"), [(80, True), (44, False)])
def test_a_picture_that_does_not_fit_is_left_out(width: int, *, shown: bool) -> None:
    """Half an endpoint would be another one; the words have it all."""
    text = screen(ALL, width=width)
    assert ("[ NAT ]" in text) is shown
    assert str(MOVED) in text


def test_colours_say_nothing_more() -> None:
    """Without them the words are the same."""
    coloured = screen(ALL, color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == screen(ALL)


def test_markup_is_not_obeyed() -> None:
    """Brackets of an address are brackets."""
    assert "[2001:db8::1]:40001" in screen(ALL)


@pytest.mark.parametrize(
    ("schedule", "room", "lines"),
    [
        (
            syn_schedule(6, 4),
            60,
            [
                "S---S---S---S---S---S-------S---------------S-----...",
                "0   1   2   3   4   5       7               11 s",
            ],
        ),
        (syn_schedule(1, 0), 46, ["S--S-----x", "0  1     3 s"]),
        (SynSchedule((), 1.0), 30, ["S-x", "0 1 s"]),
    ],
)
def test_the_picture_of_the_schedule(schedule: SynSchedule, room: int, lines: list[str]) -> None:
    """To scale: an S for each SYN, an x where connect() gives up."""
    assert pictures.schedule(schedule, room) == lines


@pytest.mark.parametrize(
    ("observed", "is_own", "lines"),
    [
        ((KEPT, KEPT), False, [f"{LOCAL} --[ NAT ]--> {KEPT}  seen by 2 ports"]),
        (
            (KEPT, MOVED),
            False,
            [
                f"{LOCAL} --[ NAT ]--> {KEPT}  seen by 1 port",
                f"{'':27}\\-> {MOVED}  seen by 1 port",
            ],
        ),
        ((LOCAL,), True, [f"{LOCAL} -----------> {LOCAL}  seen by 1 port"]),
    ],
)
def test_the_picture_of_the_nat(
    observed: tuple[Endpoint, ...], is_own: object, lines: list[str]
) -> None:
    """Our endpoint at the left, each that was seen at the right."""
    mapping = Mapping(version=4, local=LOCAL, observed=observed, is_own=bool(is_own))
    assert pictures.nat(mapping) == lines


def test_the_report_goes_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """What is being done to standard error; a refusal does not hinder, so the code is 0 or 1."""
    code = run(["doctor", f"127.0.0.1:{free_port()}"])
    out, err = capfd.readouterr()
    assert "refuses (RST)" in out
    assert "simopen: knocking at 127.0.0.1" in err
    assert code == int("will hinder" in out)


def test_a_listener_is_exit_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    """Scripts can tell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert run(["doctor", "{}:{}".format(*server.getsockname())]) == 1
    assert "remote-listens" in capfd.readouterr().out


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    """One object, and nothing else, on standard output."""
    urls = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    options = [word for each in urls for word in ("--rendezvous", each)]
    assert run(["doctor", "--json", "--local", f"0.0.0.0:{free_port()}", *options]) == 1
    told = json.loads(capfd.readouterr().out)
    assert told["hinders"] is True
    assert [each["url"] for each in told["facts"]["coordinators"]] == urls
    assert {each["trouble"] for each in told["facts"]["coordinators"]} == {"unreachable"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "remote 'nonsense'"),
        (["--rendezvous", "192.0.2.1"], "tcp://host:port"),
        (["192.0.2.1:7", "--local", "0.0.0.0"], "local '0.0.0.0'"),
        (["127.0.0.1:20000", "--local", "127.0.0.1:20000"], "connect to itself"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the words of what is wrong, and nothing on standard output."""
    assert run(["doctor", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert "try: simopen doctor --help" in err


def test_the_help_has_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit codes."""
    assert run(["doctor", "--help"]) == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    for words in ("--local", "--rendezvous", "--json", "Exit code: 0 nothing stands in the way"):
        assert words in out


@pytest.mark.parametrize("no_color", [True, False])
def test_on_a_terminal(no_color: object, tmp_path: Path) -> None:
    """Colours where they are wanted, and the live line is gone at the end."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    environment |= {"NO_COLOR": "1"} if no_color else {}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "simopen", "doctor", f"127.0.0.1:{free_port()}"]
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(command, stdout=theirs, stderr=errors, env=environment)
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # the terminal's other side is closed
        os.close(ours)
        process.wait(timeout=60)
    assert b"refuses (RST)" in shown
    assert (b"\x1b[32m" in shown) is not no_color
