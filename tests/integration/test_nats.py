"""The punch through NATs, played by models and by Linux: the same scenarios, the same outcomes.

Each network holds a pair of sites twice, with models and with the kernel's routers. As a
coordinator would, a public server first sees from which endpoint each host comes, then tells both
the other's and a moment to begin at.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import combinations_with_replacement
from pathlib import Path

import anyio
import pytest

import simopen
from simopen import lab
from simopen.capture import ladder

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

MEETING_PORT = 7
FIRST_PORT = 40_000
LEAD = 0.1  # seconds from the server's answer to the first start
SKEWS = (0.0, 0.03, 0.4)  # seconds by which b starts later; the round trip is 0.02
TIMEOUT = 5.0  # seconds; a meeting takes hundredths
PATIENCE = 20.0  # seconds for a byte, where a peer that is gone need not say so: there is no proof
LINK = lab.Link(latency=0.005)
MET = "met"
# A reset was under way when the stream was handed over, which without a secret nobody can know; it
# takes a busy machine.
BROKEN = "broken"

# What stands in front of a site, as a model and as a Linux router.
LINUX = lab.Nat(ports=lab.PortAllocation.PRESERVING_WITH_COLLISION)
KINDS: dict[str, tuple[lab.Gateway | None, lab.Gateway | None]] = {
    "open": (None, None),
    "drop": (LINUX, lab.KernelNat()),
    "rst": (
        lab.Nat(unsolicited=lab.Unsolicited.RST),
        lab.KernelNat(unsolicited=lab.KernelAnswer.TCP_RESET),
    ),
    "icmp": (
        lab.Nat(unsolicited=lab.Unsolicited.ICMP, icmp_interval=1.0),
        lab.KernelNat(unsolicited=lab.KernelAnswer.ICMP),
    ),
    "firewall": (lab.Firewall(), lab.KernelFirewall()),
}
SYMMETRIC = (
    lab.preset("symmetric"),
    lab.KernelNat(ports=lab.Masquerade.FULLY_RANDOM),
)
PAIRS = list(combinations_with_replacement(KINDS, 2))


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the peers have tests of their own on all."""
    return request.param


async def introduce() -> None:
    """The server: tells the two who name the same meeting of each other."""
    waiting: dict[str, tuple[asyncio.StreamWriter, tuple[str, int]]] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meeting = (await reader.readline()).decode()
        mine: tuple[str, int] = writer.get_extra_info("peername")[:2]
        if meeting not in waiting:
            waiting[meeting] = writer, mine
            return
        other, theirs = waiting.pop(meeting)
        at = time.monotonic() + LEAD
        for to, endpoint in ((writer, theirs), (other, mine)):
            to.write(json.dumps([*endpoint, at]).encode() + b"\n")

    server = await asyncio.start_server(serve, "", MEETING_PORT, backlog=100)
    await server.serve_forever()


async def punch(server: str, meeting: str, skews: Sequence[float], timeout: float) -> list[str]:
    """A host: goes to each meeting, punches, and says what came of it."""
    outcomes = []
    for number, skew in enumerate(skews):
        port = FIRST_PORT + number
        with socket.socket() as known:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            known.bind(("", port))
            await anyio.to_thread.run_sync(lambda: reach(known, server))
            known.send(f"{meeting} {number}\n".encode())
            address, peer_port, at = json.loads(await anyio.to_thread.run_sync(known.recv, 999))
            await anyio.sleep(at + skew - time.monotonic())
            remote, local = f"{address}:{peer_port}", f"0.0.0.0:{port}"
            outcomes.append(await meet(remote, local, timeout))
    return outcomes


def reach(sock: socket.socket, server: str) -> None:
    """Connect as soon as the server is up."""
    while (sock.connect_ex((server, MEETING_PORT))) != 0:
        time.sleep(0.02)


async def meet(remote: str, local: str, timeout: float) -> str:
    """Punch and exchange a byte; what came of it."""
    try:
        stream = await simopen.connect_peer(remote, local=local, timeout=timeout)
        with anyio.fail_after(PATIENCE):
            async with stream:
                await stream.send(b"x")
                return MET if await stream.receive() == b"x" else "wrong bytes"
    except simopen.PeerConnectError as error:
        return str(error.diagnosis.cause)
    except (anyio.BrokenResourceError, TimeoutError):
        return BROKEN


async def direct(remote: str, local: str) -> str:
    """A host that needs no server."""
    return await meet(remote, local, TIMEOUT)


Pair = tuple[lab.Gateway | None, lab.Gateway | None]


@asynccontextmanager
async def networks(pairs: dict[str, Pair]) -> AsyncIterator[lab.Network]:
    """A network with a server and, for each pair, the hosts ``a-name`` and ``b-name``."""
    sites = [
        lab.Site(f"site-{side}-{name}", hosts=[f"{side}-{name}"], gateway=gateway, link=LINK)
        for name, pair in pairs.items()
        for side, gateway in zip("ab", pair, strict=True)
    ]
    async with lab.network([*sites, lab.Site("internet", hosts=["server"])], seed=1) as net:
        yield net


