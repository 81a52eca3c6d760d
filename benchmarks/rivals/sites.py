"""The network of a pair of sites: what their names in the catalogue stand for.

40 ms from host to host and 20 ms from each to the third host, no jitter; a site that is *far* is
60 ms further from both, and one that is *lossy* loses a packet in twenty, each way. Gateways are
the lab's models: the same for all.
"""

from __future__ import annotations

from simopen import lab

DELAY = 0.010  # seconds one way from a site to the middle
FURTHER = 0.030  # seconds more, one way
LOSS = 0.05  # of the packets, each way
RTT = 4 * DELAY  # from host to host, at least

GATEWAYS: dict[str, lab.Gateway | None] = {
    "open": None,
    "drop": lab.preset("home-router"),
    "rst": lab.preset("home-router-rst"),
    "far-rst": lab.preset("home-router-rst"),
    "lossy-drop": lab.preset("home-router"),
    "blocked": lab.preset("crossing-blocked"),
    "remapped": lab.Nat(ports=lab.PortAllocation.RANDOM),
    "symmetric": lab.preset("symmetric"),
}


def link(kind: str) -> lab.Link:
    """From a site of this kind to the middle, each way."""
    return lab.Link(
        latency=DELAY + (FURTHER if kind.startswith("far-") else 0.0),
        loss=LOSS if kind.startswith("lossy-") else 0.0,
    )


def network(pair: tuple[str, str]) -> list[lab.Site]:
    """Hosts `a` and `b` at their sites, and `c` in public."""
    members = [
        lab.Site(f"site-{name}", hosts=[name], gateway=GATEWAYS[kind], link=link(kind))
        for name, kind in zip("ab", pair, strict=True)
    ]
    return [*members, lab.Site("public", hosts=["c"])]
