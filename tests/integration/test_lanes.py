"""Several pairs of endpoints at once, through real kernels: both sides keep the same one."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Sequence

import anyio
import pytest

import simopen
from simopen import lab

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORTS = 4
FIRST_PORT = 30_000
LEAD = 2.0  # seconds; an interpreter starts in less, on a busy machine too
TIMEOUT = 6.0  # seconds; a meeting takes tenths
LANE_DELAY = simopen.PunchOptions().lane_delay
GENEROUS = 1.0  # seconds by which the better lane is first, that a busy machine can make use of it

LINK = lab.Link(latency=0.01)

Meeting = tuple[float, int, list[str], list[str]]  # when, its number, remotes, locals


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the hosts are given theirs."""
    return request.param


async def hold(meetings: Sequence[Meeting], lane_delay: float) -> list[str]:
    """A host: punch in all meetings, and say for each which of the peer's endpoints it was."""
    options = simopen.PunchOptions(lane_delay=lane_delay)
    outcomes = [""] * len(meetings)

    async def one(at: float, number: int, remote: list[str], local: list[str]) -> None:
        await anyio.sleep(max(0.0, at - time.monotonic()))
        try:
            stream = await simopen.connect_peer(
                remote, local=local, timeout=TIMEOUT, options=options
            )
        except simopen.PeerConnectError as error:
            outcomes[number] = f"not met: {error.diagnosis.cause}"
            return
        async with stream:
            await stream.send(b"x")
            try:
                with anyio.fail_after(TIMEOUT):
                    assert await stream.receive() == b"x"
            except (anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError):
                outcomes[number] = "met, and broken"
                return
        outcomes[number] = str(stream.report.remote)

    async with anyio.create_task_group() as group:
        for meeting in meetings:
            group.start_soon(one, *meeting)
    return outcomes


async def both_hold(
    a: lab.Host,
    b: lab.Host,
    meetings: tuple[list[Meeting], list[Meeting]],
    loop: str,
    lane_delay: float = LANE_DELAY,
) -> list[tuple[str, str]]:
    """Run both hosts' sides, and pair what they say."""
    backend = "trio" if loop == "trio" else "asyncio"
    options = {"use_uvloop": True} if loop == "uvloop" else {}
    outcomes: dict[lab.Host, list[str]] = {}

    async def side(host: lab.Host, own: list[Meeting]) -> None:
        outcomes[host] = await host.call(
            hold, own, lane_delay, backend=backend, backend_options=options
        )

    async with anyio.create_task_group() as group:
        group.start_soon(side, a, meetings[0])
        group.start_soon(side, b, meetings[1])
    return list(zip(outcomes[a], outcomes[b], strict=True))


def two_sites(gateway: str | None, link: lab.Link = LINK) -> list[lab.Site]:
    """Hosts a and b, each behind a gateway of one kind."""
    return [lab.Site(f"site-{name}", hosts=[name], gateway=gateway, link=link) for name in "ab"]


def ranged(
    a: lab.Host, b: lab.Host, count: int, *, skew: float
) -> tuple[list[Meeting], list[Meeting]]:
    """Meetings on fresh ranges of ports, one side up to ``skew`` seconds after the other."""
    chances = random.Random(7)
    ours, theirs = [], []
    for number in range(count):
        first = FIRST_PORT + number * PORTS
        ports = f"{first}-{first + PORTS - 1}"
        at = time.monotonic() + LEAD + number * 0.02
        later = [chances.uniform(0, skew), 0.0]
        chances.shuffle(later)
        ours.append((at + later[0], number, [f"{b.public_ipv4}:{ports}"], [f"0.0.0.0:{ports}"]))
        theirs.append((at + later[1], number, [f"{a.public_ipv4}:{ports}"], [f"0.0.0.0:{ports}"]))
    return ours, theirs


def port(endpoint: str) -> str:
    """The port of an endpoint, or what is said instead."""
    return endpoint.rpartition(":")[2]


@pytest.mark.parametrize(
    ("gateway", "loop"),
    [
        (None, "asyncio"),
        ("home-router", "trio"),
        ("home-router-rst", "uvloop"),
        ("kernel", "asyncio"),
    ],
)
async def test_both_sides_keep_the_same_lane(gateway: str | None, loop: str) -> None:
    """Whatever the sites and starts, with a lane delay of the round trip's order and jitter."""
    link = lab.Link(latency=0.02, jitter=0.05)  # lanes overtake each other
    async with lab.network(two_sites(gateway, link), seed=3) as net:
        a, b = net["a"], net["b"]
        outcomes = await both_hold(a, b, ranged(a, b, 25, skew=0.3), loop)
    assert [(port(one), port(other)) for one, other in outcomes] == [
        (port(one), port(one)) for one, _ in outcomes
    ]
    assert all(port(one).isdigit() for one, _ in outcomes), outcomes


