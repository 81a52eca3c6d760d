from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import anyio
import pytest

from simopen import Endpoint, doctor, lab
from simopen.doctor._port import read_port
from simopen.net._addresses import numeric_pair
from tests.helpers import free_port, no_socket_left

TIMESTAMPS = Path("/proc/sys/net/ipv4/tcp_timestamps")


def test_a_free_port() -> None:
    """It can be bound, and is let go again."""
    with no_socket_left():
        found = read_port(socket.AF_INET, Endpoint("127.0.0.1", free_port()))
    assert (found.states, found.bind_error, found.pair_state) == (frozenset(), "", None)


def test_a_port_that_is_listened_on() -> None:
    """It cannot be had, and it is said who has it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = read_port(socket.AF_INET, Endpoint(*server.getsockname()))
    assert found.states == {"LISTEN"}
    assert "LISTEN" in found.bind_error


def test_a_port_below_1024(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the privilege: the error's own words."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    found = read_port(socket.AF_INET, Endpoint("127.0.0.1", 80))
    assert "needs a privilege" in found.bind_error


def test_a_pair_that_exists() -> None:
    """Its state is told, apart from those of others on the port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        local, remote = Endpoint(*client.getsockname()), Endpoint(*server.getsockname())
        pair = numeric_pair(socket.AF_INET, local, remote)
        found = read_port(socket.AF_INET, local, pair)
        others = numeric_pair(socket.AF_INET, local, Endpoint("127.0.0.2", 7))
        other = read_port(socket.AF_INET, local, others)
    assert (found.pair_state, other.pair_state) == ("ESTABLISHED", None)
    assert found.states == other.states == {"ESTABLISHED"}


def reconnect(timestamps: int) -> tuple[list[str], str]:
    """A host: leave a pair in TIME_WAIT; what the doctor says, and what connecting again does."""
    TIMESTAMPS.write_text(f"{timestamps}\n")
    with socket.create_server(("127.0.0.1", 5000)) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a punch does
            client.bind(("127.0.0.1", 6000))
            client.connect(("127.0.0.1", 5000))
            accepted = server.accept()[0]
        with accepted:
            assert accepted.recv(1) == b""  # the other end has closed first
        look = partial(doctor.examine, local="127.0.0.1:6000")
        examination = anyio.run(look, "127.0.0.1:5000")
    again = examination.remote.knocks[0].reason if examination.remote else ""
    return [each.code for each in examination.findings if each.code.startswith("pair")], again


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_the_kernel_does_with_time_wait_what_the_doctor_says() -> None:
    """With timestamps the pair is given again at once, without it is kept."""
    found: dict[str, tuple[list[str], str]] = {}

    async def observe() -> None:
        async def one(name: str, timestamps: int) -> None:
            found[name] = await net[name].call(reconnect, timestamps)

        network = lab.network([lab.Site("all", hosts=["with", "without"])])
        async with network as net, anyio.create_task_group() as group:
            group.start_soon(one, "with", 1)
            group.start_soon(one, "without", 0)

    anyio.run(observe)
    assert found == {
        "with": (["pair-waits"], ""),
        "without": (["pair-waits-long"], "port pair in use"),
    }
