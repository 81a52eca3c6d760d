"""The lab's wire: packets a second, lateness, loss in a spray, and the time a lab takes to be up.

- *rate*: one host floods another with small UDP packets for some seconds; what arrives at the
  other's device is counted. Plain, and through two NAT models with everything recorded.
- *late*: a packet every few milliseconds, stamped when it is sent and by the receiving kernel when
  it arrives; what it took over the declared latency of 10 ms. The receiver's own waking is left
  out. Rounds of it alternate with rounds of a bare timer in a real-time process, the *floor*: how
  late this machine wakes anybody at that time. On a virtual machine that is told apart by nothing
  else.
- *spray*: a thousand non-blocking connects at once through two NATs, recorded; SYNs that arrived.
- *set-up*: from entering the context to having the network, and from leaving to it being gone.

``python -m benchmarks.lab [--quick]`` prints the table and writes ``results/lab.jsonl``: one line
for the environment, then one a figure. The wire is one thread; the machine's other work disturbs
it, so each figure stands beside its sample size.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import anyio

from benchmarks.commands import arguments, require_lab
from benchmarks.common import environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.statistics import percentile
from simopen import lab
from simopen.capture.packets import Flags, Segment, parse
from simopen.capture.pcapng import Direction

LATENCY = 0.010  # seconds one way
PORT = 40_000
FLOOD_SECONDS, QUICK_FLOOD_SECONDS = 5.0, 1.0
PAYLOAD_BYTES = 36  # with IPv4 and UDP headers 64 bytes
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; missing from Python's socket module
STAMP = struct.Struct("q")
TIMESPEC = struct.Struct("qq")
LEAD = 3.0  # seconds until both hosts have their process, on a busy machine too
PROBE_INTERVAL = 0.004  # seconds
PROBES = 1_000  # a round
ROUNDS, QUICK_ROUNDS = 8, 2
FLOOR_WAKES = 500
SPRAY = 1_000
SET_UPS, QUICK_SET_UPS = 20, 5
NS_PER_S = 1_000_000_000


def sites(gateway: str | None) -> list[lab.Site]:
    """Two sites of one host each."""
    link = lab.Link(latency=LATENCY)
    return [
        lab.Site("site-a", hosts=["a"], gateway=gateway, link=link, downlink=lab.Link()),
        lab.Site("site-b", hosts=["b"], gateway=gateway, link=link, downlink=lab.Link()),
    ]


# --- what runs inside the hosts -------------------------------------------------------------------


def udp(peer: str) -> socket.socket:
    """A UDP socket at the port, of which the NATs on the way to the peer know."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", PORT))  # noqa: S104  # every address of a host in a namespace
    sock.sendto(b"hello", (peer, PORT))
    return sock


def received_packets() -> int:
    """How many packets this host's device has received."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "eth0":
            return int(figures.split()[1])
    raise LookupError("no eth0")


def sleep_until(moment: float) -> None:
    """Sleep until a moment on the monotonic clock; on a busy machine it may be past already."""
    time.sleep(max(0.0, moment - time.monotonic()))


def flood(peer: str, at: float, seconds: float) -> int:
    """Send small packets as fast as the kernel takes them; how many."""
    sock = udp(peer)
    sock.setblocking(False)
    data = bytes(PAYLOAD_BYTES)
    sleep_until(at)
    sent, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(100):
            try:
                sent += sock.sendto(data, (peer, PORT)) > 0
            except BlockingIOError:
                break
    return sent


def count(peer: str, at: float, seconds: float) -> float:
    """Count what arrives while the flood is in full flow; packets a second."""
    sock = udp(peer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # dropped here, after it was counted
    sleep_until(at + 0.2 * seconds)
    began, before = time.monotonic(), received_packets()
    time.sleep(0.6 * seconds)
    return (received_packets() - before) / (time.monotonic() - began)


def probe(peer: str, at: float, probes: int) -> None:
    """Send the time, again and again."""
    sock = udp(peer)
    with contextlib.suppress(PermissionError):  # or preemption of ours would be measured
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    sleep_until(at)
    for _ in range(probes):
        sock.sendto(STAMP.pack(time.time_ns()), (peer, PORT))
        time.sleep(PROBE_INTERVAL)


def stamp(peer: str, at: float, probes: int) -> list[float]:
    """Receive times; seconds each took by this kernel's clock."""
    sock = udp(peer)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.settimeout(max(0.0, at - time.monotonic()) + probes * PROBE_INTERVAL * 2 + 2)
    took: list[float] = []
    while len(took) < probes:
        data, ancillary, *_ = sock.recvmsg(64, 64)
        if len(data) != STAMP.size:
            continue  # the first hello
        seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
        (sent,) = STAMP.unpack(data)
        took.append((seconds * NS_PER_S + nanoseconds - sent) / NS_PER_S)
    return took


def spray(peer: str) -> int:
    """Connect to a thousand ports at once, and wait a second."""
    sockets = [socket.socket() for _ in range(SPRAY)]
    for number, sock in enumerate(sockets):
        sock.setblocking(False)
        sock.connect_ex((peer, PORT + number))
    time.sleep(1)
    return len(sockets)


# --- what is measured -----------------------------------------------------------------------------


async def both(net: lab.Network, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, Any]:
    """Call a function in each host at once; their results."""
    results: dict[str, Any] = {}

    async def one(name: str, function: Any, *args: Any) -> None:  # noqa: ANN401  # any function
        results[name] = await net[name].call(function, *args)

    async with anyio.create_task_group() as group:
        group.start_soon(one, "a", *a)
        group.start_soon(one, "b", *b)
    return results["a"], results["b"]


