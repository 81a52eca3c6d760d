"""Whole networks without a clock: who gets what, when, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simopen.capture.pcapng import Direction
from simopen.lab import (
    Hairpinning,
    HostSpec,
    KernelNat,
    Link,
    Nat,
    PortAllocation,
    Site,
    Topology,
    Unsolicited,
)
from simopen.lab._planning import plan
from simopen.lab.wire.fabric import Fabric
from tests.lab.wire.packetry import Endpoint, see, tcp, udp

MS = 1_000_000  # nanoseconds
S = 1_000 * MS
LINK = Link(latency=0.01)
RANDOM = Nat(ports=PortAllocation.RANDOM)


class Bench:
    """A network, its hosts by name, and what was noted.

    Attributes:
        fabric: The network.
        notes: Names and directions in the order they passed, by serial number.
    """

    def __init__(self, *sites: Site, seed: int = 0) -> None:
        self.notes: dict[int, list[tuple[str, Direction]]] = {}
        planned = plan(Topology(sites=sites, seed=seed))
        self.fabric = Fabric(planned, self._note)
        self._hosts = [host.name for host in planned.hosts()]
        self._addresses = {host.name: (host.ipv4, host.ipv6) for host in planned.hosts()}

    def _note(self, name: str, direction: Direction, serial: int, _packet: bytes) -> None:
        self.notes.setdefault(serial, []).append((name, direction))

    def at(self, host: str, port: int = 40_000, *, v6: bool = False) -> Endpoint:
        """An endpoint of a host."""
        return self._addresses[host][v6], port

    def send(self, host: str, packet: bytes, now_ns: int = 0) -> None:
        """Send a packet from a host."""
        self.fabric.push(self._hosts.index(host), packet, now_ns)

    def drain(self, until_ns: int = 10 * S) -> list[tuple[int, str, bytes]]:
        """All that comes out: when, at whom, what."""
        out = []
        now = 0
        while (due := self.fabric.next_due()) is not None and due <= until_ns:
            now = max(now, due)
            for port, _, packet in self.fabric.pop_due(now):
                out.append((now, self.fabric.ports[port].owner, packet))
        return out


def two(gateway: Nat | KernelNat | None = None, *, seed: int = 0) -> Bench:
    """Two sites of one host each, `a` and `b`."""
    sites = [Site(f"site-{name}", hosts=[name], gateway=gateway, link=LINK) for name in "ab"]
    return Bench(*sites, seed=seed)


@pytest.mark.parametrize("v6", [False, True])
def test_both_links_delay(v6: bool) -> None:  # noqa: FBT001  # a parameter
    """From site to site a packet takes one link up and the other down, in both families."""
    bench = two()
    packet = udp(bench.at("a", v6=v6), bench.at("b", v6=v6))
    bench.send("a", packet, 5 * MS)
    assert bench.drain() == [(25 * MS, "b", packet)]


def test_hosts_of_one_site_reach_each_other_at_home() -> None:
    """Without leaving the site, over their own links."""
    slow = HostSpec("laptop", link=Link(latency=0.003))
    bench = Bench(Site("home", hosts=["desk", slow], gateway=Nat(), link=LINK))
    packet = udp(bench.at("desk"), bench.at("laptop"))
    bench.send("desk", packet)
    assert bench.drain() == [(3 * MS, "laptop", packet)]


def test_a_downlink_of_its_own() -> None:
    """The way in may differ from the way out."""
    sites = [Site(f"site-{n}", hosts=[n], link=LINK, downlink=Link(latency=0.001)) for n in "ab"]
    bench = Bench(*sites)
    bench.send("a", udp(bench.at("a"), bench.at("b")))
    assert [when for when, *_ in bench.drain()] == [11 * MS]


def test_an_address_nobody_has() -> None:
    """What cannot be routed vanishes and is counted."""
    bench = two()
    bench.send("a", udp(bench.at("a"), ("203.0.113.99", 9)))
    bench.send("a", b"")
    assert bench.drain() == []
    assert bench.fabric.unroutable == 2


def test_late_executors_do_not_add_delay() -> None:
    """An event happens at the moment it was due, however late it is looked for."""
    bench = two()
    bench.send("a", udp(bench.at("a"), bench.at("b")))
    assert bench.fabric.pop_due(15 * MS) == []  # 5 ms late for the end of the first link
    assert bench.fabric.next_due() == 20 * MS


def test_through_two_nats() -> None:
    """A packet is translated on its way out and on its way in, under one number all along."""
    bench = two(Nat())
    outside = {"a": ("203.0.113.1", 40_000), "b": ("203.0.113.2", 40_000)}
    bench.send("b", udp(bench.at("b"), outside["a"]))
    assert bench.drain() == []  # nobody behind the first NAT has asked for it
    bench.send("a", udp(bench.at("a"), outside["b"]), 50 * MS)
    ((_, at, packet),) = bench.drain()
    assert at == "b"
    assert (see(packet).source, see(packet).destination) == (outside["a"], bench.at("b"))
    assert bench.notes[1] == [
        ("a", Direction.OUTBOUND),
        ("site-a", Direction.OUTBOUND),
        ("site-b", Direction.INBOUND),
    ]
    assert bench.fabric.gateways["site-a"].counts.filtered == 1


def test_double_nat() -> None:
    """Two homes behind a carrier: each packet is translated twice on its way out."""
    homes = [Site(f"home-{name}", hosts=[name], gateway=RANDOM, link=LINK) for name in "ab"]
    carrier = Site("carrier", gateway=RANDOM, sites=homes, link=LINK)
    bench = Bench(carrier, Site("net", hosts=["server"]))
    bench.send("a", udp(bench.at("a"), bench.at("server")))
    ((when, at, packet),) = bench.drain()
    assert (when, at) == (20 * MS, "server")
    assert see(packet).source[0] == "203.0.113.1"
    back = udp(bench.at("server"), see(packet).source)
    bench.send("server", back, 30 * MS)
    ((_, at, packet),) = bench.drain()
    assert (at, see(packet).destination) == ("a", bench.at("a"))


def test_a_gateways_own_answer_is_a_packet_of_its_own() -> None:
    """A refusal has a number of its own and begins at the gateway."""
    bench = two(Nat(unsolicited=Unsolicited.RST))
    bench.send("a", tcp(bench.at("a"), ("203.0.113.2", 40_000), "S"))
    ((_, at, packet),) = bench.drain()
    assert at == "a"
    assert see(packet).flags == "RA"
    assert bench.notes[1] == [("site-b", Direction.OUTBOUND), ("site-a", Direction.INBOUND)]


def test_an_answer_after_six_seconds() -> None:
    """RFC 5382's late error comes when it is due, with nobody sending meanwhile."""
    bench = two(Nat(unsolicited=Unsolicited.ICMP_AFTER_6_S))
    bench.send("a", tcp(bench.at("a"), ("203.0.113.2", 40_000), "S"))
    ((when, at, packet),) = bench.drain()
    assert at == "a"
    assert see(packet).protocol == 1
    assert when == pytest.approx(6 * S + 40 * MS, abs=1000)


