"""The lab's claims, measured through real hosts: links, captures, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median

import anyio
import pytest

from simopen import lab
from simopen.capture import pcapng
from simopen.capture.pcapng import Direction

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORT = 9
PACKETS = 2_000
ALL_GATEWAYS = [
    lab.Site("home", hosts=["a"], gateway="home-router"),
    lab.Site("office", hosts=["b"], gateway="kernel"),
    lab.Site("net", hosts=["server"]),
]


def send(address: str, packets: int, interval: float) -> None:
    """Send numbered datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(packets):
            sock.sendto(number.to_bytes(4, "big"), (address, PORT))
            time.sleep(interval)


def delays(records: list[pcapng.Record], there: str) -> list[float]:
    """Seconds from each departure to its arrivals at a host, by the capture."""
    left = {r.packet_id: r.time_ns for r in records if r.direction is Direction.OUTBOUND}
    return [
        (r.time_ns - left[r.packet_id]) / 1e9
        for r in records
        if r.direction is Direction.INBOUND and r.interface == there
    ]


def arrivals(
    link: lab.Link, path: Path, *, interval: float = 0.0005, settle: float = 0.1
) -> list[pcapng.Record]:
    """Send datagrams over a link, wait until all are through, and return the capture."""
    sites = [
        lab.Site("site-a", hosts=["a"], link=link, downlink=lab.Link()),
        lab.Site("site-b", hosts=["b"]),
    ]

    async def run(net: lab.Network) -> None:
        await net["a"].call(send, net["b"].ipv4, PACKETS, interval)
        await anyio.sleep(settle)

    with lab.network(sites, capture=path, seed=1) as net:
        anyio.run(run, net)
    records = pcapng.read(path.read_bytes())
    return [record for record in records if record.length == 32]  # not the ICMP answers


def test_latency_and_jitter(tmp_path: Path) -> None:
    """No packet is early; half of them are late by no more than what a busy machine adds."""
    link = lab.Link(latency=0.01, jitter=0.002)
    took = delays(arrivals(link, tmp_path / "x.pcapng", interval=0.003), "b")
    assert len(took) == PACKETS
    assert min(took) >= 0.010
    assert 0.0105 < median(took) < 0.016


def test_loss_and_duplication(tmp_path: Path) -> None:
    """As many packets are lost and doubled as was declared, within four deviations."""
    records = arrivals(lab.Link(latency=0.01, loss=0.1, duplication=0.1), tmp_path / "x.pcapng")
    copies = Counter(r.packet_id for r in records if r.direction is Direction.INBOUND)
    assert abs(len(copies) - 0.9 * PACKETS) < 4 * (PACKETS * 0.09) ** 0.5
    doubled = sum(count == 2 for count in copies.values())
    assert abs(doubled - 0.09 * PACKETS) < 4 * (PACKETS * 0.082) ** 0.5


def test_reordering(tmp_path: Path) -> None:
    """Held-back packets are overtaken; without reordering, with all jitter, none is."""
    link = lab.Link(latency=0.005, jitter=0.005, reordering=0.05)
    for each, expected in ((link, True), (lab.Link(latency=0.005, jitter=0.005), False)):
        records = arrivals(each, tmp_path / "x.pcapng")
        order = [r.packet_id for r in records if r.direction is Direction.INBOUND]
        overtaken = sum(later < earlier for earlier, later in pairwise(order))
        assert (overtaken > 0.02 * PACKETS) is expected


def test_rate(tmp_path: Path) -> None:
    """At 1 Mbit/s 2,000 packets of 32 bytes take half a second, however fast they are sent."""
    link = lab.Link(rate=1e6)
    records = arrivals(link, tmp_path / "x.pcapng", interval=0, settle=1.0)
    times = [r.time_ns for r in records if r.direction is Direction.INBOUND]
    assert len(times) == PACKETS
    assert 0.5 < (times[-1] - times[0]) / 1e9 < 1.0


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_captures(tmp_path: Path) -> None:
    """The whole network's file and a site's are what tshark reads, gateways' outsides included."""
    whole, part = tmp_path / "whole.pcapng", tmp_path / "home.pcapng"

    async def run(net: lab.Network) -> None:
        await net["a"].call(send, net["server"].ipv4, 10, 0.0)
        await anyio.sleep(0.05)

    with lab.network(ALL_GATEWAYS, capture=whole, captures={"home": part}) as net:
        anyio.run(run, net)
    fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "ip.src"]
    command = ["tshark", "-r", str(whole), "-Y", f"udp.dstport=={PORT} && !icmp", *fields]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    passed = Counter(line.split("\t")[0] for line in shown)
    assert passed == {"a": 10, "home": 10, "server": 10}
    command = ["tshark", "-r", str(part), "-T", "fields", "-e", "frame.interface_name"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert set(shown) == {"a", "home"}
    assert len(anyio.run(net.records, "home")) == len(shown)


def machine() -> dict[str, bytes]:
    """What a lab must not touch: rules, routes, addresses and settings of the machine itself."""
    commands = (["ip", "rule"], ["ip", "route"], ["ip", "addr"], ["nft", "list", "ruleset"])
    seen = {
        " ".join(command): subprocess.run(command, capture_output=True, check=False).stdout
        for command in commands
    }
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/rp_filter"):
        seen[name] = Path("/proc/sys/net", name).read_bytes()
    return {
        name: b"\n".join(line for line in text.splitlines() if b"valid_lft" not in line)
        for name, text in seen.items()
    }


def test_the_machine_is_not_touched() -> None:
    """While a network with every kind of gateway is up, and after it, the machine is as before."""
    before = machine()
    with lab.network(ALL_GATEWAYS):
        assert machine() == before
    assert machine() == before


def net_namespaces() -> int:
    """How many network namespaces the kernel has, by its own count."""
    for line in Path("/proc/slabinfo").read_text().splitlines():
        if line.startswith("net_namespace "):
            return int(line.split()[1])
    raise LookupError("the kernel does not count network namespaces")


@pytest.fixture
def before() -> int:
    """How many namespaces there are before a test."""
    if os.geteuid() != 0:
        pytest.skip("only root may ask the kernel for its count")
    return net_namespaces()


def test_fifty_networks_leave_nothing(before: int) -> None:
    """After fifty networks no namespace (and so no device), process or descriptor is left."""
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    supervisors = set()
    for _ in range(50):
        with lab.network(ALL_GATEWAYS) as net:
            supervisors.add(net["a"].command([])[1].split("/")[2])
    assert len(supervisors) == 50
    assert not any(Path("/proc", pid).exists() for pid in supervisors)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    limit = time.monotonic() + 60  # the kernel takes namespaces down in its own time
    while net_namespaces() > before:
        assert time.monotonic() < limit
        time.sleep(0.1)
