from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from simopen import Invite
from simopen.cli._app import run

COMMAND = [sys.executable, "-m", "simopen", "invite"]


def test_one_line_of_data(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output has the invite and nothing else; each is another one."""
    assert run(["invite"]) == 0
    assert run(["invite", "--room", "kitchen"]) == 0
    out, err = capfd.readouterr()
    first, second = out.splitlines()
    assert Invite.parse(first) != Invite.parse(second)
    assert Invite.parse(second).room == "kitchen"
    assert err == ""


def test_a_terminal_is_told_what_to_do_with_it() -> None:
    """Where standard error is one, with the command that takes the invite."""
    master, slave = pty.openpty()
    try:
        done = subprocess.run(COMMAND, stdout=subprocess.PIPE, stderr=slave, check=True)
        os.close(slave)
        shown = os.read(master, 4096).decode()
    finally:
        os.close(master)
    Invite.parse(done.stdout.decode())
    assert "simopen connect --rendezvous" in shown
    assert done.stdout.decode().strip() not in shown


def test_a_full_disk_is_a_failure() -> None:
    """An invite that was not written is not taken for one."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
