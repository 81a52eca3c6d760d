from __future__ import annotations

import subprocess
import sys

import pytest

from simopen import lab
from simopen.cli import _demo

DEMO = [sys.executable, "-m", "simopen", "demo"]


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_shows_the_crossing() -> None:
    """The ladder has crossing SYNs and both SYN-ACKs, nobody listens, and the files agree."""
    done = subprocess.run(DEMO, capture_output=True, check=False, timeout=100)
    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "two SYNs cross: simultaneous open" in shown
    assert shown.count("SYN-ACK") >= 2
    assert "Listening sockets while connected: a none, b none" in shown
    assert shown.count("same") == 2
    assert max(map(len, shown.splitlines())) <= 120


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
    """Two processes on loopback still connect and exchange their files."""
    monkeypatch.setattr(lab, "why_unavailable", lambda: "no such thing here")
    assert _demo.show() == 0
    shown = capsys.readouterr().out
    assert "No namespaces here: no such thing here" in shown
    assert "two processes on loopback" in shown
    assert shown.count("same") == 2
