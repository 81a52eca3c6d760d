"""Meetings through a coordinator with real kernels, NATs and TLS: who meets, and which way."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import combinations_with_replacement
from typing import Any

import anyio
import pytest

import simopen
from simopen import lab

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORT = 7337
TIMEOUT = 30.0  # seconds; a meeting takes tenths
LINK = lab.Link(latency=0.005)
INTERNET = lab.Site("internet", hosts=["server"])
SECRET = "between these two hosts only"  # noqa: S105 - not one of anybody's
QUICK = simopen.PunchOptions(rounds=2, round_time=0.4)  # for what cannot be

# What stands in front of a site: as a model, and as a Linux router.
KINDS: dict[str, tuple[lab.Gateway | None, lab.Gateway | None]] = {
    "open": (None, None),
    "drop": (lab.preset("home-router"), lab.preset("kernel")),
    "rst": (lab.preset("home-router-rst"), lab.preset("kernel-rst")),
    "icmp": (lab.preset("home-router-icmp"), lab.preset("kernel-icmp")),
    "firewall": (lab.Firewall(), lab.KernelFirewall()),
}
GATEWAYS = ("model", "kernel")
PAIRS = list(combinations_with_replacement(KINDS, 2))

Outcome = dict[str, Any]
Call = tuple[str, dict[str, Any]]  # the room, and the arguments of connect_peer


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the hosts are given theirs."""
    return request.param


async def coordinate(limits: dict[str, float]) -> None:
    """The server: a coordinator in both families."""
    listen = [("0.0.0.0", PORT), ("::", PORT)]
    bearing: Any = limits
    async with simopen.Coordinator(listen, limits=simopen.CoordinatorLimits(**bearing)):
        await anyio.sleep_forever()


async def meet(
    rendezvous: str, room: str, often: int, call: dict[str, Any], pauses: Sequence[float] = ()
) -> list[Outcome]:
    """A host: meet the other in one room, again and again, and exchange the number each time."""
    outcomes = []
    for number in range(often):
        await anyio.sleep(pauses[number] if pauses else 0)
        outcomes.append(await meet_once(rendezvous, room, number, call))
    return outcomes


async def meet_once(rendezvous: str, room: str, number: int, call: dict[str, Any]) -> Outcome:
    """One meeting."""
    call = {"secret": SECRET, "timeout": TIMEOUT, **call}
    words: Outcome
    began = time.monotonic()
    try:
        stream = await simopen.connect_peer(rendezvous=rendezvous, room=room, **call)
    except simopen.PeerConnectError as error:
        words = {"error": type(error).__name__, "cause": error.diagnosis.cause.value}
        meeting = error.report.meeting
    else:
        async with stream:
            with anyio.fail_after(TIMEOUT):
                await stream.send(bytes([number]))
                await stream.send_eof()
                received = b"".join([chunk async for chunk in stream])
        report = stream.report
        words = {
            "received": received.hex(),
            "path": report.path,
            "encrypted": report.encrypted,
            "seen": [str(end) for end in (report.local, report.remote)],
        }
        meeting = report.meeting
    assert meeting is not None
    told = {"rounds": meeting.rounds, "mapping": meeting.mapping, "peer": meeting.peer_mapping}
    return words | told | {"took": time.monotonic() - began}


@asynccontextmanager
async def network(sites: Sequence[lab.Site], **limits: float) -> AsyncIterator[lab.Network]:
    """A network with a coordinator on the host ``server``."""
    async with lab.network([*sites, INTERNET], seed=1) as net, anyio.create_task_group() as group:
        group.start_soon(net["server"].call, coordinate, limits)
        with anyio.fail_after(TIMEOUT):
            while not any(each.port == PORT for each in net["server"].listeners()):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        yield net
        group.cancel_scope.cancel()


