"""The coordinator's log where it is fullest: an error of its own, with a client in every frame."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simopen.rendezvous.protocol import Join, encode_frame
from tests.cli.terminals import COLOUR, on_a_terminal

PATIENCE = 20  # seconds
CANARY = b"canary-canary-canary-canary-cana"  # 32 bytes, as a tag has
SEAT = CANARY[:16]
SPELLINGS = [
    *("canary", CANARY.hex(), base64.b64encode(CANARY).decode()[:-1]),
    *(SEAT.hex(), base64.b64encode(SEAT).decode()[:-2]),
    *(f"{SEAT[0]}, {SEAT[1]}, {SEAT[2]}", "127.0.0.1:"),
]

# The command, with something broken in it.
CRASHING = """
import sys
from simopen.rendezvous import _desk, _server
{broken}
from simopen.cli import main
sys.argv = ["simopen", "coordinator", "--listen", "127.0.0.1:0", "--limit", "connections=100",
            *sys.argv[1:]]
main()
"""
REQUEST = """
def handle(self, number, path, message, now):
    tag, client = bytes(message.tag), path.observed
    raise RuntimeError("out of order")
_desk.Rooms.handle = handle
"""
LISTENER = """
async def accept_forever(*_):
    raise RuntimeError("out of order")
_server.accept_forever = accept_forever
"""


def join(endpoint: str) -> bytes:
    """Join as the canary, and wait for what comes of it."""
    host, _, port = endpoint.rpartition(":")
    offer = (CANARY * 66)[: 32 + 2048 + 16]
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
        sock.sendall(encode_frame(Join(tag=CANARY, seat=SEAT, offer=offer, round=1)))
        return sock.recv(4096)


def crashed_request(log_format: str) -> str:
    """What the command logs when a client's request crashes, and then stops."""
    command = [sys.executable, "-c", CRASHING.format(broken=REQUEST), "--log-format", log_format]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            first = process.stderr.readline()
            found = re.search(r"127\.0\.0\.1:\d+", first)
            assert found
            assert join(found[0]) == b""
            process.terminate()
            assert process.wait(PATIENCE) == 0
            return process.stderr.read()
        finally:
            process.kill()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_crash_tells_nothing_of_the_client(log_format: str) -> None:
    """The traceback is there, without any local: no tag, no seat, no offer, no address."""
    said = crashed_request(log_format)
    for expected in ("connection.crashed", "Traceback", "RuntimeError: out of order", "_desk.py"):
        assert expected in said
    for spelling in SPELLINGS:
        assert spelling not in said


def test_every_line_is_json() -> None:
    """A traceback is one line, with a level and a time in UTC."""
    lines = [json.loads(line) for line in crashed_request("json").splitlines()]
    events = [each["event"] for each in lines]
    assert events == ["connection.crashed", "coordinator.stopping"]
    assert [each["level"] for each in lines] == ["error", "info"]
    assert all(each["timestamp"].endswith("Z") for each in lines)
    assert "Traceback" in lines[0]["exception"]


def test_the_last_line_is_json() -> None:
    """What ends the coordinator itself is told in a line like the others; the exit code is 1."""
    done = subprocess.run(
        [sys.executable, "-c", CRASHING.format(broken=LISTENER), "--log-format", "json"],
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    last = [json.loads(line) for line in done.stderr.splitlines()][-1]
    assert last["event"] == "coordinator.crashed"
    assert "RuntimeError: out of order" in last["exception"]


def test_no_color_is_honoured() -> None:
    """A person's log on a terminal has colours, unless they are not wanted."""
    command = [sys.executable, "-c", CRASHING.format(broken=LISTENER)]
    assert COLOUR.search(on_a_terminal(command))
    plain = on_a_terminal(command, NO_COLOR="1")
    assert b"coordinator.crashed" in plain
    assert not COLOUR.search(plain)


def test_the_loops_own_words_are_lines_too(tmp_path: Path) -> None:
    """A warning of asyncio's is JSON as well."""
    program = tmp_path / "program.py"
    program.write_text(
        "import logging\n"
        "from simopen.cli._coordinator import _configure_log\n"
        "_configure_log(json=True)\n"
        "logging.getLogger('asyncio').warning('slow')\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, check=True, text=True, timeout=PATIENCE
    )
    assert json.loads(done.stderr)["event"] == "slow"
