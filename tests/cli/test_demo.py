from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from rich.console import Console

import simopen
from simopen import lab
from simopen.cli import _demo

DEMO = [sys.executable, "-m", "simopen", "demo"]


@pytest.fixture(scope="module")
def shown(require_lab: None) -> str:  # noqa: ARG001 - a condition
    """What it prints, where there is a lab."""
    done = subprocess.run(DEMO, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.lab
def test_shows_the_crossing(shown: str) -> None:
    """The ladder has crossing SYNs and both SYN-ACKs, nobody listens, and the files agree."""
    assert "two SYNs cross: simultaneous open" in shown
    assert shown.count("SYN-ACK") >= 2
    assert "Listening sockets while connected: a none, b none" in shown
    assert shown.count("... same") == 2


@pytest.mark.lab
def test_shows_how_they_were_introduced(shown: str) -> None:
    """Both ask, are introduced and fire; it is encrypted, and its time is set against the bound."""
    for name in "ab":
        moments = re.search(
            rf"{name} asks .*^ +(\S+)  {name} is introduced.*^ +(\S+)  {name} fires",
            shown,
            re.DOTALL | re.MULTILINE,
        )
        assert moments
        assert 0 < float(moments[1]) <= float(moments[2])
    assert shown.count("TLS 1.3, both proven") == 2
    assert "T* = max(rA, (rA + rB)/2) + r" in shown


@pytest.mark.lab
def test_fits_a_terminal(shown: str) -> None:
    """Of 80 columns."""
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_a_terminal_without_unicode_gets_ascii() -> None:
    """The picture never breaks on its characters."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(DEMO, capture_output=True, check=False, timeout=100, env=env)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()


def test_without_namespaces_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two hosts and a coordinator on loopback still connect and exchange their files."""
    monkeypatch.setattr(lab, "why_unavailable", lambda: "no such thing here")
    assert _demo.show() == 0
    told = capsys.readouterr().out
    assert "No namespaces here: no such thing here" in told
    assert "on loopback" in told
    assert told.count("TLS 1.3, both proven") == 2
    assert told.count("... same") == 2


def test_its_invite_is_on_no_command_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor in an environment or in what is shown: it is in a file of the user's alone."""
    invite = simopen.Invite.new("demo")
    monkeypatch.setattr(simopen.Invite, "new", lambda _room: invite)
    monkeypatch.setattr(lab, "why_unavailable", lambda: "no such thing here")
    started: list[str] = []
    modes: list[int] = []

    async def open_process(command: Sequence[str], **files: Any) -> Process:
        started.append(repr((command, files.get("env"))))
        for each in map(anyio.Path, command):
            if each.name == "invite":
                modes.append((await each.stat()).st_mode & 0o777)  # noqa: PERF401 - awaits
        return await original(command, **files)

    original = anyio.open_process
    monkeypatch.setattr(anyio, "open_process", open_process)
    assert _demo.show() == 0
    assert modes == [0o600, 0o600]
    for text in (*started, *capfd.readouterr()):
        assert invite.reveal() not in text


def test_a_secret_of_the_user_does_not_disturb_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It brings its own invite."""
    monkeypatch.setattr(lab, "why_unavailable", lambda: "no such thing here")
    monkeypatch.setitem(os.environ, "SIMOPEN_INVITE", "nonsense")
    monkeypatch.setitem(os.environ, "SIMOPEN_SECRET", "nonsense")
    assert _demo.show() == 0
    assert capsys.readouterr().out.count("... same") == 2


def test_what_was_not_proven_is_a_failure(tmp_path: Path) -> None:
    """Whatever the exit codes and the files say."""
    sides = [_demo.Side(name, tmp_path, code=0) for name in "ab"]
    for side in sides:
        side.outgoing.write_bytes(b"")
        side.incoming.write_bytes(b"")
    assert _demo._verdict(Console(quiet=True), sides) == 1
    for side in sides:
        meeting = {"waited": 0.1}
        report = {"elapsed": 0.2, "attempts": 1, "refusals": 0, "path": "IPv4", "encrypted": True}
        side.events["connected"] = {"report": {**report, "meeting": meeting}}
    assert _demo._verdict(Console(quiet=True), sides) == 0