async def run(net: lab.Network, calls: dict[str, Call], often: int = 1) -> dict[str, list[Outcome]]:
    """Let hosts meet; each has a room and arguments of its own."""
    found: dict[str, list[Outcome]] = {}

    async def one(name: str, room: str, call: dict[str, Any]) -> None:
        call = dict(call)
        host = call.pop("via", net["server"].ipv4)
        url = f"tcp://[{host}]:{PORT}" if ":" in host else f"tcp://{host}:{PORT}"
        loop = call.pop("loop", "asyncio")
        found[name] = await net[name].call(
            meet,
            *(url, room, often, call),
            backend="trio" if loop == "trio" else "asyncio",
            backend_options={"use_uvloop": True} if loop == "uvloop" else {},
        )

    async with anyio.create_task_group() as group:
        for name, (room, call) in calls.items():
            group.start_soon(one, name, room, call)
    return found


def pair_of_sites(
    name: str, first: lab.Gateway | None, second: lab.Gateway | None
) -> list[lab.Site]:
    """Hosts ``a-name`` and ``b-name`` behind their gateways."""
    return [
        lab.Site(f"site-{side}-{name}", hosts=[f"{side}-{name}"], gateway=gateway, link=LINK)
        for side, gateway in zip("ab", (first, second), strict=True)
    ]


@pytest.mark.parametrize("kinds", PAIRS, ids="~".join)
async def test_every_pair_of_sites_meets_again_and_again(kinds: tuple[str, str]) -> None:
    """With models and with Linux: an encrypted stream that carries both ways.

    In one round, but for one meeting at most: Linux's routers lose track of a punch now and then.
    """
    models, kernels = zip(*(KINDS[kind] for kind in kinds), strict=True)
    sites = pair_of_sites("model", *models) + pair_of_sites("kernel", *kernels)
    ipv4_only = {"local": "0.0.0.0:0"}
    async with network(sites) as net:
        calls = {f"{side}-{name}": (name, ipv4_only) for side in "ab" for name in GATEWAYS}
        found = await run(net, calls, often=3)
    again = [each["rounds"] for side in found.values() for each in side if each["rounds"] > 1]
    assert again in ([], [2, 2]), found  # both sides of a meeting say so
    for outcomes in found.values():
        assert [each.get("received") for each in outcomes] == ["00", "01", "02"], outcomes
        assert all(each["encrypted"] and each["path"] == "IPv4" for each in outcomes)
        assert len({each["seen"][0] for each in outcomes}) == 3  # a fresh port each time


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
async def test_on_every_loop_with_both_families(loop: str) -> None:
    """Through two home routers, over one of the two families, whichever is there first."""
    sites = pair_of_sites("x", lab.preset("ipv6-router"), lab.preset("home-router"))
    async with network(sites) as net:
        call: Call = ("room", {"loop": loop})
        found = await run(net, {"a-x": call, "b-x": call}, often=2)
    for outcomes in found.values():
        assert [each.get("received") for each in outcomes] == ["00", "01"]
        assert all(each["path"] in ("IPv6", "IPv4") for each in outcomes)


async def test_one_reaches_the_coordinator_over_ipv4_and_the_other_over_ipv6() -> None:
    """They meet all the same, over what they have in common."""
    sites = pair_of_sites("x", lab.preset("ipv6-router"), lab.preset("home-router"))
    async with network(sites) as net:
        over_ipv6 = {"via": net["server"].ipv6}
        found = await run(net, {"a-x": ("room", {}), "b-x": ("room", over_ipv6)})
    for (outcome,) in found.values():
        assert outcome.get("received") == "00", outcome
        assert outcome["path"] == "IPv6"


async def test_hosts_behind_one_nat_meet_inside() -> None:
    """Their public address is the same, so their own addresses come first."""
    home = lab.Site("home", hosts=["a", "b"], gateway="home-router", link=LINK)
    async with network([home]) as net:
        found = await run(net, {"a": ("room", {"local": "0.0.0.0:0"}), "b": ("room", {})})
        inside = {net["a"].ipv4, net["b"].ipv4}
    for (outcome,) in found.values():
        assert outcome["path"] == "local network"
        assert {end.rpartition(":")[0] for end in outcome["seen"]} == inside


async def test_two_homes_behind_one_carrier_meet_through_its_hairpin() -> None:
    """Neither home knows the other's addresses; the carrier sends what is for its own back in."""
    homes = [
        lab.Site(f"home-{name}", hosts=[name], gateway="home-router", link=LINK) for name in "ab"
    ]
    carrier = lab.Site("carrier", gateway="carrier-grade", sites=homes, link=LINK)
    call: Call = ("room", {"local": "0.0.0.0:0"})
    async with network([carrier]) as net:
        found = await run(net, {"a": call, "b": call})
    assert [outcome["path"] for (outcome,) in found.values()] == ["hairpin", "hairpin"]


