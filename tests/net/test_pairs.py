from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from simopen import Endpoint, SelfConnectionError, UsageError
from simopen._endpoints import EndpointsLike, parse_endpoints
from simopen.net._addresses import Addresses, UnresolvedError
from simopen.net._pairs import MAX_LANES, resolve_pairs

pytestmark = pytest.mark.anyio

NAMES = {
    ("both.example", socket.AF_INET): "192.0.2.9",
    ("both.example", socket.AF_INET6): "2001:db8::9",
    ("four.example", socket.AF_INET): "192.0.2.4",
    ("ourselves.example", socket.AF_INET): "127.0.0.1",
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that knows ``NAMES`` and nothing else."""

    async def answer(host: str, port: int, *, family: int, **_: Any) -> list[Any]:
        if (address := NAMES.get((host, socket.AddressFamily(family)))) is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", answer)


async def pairs(local: EndpointsLike, remote: EndpointsLike) -> tuple[Addresses, ...]:
    """The pairs that a call with these arguments races."""
    ours = parse_endpoints(local, role="local")
    return await resolve_pairs(ours, parse_endpoints(remote, role="remote"))


def remotes(found: tuple[Addresses, ...]) -> list[str]:
    """The peer's endpoints, in order."""
    return [str(addresses.remote) for addresses in found]


async def test_ports_come_before_kinds_and_kinds_before_places() -> None:
    """All first ports, private, IPv6 and public in turn and as listed, then all second ones."""
    found = await pairs(
        ["127.0.0.1:1-2", "[::1]:1-2"],
        ["192.0.2.8:3-4", "192.0.2.7:3-4", "[2001:db8::1]:3-4", "10.0.0.9:3-4", "10.0.0.1:3-4"],
    )
    hosts = ["10.0.0.9", "10.0.0.1", "[2001:db8::1]", "192.0.2.8", "192.0.2.7"]
    assert remotes(found) == [f"{host}:{port}" for port in (3, 4) for host in hosts]
    assert [addresses.local.port for addresses in found] == [1] * 5 + [2] * 5
    assert all(addresses.source.port == addresses.local.port for addresses in found)


@pytest.mark.parametrize(
    "private",
    ["172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.1.1", "127.0.0.2", "fd00::1", "::2"],
)
async def test_only_private_addresses_go_before_ipv6(private: str) -> None:
    """Each private range, and ``::2`` as one that is none and keeps its place in the list."""
    found = await pairs(["127.0.0.1:1", "[::1]:1"], [("2001:db8::1", 3), (private, 3)])
    first = "2001:db8::1" if private == "::2" else private
    assert found[0].remote.host == first


async def test_each_family_has_its_own_local_address() -> None:
    """No pair mixes families, and a name is raced in both it has."""
    found = await pairs(["127.0.0.1:1", "[::1]:2"], "both.example:3")
    assert [(each.family, each.local.port, str(each.remote)) for each in found] == [
        (socket.AF_INET6, 2, "[2001:db8::9]:3"),
        (socket.AF_INET, 1, "192.0.2.9:3"),
    ]


@pytest.mark.parametrize(
    ("remote", "left"),
    [
        (["four.example:3"], ["192.0.2.4:3"]),  # no IPv6 address
        (["nowhere.example:3", "192.0.2.1:3"], ["192.0.2.1:3"]),
        (["127.0.0.1:1", "192.0.2.1:3"], ["192.0.2.1:3"]),
        (["ourselves.example:1", "192.0.2.1:3"], ["192.0.2.1:3"]),
    ],
)
async def test_what_cannot_be_raced_is_left_out(remote: list[str], left: list[str]) -> None:
    """A name without address, or ourselves, does not end a call that has others."""
    assert remotes(await pairs(["127.0.0.1:1", "[::1]:1"], remote)) == left


async def test_the_error_when_nothing_is_left() -> None:
    """It is the first candidate's, and plain: not a group."""
    with pytest.raises(UnresolvedError, match="unknown"):
        await pairs("127.0.0.1:1", ["nowhere.example:1", "127.0.0.1:1"])
    with pytest.raises(SelfConnectionError):
        await pairs("127.0.0.1:1", ["127.0.0.1:1", "nowhere.example:1"])
    with pytest.raises(SelfConnectionError):
        await pairs("127.0.0.1:1-4", "127.0.0.1:1-4")
    with pytest.raises(UsageError, match="one family"):
        await pairs("127.0.0.1:1", ["192.0.2.1:1", "[2001:db8::1]:1"])


@pytest.mark.parametrize("ports", [("1-3", "1-2"), ("1", "1-2"), ("1-2", "1")])
async def test_ranges_must_be_equally_long(ports: tuple[str, str]) -> None:
    """The error has both lengths."""
    with pytest.raises(UsageError, match=r"local has \d ports and remote \d"):
        await pairs(f"127.0.0.1:{ports[0]}", f"192.0.2.1:{ports[1]}")


async def test_no_more_than_sixteen_are_raced() -> None:
    """Sixteen are, seventeen are refused with their number, however they are written."""
    assert len(await pairs("127.0.0.1:1-16", "192.0.2.1:1-16")) == MAX_LANES
    with pytest.raises(UsageError, match="17 pairs"):
        await pairs("127.0.0.1:1-17", "192.0.2.1:1-17")
    with pytest.raises(UsageError, match="18 pairs"):
        await pairs("127.0.0.1:1-9", ["192.0.2.1:1-9", "192.0.2.2:1-9"])


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        ("127.0.0.1:1", ["127.0.0.2:3", "127.0.0.2:3"]),
        ("127.0.0.1:1", ["192.0.2.9:3", "both.example:3"]),
    ],
)
async def test_duplicates_are_one(local: EndpointsLike, remote: EndpointsLike) -> None:
    """Also a name beside its address."""
    (found,) = await pairs(local, remote)
    assert found.source == Endpoint("127.0.0.1", 1)


@pytest.mark.parametrize(
    "local",
    [
        ["127.0.0.1:1", "0.0.0.0:1"],
        ["[::1]:1", "[::]:1"],
        ["127.0.0.1:1", "[::1]:1", "localhost:1"],
    ],
)
async def test_one_local_address_of_each_family(local: list[str]) -> None:
    """With two the hosts could not agree on an order; the error says what to give."""
    with pytest.raises(UsageError, match="give one of each"):
        await pairs(local, "127.0.0.2:3")


async def test_both_hosts_have_one_order() -> None:
    """With one local address of each family, the mirrored call has the mirrored pairs."""
    here, there = ["127.0.0.1:1-3", "[::1]:1-3"], ["127.0.0.2:4-6", "[2001:db8::1]:4-6"]
    ours = [(each.source.port, each.remote.port, each.family) for each in await pairs(here, there)]
    mirrored = [
        (1, 4, socket.AF_INET), (1, 4, socket.AF_INET6), (2, 5, socket.AF_INET),
        (2, 5, socket.AF_INET6), (3, 6, socket.AF_INET), (3, 6, socket.AF_INET6),
    ]  # fmt: skip
    assert ours == mirrored
    theirs = await pairs(["127.0.0.2:4-6", "[2001:db8::1]:4-6"], here)
    assert [(each.remote.port, each.source.port, each.family) for each in theirs] == mirrored
