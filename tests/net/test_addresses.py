from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from simopen import Endpoint, SelfConnectionError, UsageError
from simopen.net._addresses import UnresolvedError, endpoint_of, resolve, socket_address

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("local", "remote", "source"),
    [
        ("127.0.0.1", "127.0.0.2", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.2", "127.0.0.1"),
        ("::", "::1", "::1"),
        ("0.0.0.0", "localhost", "127.0.0.1"),
        ("localhost", "127.0.0.2", "127.0.0.1"),
    ],
)
async def test_the_source_is_what_the_peer_will_see(local: str, remote: str, source: str) -> None:
    """A wildcard is answered by the kernel's choice for this remote; names are resolved."""
    found = await resolve(Endpoint(local, 40000), Endpoint(remote, 40001))
    assert found.source == Endpoint(source, 40000)
    assert found.remote.port == 40001


async def test_a_name_follows_the_family_of_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address of local's family is the one."""
    asked: list[int] = []

    async def answer(_host: str, port: int, *, family: int, **_: Any) -> list[Any]:
        asked.append(family)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::9", port, 0, 0))]

    monkeypatch.setattr(anyio, "getaddrinfo", answer)
    found = await resolve(Endpoint("::1", 40000), Endpoint("both.example", 40001))
    assert asked == [socket.AF_INET6]
    assert found.remote == Endpoint("2001:db8::9", 40001)


@pytest.mark.parametrize(
    ("local", "remote"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")]
)
async def test_a_self_connection_is_refused(local: str, remote: str) -> None:
    """The same address and port on both ends, also where a wildcard hides it."""
    with pytest.raises(SelfConnectionError, match="connect to itself"):
        await resolve(Endpoint(local, 40000), Endpoint(remote, 40000))


async def test_families_must_agree() -> None:
    """The error shows the local endpoint that would do."""
    with pytest.raises(UsageError, match=r"\[::\]:40000"):
        await resolve(Endpoint("0.0.0.0", 40000), Endpoint("2001:db8::1", 40001))


async def test_a_local_name_of_the_other_family() -> None:
    """Found out after resolving, and told as wrong use all the same."""
    with pytest.raises(UsageError, match="different families"):
        await resolve(Endpoint("localhost", 40000), Endpoint("::1", 40001))


async def test_zones_are_told_by_number() -> None:
    """Equal addresses are equal text; an interface that is not there is wrong use."""
    found = await resolve(Endpoint("::1", 40000), Endpoint("fe80::1%lo", 40001))
    assert found.remote.host == f"fe80::1%{socket.if_nametoindex('lo')}"
    with pytest.raises(UsageError, match="no interface 'nosuch'"):
        await resolve(Endpoint("::1", 40000), Endpoint("fe80::1%nosuch", 40001))


async def test_a_remote_name_without_address() -> None:
    """It is told from the local name's failure, which is wrong use."""
    with pytest.raises(UnresolvedError):
        await resolve(Endpoint("0.0.0.0", 40000), Endpoint("nowhere.invalid", 40001))
    with pytest.raises(UsageError, match="does not resolve"):
        await resolve(Endpoint("nowhere.invalid", 40000), Endpoint("127.0.0.1", 40001))


def test_a_link_local_address_keeps_its_zone() -> None:
    """The zone goes into the host, and global addresses have none."""
    assert endpoint_of(("fe80::1", 40000, 0, 3)) == Endpoint("fe80::1%3", 40000)
    assert endpoint_of(("2001:db8::1", 40000, 0, 0)) == Endpoint("2001:db8::1", 40000)
    assert endpoint_of(("192.0.2.1", 40000)) == Endpoint("192.0.2.1", 40000)


def test_sockets_are_given_the_zone_apart() -> None:
    """By number, which a zone's name is looked up for; and only where there is one."""
    assert socket_address(Endpoint("fe80::1%3", 40000)) == ("fe80::1", 40000, 0, 3)
    lo = socket.if_nametoindex("lo")
    assert socket_address(Endpoint("fe80::1%lo", 40000)) == ("fe80::1", 40000, 0, lo)
    assert socket_address(Endpoint("2001:db8::1", 40000)) == ("2001:db8::1", 40000)
    assert socket_address(Endpoint("192.0.2.1", 40000)) == ("192.0.2.1", 40000)
