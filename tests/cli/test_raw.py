"""``simopen raw`` in the lab: pipes, programs, signals, and errors in words."""

from __future__ import annotations

import signal
import subprocess
import sys

import anyio
import pytest

from simopen import lab
from simopen.cli import _exit
from simopen.cli._app import run
from tests.raw.hosts import PATIENCE, leave_in_a_hurry, tables, until_ready

IN_LAB = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]
RAW = [sys.executable, "-m", "simopen", "raw"]
PORT = 7777


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver's loop; the command chooses its own."""
    return request.param


class TestInTheLab:
    """Two hosts, the command in one or both of them."""

    pytestmark = IN_LAB

    async def test_pipes_at_both_ends(self) -> None:
        """What goes in here comes out there, both ways, and both end well."""
        async with lab.two_hosts() as net:
            said: dict[str, subprocess.CompletedProcess[bytes]] = {}

            async def accept() -> None:
                said["b"] = await net.b.run([*RAW, "accept", f"0.0.0.0:{PORT}"], input=b"to a")

            async with anyio.create_task_group() as group:
                group.start_soon(accept)
                await until_ready(net.b, [])
                said["a"] = await net.a.run(
                    [*RAW, "connect", f"{net.b.ipv4}:{PORT}"], input=b"to b"
                )
            assert said["a"].stdout == b"to a"
            assert said["b"].stdout == b"to b"
            assert b"4 bytes sent, 4 received" in said["a"].stderr

    async def test_a_program_for_each_until_sigterm(self) -> None:
        """Each connection is a program's input and output; SIGTERM ends all, and the rule."""
        async with lab.two_hosts() as net:
            command = [*RAW, "accept", f"[::]:{PORT}", "--", "tr", "a-z", "A-Z"]
            async with await net.b.popen(command, stderr=subprocess.DEVNULL) as server:
                await until_ready(net.b, [])
                for _ in range(2):
                    done = await net.a.run(
                        [*RAW, "connect", f"[{net.b.ipv6}]:{PORT}"], input=b"louder"
                    )
                    assert done.stdout == b"LOUDER"
                server.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await server.wait() == _exit.INTERRUPTED
            assert await tables(net.b) == []

    async def test_a_client_that_resets_at_once(self) -> None:
        """A connection that is over before it is shown is a broken one, in words."""
        async with lab.two_hosts() as net, anyio.create_task_group() as group:

            async def connect() -> None:
                await until_ready(net.b, [])
                await net.a.call(leave_in_a_hurry, net.b.ipv4, 1)

            group.start_soon(connect)
            with anyio.fail_after(PATIENCE):
                done = await net.b.run([*RAW, "accept", f"0.0.0.0:{PORT}"], check=False)
            assert done.returncode == _exit.BROKEN
            assert b"has reset the connection already" in done.stderr
            assert b"Traceback" not in done.stderr

    async def test_nobody_there(self) -> None:
        """A refusal is told, with the exit code of one."""
        async with lab.two_hosts() as net:
            done = await net.a.run([*RAW, "connect", f"{net.b.ipv4}:{PORT}"], check=False)
            assert done.returncode == _exit.FAILED
            assert b"refuses the connection" in done.stderr


@pytest.mark.parametrize("arguments", [["accept", "here"], ["connect", "0.0.0.0:5"]])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is said before anything is opened."""
    assert run(["raw", *arguments]) == _exit.USAGE
    assert f"try: simopen raw {arguments[0]} --help" in capsys.readouterr().err
