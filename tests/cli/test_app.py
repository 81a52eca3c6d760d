from __future__ import annotations

import re
import subprocess
import sys

import pytest

import simopen
from simopen.cli._app import run

SIMOPEN = [sys.executable, "-m", "simopen"]


def test_help_is_a_map(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command is in the help, which is data: it goes to standard output."""
    assert run(["--help"]) == 0
    out, err = capsys.readouterr()
    for command in ("connect", "coordinator", "demo", "invite", "lab", "self"):
        assert f" {command} " in out
    assert err == ""


def test_a_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Its help shows it in use, and every option."""
    assert run(["connect", "--help"]) == 0
    out = capsys.readouterr().out
    assert "tar c photos | simopen connect" in re.sub(r"\s+", " ", out)
    for option in (
        *("--local", "--rendezvous", "--room", "--invite-file", "--secret-file"),
        *("--timeout", "--json", "--trace"),
    ):
        assert option in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version alone."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == simopen.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["conect"], "simopen --help"),
        (["connect"], "simopen connect --help"),
        (["connect", "192.0.2.1:40000"], "--local"),
        (["connect", "192.0.2.1:40000", "--local", "nonsense"], "local 'nonsense'"),
        (["connect", "192.0.2.1:40000", "--local", "0.0.0.0:1", "--timeout", "soon"], "timeout"),
        (["connect", "192.0.2.1:40000", "--local", "0.0.0.0:1", "--timeout", "-1"], "timeout"),
        (
            ["connect", "127.0.0.1:40000", "--local", "127.0.0.1:40000"],
            "connect to itself",
        ),
        (
            ["connect", "192.0.2.1:40000", "--local", "0.0.0.0:1", "--trace", "/nowhere/x"],
            "--trace",
        ),
        (["connect", "192.0.2.1:40000", "--rendezvous", "tcp://x"], "exclude each other"),
        (["connect", "--rendezvous", "http://x", "--invite-file", "x"], "tcp://host:port"),
        (["connect", "--rendezvous", "tcp://x", "--invite-file", "/nowhere"], "--invite-file"),
        (["connect", "--rendezvous", "tcp://x", "--room", "kitchen"], "--secret-file"),
        (["connect", "--local", "0.0.0.0:1"], "--rendezvous"),
        (
            ["connect", "192.0.2.1:40000", "--local", "0.0.0.0:1", "--room", "kitchen"],
            "--rendezvous",
        ),
        (["invite", "--room", "x" * 256], "255 bytes"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong and where to look, on standard error; standard output stays empty."""
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [[], ["--room"], ["--invite"], ["--invite-file"]])
def test_an_invite_on_the_command_line_is_refused(
    option: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever it stands, and it is not said once more."""
    invite = simopen.Invite.new("kitchen").reveal()
    assert run(["connect", "--rendezvous", "tcp://127.0.0.1:1", *option, invite]) == 2
    out, err = capfd.readouterr()
    assert "make a new one" in err
    assert invite not in out + err


def test_without_the_extra() -> None:
    """A missing dependency is named with the extra that brings it."""
    code = (
        "import sys; sys.modules['cyclopts'] = None;"
        "sys.argv = ['simopen']; import simopen.cli; simopen.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"pip install 'simopen[cli]'" in done.stderr


def test_python_m_simopen() -> None:
    """The module runs as the command does."""
    done = subprocess.run([*SIMOPEN, "--version"], capture_output=True, check=True)
    assert done.stdout.decode().strip() == simopen.__version__
