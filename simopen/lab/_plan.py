"""What is to be built: the one message the front sends to its supervisor, as JSON on one line.

A plan is a topology with everything decided: presets looked up, every address given out.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from simopen.lab.nat import Gateway, KernelFirewall, KernelNat
from simopen.lab.topology import DEFAULT_MTU_BYTES, Link


class HostPlan(msgspec.Struct, frozen=True):
    """One host.

    Attributes:
        name: What it is called, also in captures.
        ipv4: Its address.
        ipv6: Its address.
        link: Between it and its site, each way.
    """

    name: str
    ipv4: str
    ipv6: str
    link: Link = Link()


class SitePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One site.

    Attributes:
        name: What it is called, also in captures.
        gateway: What stands between it and the outside, if anything does.
        ipv4: The gateway's address outside; empty without a gateway.
        ipv6: Likewise.
        public: Whether the hosts' IPv4 addresses are known outside.
        uplink: Towards the outside.
        downlink: Towards the inside.
        hosts: The hosts right here.
        sites: The sites inside.
    """

    name: str
    gateway: Gateway | None
    ipv4: str
    ipv6: str
    public: bool
    uplink: Link
    downlink: Link
    hosts: tuple[HostPlan, ...]
    sites: tuple[SitePlan, ...]

    def walk(self) -> Iterator[SitePlan]:
        """Yield this site and all sites inside it."""
        yield self
        for site in self.sites:
            yield from site.walk()

    def addresses(self, version: int) -> Iterator[str]:
        """Yield the addresses of one IP version by which the outside reaches it."""
        if self.gateway is not None:
            yield self.ipv4 if version == 4 else self.ipv6  # noqa: PLR2004  # IP's own number
        if version == 4 and not self.public:  # noqa: PLR2004  # likewise
            return
        yield from self.inner_addresses(version)

    def inner_addresses(self, version: int) -> Iterator[str]:
        """Yield the addresses of one IP version that its inside is reached by."""
        for host in self.hosts:
            yield host.ipv4 if version == 4 else host.ipv6  # noqa: PLR2004  # likewise
        for site in self.sites:
            yield from site.addresses(version)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A network.

    Attributes:
        sites: The sites that hang on the internet.
        seed: What all chance grows from.
        mtu: The largest IP packet a host may send, in bytes.
        captures: Absolute paths of the captures to write, each with the names of the hosts and
            sites whose packets it holds.
    """

    sites: tuple[SitePlan, ...]
    seed: int = 0
    mtu: int = DEFAULT_MTU_BYTES
    captures: dict[str, tuple[str, ...]] = {}

    def walk(self) -> Iterator[SitePlan]:
        """Yield all its sites, outer ones before what is inside them."""
        for site in self.sites:
            yield from site.walk()

    def hosts(self) -> Iterator[HostPlan]:
        """Yield all its hosts."""
        for site in self.walk():
            yield from site.hosts

    def routers(self) -> Iterator[tuple[SitePlan, KernelNat | KernelFirewall]]:
        """Yield the sites whose gateway is a kernel's, each with that gateway."""
        for site in self.walk():
            if isinstance(site.gateway, KernelNat | KernelFirewall):
                yield site, site.gateway

    def to_json(self) -> bytes:
        """Return the plan as one line."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Plan:
        """Read a plan back from its line.

        Raises:
            ValueError: It is no plan.
        """
        return msgspec.json.decode(line, type=cls)
