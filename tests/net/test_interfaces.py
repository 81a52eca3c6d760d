from __future__ import annotations

import errno
import socket

import pytest

from simopen import Endpoint, LocalBindError
from simopen.net import _interfaces, _sockets
from simopen.net._interfaces import TRIES, Berth, host_addresses
from tests.helpers import free_port, no_socket_left

pytestmark = pytest.mark.anyio

ANY = [Endpoint("127.0.0.1", 0), Endpoint("::1", 0)]


async def test_the_addresses_of_this_host() -> None:
    """Numeric, each once, those of loopback among them, and none with a zone."""
    found = host_addresses()
    assert {"127.0.0.1", "::1"} <= {*found}
    assert len({*found}) == len(found)
    assert not any("%" in host for host in found)
    for host in found:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


async def test_without_descriptors_no_address_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking the system takes one; a call goes on without."""

    def lack() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("ifaddr.get_adapters", lack)
    assert host_addresses() == []


async def test_one_port_in_both_families() -> None:
    """Any free port, and the same for each."""
    with no_socket_left():
        berth = Berth(ANY, required=False)
        assert berth.local.keys() == {4, 6}
        assert berth.local[4].port == berth.local[6].port > 0
        assert [berth.local[4].host, berth.local[6].host] == ["127.0.0.1", "::1"]
        assert not berth.port_is_named
        berth.close()


async def test_a_named_port() -> None:
    """It is that one, and known as the caller's."""
    port = free_port()
    berth = Berth([Endpoint("127.0.0.1", port)], required=True)
    assert berth.local == {4: ("127.0.0.1", port)}
    assert berth.port_is_named
    berth.close()


async def test_what_is_taken_is_the_takers() -> None:
    """Closing the berth leaves it open."""
    with no_socket_left():
        berth = Berth(ANY, required=False)
        with berth.take(4) as sock:
            berth.close()
            assert sock.getsockname() == berth.local[4]


async def test_a_port_that_is_taken() -> None:
    """A named one is an error that leaves nothing open, whichever family it is taken in."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken, no_socket_left():
        port = taken.getsockname()[1]
        with pytest.raises(LocalBindError) as caught:
            Berth([Endpoint("127.0.0.1", port), Endpoint("::1", port)], required=True)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("failures", [1, TRIES - 1, TRIES])
async def test_another_port_is_tried_where_one_is_free_in_one_family_only(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few times, and no socket of a try that failed is left."""
    left = failures
    open_socket = _sockets.open_punch_socket

    def fail_in_ipv6(family: socket.AddressFamily, local: Endpoint) -> socket.socket:
        nonlocal left
        if family == socket.AF_INET6 and left:
            left -= 1
            raise LocalBindError(errno.EADDRINUSE, "taken", local=local)
        return open_socket(family, local)

    monkeypatch.setattr(_interfaces, "open_punch_socket", fail_in_ipv6)
    with no_socket_left():
        if failures == TRIES:
            with pytest.raises(LocalBindError):
                Berth(ANY, required=False)
        else:
            berth = Berth(ANY, required=False)
            assert berth.local[4].port == berth.local[6].port
            berth.close()


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
async def test_a_host_without_ipv6(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One family is enough, unless the caller has named both; none is an error."""
    open_socket = _sockets.open_punch_socket
    lacking = {socket.AF_INET6}

    def lack(family: socket.AddressFamily, local: Endpoint) -> socket.socket:
        if family in lacking:
            raise LocalBindError(code, "none", local=local)
        return open_socket(family, local)

    monkeypatch.setattr(_interfaces, "open_punch_socket", lack)
    with no_socket_left():
        berth = Berth(ANY, required=False)
        assert berth.local.keys() == {4}
        berth.close()
        with pytest.raises(LocalBindError):
            Berth(ANY, required=True)
        lacking.add(socket.AF_INET)
        with pytest.raises(LocalBindError):
            Berth(ANY, required=False)


async def test_an_interface_that_is_down_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system does not know to be down counts as up."""
    assert "127.0.0.1" in host_addresses()
    monkeypatch.setattr(_interfaces, "_is_down", lambda name: name == "lo")
    assert "127.0.0.1" not in host_addresses()
    monkeypatch.undo()
    assert not _interfaces._is_down("lo")
    assert not _interfaces._is_down("no such interface")


async def test_a_berth_knows_its_own_ports() -> None:
    """A port that is wanted again, in either family; any free one is never the same."""
    berth = Berth([Endpoint("127.0.0.1", 0)], required=True)
    port = berth.local[4].port
    assert berth.has_any([Endpoint("0.0.0.0", port)])
    assert not berth.has_any([Endpoint("0.0.0.0", 0), Endpoint("::", 0)])
    berth.close()
