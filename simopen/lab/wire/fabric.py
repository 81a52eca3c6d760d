"""The wire of a whole network: what is sent into one port comes out of others, or does not.

Theory of operation
-------------------
`Fabric` is compiled from a plan. Its *ports* are where an executor plugs devices in: one for each
host, and two for each kernel's router, outside and inside. Between them stand `parts`:

    host port ─ link ─ LAN ─ gateway ─ uplink ─┐
                                               ├─ internet
    host port ─ link ─ LAN ─ gateway ─ uplink ─┘

A LAN and the internet are routers: the destination's address decides. A gateway is a model, a
kernel's router (two ports, the executor in between), or nothing but the join of LAN and link.

Every packet has a serial number from its first port to its last, through a gateway's translation
too, so that a recorder can say "this arrival is that departure". A kernel's router shows no such
number; there a packet is recognised by what no NAT rewrites.

The executor asks `next_due` when to come back, calls `push` with what it has read and writes what
`pop_due` returns. `note` is called for each packet that enters by a port or passes the outside of
a gateway; arrivals at ports are for the executor to note, which knows when they happened.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import NamedTuple

from simopen.capture.pcapng import Direction
from simopen.lab._plan import HostPlan, Plan, SitePlan
from simopen.lab.nat import Firewall, Nat
from simopen.lab.topology import Link
from simopen.lab.wire.gateway import GatewayModel
from simopen.lab.wire.link import LinkModel
from simopen.lab.wire.parts import (
    Agenda,
    KernelPassage,
    ModelPassage,
    Note,
    Router,
    Sink,
    noted,
    pipe,
)

_IPV4, _IPV6 = 4, 6


class Delivery(NamedTuple):
    """A packet that has reached a port.

    Attributes:
        port: The port it comes out of.
        serial: Its number.
        packet: The raw IP packet.
    """

    port: int
    serial: int
    packet: bytes


@dataclass(frozen=True, slots=True)
class Port:
    """Where the executor plugs a device in.

    Attributes:
        owner: Name of the host, or of the site whose router it belongs to.
        is_host: Whether that is a host.
        noted: Whether arrivals here belong in a capture: not those at a router's inside.
    """

    owner: str
    is_host: bool
    noted: bool


class Fabric:
    """The wire of one network.

    Args:
        plan: The network.
        note: Whom to tell of what passes, if anybody.
    """

    def __init__(self, plan: Plan, note: Note | None = None) -> None:
        self.ports: list[Port] = []
        """Hosts in the plan's order, then for each router its outside and its inside."""
        self.links: dict[str, tuple[LinkModel, LinkModel]] = {}
        """By host or site: the link towards the outside and the one back."""
        self.gateways: dict[str, GatewayModel] = {}
        """By site: the models among the gateways."""
        self.unroutable: int = 0
        """Packets to an address that nobody has."""
        self._seed = plan.seed
        self._note = note
        self._agenda = Agenda()
        self._serials = itertools.count()
        self._arrived: list[Delivery] = []
        self._entries: list[Sink] = []
        self._host_ports = {
            host.name: self._add_port(host.name, is_host=True) for host in plan.hosts()
        }
        internet = Router(self._lose)
        for site in plan.sites:
            self._add_site(site, internet)

    def push(self, port: int, packet: bytes, now_ns: int) -> None:
        """Send a packet into `port`."""
        self._entries[port](next(self._serials), packet, now_ns)

    def pop_due(self, now_ns: int) -> list[Delivery]:
        """Let everything happen that is due at `now_ns`; return what has come out of ports."""
        self._agenda.catch_up(now_ns)
        arrived, self._arrived = self._arrived, []
        return arrived

    def next_due(self) -> int | None:
        """Return when something happens next; None when nothing is under way."""
        return 0 if self._arrived else self._agenda.next_due()

    def _add_port(self, owner: str, *, is_host: bool = False, is_noted: bool = True) -> int:
        self.ports.append(Port(owner, is_host, is_noted))
        self._entries.append(self._lose)
        return len(self.ports) - 1

    def _add_site(self, site: SitePlan, around: Router) -> None:
        lan = Router(self._lose)
        uplink, downlink = self._add_links(site.name, site.uplink, site.downlink)
        inwards = self._add_gateway(site, lan, pipe(uplink, self._agenda, around.route))
        way_in = pipe(downlink, self._agenda, inwards)
        around.add(itertools.chain(site.addresses(_IPV4), site.addresses(_IPV6)), way_in)
        for host in site.hosts:
            self._add_host(host, lan)
        for inner in site.sites:
            self._add_site(inner, lan)

    def _add_gateway(self, site: SitePlan, lan: Router, outwards: Sink) -> Sink:
        """Join a site's LAN with its link; return where what comes in from outside goes."""
        if site.gateway is None:
            lan.default = outwards
            return lan.route
        outwards = noted(self._note, site.name, Direction.OUTBOUND, outwards)
        if not isinstance(site.gateway, Nat | Firewall):
            return self._add_router(site.name, lan, outwards)
        chance = self._chance(site.name, "ports")
        model = GatewayModel(site.gateway, ipv4=site.ipv4, ipv6=site.ipv6, chance=chance)
        self.gateways[site.name] = model
        passage = ModelPassage(model, self._agenda, self._new_serial, lan.route, outwards)
        lan.default = passage.from_inside
        return noted(self._note, site.name, Direction.INBOUND, passage.from_outside)

    def _add_router(self, name: str, lan: Router, outwards: Sink) -> Sink:
        outside = self._add_port(name)
        inside = self._add_port(name, is_noted=False)
        exits = self._exit(outside), self._exit(inside)
        passage = KernelPassage(*exits, self._new_serial, lan.route, outwards)
        self._entries[outside], self._entries[inside] = passage.leave_outside, passage.leave_inside
        lan.default = passage.from_inside
        return passage.from_outside

    def _add_host(self, host: HostPlan, lan: Router) -> None:
        port = self._host_ports[host.name]
        up, down = self._add_links(host.name, host.link, host.link)
        way_out = pipe(up, self._agenda, lan.route)
        self._entries[port] = noted(self._note, host.name, Direction.OUTBOUND, way_out)
        lan.add((host.ipv4, host.ipv6), pipe(down, self._agenda, self._exit(port)))

    def _add_links(self, name: str, up: Link, down: Link) -> tuple[LinkModel, LinkModel]:
        models = (
            LinkModel(up, self._chance(name, "up")),
            LinkModel(down, self._chance(name, "down")),
        )
        self.links[name] = models
        return models

    def _chance(self, *what: str) -> random.Random:
        """Return a source of chance of its own, so that no part's luck hangs on another's."""
        return random.Random(" ".join((str(self._seed), *what)))

    def _new_serial(self) -> int:
        return next(self._serials)

    def _exit(self, port: int) -> Sink:
        def arrive(serial: int, packet: bytes, _at_ns: int) -> None:
            self._arrived.append(Delivery(port, serial, packet))

        return arrive

    def _lose(self, _serial: int, _packet: bytes, _at_ns: int) -> None:
        self.unroutable += 1
