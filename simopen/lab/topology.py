"""A network, declared: sites, their links, what stands in front of them and the hosts behind.

    home = Site("home", hosts=["alice"], gateway="home-router", link=Link(latency=0.01))
    office = Site("office", hosts=["bob"], gateway=Nat(mapping=Mapping.ADDRESS_DEPENDENT))
    server = Site("coordinator", hosts=["server"])  # no gateway: on a public address itself
    topology = Topology(sites=[home, office, server])

Theory of operation
-------------------
A network is a tree. Its root is the public internet, which only routes; its branches are sites,
each with a link to what it hangs on; its leaves are hosts. A site may stand inside another, and
then shares the outer one's public address: two homes behind a carrier's NAT. What travels from one
site to another goes up the first one's link and down the second one's, and through the gateway at
either end of those; hosts of one site reach each other without leaving it.

These are values: they hold what was said and check it on their own. Addresses that were not said
are given out when a network is planned.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from simopen.lab.nat import Gateway

DEFAULT_MTU_BYTES = 1500
"""Ethernet's."""

MIN_MTU_BYTES = 1280
"""The least that IPv6 allows (RFC 8200 §5)."""

MAX_MTU_BYTES = 65_535
"""The most that a TUN device allows."""

DEFAULT_CAPACITY = 20_000
"""Packets on one link in one direction: 30 MB of full-sized ones, 50,000 a second for 0.4 s."""

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_NAME_LENGTH = 30


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction of a link.

    Attributes:
        latency: Least one-way delay in seconds.
        jitter: Most additional delay in seconds, drawn evenly for each packet. By itself it
            never changes the order of packets: one that would overtake waits for the earlier.
        loss: Chance of each packet to be lost, 0 to 1.
        duplication: Chance of each packet to arrive twice, 0 to 1.
        reordering: Chance of each packet to be held back so that later ones overtake it, 0 to 1.
        reordering_delay: How long such a packet is held back, in seconds.
        rate: Bits a second the link can carry (of IP packets, headers included); None: no limit.
        capacity: Packets in flight or waiting beyond which further ones are lost.
    """

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reordering_delay: float = 0.005
    rate: float | None = None
    capacity: int = DEFAULT_CAPACITY

    def __post_init__(self) -> None:
        """Refuse what no link can be."""
        for name in ("latency", "jitter", "reordering_delay"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{name} is a number of seconds from 0 up, not {seconds!r}")
        for name in ("loss", "duplication", "reordering"):
            chance = getattr(self, name)
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} is a chance between 0 and 1, not {chance!r}")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"rate is a number of bits a second above 0, not {self.rate!r}")
        if self.capacity < 1:
            raise ValueError(f"a link holds at least one packet, not {self.capacity!r}")


class HostSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host that has a link of its own to its site, or an address of its own choice.

    Attributes:
        name: What it is called; unique in its network.
        link: Between the host and its site, each way.
        ipv4: Its address; chosen from its site's network when not given.
        ipv6: Likewise.
    """

    name: str
    link: Link = Link()
    ipv4: str | None = None
    ipv6: str | None = None

    def __post_init__(self) -> None:
        """Refuse names and addresses that are none."""
        _check_name(self.name)
        _check_address(self.ipv4, 4)
        _check_address(self.ipv6, 6)


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place with one way out.

    Attributes:
        name: What it is called; unique in its network, among hosts too.
        hosts: The hosts here: names, or `HostSpec`s.
        gateway: What stands between it and the outside: a `Nat`, a `Firewall`, one of the
            kernel's, or the name of a preset; None: nothing, its hosts have public addresses.
        link: To the outside, each way.
        downlink: To the inside, where that differs from `link`.
        sites: Sites that hang on this one instead of the internet.
        ipv4: The gateway's address outside.
        lan: The IPv4 network inside, such as "192.168.1.0/24".
    """

    name: str
    hosts: Sequence[str | HostSpec] = ()
    gateway: Gateway | str | None = None
    link: Link = Link()
    downlink: Link | None = None
    sites: Sequence[Site] = ()
    ipv4: str | None = None
    lan: str | None = None

    def __post_init__(self) -> None:
        """Refuse names and addresses that are none."""
        _check_name(self.name)
        _check_address(self.ipv4, 4)
        if isinstance(self.hosts, str):
            raise TypeError(f"hosts is a list of names: hosts=[{self.hosts!r}]")
        for host in self.hosts:
            if not isinstance(host, str | HostSpec):
                raise TypeError(f"a host is a name or a HostSpec, not {host!r}")
        if self.lan is not None:
            ipaddress.IPv4Network(self.lan)  # its own words are good
        if self.gateway is None and (self.ipv4 or self.lan):
            raise ValueError(f"site {self.name!r} has no gateway that could have an address")
        if not self.hosts and not self.sites:
            raise ValueError(f"site {self.name!r} has neither hosts nor sites")

    def host_specs(self) -> list[HostSpec]:
        """Return the hosts right here, names made into specs."""
        return [HostSpec(host) if isinstance(host, str) else host for host in self.hosts]

    def walk(self) -> Iterator[Site]:
        """Yield this site and all sites inside it."""
        yield self
        for site in self.sites:
            yield from site.walk()


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole network.

    Attributes:
        sites: The sites that hang on the internet.
        seed: What all chance in it grows from: losses, jitter, the NATs' ports.
        mtu: The largest IP packet a host may send, in bytes.
        summary: What it is good for, in a line.
    """

    sites: Sequence[Site]
    seed: int = 0
    mtu: int = DEFAULT_MTU_BYTES
    summary: str = ""

    def __post_init__(self) -> None:
        """Refuse what has no hosts, or two of a name."""
        if not MIN_MTU_BYTES <= self.mtu <= MAX_MTU_BYTES:
            text = f"an MTU lies between {MIN_MTU_BYTES} and {MAX_MTU_BYTES}"
            raise ValueError(f"{text}, not {self.mtu!r}")
        if not self.sites:
            raise ValueError("a network has at least one site")
        names: set[str] = set()
        for site in self.walk():
            for name in (site.name, *(host.name for host in site.host_specs())):
                if name in names:
                    raise ValueError(f"two hosts or sites are called {name!r}")
                names.add(name)

    def walk(self) -> Iterator[Site]:
        """Yield all its sites, outer ones before what is inside them."""
        for site in self.sites:
            yield from site.walk()


Declared: TypeAlias = Topology | Sequence[Site]
"""What a network may be made of."""


def _check_name(name: str) -> None:
    if not name or len(name) > _NAME_LENGTH or not _NAME_CHARACTERS.issuperset(name):
        raise ValueError(
            f"a name has 1 to {_NAME_LENGTH} letters, digits, '-' and '_', unlike {name!r}"
        )


def _check_address(address: str | None, version: int) -> None:
    if address is None:
        return
    if ipaddress.ip_address(address).version != version:
        raise ValueError(f"{address!r} is no IPv{version} address")