async def outcomes(
    pairs: dict[str, Pair], skews: Sequence[float] = SKEWS, timeout: float = TIMEOUT
) -> dict[str, list[str]]:
    """What came of the scenarios at each host."""
    found: dict[str, list[str]] = {}

    async def one(net: lab.Network, host: str, own_skews: Sequence[float]) -> None:
        meeting = host[2:]
        server = net["server"].ipv4
        found[host] = await net[host].call(punch, server, meeting, own_skews, timeout)

    async with networks(pairs) as net, anyio.create_task_group() as servers:
        servers.start_soon(net["server"].call, introduce)
        async with anyio.create_task_group() as group:
            for name in pairs:
                group.start_soon(one, net, f"a-{name}", [0.0] * len(skews))
                group.start_soon(one, net, f"b-{name}", skews)
        servers.cancel_scope.cancel()
    return found


@pytest.mark.parametrize("kinds", PAIRS, ids="~".join)
async def test_model_and_kernel_agree(kinds: tuple[str, str]) -> None:
    """Through every pair of sites two hosts meet, with models as with Linux, at every skew."""
    models, kernels = zip(*(KINDS[kind] for kind in kinds), strict=True)
    found = await outcomes({"model": models, "kernel": kernels})
    assert set(found) == {"a-model", "b-model", "a-kernel", "b-kernel"}
    met = Counter(each for several in found.values() for each in several)
    assert met[MET] + met[BROKEN] == 12, found
    assert met[BROKEN] <= 1, found


@pytest.mark.parametrize("other", ["drop", "rst", "icmp"])
async def test_model_and_kernel_agree_on_what_cannot_be(other: str) -> None:
    """A NAT that gives each destination another port is not met where it was seen, by either."""
    models, kernels = zip(SYMMETRIC, KINDS[other], strict=True)
    found = await outcomes({"model": models, "kernel": kernels}, skews=[0.0], timeout=1.5)
    assert MET not in {outcome for each in found.values() for outcome in each}
    assert found["a-model"] == found["a-kernel"]
    assert found["b-model"] == found["b-kernel"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("carrier-grade", "home-router"),
        ("rfc5382", "rfc5382"),
        ("full-cone", "restricted-cone"),
        ("crossing-blocked", "home-router"),
        ("port-overloading", "home-router-rst"),
        ("pf", "pf"),
    ],
)
async def test_presets(first: str, second: str) -> None:
    """Presets that no kernel here plays: those that keep a mapping are met, others are not."""
    pair = lab.preset(first), lab.preset(second)
    keeps = "pf" not in (first, second)
    found = await outcomes({"pair": pair}, timeout=TIMEOUT if keeps else 1.5)
    for outcome in found.values():
        assert (outcome == [MET] * 3) if keeps else (MET not in outcome)


async def test_double_nat() -> None:
    """Two homes behind one carrier meet by their outermost endpoints, through its hairpin."""
    homes = [
        lab.Site(f"home-{side}", hosts=[f"{side}-pair"], gateway="home-router", link=LINK)
        for side in "ab"
    ]
    carrier = lab.Site("carrier", gateway="carrier-grade", sites=homes, link=LINK)
    found: list[list[str]] = []

    async def one(net: lab.Network, host: str) -> None:
        server = net["server"].ipv4
        found.append(await net[host].call(punch, server, "pair", [0.0], TIMEOUT))

    internet = lab.Site("internet", hosts=["server"])
    async with lab.network([carrier, internet]) as net, anyio.create_task_group() as servers:
        assert net["a-pair"].public_ipv4 == net["b-pair"].public_ipv4
        servers.start_soon(net["server"].call, introduce)
        async with anyio.create_task_group() as group:
            group.start_soon(one, net, "a-pair")
            group.start_soon(one, net, "b-pair")
        servers.cancel_scope.cancel()
    assert found == [[MET], [MET]]


@pytest.mark.parametrize(
    "pair",
    [
        (lab.preset("ipv6-router"), lab.preset("home-router")),
        (lab.KernelFirewall(), lab.KernelNat()),
        (lab.preset("firewall-rst"), lab.KernelFirewall(unsolicited=lab.KernelAnswer.ICMP)),
    ],
    ids=["models", "kernels", "mixed"],
)
async def test_ipv6_through_firewalls(pair: Pair) -> None:
    """Over IPv6 nothing is translated: hosts meet by their own addresses, filters or not."""
    found = []

    async def one(net: lab.Network, own: str, other: str) -> None:
        ends = f"[{net[other].ipv6}]:{FIRST_PORT}", f"[{net[own].ipv6}]:{FIRST_PORT}"
        found.append(await net[own].call(direct, *ends))

    async with networks({"pair": pair}) as net, anyio.create_task_group() as group:
        group.start_soon(one, net, "a-pair", "b-pair")
        group.start_soon(one, net, "b-pair", "a-pair")
    assert found == [MET, MET]


async def test_a_connection_through_nats_is_one_conversation(tmp_path: Path) -> None:
    """In a capture the endpoints change at each NAT; the picture is of the two hosts."""
    sites = [
        lab.Site(f"site-{side}", hosts=[side], gateway="home-router", link=LINK) for side in "ab"
    ]
    network = lab.network(sites, capture=tmp_path / "x.pcapng")
    async with network as net, anyio.create_task_group() as group:
        for own, other in ("ab", "ba"):
            remote = f"{net[other].public_ipv4}:{FIRST_PORT}"
            group.start_soon(net[own].call, direct, remote, f"0.0.0.0:{FIRST_PORT}")
    records = await net.records()
    (conversation,) = ladder.conversations(records)
    steps = ladder.steps(records, conversation)
    assert {step.sender for step in steps if step.flags == "SYN"} == {"a", "b"}
    assert any(step.flags == "SYN-ACK" and step.arrived_at for step in steps)
