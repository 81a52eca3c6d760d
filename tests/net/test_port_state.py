from __future__ import annotations

import socket
from pathlib import Path

import pytest

from simopen import Endpoint
from simopen.net import _port_state
from simopen.net._port_state import describe, holder, pair_state, states
from simopen.net._tcp_info import TcpState


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_names_a_listener(host: str) -> None:
    """A listener on the port is found, also through a wildcard; another port has none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        wildcard = "::" if ":" in host else "0.0.0.0"
        assert holder(Endpoint(host, port)) == "LISTEN"
        assert holder(Endpoint(wildcard, port)) == "LISTEN"
    assert holder(Endpoint(host, port)) is None


def test_names_the_socket_of_a_pair() -> None:
    """A connection between exactly two endpoints is found with its state."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        local, remote = Endpoint(*client.getsockname()), Endpoint(*client.getpeername())
        assert pair_state(local, remote) == "ESTABLISHED"
        assert pair_state(remote, Endpoint("192.0.2.1", 1)) is None


def test_all_that_share_a_port() -> None:
    """A server and what it has accepted are on its port; its client is not."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            found = states(Endpoint(*server.getsockname()))
            assert sorted(found) == [TcpState.ESTABLISHED, TcpState.LISTEN]
            assert states(Endpoint(*client.getsockname())) == [TcpState.ESTABLISHED]


def test_a_system_without_the_tables_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are a best effort."""
    monkeypatch.setattr(_port_state, "_TABLES", (Path("/nowhere/tcp"),))
    assert holder(Endpoint("127.0.0.1", 22)) is None


@pytest.mark.parametrize(
    ("state", "words"),
    [("LISTEN", "stop that server"), (None, "without connecting"), ("FIN_WAIT_1", "FIN_WAIT_1")],
)
def test_says_what_to_do(state: str | None, words: str) -> None:
    """Each kind of holder has its advice."""
    assert words in describe(state)
