from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from simopen.cli import _systemd

COMMAND = [
    *(sys.executable, "-m", "simopen", "coordinator", "--listen", "127.0.0.1:0"),
    *("--limit", "connections=100"),
]
PATIENCE = 20  # seconds


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of the socket that systemd reads from."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE)
        yield sock


def test_the_command_tells_its_state(manager: socket.socket) -> None:
    """Ready when it listens, alive again and again, stopping before it waits for meetings."""
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}
    with subprocess.Popen(COMMAND, env=os.environ | told, stderr=subprocess.DEVNULL) as process:
        try:
            said = [manager.recv(100) for _ in range(4)]
            process.send_signal(signal.SIGTERM)
            while said[-1] != _systemd.STOPPING:
                said.append(manager.recv(100))
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert (said[0], said[1:-1]) == (_systemd.READY, [_systemd.ALIVE] * (len(said) - 2))


def test_a_stopped_loop_is_not_alive(manager: socket.socket) -> None:
    """The watchdog hears nothing of a process that hangs."""
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}
    with subprocess.Popen(COMMAND, env=os.environ | told, stderr=subprocess.DEVNULL) as process:
        try:
            while manager.recv(100) != _systemd.ALIVE:
                pass
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            while select.select([manager], [], [], 0)[0]:
                manager.recv(100)  # said before
            assert not select.select([manager], [], [], 0.5)[0]
        finally:
            process.kill()


def test_alive_without_descriptors(manager: socket.socket) -> None:
    """A loop that turns is not taken for one that hangs where the process can open nothing more."""
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}
    with subprocess.Popen(COMMAND, env=os.environ | told, stderr=subprocess.DEVNULL) as process:
        try:
            while manager.recv(100) != _systemd.ALIVE:
                pass
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, 1024))
            manager.settimeout(3)
            assert [manager.recv(100) for _ in range(5)] == [_systemd.ALIVE] * 5
        finally:
            process.kill()


@pytest.mark.parametrize("where", ["", "/nowhere/notify", "@simopen-nobody"])
def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Without systemd, or where it cannot be reached, nothing happens."""
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    with _systemd.Manager() as manager:
        manager.notify(_systemd.READY)


def test_an_abstract_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an @ before it is of Linux's abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0simopen-test-{os.getpid()}")
        sock.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@simopen-test-{os.getpid()}")
        with _systemd.Manager() as manager:
            manager.notify(_systemd.READY)
        assert sock.recv(100) == _systemd.READY


@pytest.mark.anyio
@pytest.mark.parametrize("allowed", [None, "", "soon", "0"])
async def test_without_a_watchdog(monkeypatch: pytest.MonkeyPatch, allowed: str | None) -> None:
    """Nobody waits for a sign of life, and none is given."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if allowed is not None:
        monkeypatch.setenv("WATCHDOG_USEC", allowed)
    with anyio.fail_after(PATIENCE), _systemd.Manager() as manager:
        await manager.keep_alive()