async def test_with_loss_the_sides_disagree_rarely() -> None:
    """A fifth of all packets lost: nearly every meeting succeeds, on one and the same lane."""
    link = lab.Link(latency=0.02, loss=0.1)
    async with lab.network(two_sites("home-router", link), seed=5) as net:
        a, b = net["a"], net["b"]
        outcomes = await both_hold(a, b, ranged(a, b, 50, skew=0.1), "asyncio")
    same = [one for one, other in outcomes if port(one) == port(other) and port(one).isdigit()]
    assert len(same) >= 47, outcomes


async def poison(at: float, remote: tuple[str, int], port: int) -> None:
    """Send a SYN from a port and close it: the peer's, half a second later, finds it closed."""
    await anyio.sleep(max(0.0, at - time.monotonic()))
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        sock.connect_ex(remote)
        await anyio.sleep(0.1)


async def spoil_and_hold(
    spoilt: tuple[float, tuple[str, int], int], meetings: Sequence[Meeting]
) -> list[str]:
    """A host: spoil a pair of ports, then hold meetings."""
    await poison(*spoilt)
    return await hold(meetings, LANE_DELAY)


async def test_a_poisoned_pair_is_left_for_the_next_lane() -> None:
    """A pair of ports that a Linux NAT holds for two minutes is lost; the next lane is not."""
    async with lab.network(two_sites("kernel"), seed=1) as net:
        a, b = net["a"], net["b"]
        began = time.monotonic() + LEAD
        outcomes: dict[str, list[str]] = {}

        async def side(host: lab.Host, peer: lab.Host, first: float) -> None:
            alone = (began + 1.5, 0, [f"{peer.public_ipv4}:30000"], ["0.0.0.0:30000"])
            lanes = (
                began + 2.0 + TIMEOUT,
                1,
                [f"{peer.public_ipv4}:30000-30001"],
                ["0.0.0.0:30000-30001"],
            )
            spoilt = began + first, (peer.public_ipv4, 30_000), 30_000
            outcomes[host.name] = await host.call(spoil_and_hold, spoilt, [alone, lanes])

        async with anyio.create_task_group() as group:
            group.start_soon(side, a, b, 0.0)
            group.start_soon(side, b, a, 0.5)
    for alone, lanes in outcomes.values():
        assert alone.startswith("not met"), outcomes
        assert port(lanes) == "30001", outcomes


def racing(
    a: lab.Host, b: lab.Host, remotes: dict[str, list[str]], count: int
) -> tuple[list[Meeting], list[Meeting]]:
    """Meetings over several addresses of the peer, each host with a list of its own."""
    sides: dict[str, list[Meeting]] = {a.name: [], b.name: []}
    for number in range(count):
        # Different ports: behind one NAT each would take the other's, and meet itself there.
        ports = {a.name: FIRST_PORT + number, b.name: FIRST_PORT + 1000 + number}
        at = time.monotonic() + LEAD + number * 0.02
        for host, peer, late in ((a, b, number % 3 * 0.1), (b, a, 0.0)):
            remote = [f"{address}:{ports[peer.name]}" for address in remotes[host.name]]
            local = [f"0.0.0.0:{ports[host.name]}", f"[::]:{ports[host.name]}"]
            sides[host.name].append((at + late, number, remote, local))
    return sides[a.name], sides[b.name]


async def test_candidates_at_two_sites() -> None:
    """A private address that leads nowhere costs a moment; of the rest IPv6 goes first."""
    async with lab.network(two_sites("home-router"), seed=1) as net:
        a, b = net["a"], net["b"]
        remotes = {
            "a": [b.public_ipv4, f"[{b.ipv6}]", "10.9.9.9"],
            "b": ["10.9.9.9", f"[{a.ipv6}]", a.public_ipv4],  # in another order
        }
        outcomes = await both_hold(a, b, racing(a, b, remotes, 10), "asyncio", GENEROUS)
    for one, other in outcomes:
        assert b.ipv6 in one, outcomes
        assert a.ipv6 in other, outcomes


async def test_candidates_within_one_site() -> None:
    """Two hosts behind one NAT meet inside, though the way around (a hairpin) works too."""
    gateway = lab.Nat(hairpinning=lab.Hairpinning.EXTERNAL_SOURCE)
    site = lab.Site("site", hosts=["a", "b"], gateway=gateway, link=LINK)
    async with lab.network([site], seed=1) as net:
        a, b = net["a"], net["b"]
        remotes = {"a": [b.public_ipv4, b.ipv4], "b": [a.public_ipv4, a.ipv4]}
        outcomes = await both_hold(a, b, racing(a, b, remotes, 10), "asyncio", GENEROUS)
    for one, other in outcomes:
        assert one.startswith(f"{b.ipv4}:"), outcomes
        assert other.startswith(f"{a.ipv4}:"), outcomes
