"""Running things in a host: Python callables most of all."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from simopen import lab
from simopen.lab._available import supervisor_environment

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]


class OwnError(Exception):
    """An error that pickles."""


class StubbornError(Exception):
    """One that does not."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def namespace(*args: object) -> tuple[str, tuple[object, ...]]:
    """Where we are, and what we were given."""
    return str(Path("/proc/self/ns/net").readlink()), args


async def running_under() -> str:
    """Which event loop this is."""
    await anyio.lowlevel.checkpoint()
    return "trio" if "trio" in sys.modules else "asyncio"


async def serve(port: int) -> bytes:
    """Accept one connection and return what it sends."""
    with socket.create_server(("", port)) as listener:
        listener.setblocking(False)
        await anyio.wait_readable(listener)
        connection, _ = listener.accept()
        with connection:
            await anyio.wait_readable(connection)
            return connection.recv(99)


def say(address: str, port: int, data: bytes) -> None:
    """Connect as soon as somebody listens, and send."""
    while True:
        try:
            with socket.create_connection((address, port)) as connection:
                connection.sendall(data)
                return
        except ConnectionRefusedError:
            pass


def fail(kind: type[Exception], *args: object) -> None:
    """Raise."""
    raise kind(*args)


def die() -> None:
    """End without a word."""
    os._exit(3)


def leave() -> None:
    """End as a program does."""
    sys.exit(3)


def unpicklable() -> object:
    """What cannot travel."""
    return lambda: None


async def forever(path: str) -> None:
    """Say who we are and never end."""
    await anyio.Path(path).write_text(str(os.getpid()))
    await anyio.sleep_forever()


@pytest.fixture(scope="module")
def net(request: pytest.FixtureRequest) -> Iterator[lab.TwoHosts]:
    """Two hosts for all tests here."""
    request.getfixturevalue("require_lab")
    with lab.two_hosts() as network:
        yield network


async def test_a_function_runs_in_the_host(net: lab.TwoHosts) -> None:
    """Arguments and result travel; each host is another namespace than ours."""
    here = await net.a.call(namespace, 1, "two")
    there = await net.b.call(namespace)
    assert here[1] == (1, "two")
    assert len({here[0], there[0], namespace()[0]}) == 3


async def test_a_coroutine_function_runs_on_the_loop_asked_for(net: lab.TwoHosts) -> None:
    """Asyncio unless trio is wanted."""
    assert await net.a.call(running_under) == "asyncio"
    assert await net.a.call(running_under, backend="trio") == "trio"


async def test_two_calls_talk_to_each_other(net: lab.TwoHosts) -> None:
    """A server in one host and a client in the other."""
    got: list[bytes] = []

    async def server() -> None:
        got.append(await net.a.call(serve, 80))

    async with anyio.create_task_group() as group:
        group.start_soon(server)
        group.start_soon(net.b.call, say, net.a.ipv4, 80, b"hello")
    assert got == [b"hello"]


async def test_an_error_comes_back_with_its_traceback(net: lab.TwoHosts) -> None:
    """The exception is the function's own; a note tells where it was raised."""
    with pytest.raises(OwnError, match="oh no") as caught:
        await net.a.call(fail, OwnError, "oh no")
    assert "in fail" in caught.value.__notes__[0]


async def test_an_error_that_cannot_travel(net: lab.TwoHosts) -> None:
    """Its words come back in one that can."""
    with pytest.raises(RuntimeError, match="StubbornError: 1 and 2"):
        await net.a.call(fail, StubbornError, 1, 2)


async def test_a_result_that_cannot_travel(net: lab.TwoHosts) -> None:
    """It is told as what it is, an error of pickling."""
    with pytest.raises(Exception, match=r"(?i)pickle"):
        await net.a.call(unpicklable)


async def test_no_answer(net: lab.TwoHosts) -> None:
    """An interpreter that just ends is told with its status."""
    with pytest.raises(lab.CallFailed, match="status 3"):
        await net.a.call(die)


async def test_an_exit_is_the_interpreters_own(net: lab.TwoHosts) -> None:
    """A function that leaves by sys.exit() does not end the program that called it."""
    with pytest.raises(lab.CallFailed, match="status 3"):
        await net.a.call(leave)


async def test_what_has_no_name_is_refused(net: lab.TwoHosts) -> None:
    """A function that another interpreter cannot find is refused at once."""
    with pytest.raises(ValueError, match="top"):
        await net.a.call(lambda: None)


async def test_a_cancelled_call_is_killed(net: lab.TwoHosts, tmp_path: Path) -> None:
    """After a cancellation the other interpreter is gone."""
    path = anyio.Path(tmp_path / "pid")
    async with anyio.create_task_group() as group:
        group.start_soon(net.a.call, forever, str(path))
        with anyio.fail_after(20):
            while not (await path.exists() and await path.read_text()):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert not await anyio.Path(f"/proc/{await path.read_text()}").exists()


async def test_a_function_of_the_main_script(tmp_path: Path) -> None:
    """A script calls a function of its own, and is not run a second time by that."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import anyio
from dataclasses import dataclass
from simopen import lab

@dataclass
class Own:
    number: int

def double(own):
    return Own(own.number * 2)

async def main():
    async with lab.two_hosts() as net:
        print(await net.a.call(double, Own(21)))

if __name__ == "__main__":
    print("running")
    anyio.run(main)
"""
    )
    done = await anyio.run_process([sys.executable, str(script)], env=supervisor_environment())
    assert done.stdout.decode().splitlines() == ["running", "Own(number=42)"]


async def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    """A script that would call itself for ever ends with an error that says what to do."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import anyio
from simopen import lab

def name():
    return "x"

async def main():
    async with lab.two_hosts() as net:
        await net.a.call(name)

anyio.run(main)
"""
    )
    with anyio.fail_after(30):
        command = [sys.executable, str(script)]
        done = await anyio.run_process(command, env=supervisor_environment(), check=False)
    assert done.returncode == 1
    assert b'put what it does under "if __name__' in done.stderr


async def test_the_public_address(net: lab.TwoHosts) -> None:
    """Without a NAT a host's own address is what the internet sees."""
    assert net.a.public_ipv4 == net.a.ipv4
    assert (net.a.site, net.b.site) == ("site-a", "site-b")


async def test_a_network_by_name() -> None:
    """A topology's name is enough; a site without a list is told as what it is."""
    async with lab.network("two-hosts") as network:
        assert list(network.hosts) == ["a", "b"]
        assert "/proc" not in repr(network)
    with pytest.raises(TypeError, match="list of sites"):
        lab.network(lab.Site("site", hosts=["a"]))  # type: ignore[arg-type]


async def test_an_unknown_host_is_told_with_the_known(net: lab.TwoHosts) -> None:
    """Whoever mistypes a name sees what there is."""
    with pytest.raises(KeyError, match=r"no host is called 'c'; there are: a, b"):
        net["c"]
