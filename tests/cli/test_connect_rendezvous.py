"""The command through a coordinator and with a secret, as users run it: processes on loopback."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simopen import Invite
from tests.helpers import free_port, on_cpu

SIMOPEN = [sys.executable, "-m", "simopen"]
PATIENCE = 30  # seconds

WEB_SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    connection.sendall(b"HTTP/1.0 400 Bad Request")
    connection.recv(65536)
"""


@pytest.fixture
def rendezvous() -> Iterator[str]:
    """The URL of a coordinator."""
    command = [*SIMOPEN, "coordinator", "--listen", "127.0.0.1:0", "--limit", "connections=100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        yield json.loads(process.stderr.readline())["rendezvous"][0]
        process.kill()


@pytest.fixture
def invite(tmp_path: Path) -> Path:
    """A file with an invite."""
    path = tmp_path / "invite"
    path.touch(0o600)
    path.write_text(Invite.new("kitchen").reveal() + "\n")
    return path


@contextmanager
def side(*arguments: object, cpu: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """One side, with a pipe for each standard stream."""
    command = [*on_cpu(cpu), *SIMOPEN, "connect", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **environment}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def exchange(
    one: subprocess.Popen[bytes], two: subprocess.Popen[bytes]
) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Let both say something; what each wrote to standard output and to standard error."""
    for process, said in ((one, b"from one"), (two, b"from two")):
        assert process.stdin
        process.stdin.write(said)
        process.stdin.close()
        process.stdin = None
    told = one.communicate(timeout=PATIENCE), two.communicate(timeout=PATIENCE)
    assert (one.returncode, two.returncode) == (0, 0), told
    return told


def test_two_sides_meet(rendezvous: str, invite: Path) -> None:
    """Both run the same line; the words say who waited, who came, and that it is proven."""
    arguments = ("--rendezvous", rendezvous, "--invite-file", invite)
    with side(*arguments, cpu=0) as one, side(*arguments, cpu=1) as two:
        (out_one, err_one), (out_two, _) = exchange(one, two)
    assert (out_one, out_two) == (b"from two", b"from one")
    lines = err_one.decode().splitlines()
    assert lines[0].startswith(f"simopen: waiting for the peer at {rendezvous}, which sees us as")
    assert lines[1].startswith("simopen: introduced: the peer is at 127.0.0.1:")
    assert any(line.startswith("simopen: connected and proven") for line in lines)


def test_a_secret_file_and_a_room(rendezvous: str, tmp_path: Path) -> None:
    """In place of an invite; in the environment it is the same secret."""
    secret = "a secret that is long enough"  # noqa: S105 - a test's
    path = tmp_path / "secret"
    path.write_text(secret + "\n")
    common = ("--rendezvous", rendezvous, "--room", "kitchen")
    with (
        side(*common, "--secret-file", path, cpu=0) as one,
        side(*common, cpu=1, SIMOPEN_SECRET=secret) as two,
    ):
        (out, err), _ = exchange(one, two)
    assert out == b"from two"
    assert b"other users can read" in err


def test_json(rendezvous: str, invite: Path) -> None:
    """One line for each thing that happens; the report of the stream says that it is encrypted."""
    arguments = ("--rendezvous", rendezvous, "--invite-file", invite, "--json")
    with side(*arguments, cpu=0) as one, side(*arguments, cpu=1) as two:
        (_, err), _ = exchange(one, two)
    events = {event["event"]: event for event in map(json.loads, err.splitlines())}
    wanted = ["rendezvous.joined", "rendezvous.introduced", "proof.started", "connected", "ended"]
    assert [name for name in events if name in wanted] == wanted
    assert events["connected"]["report"]["encrypted"] is True
    assert events["connected"]["report"]["meeting"]["rendezvous"] == rendezvous


def test_an_invite_in_direct_mode(invite: Path) -> None:
    """It encrypts, without a coordinator."""
    a, b = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with (
        side(b, "--local", a, "--invite-file", invite, cpu=0) as one,
        side(a, "--local", b, cpu=1, SIMOPEN_INVITE=invite.read_text()) as two,
    ):
        (out, err), _ = exchange(one, two)
    assert out == b"from two"
    assert b"connected and proven" in err


def test_another_secret_in_direct_mode(tmp_path: Path, invite: Path) -> None:
    """No stream, exit code 1, and for a machine a last line with the reason."""
    other = tmp_path / "other"
    other.write_text(Invite.new("kitchen").reveal())
    a, b = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    more = ("--timeout", "5")
    with (
        side(b, "--local", a, "--invite-file", invite, "--json", *more, cpu=0) as one,
        side(a, "--local", b, "--invite-file", other, *more, cpu=1) as two,
    ):
        out, err = one.communicate(timeout=PATIENCE)
        _, words = two.communicate(timeout=PATIENCE)
    assert (one.returncode, two.returncode, out) == (1, 1, b"")
    last = json.loads(err.splitlines()[-1])
    assert (last["event"], last["diagnosis"]["cause"]) == ("failed", "peer not proven")
    assert b"whoever answers is not the peer" in words


@pytest.mark.parametrize(
    ("answers", "headline"), [(True, b"the peer has not come"), (False, b"no coordinator")]
)
def test_nobody_there(rendezvous: str, invite: Path, headline: bytes, *, answers: bool) -> None:
    """Which of the two is not there is in the first line, then the diagnosis; exit code 1."""
    url = rendezvous if answers else f"tcp://127.0.0.1:{free_port()}"
    arguments = ("--rendezvous", url, "--invite-file", invite, "--timeout", "1")
    with side(*arguments, cpu=0) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, b"")
    assert headline in err
    for part in (b"tried:", b"came back:", b"likely:", b"next:"):
        assert part in err
    assert b"Traceback" not in err


def test_what_is_no_coordinator(invite: Path) -> None:
    """Is said to be none, with what to look at; nothing of it is tried again."""
    with subprocess.Popen([sys.executable, "-c", WEB_SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout
        url = f"tcp://127.0.0.1:{int(process.stdout.readline())}"
        with side("--rendezvous", url, "--invite-file", invite, cpu=0) as one:
            _, err = one.communicate(timeout=PATIENCE)
        process.kill()
    assert one.returncode == 1
    assert b"is no coordinator" in err
    assert b"next:" in err


def test_asked_for_on_the_terminal(rendezvous: str, invite: Path) -> None:
    """While standard input is data; what is typed is shown nowhere."""
    master, slave = pty.openpty()
    text = invite.read_bytes()
    command = [*on_cpu(0), *SIMOPEN, "connect", "--rendezvous", rendezvous]
    shell = ["setsid", "--ctty", "sh", "-c", f"printf data | {shlex.join(command)}"]
    with (
        subprocess.Popen(shell, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as one,
        side("--rendezvous", rendezvous, "--invite-file", invite, cpu=1) as two,
    ):
        os.close(slave)
        shown = b""
        while b"invite" not in shown:
            shown += os.read(master, 4096)
        time.sleep(0.2)  # until it does not echo any more
        os.write(master, text)
        out, _ = two.communicate(b"answer", timeout=PATIENCE)
        assert one.stdout
        assert one.stdout.read() == b"answer"
        one.wait(timeout=PATIENCE)
        shown += os.read(master, 65_536)
    os.close(master)
    assert out == b"data"
    assert text.strip() not in shown
    assert b"connected and proven" in shown


def spellings(invite: Path) -> list[bytes]:
    """The secret as it might show: the whole string, and the random part of it alone."""
    text = invite.read_bytes().strip()
    material = Invite.parse(text.decode())._material  # what must not show
    return [
        text,
        text.removeprefix(b"simopen1-"),
        material,
        material.hex().encode(),
        b64encode(material),
    ]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_the_secret_is_nowhere(
    rendezvous: str, invite: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Not in output, trace, arguments or environment of the command, nor of what it has started."""
    canaries = spellings(invite)
    common = ("--rendezvous", rendezvous, "--invite-file", invite, *more)
    trace = tmp_path / "trace.jsonl"
    with side(*common, "--trace", trace, cpu=0) as one:
        assert one.stderr
        first = one.stderr.readline()  # it has read its secret
        processes = [one.pid, *children(one.pid)]
        seen = [
            Path(f"/proc/{pid}/{name}").read_bytes()
            for pid in processes
            for name in ("cmdline", "environ")
        ]
        with side(*common, cpu=1) as two:
            told = exchange(one, two)
    seen += [first, trace.read_bytes(), *told[0], *told[1]]
    assert trace.read_bytes()
    for canary in canaries:
        for text in seen:
            assert canary not in text


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_secret_is_in_no_error(invite: Path, *, damaged: bool) -> None:
    """Whether it cannot be used or nobody comes."""
    canaries = spellings(invite)
    if damaged:
        text = invite.read_text().strip()
        invite.write_text(text[:-1] + ("a" if text[-1] != "a" else "b"))
    url = f"tcp://127.0.0.1:{free_port()}"
    with side("--rendezvous", url, "--invite-file", invite, "--timeout", "0.5", cpu=0) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (2 if damaged else 1)
    for canary in [*canaries, canaries[1][:-1]]:
        assert canary not in out + err
