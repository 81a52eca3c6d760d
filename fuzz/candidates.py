"""Whatever coordinator and peer say, we punch few endpoints, and none that docs/security.md bars.

The first byte chooses what we know of ourselves. Each record of the rest is an endpoint that the
coordinator or the peer names: four or sixteen bytes of address and two of port, or a line of text.
The rules are said once more here, apart from the code that is to follow them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from simopen._endpoints import Endpoint, IPAddress
from simopen.rendezvous._candidates import Candidate, View, choose

LONGEST = 48

_Named = tuple[IPAddress, bool]  # an address, and whether the peer itself names it

_LAN = {4: Endpoint("192.168.1.2", 40000), 6: Endpoint("fe80::2%2", 40000)}
_SEEN = {4: Endpoint("203.0.113.5", 40000), 6: Endpoint("2001:db8::5", 40000)}
_HOSTS = ["192.168.1.2", "fe80::2%2", "127.0.0.1"]
_VIEWS = [
    View(ipaddress.ip_address(coordinator), local, _SEEN, _HOSTS)
    for coordinator in ("198.51.100.1", "2001:db8::1", "192.168.1.1", "127.0.0.1", "::1")
    for local in (_LAN, {4: Endpoint("203.0.113.5", 40000)})
]
_TEXT, _OBSERVED = 2, 4  # a record's kind: bit 0 is IPv6, bit 1 text, bit 2 the coordinator's word


def _spans(*networks: str) -> list[tuple[int, int, int]]:
    """Version, first and last address, as numbers: ipaddress's own ``in`` is slow."""
    found = [ipaddress.ip_network(each) for each in networks]
    return [(each.version, int(each[0]), int(each[-1])) for each in found]


_NEVER = _spans(
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8",
    "64:ff9b:1::/48",
)  # fmt: skip
_INNER = _spans("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_LOOPBACK = _spans("127.0.0.0/8", "::1/128")
_LINK = _spans("fe80::/10")
_NAT64, _6TO4 = _spans("64:ff9b::/96"), _spans("2002::/16")

SEEDS = (
    b"\0\4\xc6\x33\x64\x07\x9c\x40\0\xc0\xa8\1\7\x9c\x40",
    b"\0\5\x20\1\x0d\xb8" + bytes(11) + b"\7\x9c\x40\1\xfe\x80" + bytes(13) + b"\7\x9c\x40",
    b"\4\4\x7f\0\0\1\x9c\x40\0\x7f\0\0\1\x9c\x40",
    b"\2\6[fe80::7%2]:40000\n\2fe80::7%3:40000\n\4\xcb\0\x71\x05\x9c\x41",
    b"\0\1\0\x64\xff\x9b"
    + bytes(8)
    + b"\x0a\0\0\1\x9c\x40\1\x20\2\x7f\0\0\1"
    + bytes(10)
    + b"\x9c\x40",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    view = _VIEWS[(data[0] if data else 0) % len(_VIEWS)]
    observed: list[str] = []
    offered: list[tuple[str, int]] = []
    named: dict[tuple[str, int], _Named] = {}
    for by_coordinator, host, port in _records(data[1:]):
        if by_coordinator:
            observed.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        else:
            offered.append((host, port))
        if (address := _address(host)) is not None:
            by_peer = named.get((str(address), port), (address, False))[1] or not by_coordinator
            named[str(address), port] = address, by_peer
    chosen = choose(view, observed, offered)
    assert len(chosen) == len({each.remote for each in chosen}) <= 2 + 8
    for candidate in chosen:
        address, by_peer = named[candidate.remote]
        _check(candidate, address, view, by_peer=by_peer)


def _records(data: bytes) -> Iterator[tuple[bool, str, int]]:
    at = 0
    while at < len(data):
        kind = data[at]
        at += 1
        if kind & _TEXT:
            line, _, _ = data[at:].partition(b"\n")
            at += len(line) + 1
            host, _, text = line.decode(errors="replace").rpartition(":")
            port = int(text) if text.isdecimal() and text.isascii() else -1
            yield bool(kind & _OBSERVED), host.strip("[]"), port
        else:
            size = 16 if kind & 1 else 4
            packed = data[at : at + size].ljust(size, b"\0")
            number = int.from_bytes(data[at + size : at + size + 2], "big")
            at += size + 2
            yield bool(kind & _OBSERVED), str(ipaddress.ip_address(packed)), number


def _address(host: str) -> IPAddress | None:
    """What a host spells, an IPv4 address in IPv6 as what it is; None where that is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _check(candidate: Candidate, address: IPAddress, view: View, *, by_peer: bool) -> None:
    assert 1024 <= candidate.remote.port <= 65535, candidate
    assert candidate.remote not in (*view.local.values(), *view.observed.values()), candidate
    if _is_in(address, _LOOPBACK):
        assert _is_in(view.coordinator, _LOOPBACK), candidate
        return
    assert not _is_in(address, _NEVER), candidate
    inside = _is_in(view.coordinator, [*_INNER, *_LOOPBACK])
    assert by_peer or inside or not _is_in(address, [*_INNER, *_LINK]), candidate
    if isinstance(address, ipaddress.IPv4Address):
        return
    assert _is_in(address, _LINK) == bool(address.scope_id), candidate
    if address.scope_id:
        zones = {each.host.partition("%")[2] for each in view.local.values()}
        assert address.scope_id in zones, candidate
    wrapped = _wrapped(address)
    assert wrapped is None or not _is_in(wrapped, [*_NEVER, *_INNER, *_LOOPBACK]), candidate


def _is_in(address: IPAddress, spans: list[tuple[int, int, int]]) -> bool:
    version, number = address.version, int(address)
    return any(of == version and first <= number <= last for of, first, last in spans)


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a relay would take out of it."""
    if _is_in(address, _NAT64):
        return ipaddress.IPv4Address(address.packed[12:])
    return ipaddress.IPv4Address(address.packed[2:6]) if _is_in(address, _6TO4) else None
