"""Gateways by name: kinds that have a name of their own, and products.

A preset is a value of `simopen.lab.nat` and a sentence on what behaves so. Where that sentence says
"assumed", nobody is known to have measured it. What a preset does not say is `nat`'s default: for a
`Nat` endpoint-independent mapping, address-and-port-dependent filtering, preserved ports, silence.

Sources: RFC 3489 (the cones), 4787 and 5382 (the axes), 6092, 6888, 7857; Ford et al.,
"Peer-to-Peer Communication Across Network Address Translators" (2005); Wang et al., "An Untold
Story of Middleboxes in Cellular Networks" (2011); Richter et al., "A Multi-perspective Analysis of
Carrier-Grade NAT Deployment" (2016); the Linux kernel's nf_conntrack-sysctl.rst; pf.conf(5).
"Measured" means by this lab, on Linux 6.18.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping as MappingView
from dataclasses import dataclass
from types import MappingProxyType

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

LINUX_ICMP_INTERVAL_S = 1.0
"""Linux's icmp_ratelimit, over IPv4 (Documentation/networking/ip-sysctl.rst); measured."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A gateway worth a name.

    Attributes:
        gateway: What stands between site and outside; None: nothing.
        resembles: What behaves so, in a sentence.
    """

    gateway: Gateway | None
    resembles: str


_BY_NAME = {
    # No gateway at all.
    "open": Preset(
        None,
        "No gateway: hosts with public addresses, such as rented servers.",
    ),
    # The four kinds of RFC 3489, still the words most people use, and what lies between them.
    "full-cone": Preset(
        Nat(filtering=Filtering.ENDPOINT_INDEPENDENT),
        "RFC 3489's full cone: whoever learns the external port may send to it.",
    ),
    "restricted-cone": Preset(
        Nat(filtering=Filtering.ADDRESS_DEPENDENT),
        "RFC 3489's restricted cone: an address that was sent to may answer from any port.",
    ),
    "port-restricted-cone": Preset(
        Nat(filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT),
        "RFC 3489's port restricted cone: only what was sent to may answer; as home-router.",
    ),
    "symmetric": Preset(
        Nat(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=PortAllocation.RANDOM),
        "RFC 3489's symmetric NAT with ports that cannot be guessed; found in about 40 % of "
        "cellular networks with a carrier's NAT, under 2 % of home routers (Richter et al. 2016).",
    ),
    "symmetric-sequential": Preset(
        Nat(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=PortAllocation.SEQUENTIAL),
        "A symmetric NAT whose next port is the last one plus one, which port prediction hopes "
        "for; its share among symmetric NATs is not known.",
    ),
    "address-dependent": Preset(
        Nat(
            mapping=Mapping.ADDRESS_DEPENDENT,
            filtering=Filtering.ADDRESS_DEPENDENT,
            ports=PortAllocation.RANDOM,
        ),
        "The class between cone and symmetric in RFC 4787; that products have it is assumed.",
    ),
    "port-overloading": Preset(
        Nat(ports=PortAllocation.PRESERVING_WITH_COLLISION),
        "A NAT that keeps the internal port even where another host has it, which RFC 4787 (REQ-3) "
        "and RFC 5382 (REQ-7) forbid.",
    ),
    # Homes. That most are silent, and which of the answers is how frequent, is assumed.
    "home-router": Preset(
        Nat(),
        "The most common router at home: one external port for all destinations, preserved where "
        "free, strict filter; that it is silent is assumed.",
    ),
    "home-router-rst": Preset(
        Nat(unsolicited=Unsolicited.RST),
        "A home router that answers unsolicited SYNs with RST; one of the two things that made "
        "TCP fail through 36 % of the NATs of Ford et al. (2005).",
    ),
    "home-router-icmp": Preset(
        Nat(unsolicited=Unsolicited.ICMP, icmp_interval=LINUX_ICMP_INTERVAL_S),
        "A home router that answers unsolicited SYNs with an ICMP error at once, six and then one "
        "a second, as a Linux router does whose filter says `reject`; measured.",
    ),
    "crossing-blocked": Preset(
        Nat(crossing_syn=False),
        "A home router that takes every SYN from outside for a new connection and so breaks RFC "
        "5382's REQ-2a; how many do is not known.",
    ),
    # What the RFCs want.
    "rfc5382": Preset(
        Nat(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            unsolicited=Unsolicited.ICMP_AFTER_6_S,
            rst_ends_session=False,
            hairpinning=Hairpinning.EXTERNAL_SOURCE,
        ),
        "A NAT as RFC 5382 and 7857 want it: transparent, hairpinning, an ICMP error after six "
        "seconds, sessions that survive an RST.",
    ),
    "carrier-grade": Preset(
        Nat(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            ports=PortAllocation.RANDOM,
            rst_ends_session=False,
            hairpinning=Hairpinning.EXTERNAL_SOURCE,
            ports_per_subscriber=512,
        ),
        "A carrier's NAT by RFC 6888: transparent, hairpinning, a limit on ports for each "
        "subscriber; the limit of 512, random ports and silence are assumed.",
    ),
    "cellular": Preset(
        Nat(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAllocation.RANDOM,
            established_timeout=900.0,
            transitory_timeout=30.0,
            udp_timeout=60.0,
            ports_per_subscriber=256,
        ),
        "A mobile carrier that gives every connection a random port, as 19 of the 72 of Wang et "
        "al. (2011) did; the short timeouts and the limit of 256 ports are assumed.",
    ),
    # Linux as it behaved when measured; idle times are nf_conntrack's defaults: SYN_SENT, and
    # established. A UDP session is a "stream" once answered, and until then has only 30 s there.
    "linux-masquerade": Preset(
        Nat(
            ports=PortAllocation.PRESERVING_WITH_COLLISION,
            established_timeout=432_000.0,
            transitory_timeout=120.0,
            udp_timeout=120.0,
        ),
        "The masquerade of nftables and iptables, measured; but where two hosts use one port "
        "towards one remote endpoint, Linux gives the newer a random port, and this model the "
        "older one's place.",
    ),
    "linux-masquerade-random": Preset(
        Nat(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAllocation.RANDOM,
            established_timeout=432_000.0,
            transitory_timeout=120.0,
            udp_timeout=120.0,
        ),
        "The same with `random` or `fully-random`, measured: a new random port for every "
        "connection.",
    ),
    # pf's defaults: tcp.established, tcp.closed (after an RST), udp.multiple.
    "pf": Preset(
        Nat(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAllocation.RANDOM,
            rst_ends_session=False,
            established_timeout=86_400.0,
            transitory_timeout=90.0,
            udp_timeout=60.0,
            first_port=50_001,
        ),
        "pf of OpenBSD and FreeBSD, and so pfSense, by its documentation, without `static-port`: "
        "every connection has a random port from 50001 up, blocked packets are dropped.",
    ),
    # Firewalls: no translation.
    "firewall": Preset(
        Firewall(),
        "A stateful firewall in front of public addresses that lets in answers only.",
    ),
    "firewall-rst": Preset(
        Firewall(unsolicited=Unsolicited.RST),
        "A firewall whose rule for the rest is to reject with a TCP reset.",
    ),
    "firewall-icmp": Preset(
        Firewall(unsolicited=Unsolicited.ICMP, icmp_interval=LINUX_ICMP_INTERVAL_S),
        "A firewall whose rule for the rest is to reject with an ICMP error, at Linux's pace.",
    ),
    "ipv6-router": Preset(
        Firewall(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            unsolicited=Unsolicited.ICMP_AFTER_6_S,
        ),
        "A home router for IPv6 with the simple security of RFC 6092: transparent by default, an "
        "ICMPv6 error after six seconds.",
    ),
    # Played by this machine's own kernel.
    "kernel": Preset(
        KernelNat(),
        "Linux itself: nftables' masquerade and a filter that drops.",
    ),
    "kernel-random": Preset(
        KernelNat(ports=Masquerade.RANDOM),
        "Linux itself: masquerade with `random`.",
    ),
    "kernel-fully-random": Preset(
        KernelNat(ports=Masquerade.FULLY_RANDOM),
        "Linux itself: masquerade with `fully-random`.",
    ),
    "kernel-rst": Preset(
        KernelNat(unsolicited=KernelAnswer.TCP_RESET),
        "Linux itself: masquerade and a filter that rejects with a TCP reset.",
    ),
    "kernel-icmp": Preset(
        KernelNat(unsolicited=KernelAnswer.ICMP),
        "Linux itself: masquerade and a filter that rejects with an ICMP error.",
    ),
    "kernel-no-filter": Preset(
        KernelNat(unsolicited=KernelAnswer.NO_FILTER),
        "Linux itself: masquerade and no filter, so that the router's own TCP answers with RST.",
    ),
    "kernel-firewall": Preset(
        KernelFirewall(),
        "Linux itself: connection tracking without translation and a filter that drops.",
    ),
}

PRESETS: MappingView[str, Preset] = MappingProxyType(_BY_NAME)
"""All presets by name, related ones side by side."""


def preset(name: str) -> Gateway | None:
    """Return the gateway of a preset; None where there is none.

    Args:
        name: One of `PRESETS`.

    Raises:
        ValueError: No preset has this name; the error lists those there are.
    """
    if name in PRESETS:
        return PRESETS[name].gateway
    similar = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"; did you mean {similar[0]!r}?" if similar else "."
    raise ValueError(f"no preset is called {name!r}{hint} There are: {', '.join(PRESETS)}")