def test_an_answer_after_six_seconds_through_the_hairpin() -> None:
    """Also where the SYN comes from inside, and nothing else ever comes from outside."""
    nat = Nat(unsolicited=Unsolicited.ICMP_AFTER_6_S, hairpinning=Hairpinning.EXTERNAL_SOURCE)
    bench = Bench(Site("home", hosts=["a", "b"], gateway=nat))
    bench.send("a", tcp(bench.at("a"), ("203.0.113.1", 9), "S"))
    ((when, at, packet),) = bench.drain()
    assert (at, see(packet).protocol) == ("a", 1)
    assert when == pytest.approx(6 * S, abs=1000)


def test_a_kernels_router_has_two_ports() -> None:
    """What leaves a host goes to the inside port, what leaves the outside one to the network."""
    bench = two(KernelNat())
    owners = [(port.owner, port.noted) for port in bench.fabric.ports]
    assert owners[2:] == [
        ("site-a", True),
        ("site-a", False),
        ("site-b", True),
        ("site-b", False),
    ]
    packet = udp(bench.at("a"), ("203.0.113.2", 40_000))
    bench.send("a", packet)
    ((port, serial, delivered),) = bench.fabric.pop_due(0)
    assert (port, delivered) == (3, packet)
    translated = udp(("203.0.113.1", 40_000), ("203.0.113.2", 40_000), ttl=63)
    bench.fabric.push(2, translated, 0)
    ((port, again, delivered),) = bench.fabric.pop_due(1 * S)
    assert (port, again, delivered) == (4, serial, translated)
    assert bench.notes[serial] == [("a", Direction.OUTBOUND), ("site-a", Direction.OUTBOUND)]


def external_ports(seed: int) -> Sequence[int]:
    """The external ports of ten flows."""
    bench = two(RANDOM, seed=seed)
    for port in range(10):
        bench.send("a", udp(bench.at("a", port), ("203.0.113.9", 9)))
    model = bench.fabric.gateways["site-a"]
    emissions = [
        model.outbound(udp(bench.at("a", port), ("203.0.113.9", 9)), 0.0)[0] for port in range(10)
    ]
    return [see(emission.packet).source[1] for emission in emissions]


def test_the_seed_decides_the_ports() -> None:
    """The same seed gives the same external ports, another one others."""
    assert external_ports(1) == external_ports(1)
    assert external_ports(1) != external_ports(2)


def losses(seed: int, *, more: bool = False) -> list[bool]:
    """Which of a hundred packets from a are lost, b sending too if `more`."""
    lossy = Link(latency=0.001, loss=0.3)
    bench = Bench(
        Site("site-a", hosts=["a"], link=lossy),
        Site("site-b", hosts=["b"], link=LINK),
        seed=seed,
    )
    fates = []
    for number in range(100):
        bench.send("a", udp(bench.at("a", number), bench.at("b")), number * S)
        if more:
            bench.send("b", udp(bench.at("b"), bench.at("a")), number * S)
        fates.append(all(owner != "b" for _, owner, _ in bench.drain(number * S + S)))
    return fates


def test_the_seed_decides_the_losses() -> None:
    """The same seed gives the same losses, whatever else is on the wire."""
    assert losses(1) == losses(1, more=True)
    assert losses(1) != losses(2)
    assert 15 < sum(losses(1)) < 45
