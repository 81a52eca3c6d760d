"""Which of the peer's endpoints are punched, in which order, and which never.

Theory of operation. The coordinator says where it sees the peer; the peer says in its sealed offer
which addresses it has. Either could aim us at somebody else: the coordinator is not trusted, and a
leaked secret makes anybody a member of the room. So what is not the address of one ordinary host,
or would reach into our own network on a stranger's word, is dropped here, and the rest is few
(:data:`MOST_OFFERED`, one observed endpoint a family).

Order. Two hosts that show the same public address are behind the same NAT: their own addresses go
first, and that NAT's hairpin last. Anybody else's public addresses go first; a private one is the
peer's in its own network and most likely nobody's in ours, but two sites may be joined by a tunnel.
What goes later starts ``lane_delay`` after the rest. A peer on this very host needs no second way.

Pure.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simopen._endpoints import IPV4, MAX_PORT, Endpoint, IPAddress, is_private, literal_address

MOST_OFFERED = 8  # candidates of an offer that are looked at
LEAST_PORT = 1024  # below are the services that a SYN could be aimed at
PORT = re.compile(r"[0-9]{1,5}")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
# RFC 8215: where in it the IPv4 address stands is a secret of its network (RFC 6052 §2.2).
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_6TO4 = ipaddress.IPv6Network("2002::/16")  # RFC 3056
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122 §3.2.1.3: never a destination
_RESERVED = ipaddress.IPv4Network("240.0.0.0/4")  # RFC 1112 §4


class Kind(enum.Enum):
    """How a candidate leads to the peer."""

    LOCAL = "local network"
    IPV6 = "IPv6"
    IPV4 = "IPv4"
    HAIRPIN = "hairpin"  # through the NAT that both are behind


@dataclass(frozen=True, slots=True)
class Candidate:
    """One endpoint of the peer's.

    Attributes:
        remote: Numeric.
        kind: How it leads there.
        late: Whether it starts after the others.
    """

    remote: Endpoint
    kind: Kind
    late: bool


Observed: TypeAlias = Mapping[int, Endpoint]
"""Endpoints as the coordinator sees them, by the version of IP."""


@dataclass(frozen=True, slots=True)
class View:
    """What we know of ourselves when we choose.

    Attributes:
        coordinator: The address we reach it by.
        local: Our own punching endpoints, by the version of IP.
        observed: The same in the coordinator's word.
        hosts: All addresses of this host.
    """

    coordinator: IPAddress
    local: Observed
    observed: Observed
    hosts: Collection[str]


def choose(
    view: View, observed: Iterable[str], offered: Sequence[tuple[str, int]]
) -> list[Candidate]:
    """The candidates to punch, better ones first.

    Args:
        view: Ourselves.
        observed: The peer's endpoints in the coordinator's word.
        offered: The peer's own addresses, from its sealed offer.
    """
    seen = _one_of_each_family(observed)
    same_nat = _same_nat(view, seen)
    found: dict[Endpoint, Candidate] = {}
    named = [(endpoint, True) for endpoint in seen.values()]
    named += [(endpoint, False) for endpoint in _usable(offered[:MOST_OFFERED])]
    for endpoint, by_coordinator in named:
        if endpoint in found or not _may_punch(endpoint, view, by_coordinator=by_coordinator):
            continue
        kind = _kind(endpoint, view, same_nat=same_nat)
        late = kind is (Kind.HAIRPIN if same_nat else Kind.LOCAL)
        found[endpoint] = Candidate(endpoint, kind, late)
    if on_this_host := [each for each in found.values() if _address(each.remote).is_loopback]:
        return on_this_host[:1]  # no other way is better, and each takes a share of the SYNs
    ranks = list(Kind)
    return sorted(found.values(), key=lambda each: (each.late, ranks.index(each.kind)))


def usable_addresses(hosts: Iterable[str], *, on_loopback: bool) -> list[str]:
    """Those of this host's addresses that may be offered to a peer.

    Args:
        hosts: Numeric addresses.
        on_loopback: Whether the coordinator is reached over loopback, so that the peer may be on
            this host.
    """
    return [
        host
        for host in hosts
        if (address := literal_address(host)) is not None
        and (_is_one_host(address) or (on_loopback and address.is_loopback))
    ]


def parse_observed(text: str) -> Endpoint | None:
    """An endpoint as the coordinator writes it, or None where it is none."""
    host, _, port = text.rpartition(":")
    found = _usable([(host.strip("[]"), int(port) if PORT.fullmatch(port) else 0)])
    return found[0] if found else None


def _one_of_each_family(observed: Iterable[str]) -> dict[int, Endpoint]:
    found: dict[int, Endpoint] = {}
    for text in observed:
        if (endpoint := parse_observed(text)) is not None:
            found.setdefault(_version(endpoint), endpoint)
    return found


def _usable(endpoints: Iterable[tuple[str, int]]) -> list[Endpoint]:
    """Those with a numeric address and a port, an IPv4 address in IPv6 as what it is."""
    found = []
    for host, port in endpoints:
        address = literal_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address is not None and 1 <= port <= MAX_PORT:
            found.append(Endpoint(str(address), port))
    return found


def _version(endpoint: Endpoint) -> int:
    return _address(endpoint).version


def _address(endpoint: Endpoint) -> IPAddress:
    address = literal_address(endpoint.host)
    assert address is not None  # noqa: S101 - made from one
    return address


def _same_nat(view: View, seen: Observed) -> bool:
    """Whether both show the same IPv4 address, or the coordinator is in our own network."""
    ours, theirs = view.observed.get(IPV4), seen.get(IPV4)
    same = ours is not None and theirs is not None and ours.host == theirs.host
    return same or is_private(view.coordinator)


def _may_punch(endpoint: Endpoint, view: View, *, by_coordinator: bool) -> bool:
    ourselves = (*view.local.values(), *view.observed.values())
    if endpoint.port < LEAST_PORT or endpoint in ourselves:
        return False
    address = _address(endpoint)
    if address.is_loopback and not _zone(address):
        return view.coordinator.is_loopback
    if by_coordinator and is_private(address) and not is_private(view.coordinator):
        return False
    return _is_one_host(address) and _zone(address) in _own_zones(view)


def _is_one_host(address: IPAddress) -> bool:
    """Whether it is an ordinary host's, not wrapping what would be refused by itself."""
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        odd = address == _BROADCAST or address in _THIS_NETWORK or address in _RESERVED
        return not odd and not address.is_link_local
    if (wrapped := _wrapped(address)) is not None:
        return _is_one_host(wrapped) and not is_private(wrapped)
    return address not in _LOCAL_NAT64 and address.is_link_local == bool(address.scope_id)


def _zone(address: IPAddress) -> str | None:
    return address.scope_id if isinstance(address, ipaddress.IPv6Address) else None


def _own_zones(view: View) -> set[str | None]:
    """The links that we are on ourselves: a zone is a word of the host that says it."""
    return {None, *(_zone(_address(each)) for each in view.local.values())}


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a NAT64 or 6to4 relay would send to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour if address in _6TO4 else None


def _kind(endpoint: Endpoint, view: View, *, same_nat: bool) -> Kind:
    address = _address(endpoint)
    if is_private(address) or endpoint.host in view.hosts:
        return Kind.LOCAL
    if address.version != IPV4:
        return Kind.IPV6
    ours = view.observed.get(IPV4)
    behind_nat = ours is not None and ours.host not in view.hosts
    hairpin = same_nat and behind_nat and ours is not None and ours.host == endpoint.host
    return Kind.HAIRPIN if hairpin else Kind.IPV4