async def test_a_nat_that_maps_by_destination_is_recognised() -> None:
    """No round helps; both sides are told whose NAT it is."""
    sites = pair_of_sites("x", lab.preset("symmetric"), lab.preset("home-router"))
    call: Call = ("room", {"local": "0.0.0.0:0", "options": QUICK})
    async with network(sites) as net:
        found = await run(net, {"a-x": call, "b-x": call})
    (a,), (b,) = found["a-x"], found["b-x"]
    assert (a["mapping"], a["peer"]) == (b["peer"], b["mapping"]) == ("varies", "stable")
    assert a["cause"] == b["cause"] == "address-dependent mapping"
    assert a["rounds"] == b["rounds"] == 2


async def test_who_is_killed_in_a_round_can_come_back() -> None:
    """The other one's round fails; in the next it meets the new process."""
    sites = pair_of_sites("x", lab.preset("home-router"), lab.preset("home-router"))
    options = simopen.PunchOptions(round_time=1.0)
    async with network(sites, grace=0.5) as net:
        found: dict[str, list[Outcome]] = {}

        async def stays() -> None:
            found.update(await run(net, {"a-x": ("room", {"options": options})}))

        async with anyio.create_task_group() as group:
            group.start_soon(stays)
            url = f"tcp://{net['server'].ipv4}:{PORT}"
            with pytest.raises(lab.CallFailed):
                await net["b-x"].call(vanish_when_introduced, url)
            found.update(await run(net, {"b-x": ("room", {"options": options})}))
    (a,), (b,) = found["a-x"], found["b-x"]
    assert a.get("received") == b.get("received") == "00", found
    assert (a["rounds"], b["rounds"]) == (2, 1)


async def vanish_when_introduced(url: str) -> None:
    """A host whose process ends in mid-round, without a word to anybody."""

    def on_event(event: simopen.Event) -> None:
        if isinstance(event, simopen.RendezvousIntroduced):
            os._exit(0)

    await simopen.connect_peer(rendezvous=url, room="room", secret=SECRET, on_event=on_event)


async def test_nobody_comes() -> None:
    """Whoever is alone, or has another secret, is told that nobody came with that room."""
    sites = pair_of_sites("x", None, None)
    async with network(sites) as net:
        calls: dict[str, Call] = {
            "a-x": ("room", {"timeout": 1.0}),
            "b-x": ("room", {"timeout": 1.0, "secret": SECRET + "!"}),
        }
        found = await run(net, calls)
    for (outcome,) in found.values():
        assert (outcome["error"], outcome["cause"]) == ("PeerNotFoundError", "nobody came")


async def test_plain_text_where_it_is_asked_for() -> None:
    """Without a secret two hosts meet as well, and what they hold says that it is bare."""
    sites = pair_of_sites("x", lab.preset("home-router"), lab.preset("home-router-rst"))
    options = simopen.PunchOptions(plaintext=True)
    call: Call = ("room", {"secret": None, "options": options, "local": "0.0.0.0:0"})
    async with network(sites) as net:
        found = await run(net, {"a-x": call, "b-x": call}, often=2)
    for outcomes in found.values():
        assert [each.get("received") for each in outcomes] == ["00", "01"]
        assert not any(each["encrypted"] for each in outcomes)


async def test_loss_costs_time_and_not_the_meeting() -> None:
    """With one packet in twenty lost each way, every stream still carries both ways."""
    lossy = lab.Link(latency=0.01, loss=0.05)
    sites = [
        lab.Site(f"site-{name}", hosts=[name], gateway="home-router", link=lossy) for name in "ab"
    ]
    call: Call = ("room", {"local": "0.0.0.0:0"})
    async with network(sites) as net:
        found = await run(net, {"a": call, "b": call}, often=10)
    for outcomes in found.values():
        assert [each.get("received") for each in outcomes] == [f"{n:02}" for n in range(10)]
