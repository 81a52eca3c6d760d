"""The command as an operator runs it."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simopen.cli import _coordinator
from simopen.cli._app import run
from simopen.rendezvous.protocol import (
    COORDINATOR_MESSAGES,
    Bye,
    CoordinatorMessage,
    FrameReader,
    Welcome,
    encode_frame,
)
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.clients import join, new_tag

COMMAND = [sys.executable, "-m", "simopen", "coordinator", "--listen", "127.0.0.1:0"]
PATIENCE = 20  # seconds


@contextmanager
def running(*more: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """The command, and what its first line of JSON says."""
    command = [*COMMAND, "--limit", "connections=100", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            yield process, json.loads(process.stderr.readline())
        finally:
            process.kill()


def address(endpoint: str) -> tuple[str, int]:
    """What a socket connects to."""
    host, _, port = endpoint.rpartition(":")
    return host, int(port)


def receive(sock: socket.socket) -> CoordinatorMessage:
    """The next message."""
    reader = FrameReader(COORDINATOR_MESSAGES)
    while True:
        for message in reader.feed(sock.recv(4096)):
            return message


def member(endpoint: str) -> socket.socket:
    """A connection that has joined a room of its own."""
    sock = socket.create_connection(address(endpoint), timeout=PATIENCE)
    sock.sendall(encode_frame(join(new_tag())))
    assert isinstance(receive(sock), Welcome)
    return sock


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serves_and_stops_in_order(number: signal.Signals, code: int) -> None:
    """It says where it listens; a signal dismisses who waits, and ends it."""
    with running() as (process, said):
        assert said["event"] == "coordinator.listening"
        assert said["rendezvous"] == [f"tcp://{said['listen'][0]}"]
        assert len(said["probes"]) == 1
        with member(said["listen"][0]) as sock:
            process.send_signal(number)
            assert isinstance(receive(sock), Bye)
            assert sock.recv(1) == b""
        assert process.wait(PATIENCE) == code
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()


def test_for_a_person() -> None:
    """On a console there is one line: where it listens and how clients reach it."""
    command = [*COMMAND, "--limit", "connections=100", "--log-format", "console"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        line = process.stderr.readline().decode()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert line.startswith("simopen: coordinator on 127.0.0.1:")
    assert "probes on 127.0.0.1:" in line
    assert "clients: rendezvous tcp://127.0.0.1:" in line


def test_metrics() -> None:
    """A port alone is on loopback; the pages are there."""
    with running("--metrics", "0") as (_, said):
        (url,) = said["metrics"]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - http
            assert b"simopen_coordinator_members 0.0" in answer.read()


def test_a_certificate_is_read_again(tmp_path: Path) -> None:
    """After SIGHUP a new connection gets the new certificate."""
    certificate, key = write_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with running(*options) as (process, said):
        assert said["rendezvous"][0].startswith("tls://")
        there = address(said["listen"][0])
        for _ in range(2):
            context = client_context((certificate, key))
            with socket.create_connection(there, timeout=PATIENCE) as raw:
                context.wrap_socket(raw).close()
            write_certificate(tmp_path)
            process.send_signal(signal.SIGHUP)
            assert process.stderr
            assert b"certificate.reloaded" in process.stderr.readline()
        with (
            socket.create_connection(there, timeout=PATIENCE) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(raw)


def test_asked_twice_it_stops_at_once() -> None:
    """Meetings in progress do not hold up whoever insists."""
    with running("--limit", "drain=60") as (process, said):
        tag = new_tag()
        there = address(said["listen"][0])
        with (
            socket.create_connection(there, timeout=PATIENCE) as a,
            socket.create_connection(there, timeout=PATIENCE) as b,
        ):
            for sock in (a, b):
                sock.sendall(encode_frame(join(tag)))
                assert isinstance(receive(sock), Welcome)
            process.terminate()
            assert process.stderr
            assert b"coordinator.stopping" in process.stderr.readline()
            time.sleep(0.2)
            assert process.poll() is None
            process.terminate()
            assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "nonsense"], "listen 'nonsense'"),
        (["--limit", "speed=1"], "there are connections, "),
        (["--limit", "connections=many"], "'many' is no number"),
        (["--limit", "connections=0"], "connections must be at least 1"),
        (["--limit", "connections=1000000000"], "1,000,000,064 open files"),
        (["--tls-key", "key.pem"], "--tls-key without --tls-cert"),
        (["--tls-cert", "/nowhere.pem"], "/nowhere.pem"),
        (["--probe-listen", "1.2.3.4"], "probe"),
        (["--log-format", "loud"], "log-format"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], words: str) -> None:
    """What is wrong and where to look; nothing is listened on."""
    done = subprocess.run(
        [*COMMAND[:-2], *arguments], capture_output=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert words in " ".join(done.stderr.decode().split())
    assert b"simopen coordinator --help" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_taken_port_is_exit_code_1() -> None:
    """It is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        done = subprocess.run(
            [*COMMAND[:-1], taken], capture_output=True, check=False, timeout=PATIENCE
        )
    assert done.returncode == 1
    assert f"cannot listen on {taken}".encode() in done.stderr
    assert b"choose another port" in done.stderr


def test_fewer_connections_where_files_are_few(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a wish for a number it takes what fits, and says how many files all would need."""
    monkeypatch.setattr(_coordinator, "allow_connections", lambda _: 500)
    assert _coordinator._limits(()).connections == 500
    (record,) = caplog.records
    assert record.__dict__["files_needed"] == 22_064


def test_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The command and its options are there."""
    assert run(["coordinator", "--help"]) == 0
    out = capsys.readouterr().out
    for option in ("--listen", "--probe-listen", "--tls-cert", "--proxy-protocol", "--metrics"):
        assert option in out
