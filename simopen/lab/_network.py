"""Networks as a program sees them: `network` to have one, `two_hosts` for the smallest.

Theory of operation
-------------------
Hosts, wire and recorder live in a supervisor process; this side only knows paths that lead into
them. What starts and ends a network blocks for some tenths of a second; `with` does it in place,
`async with` in a thread, shielded, so that cancellation leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import msgspec

from simopen.capture import pcapng
from simopen.lab._host import Host
from simopen.lab._plan import Plan, SitePlan
from simopen.lab._planning import plan as make_plan
from simopen.lab._protocol import Access, Traffic
from simopen.lab._supervision import Supervisor
from simopen.lab._topologies import load
from simopen.lab.topology import (
    DEFAULT_CAPACITY,
    DEFAULT_MTU_BYTES,
    Declared,
    Link,
    Site,
    Topology,
)

PathLike: TypeAlias = str | os.PathLike[str]
T = TypeVar("T")


@dataclass(eq=False)
class Network:
    """A running network.

    Attributes:
        topology: What was declared.
        hosts: Its hosts by name; `network["alice"]` is short for `network.hosts["alice"]`.
        capture: Path of the capture of everything, if one is written.
        captures: Paths of the captures of single sites, by site.
        traffic: What became of the packets, by host and site; filled when the network has ended.
    """

    topology: Topology = field(repr=False)
    hosts: dict[str, Host]
    capture: Path | None
    captures: dict[str, Path]
    traffic: dict[str, Traffic] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Host:
        try:
            return self.hosts[name]
        except KeyError:
            known = ", ".join(self.hosts)
            raise KeyError(f"no host is called {name!r}; there are: {known}") from None

    async def records(self, site: str | None = None) -> list[pcapng.Record]:
        """Return what has been captured so far; everything, once the network has ended.

        Args:
            site: Read the capture of this site instead of that of the whole network.

        Raises:
            ValueError: Nothing is captured there.
        """
        path = self.capture if site is None else self.captures.get(site)
        if path is None:
            raise ValueError("this network writes no capture of that: give it a path")
        return pcapng.read(await anyio.Path(path).read_bytes(), growing=True)


class TwoHosts(Network):
    """A running network of the hosts `a` and `b`."""

    @property
    def a(self) -> Host:
        """The first host."""
        return self.hosts["a"]

    @property
    def b(self) -> Host:
        """The second host."""
        return self.hosts["b"]


N = TypeVar("N", bound=Network)


class Opening(Generic[N]):
    """A network that is up inside its `with` or `async with`, and gone after it; for one use."""

    def __init__(
        self,
        kind: type[N],
        topology: Topology,
        capture: PathLike | None,
        captures: Mapping[str, PathLike],
    ) -> None:
        whole = None if capture is None else Path(capture).resolve()
        parts = {site: Path(path).resolve() for site, path in captures.items()}
        self._plan = make_plan(topology, dict(_capture_plan(topology, whole, parts)))
        self._supervisor = Supervisor(self._plan)
        self._network = kind(topology, {}, whole, parts)

    def __enter__(self) -> N:
        for path in self._plan.captures:
            Path(path).write_bytes(b"")  # complain here, where it can be understood
        access = self._supervisor.start()
        self._network.hosts.update(_hosts(self._plan, access))
        return self._network

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._supervisor.stop_quietly()
            return
        self._network.traffic.update(self._supervisor.stop().traffic)

    async def __aenter__(self) -> N:
        try:
            network = await _in_thread(self.__enter__)
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await _in_thread(self._supervisor.stop_quietly)
            raise
        return network

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await _in_thread(lambda: self.__exit__(kind, error, trace))
        finally:
            # after the supervisor, which has killed what their processes have started, too
            for host in self._network.hosts.values():
                await host.aclose()


def network(
    declared: Declared | str | os.PathLike[str],
    *,
    seed: int | None = None,
    capture: PathLike | None = None,
    captures: Mapping[str, PathLike] | None = None,
) -> Opening[Network]:
    """Have a network of hosts with real kernel TCP stacks, as declared.

        async with lab.network([home, office], capture="wire.pcapng") as net:
            await net["alice"].run(["ping", "-c", "1", net["bob"].ipv4])

    Works as `async with` on asyncio and trio, and as `with` where no event loop runs.

    Args:
        declared: A topology, or just its sites, or its name, or the path of a TOML file.
        seed: What all chance in it grows from, in place of the topology's own seed.
        capture: Where to write a pcapng capture of everything; its directory must exist.
        captures: Where to write captures of single sites, by the site's name: of its gateway's
            outside and its hosts.

    Raises:
        ValueError: The declaration is wrong or contradicts itself.
        TypeError: It is no declaration.
        LabUnavailable: On entering: this machine cannot have a lab.
        LabBroken: On leaving: the lab died before.
        OSError: The topology's file cannot be read; on entering: a capture cannot be written.
    """
    topology = _topology(declared)
    if seed is not None:
        topology = msgspec.structs.replace(topology, seed=seed)
    return Opening(Network, topology, capture, captures or {})


def two_hosts(
    delay: float = 0.0,
    *,
    capture: PathLike | None = None,
    mtu: int = DEFAULT_MTU_BYTES,
    capacity: int = DEFAULT_CAPACITY,
) -> Opening[TwoHosts]:
    """Have two hosts, `a` and `b`, with real kernel TCP stacks, joined by a wire.

    Args:
        delay: One-way delay of the wire, in seconds.
        capture: Where to write a pcapng capture; its directory must exist.
        mtu: The largest IP packet a host may send, in bytes.
        capacity: Packets in flight in one direction beyond which further ones are lost.

    Raises:
        ValueError: An argument is out of its range.
        LabUnavailable: On entering: this machine cannot have a lab.
        LabBroken: On leaving: the lab died before.
        OSError: On entering: the capture cannot be written.
    """
    there = Link(latency=delay, capacity=capacity)
    sites = [Site(f"site-{name}", hosts=[name], link=there, downlink=Link()) for name in "ab"]
    return Opening(TwoHosts, Topology(sites=sites, mtu=mtu), capture, {})


def _topology(declared: Declared | str | os.PathLike[str]) -> Topology:
    if isinstance(declared, str | os.PathLike):
        return load(declared)
    if isinstance(declared, Site):
        raise TypeError("a network is declared by a list of sites: lab.network([site])")
    return declared if isinstance(declared, Topology) else Topology(sites=declared)


async def _in_thread(work: Callable[[], T]) -> T:
    with anyio.CancelScope(shield=True):
        result = await anyio.to_thread.run_sync(work)
    return result  # noqa: RET504  # a scope may swallow what is raised in it, says its type


def _capture_plan(
    topology: Topology, whole: Path | None, parts: Mapping[str, Path]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each capture with the names of the points it records."""
    points = {site.name: _points(site) for site in topology.walk()}
    for site in parts:
        if site not in points:
            raise ValueError(f"no site is called {site!r}; there are: {', '.join(points)}")
    if whole is not None:
        yield str(whole), [name for site in topology.walk() for name in points[site.name]]
    for site, path in parts.items():
        yield str(path), points[site]


def _points(site: Site) -> list[str]:
    hosts = [host.name for host in site.host_specs()]
    return hosts if site.gateway is None else [*hosts, site.name]


def _hosts(plan: Plan, access: Mapping[str, Access]) -> Iterator[tuple[str, Host]]:
    for site, public in _outermost(plan.sites, ""):
        for host in site.hosts:
            yield host.name, Host.from_plan(host, site.name, public or host.ipv4, access[host.name])


def _outermost(sites: Sequence[SitePlan], public: str) -> Iterator[tuple[SitePlan, str]]:
    """Yield every site with the address of the outermost NAT in front of its hosts, or ""."""
    for site in sites:
        address = public or ("" if site.public else site.ipv4)
        yield site, address
        yield from _outermost(site.sites, address)
