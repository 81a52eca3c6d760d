"""``simopen trace`` as a user runs it, on loopback."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from simopen.capture import pcapng
from simopen.cli import _app, _trace
from tests.helpers import free_port, on_cpu

TRACE = [sys.executable, "-m", "simopen", "trace"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command's end."""
    return subprocess.run(
        [*TRACE, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def listener() -> Iterator[str]:
    """Where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_listener(listener: str) -> None:
    """Ladder and words go to standard output, and nothing else."""
    done = run(listener)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[:4] == ["ms", "our", "state", "here"]
    assert "Three-way handshake: a listener" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_peer() -> None:
    """Two mirror images, with nobody listening."""
    ours, theirs = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [*on_cpu(0), *TRACE, ours, "--local", theirs, "--timeout", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        mine = [*on_cpu(1), *TRACE, theirs, "--local", ours, "--timeout", "20"]
        done = subprocess.run(mine, capture_output=True, check=False, text=True, timeout=60)
        assert other.stdout
        output = other.stdout.read().decode()
    assert (done.returncode, other.returncode) == (0, 0)
    for text in (output, done.stdout):
        assert any(words in text for words in ("True crossing", "One-sided", "Connected;"))


def test_oneself_into_files(tmp_path: Path) -> None:
    """A picture, and a capture that has packets where they may be recorded."""
    end = f"127.0.0.1:{free_port()}"
    svg, file = tmp_path / "self.svg", tmp_path / "self.pcapng"
    done = run(end, "--local", end, "--svg", svg, "--pcapng", file)
    assert done.returncode == 0
    assert "Self-connection" in done.stdout
    ET.fromstring(svg.read_text(encoding="utf-8"))  # noqa: S314 - our own
    records = pcapng.read(file.read_bytes())
    assert bool(records) == ("Without packets" not in done.stdout)


def test_nobody_there_is_exit_code_1(tmp_path: Path) -> None:
    """What was seen is shown and written all the same; why it failed goes to standard error."""
    file = tmp_path / "refused.svg"
    done = run(f"127.0.0.1:{free_port()}", "--svg", file)
    assert done.returncode == 1
    assert "No connection: 1 SYN left; 1 reset came." in done.stdout
    assert "simopen: could not connect" in done.stderr
    assert file.stat().st_size > 1000


def test_the_kernels_timeout_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A longer --timeout than the kernel's patience is not said to have passed."""

    async def give_up(*_args: object, **_options: object) -> socket.socket:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(_trace, "dial", give_up)
    assert _app.run(["trace", "192.0.2.1:1", "--timeout", "300"]) == 1
    said = capsys.readouterr().err
    assert said == "simopen: could not connect to 192.0.2.1:1: Connection timed out\n"


def test_a_peer_that_is_not_there() -> None:
    """The engine's diagnosis is on standard error, as with ``simopen connect``."""
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    done = run(remote, "--local", local, "--timeout", "0.2")
    assert done.returncode == 1
    assert "No connection" in done.stdout
    assert "  next: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "whom to connect to?"),
        (["127.0.0.1:1", "--rendezvous", "tcp://127.0.0.1:1"], "exclude each other"),
        (["127.0.0.1:1", "--room", "tea"], "--room is for a peer"),
        (["127.0.0.1:1", "--timeout", "0"], "--timeout must be more than 0"),
        (["127.0.0.1:1-3"], "several endpoints"),
        (["127.0.0.1:1,127.0.0.2:1"], "several endpoints"),
        (["127.0.0.1"], "not an endpoint"),
        (["127.0.0.1:1", "--svg", "/nowhere/x.svg"], "--svg:"),
        (["127.0.0.1:1", "--pcapng", "/nowhere/x.pcapng"], "--pcapng:"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent, and a word says what is wrong."""
    assert _app.run(["trace", *arguments]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert words in done.err
