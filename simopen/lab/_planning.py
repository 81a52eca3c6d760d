"""From a topology to a plan: presets looked up, every address given out. Pure.

Theory of operation
-------------------
An *area* is where addresses must differ: the internet is one, the inside of each NAT another. A
firewall, and a site without a gateway, lie in the area around them. Areas give out IPv4 addresses
in order, leaving out those that were said:

- the internet: the networks kept for documentation, then the one for benchmarks (RFC 5737, 2544);
- inside a NAT: 192.168.N.0/24, or, where other sites are inside, so that it is a carrier's,
  100.64.N.0/24 (RFC 6598), N counting the sites.

IPv6 is never translated: site N has 2001:db8:N::/64 (RFC 3849), counted from 1, its gateway first.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

import msgspec

from simopen.lab import presets
from simopen.lab._plan import HostPlan, Plan, SitePlan
from simopen.lab.nat import Gateway, KernelNat, Nat
from simopen.lab.topology import Site, Topology

_INTERNET = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/15")
_MAX_SITES = 255  # one octet counts them


class _Area:
    """Gives out the IPv4 addresses of one area."""

    def __init__(self, networks: Iterable[str], taken: set[str], *, first: int = 0) -> None:
        hosts = chain.from_iterable(ipaddress.IPv4Network(network).hosts() for network in networks)
        self._free: Iterator[ipaddress.IPv4Address] = islice(hosts, first, None)
        self._taken = taken

    def give(self, wish: str | None) -> str:
        if wish is not None:
            return wish  # it is in `taken`, and was checked there
        for address in self._free:
            if (text := str(address)) not in self._taken:
                return text
        raise ValueError("a network inside a site is too small for its hosts")


def plan(topology: Topology, captures: Mapping[str, Iterable[str]] | None = None) -> Plan:
    """Decide everything a topology leaves open.

    Args:
        topology: What was declared.
        captures: Paths of the captures to write, with the names of hosts and sites in each.

    Raises:
        ValueError: A value has a wrong type, an address is given twice, a network is too small, a
            preset is unknown, or there are too many sites.
    """
    _check_types(topology)
    planner = _Planner(list(topology.walk()))
    internet = _Area(_INTERNET, set(_unique(_said(topology.sites))))
    return Plan(
        sites=tuple(planner.site(site, internet) for site in topology.sites),
        seed=topology.seed,
        mtu=topology.mtu,
        captures={path: tuple(names) for path, names in (captures or {}).items()},
    )


def _check_types(topology: Topology) -> None:
    """Refuse values of a wrong type, which a declaration in Python does not notice by itself."""
    try:
        msgspec.convert(msgspec.to_builtins(topology), Topology)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"the declaration is wrong: {error}") from error


class _Planner:
    def __init__(self, sites: list[Site]) -> None:
        if len(sites) > _MAX_SITES:
            raise ValueError(f"a network has at most {_MAX_SITES} sites, not {len(sites)}")
        self._numbers = {site.name: number for number, site in enumerate(sites, 1)}
        hosts = [host for site in sites for host in site.host_specs()]
        claimed = [str(ipaddress.IPv6Address(host.ipv6)) for host in hosts if host.ipv6]
        self._ipv6_taken = set(_unique(claimed))

    def site(self, site: Site, around: _Area) -> SitePlan:
        gateway = _gateway(site)
        translates = isinstance(gateway, Nat | KernelNat)
        number = self._numbers[site.name]
        ipv6 = self._ipv6(number)
        own_ipv4, own_ipv6 = (around.give(site.ipv4), next(ipv6)) if gateway else ("", "")
        area = self._inside(site, number) if translates else around
        if site.lan and not translates:
            raise ValueError(f"site {site.name!r} translates nothing, so it has no network inside")
        hosts = [
            HostPlan(host.name, area.give(host.ipv4), host.ipv6 or next(ipv6), host.link)
            for host in site.host_specs()
        ]
        return SitePlan(
            name=site.name,
            gateway=gateway,
            ipv4=own_ipv4,
            ipv6=own_ipv6,
            public=not translates,
            uplink=site.link,
            downlink=site.downlink or site.link,
            hosts=tuple(hosts),
            sites=tuple(self.site(inner, area) for inner in site.sites),
        )

    def _inside(self, site: Site, number: int) -> _Area:
        lan = site.lan or (f"100.64.{number}.0/24" if site.sites else f"192.168.{number}.0/24")
        hosts = (host.ipv4 for host in site.host_specs() if host.ipv4)
        taken = set(_unique(chain(_said(site.sites), hosts)))
        return _Area([lan], taken, first=1)  # the first is the gateway's own, which nobody needs

    def _ipv6(self, number: int) -> Iterator[str]:
        addresses = (f"2001:db8:{number:x}::{last:x}" for last in range(1, 1 << 16))
        return (address for address in addresses if address not in self._ipv6_taken)


def _gateway(site: Site) -> Gateway | None:
    if isinstance(site.gateway, str):
        return presets.preset(site.gateway)
    return site.gateway


def _said(sites: Iterable[Site]) -> Iterator[str]:
    """Yield the IPv4 addresses that were said for one area."""
    for site in sites:
        if site.ipv4:
            yield site.ipv4
        if not isinstance(_gateway(site), Nat | KernelNat):
            yield from (host.ipv4 for host in site.host_specs() if host.ipv4)
            yield from _said(site.sites)


def _unique(addresses: Iterable[str]) -> list[str]:
    found = list(addresses)
    for address in found:
        if found.count(address) > 1:
            raise ValueError(f"{address} is given twice")
    return found
