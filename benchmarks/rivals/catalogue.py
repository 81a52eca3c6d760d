"""Who takes part, and where: the contenders, the pairs of sites, the third host's ports.

This is read by adapters in the rivals' environments, too, and imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

OBSERVER, COORDINATOR, TSTUN, RELAY = 3478, 7337, 3477, 4001  # ports of the third host


@dataclass(frozen=True)
class Contender:
    """One line of the tables.

    Attributes:
        name: What it is called.
        adapter: Its file in `adapters`.
        package: What is installed for it, with its version; "": it runs in our own environment.
        server: What runs for it on the third host, a module and its arguments; "": nothing, the
            sides are given each other's endpoints.
        port: Where that listens.
    """

    name: str
    adapter: str
    package: str
    server: str = ""
    port: int = 0


CONTENDERS = (
    Contender("naive loop", "naive", ""),
    Contender("simopen, endpoints", "simopen_direct", ""),
    Contender("warpgate", "warpgate", "warpgate==4.0.14"),
    Contender("py-libp2p", "libp2p", "libp2p==0.8.1"),
    Contender("aioice (UDP)", "aioice", "aiortc==1.16.0"),
    Contender("aiortc (UDP)", "aiortc", "aiortc==1.16.0"),
    Contender(
        "simopen, coordinator",
        "simopen_rendezvous",
        "",
        "benchmarks.rendezvous --coordinator",
        COORDINATOR,
    ),
    Contender("punchhole", "punchhole", "punchhole==0.0.2", "punchhole.tstun", TSTUN),
    Contender(
        "py-libp2p, relay",
        "libp2p_relay",
        "libp2p==0.8.1",
        "benchmarks.rivals.adapters.libp2p_relay --relay",
        RELAY,
    ),
)

# What stands in front of a site is `sites`' to say.
PAIRS = (
    ("drop", "drop"),
    ("rst", "rst"),
    ("rst", "far-rst"),
    ("open", "open"),
    ("lossy-drop", "drop"),
    ("blocked", "drop"),
    ("remapped", "remapped"),
    ("symmetric", "open"),
    ("symmetric", "drop"),
)
