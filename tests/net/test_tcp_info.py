from __future__ import annotations

import socket
import time

import pytest

from simopen.net import _tcp_info
from simopen.net._tcp_info import TcpState, min_round_trip, retransmits, segments, tcp_state
from tests.helpers import silent_endpoint


def test_the_state_of_a_socket_through_its_life() -> None:
    """Closed, listening, established, half-closed by the peer, as the kernel sees it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        assert tcp_state(client) is TcpState.CLOSED
        assert tcp_state(server) is TcpState.LISTEN
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        assert tcp_state(client) is TcpState.ESTABLISHED
        accepted.close()
        assert client.recv(1) == b""
        assert tcp_state(client) is TcpState.CLOSE_WAIT


def test_a_syn_nobody_answers() -> None:
    """SYN_SENT is told from everything else."""
    with silent_endpoint() as address, socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        assert tcp_state(sock) is TcpState.SYN_SENT


def test_without_tcp_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems without it are served by getpeername: connected, or still trying."""
    monkeypatch.setattr(_tcp_info, "HAS_TCP_INFO", False)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        assert tcp_state(client) is TcpState.SYN_SENT
        client.connect(server.getsockname())
        assert tcp_state(client) is TcpState.ESTABLISHED


def test_the_round_trip_of_an_accepted_connection() -> None:
    """It is there from the first moment, and over loopback it is short."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            round_trip = min_round_trip(accepted)
            assert round_trip is not None
            assert 0 < round_trip < 0.5


def test_no_round_trip_before_a_connection() -> None:
    """A socket that never had a sample has none to tell, rather than one of zero."""
    with socket.socket() as sock:
        assert min_round_trip(sock) is None


def test_no_round_trip_without_tcp_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, nothing is made up."""
    monkeypatch.setattr(_tcp_info, "HAS_TCP_INFO", False)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        assert min_round_trip(client) is None


def test_the_segments_of_a_handshake() -> None:
    """The client has sent SYN and ACK and received SYN-ACK."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        assert segments(client) == (2, 1)


def test_no_segments_without_tcp_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, nothing is made up."""
    monkeypatch.setattr(_tcp_info, "HAS_TCP_INFO", False)
    with socket.socket() as sock:
        assert segments(sock) is None


def test_retransmissions_are_counted_from_the_first_syn_on() -> None:
    """A SYN that nobody answers leaves again after a second."""
    with silent_endpoint() as address, socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        assert retransmits(sock) == 0
        for _ in range(100):
            if retransmits(sock):
                return
            time.sleep(0.05)
        pytest.fail("no SYN was sent again")


def test_no_count_of_retransmissions_without_tcp_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, nothing is made up."""
    monkeypatch.setattr(_tcp_info, "HAS_TCP_INFO", False)
    with socket.socket() as sock:
        assert retransmits(sock) is None
