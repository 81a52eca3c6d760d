"""Who takes part, and where: the contenders, the pairs of sites, the third host's ports.

This is read by adapters in the rivals' environments, too, and imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

OBSERVER, COORDINATOR, TSTUN = 3478, 7337, 3477  # ports of the third host


@dataclass(frozen=True)
class Contender:
    """One line of the tables.

    Attributes:
        name: What it is called.
        adapter: Its file in `adapters`.
        package: What is installed for it, with its version; "": it runs in our own environment.
        finds: How the sides know of each other, "endpoints" or "server": see the package's header.
    """

    name: str
    adapter: str
    package: str
    finds: str


CONTENDERS = (
    Contender("naive loop", "naive", "", "endpoints"),
    Contender("simopen, endpoints", "simopen_direct", "", "endpoints"),
    Contender("warpgate", "warpgate", "warpgate==4.0.14", "endpoints"),
    Contender("py-libp2p", "libp2p", "libp2p==0.8.1", "endpoints"),
    Contender("aioice (UDP)", "aioice", "aiortc==1.16.0", "endpoints"),
    Contender("aiortc (UDP)", "aiortc", "aiortc==1.16.0", "endpoints"),
    Contender("simopen, coordinator", "simopen_rendezvous", "", "server"),
    Contender("punchhole", "punchhole", "punchhole==0.0.2", "server"),
)

# What stands in front of a site is `sites`' to say.
PAIRS = (
    ("drop", "drop"),
    ("rst", "rst"),
    ("rst", "far-rst"),
    ("open", "open"),
    ("blocked", "drop"),
    ("remapped", "remapped"),
    ("symmetric", "open"),
    ("symmetric", "drop"),
)