async def rate(gateway: str | None, capture: Path | None, seconds: float) -> dict[str, Any]:
    """Packets a second from a to b."""
    async with lab.network(sites(gateway), capture=capture) as net:
        at = time.monotonic() + LEAD
        a, b = net["a"], net["b"]
        _, arrived = await both(
            net, (flood, b.public_ipv4, at, seconds), (count, a.public_ipv4, at, seconds)
        )
    return {"figure": "rate", "gateway": gateway, "recorded": capture is not None} | {
        "packets_per_second": round(arrived),
        "seconds": 0.6 * seconds,
    }


def floor() -> float:
    """How late a bare timer wakes a real-time process, at p99, in seconds."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    over = []
    for _ in range(FLOOR_WAKES):
        due = time.monotonic() + PROBE_INTERVAL
        time.sleep(PROBE_INTERVAL)
        over.append(time.monotonic() - due)
    return percentile(over, 99)


async def late(gateway: str | None, capture: Path | None, rounds: int) -> dict[str, Any]:
    """Seconds over the declared latency: of all packets, and at p99 of each round."""
    over: list[list[float]] = []
    floors: list[float] = []
    async with lab.network(sites(gateway), capture=capture) as net:
        a, b = net["a"], net["b"]
        for _ in range(rounds):
            floors.append(await a.call(floor))
            at = time.monotonic() + LEAD
            _, took = await both(
                net, (probe, b.public_ipv4, at, PROBES), (stamp, a.public_ipv4, at, PROBES)
            )
            over.append([seconds - LATENCY for seconds in took])
    tails = [percentile(each, 99) for each in over]
    everything = [seconds for each in over for seconds in each]
    return {"figure": "late", "gateway": gateway, "recorded": capture is not None} | {
        "probes": len(everything),
        "median": median(everything),
        "p99": percentile(everything, 99),
        "round_p99": tails,
        "floor_p99": floors,
    }


async def sprayed(capture: Path) -> dict[str, Any]:
    """SYNs of a spray through two NATs that come out at the other site."""
    async with lab.network(sites("home-router"), capture=capture) as net:
        await net["a"].call(spray, net["b"].public_ipv4)
    arrived = {
        packet.destination.port
        for record in await net.records()
        if record.interface == "site-b" and record.direction is Direction.INBOUND
        if isinstance(packet := parse(record.data), Segment) and packet.flags == Flags.SYN
    }
    return {"figure": "spray", "sockets": SPRAY, "arrived": len(arrived)}


async def set_up(gateway: str | None, times: int) -> dict[str, Any]:
    """Seconds to have a network of two sites, and to be rid of it."""
    ups, downs = [], []
    for _ in range(times):
        began = time.monotonic()
        async with lab.network(sites(gateway)):
            up = time.monotonic()
            ups.append(up - began)
            leaving = time.monotonic()
        downs.append(time.monotonic() - leaving)
    return {"figure": "set-up", "gateway": gateway, "times": times} | {
        "up_median": median(ups),
        "up_max": max(ups),
        "down_median": median(downs),
    }


HEAD = ("figure", "gateways", "recorded", "measured", "over")
GATEWAYS = {None: "none", "home-router": "two NAT models", "kernel": "two kernel NATs"}


def _ms(*seconds: float) -> str:
    return " to ".join(f"{each * 1000:.2f}" for each in seconds) + " ms"


def _range(tails: list[float]) -> str:
    return _ms(min(tails), max(tails))


def table_rows(row: dict[str, Any]) -> list[list[str]]:
    """One figure as lines of the table."""
    recorded = "yes" if row.get("recorded") else ""
    where = [GATEWAYS[row.get("gateway")], recorded]
    match row["figure"]:
        case "rate":
            rate = f"{row['packets_per_second']:,}"
            return [["packets of 64 bytes a second", *where, rate, f"{row['seconds']:g} s"]]
        case "late":
            rounds = f"{len(row['round_p99'])} rounds"
            return [
                ["late, median", *where, _ms(row["median"]), f"{row['probes']:,} packets"],
                ["late, p99 of a round", *where, _range(row["round_p99"]), rounds],
                ["a bare timer, late at p99", "", "", _range(row["floor_p99"]), "between them"],
            ]
        case "spray":
            where = [GATEWAYS["home-router"], "yes"]
            return [["SYNs that arrive", *where, f"{row['arrived']:,}", f"{row['sockets']:,} sent"]]
        case _:
            figures = {"up": row["up_median"], "gone": row["down_median"]}
            times = f"{row['times']} times"
            return [
                [f"{what}, median", *where, f"{seconds:.2f} s", times]
                for what, seconds in figures.items()
            ]


async def run(*, quick: bool) -> None:
    """All figures, the table, the file."""
    seconds = QUICK_FLOOD_SECONDS if quick else FLOOD_SECONDS
    rounds = QUICK_ROUNDS if quick else ROUNDS
    times = QUICK_SET_UPS if quick else SET_UPS
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "wire.pcapng"
        figures = [
            partial(rate, None, None, seconds),
            partial(rate, None, capture, seconds),
            partial(rate, "home-router", None, seconds),
            partial(rate, "home-router", capture, seconds),
            partial(rate, "kernel", capture, seconds),
            partial(late, None, None, rounds),
            partial(late, "home-router", capture, rounds),
            partial(late, "kernel", capture, rounds),
            partial(sprayed, capture),
            *(partial(set_up, gateway, times) for gateway in GATEWAYS),
        ]
        with progress_bar() as progress:
            rows = [await figure() for figure in progress.track(figures, description="the lab")]
    print(table(HEAD, (line for row in rows for line in table_rows(row))))
    write_lines("lab.jsonl", [environment(), *rows], quick=quick)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "fewer packets and times")
    args = parser.parse_args()
    require_lab()
    anyio.run(lambda: run(quick=args.quick))


if __name__ == "__main__":
    main()
