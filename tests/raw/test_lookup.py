"""The kernel is asked whether it has a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from simopen.raw._lookup import Lookup
from simopen.raw._segments import Address, Flow
from tests.net.conformance import reset, tcp_pair


@pytest.fixture
def lookup() -> Iterator[Lookup]:
    """A way to ask; nobody needs a privilege for it."""
    with closing(Lookup()) as asking:
        yield asking


def flow_of(sock: socket.socket) -> Flow:
    """A connected socket's two ends."""
    ends = (sock.getsockname(), sock.getpeername())
    return Flow(*(Address(socket.inet_pton(sock.family, each[0]), each[1]) for each in ends))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def test_a_connection_is_found(lookup: Lookup, family: socket.AddressFamily) -> None:
    """As long as it is there, and no other for it."""
    near, far = tcp_pair(family)
    with near, far:
        flow = flow_of(near)
        assert lookup.has(flow)
        assert lookup.has(Flow(flow.remote, flow.local))
        assert not lookup.has(flow._replace(remote=flow.remote._replace(port=1)))
        reset(far)
    assert not lookup.has(flow)


def test_one_in_time_wait_gives_way(lookup: Lookup) -> None:
    """It is there, and a new connection may take its place."""
    near, far = tcp_pair()
    flow = flow_of(near)
    near.close()
    assert lookup.has(flow)  # FIN_WAIT_2
    far.close()
    assert not lookup.has(flow)
