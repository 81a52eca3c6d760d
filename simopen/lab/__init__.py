"""A small internet on one machine: real kernel TCP stacks in namespaces, with every kind of NAT.

    from simopen import lab

    home = lab.Site("home", hosts=["alice"], gateway="home-router", link=lab.Link(latency=0.01))
    server = lab.Site("server", hosts=["bob"])

    async with lab.network([home, server], capture="wire.pcapng") as net:
        await net["bob"].popen(["python3", "-m", "http.server", "80"])
        await net["alice"].run(["curl", f"http://{net['bob'].ipv4}/"])

Linux only; needs root or open user namespaces, `/dev/net/tun`, nsenter, and `simopen[lab]`; a
kernel's NAT needs nft. Nothing of the machine's own network is touched and no packet leaves it.
Under asyncio, trio, and without an event loop.

How it is cut. A network is declared (`topology`, `nat`, `presets`), planned (`_planning`: every
address decided), and held by one process, the `supervisor`, which builds hosts and kernel routers,
carries their packets over the `wire` (links, NAT models; pure) and writes them down. `_network`
and `_host` are the front of it, `capture` reads what was written and draws it.
"""

from simopen.lab._available import why_unavailable
from simopen.lab._errors import CallFailed, LabBroken, LabUnavailable, TopologyError
from simopen.lab._host import Host
from simopen.lab._network import Network, Opening, TwoHosts, network, two_hosts
from simopen.lab._protocol import Traffic
from simopen.lab._sockets import Listener
from simopen.lab._topologies import built_in, load
from simopen.lab.nat import (
    Filtering,
    Firewall,
    Gateway,
    Hairpinning,
    KernelAnswer,
    KernelFirewall,
    KernelNat,
    Mapping,
    Masquerade,
    Nat,
    PortAllocation,
    Unsolicited,
)
from simopen.lab.presets import PRESETS, Preset, preset
from simopen.lab.topology import HostSpec, Link, Site, Topology

__all__ = [
    "PRESETS",
    "CallFailed",
    "Filtering",
    "Firewall",
    "Gateway",
    "Hairpinning",
    "Host",
    "HostSpec",
    "KernelAnswer",
    "KernelFirewall",
    "KernelNat",
    "LabBroken",
    "LabUnavailable",
    "Link",
    "Listener",
    "Mapping",
    "Masquerade",
    "Nat",
    "Network",
    "Opening",
    "PortAllocation",
    "Preset",
    "Site",
    "Topology",
    "TopologyError",
    "Traffic",
    "TwoHosts",
    "Unsolicited",
    "built_in",
    "load",
    "network",
    "preset",
    "two_hosts",
    "why_unavailable",
]
