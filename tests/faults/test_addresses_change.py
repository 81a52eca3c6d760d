"""A host gets another address in mid-call, or its router does, and the meeting takes place.

The member's process moves from one host to another, whose network it opens its next sockets in;
those it has stay behind in a host that is cut off, as they do where a cable is pulled and a radio
takes over. For a router's new address the second host is the twin of the first, behind another one.
"""

from __future__ import annotations

import pytest

from simopen import lab
from tests.faults.stage import (
    LINK,
    Outcome,
    both_outcomes,
    cut,
    listening,
    member,
    play_all,
    url_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

IDLE = 2.0  # seconds until a silent connection to the coordinator is given up
LAN, TWIN = "192.168.77.0/24", "192.168.77.7"
# Not after TLS: the peer may hold the stream by then, which cannot move.
STEPS = ("connected", "joined", "welcomed", "introduced", "syn", "open")
CASES = [f"{what}-{step}" for what in ("host", "router") for step in STEPS]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the members are processes of their own."""
    return request.param


def sites(case: str) -> list[lab.Site]:
    """The old home and the new one of a host, and that of its peer."""
    twins = case.startswith("router")
    found = []
    for which in ("old", "new", "peer"):
        name = f"{which}-{case}"
        twin = twins and which != "peer"
        host = lab.HostSpec(name, ipv4=TWIN) if twin else lab.HostSpec(name)
        lan = LAN if twin else None
        found.append(
            lab.Site(f"home-{name}", hosts=[host], gateway="home-router", link=LINK, lan=lan)
        )
    return found


def namespace_of(host: lab.Host) -> str:
    """Its network's, as a path."""
    return next(each for each in host.command([]) if each.startswith("--net=")).partition("=")[2]


async def test_another_address_at_each_step() -> None:
    """What was bound to the old one is left behind, and the next round is as any."""
    declared = [site for case in CASES for site in sites(case)]
    declared.append(lab.Site("internet", hosts=["server"]))
    limits = {"idle": IDLE, "grace": IDLE}
    async with lab.network(declared, seed=1) as net, listening(net["server"], limits=limits):

        async def play(case: str) -> tuple[Outcome, Outcome]:
            old, new, peer = (net[f"{which}-{case}"] for which in ("old", "new", "peer"))
            step, url = case.partition("-")[2], url_of(net["server"])
            async with (
                member(old, url, case, "a", at=step) as one,
                member(peer, url, case, "b", loop="trio") as two,
            ):
                await one.stopped()
                await cut(old)
                await one.go_on(net=namespace_of(new))
                return await both_outcomes(one, two)

        found = await play_all(CASES, play)
    for case, (one, two) in found.items():
        assert (one.get("met"), two.get("met")) == ("b", "a"), (case, one, two)
