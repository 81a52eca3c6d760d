from __future__ import annotations

import errno
import resource
import socket
import struct

import pytest

from simopen import Endpoint, LocalBindError
from simopen.net._sockets import MAX_SEGMENT, close, keep, open_punch_socket
from tests.helpers import free_port, no_socket_left


def linger(sock: socket.socket) -> tuple[int, ...]:
    """SO_LINGER as (on, seconds)."""
    return struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_every_option_is_set(family: socket.AddressFamily, host: str) -> None:
    """Reusable port, no Nagle, reset on close until it is kept, one family."""
    with open_punch_socket(family, Endpoint(host, free_port())) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()
        assert linger(sock) == (1, 0)
        keep(sock)
        assert linger(sock)[0] == 0
        if family == socket.AF_INET6:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_kept_socket_notices_a_silent_peer() -> None:
    """Half a minute of silence is a question to the peer, three without an answer are the end."""
    with open_punch_socket(socket.AF_INET, Endpoint("127.0.0.1", free_port())) as sock:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        keep(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


def test_two_sockets_share_the_port() -> None:
    """A refresh binds the port while its predecessor still holds it."""
    local = Endpoint("127.0.0.1", free_port())
    with (
        open_punch_socket(socket.AF_INET, local) as one,
        open_punch_socket(socket.AF_INET, local) as two,
    ):
        assert one.getsockname() == two.getsockname()


def test_ten_segments_fit_into_the_first_window() -> None:
    """The initial congestion window stays below what a SYN can announce."""
    assert 10 * MAX_SEGMENT <= 63_488
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = open_punch_socket(socket.AF_INET, Endpoint("127.0.0.1", free_port()))
        with sock:
            sock.setblocking(True)
            sock.connect(server.getsockname())
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= MAX_SEGMENT


def test_a_listener_keeps_its_port() -> None:
    """Sharing with a listener is refused, and the error names its state."""
    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        local = Endpoint(*server.getsockname())
        with pytest.raises(LocalBindError, match="stop that server") as caught:
            open_punch_socket(socket.AF_INET, local)
        assert (caught.value.errno, caught.value.state) == (errno.EADDRINUSE, "LISTEN")


def test_a_port_bound_by_somebody_who_does_not_share() -> None:
    """The system shows no state for it, and the error says so."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(LocalBindError, match="without connecting") as caught:
            open_punch_socket(socket.AF_INET, Endpoint(*other.getsockname()))
        assert caught.value.state is None


def test_an_address_of_another_host() -> None:
    """The error offers the wildcard."""
    with pytest.raises(LocalBindError, match=r"0\.0\.0\.0:40000") as caught:
        open_punch_socket(socket.AF_INET, Endpoint("192.0.2.1", 40000))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_no_more_descriptors() -> None:
    """The limit on open files is named, with how to raise it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = socket.socket()  # so that the next number is known
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare.fileno() + 1, limits[1]))
    try:
        with pytest.raises(LocalBindError, match=rf"{spare.fileno() + 1:,}.*ulimit -n") as caught:
            open_punch_socket(socket.AF_INET, Endpoint("127.0.0.1", 40000))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        spare.close()
    assert caught.value.errno == errno.EMFILE


@pytest.mark.anyio
async def test_closing_twice_is_harmless() -> None:
    """A socket may be closed on more than one way out."""
    sock = open_punch_socket(socket.AF_INET, Endpoint("127.0.0.1", free_port()))
    close(sock)
    close(sock)
    assert sock.fileno() == -1
