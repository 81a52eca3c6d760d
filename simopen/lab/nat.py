"""What stands between a site and the outside: NATs and firewalls, declared axis by axis.

The axes are independent of each other and named as in RFC 4787 (UDP) and RFC 5382 (TCP); one object
holds for TCP, UDP and ICMP echo alike. `Nat` and `Firewall` are played by a model in user space,
which can be anything that was ever sold; `KernelNat` and `KernelFirewall` are played by Linux
itself, in a namespace of its own, to keep the models honest. `simopen.lab.presets` has products.

IPv6 is never translated: behind a `Nat` it meets the same filter without the translation, as in a
home router of RFC 6092.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TypeAlias

import msgspec

ESTABLISHED_TIMEOUT_S = 7440.0
"""Least idle time of an established TCP session: 2 h 4 min (RFC 5382 §5, REQ-5)."""

TRANSITORY_TIMEOUT_S = 240.0
"""Least idle time of a half-open or closing TCP session: 4 min (RFC 5382 §5, REQ-5)."""

UDP_TIMEOUT_S = 300.0
"""Recommended idle time of a UDP mapping: 5 min (RFC 4787 §4.3, REQ-5c)."""

UNSOLICITED_SYN_PATIENCE_S = 6.0
"""Silence a NAT owes an unsolicited SYN before an ICMP error (RFC 5382 §4.3, REQ-4)."""

LAST_PORT = 65_535
"""The highest port there is: 16 bits (RFC 9293 §3.1)."""


class Mapping(StrEnum):
    """When two destinations see the same external port (RFC 4787 §4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(StrEnum):
    """Who may send to an external port that is in use (RFC 4787 §5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAllocation(StrEnum):
    """Which external port a new mapping is given (RFC 4787 §4.2).

    `PRESERVING` takes the internal port and, where another host has it, a random free one.
    `PRESERVING_WITH_COLLISION` takes it even then ("port overloading"): the remote endpoint tells
    the hosts apart, and where that is the same too, the newer session takes the older one's place.
    """

    PRESERVING = "preserving"
    PRESERVING_WITH_COLLISION = "preserving-with-collision"
    SEQUENTIAL = "sequential"
    RANDOM = "random"


class Unsolicited(StrEnum):
    """What answers a SYN from outside that nothing inside has asked for (RFC 5382 §4.3).

    `ICMP` is "port unreachable" (IPv6: "administratively prohibited"). `ICMP_AFTER_6_S` is RFC
    5382's own: six seconds of silence, then the error, unless meanwhile a SYN went the other way.
    """

    SILENCE = "silence"
    RST = "rst"
    ICMP = "icmp"
    ICMP_AFTER_6_S = "icmp-after-6s"


class Hairpinning(StrEnum):
    """What becomes of a packet from inside to a mapped external endpoint (RFC 4787 §6).

    It is dropped, or comes back in with its internal source, or, as it should, with the external.
    """

    NONE = "none"
    INTERNAL_SOURCE = "internal-source"
    EXTERNAL_SOURCE = "external-source"


class _Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Idle times after which a session is forgotten, and the pace of errors, in seconds."""

    established_timeout: float = ESTABLISHED_TIMEOUT_S
    transitory_timeout: float = TRANSITORY_TIMEOUT_S
    udp_timeout: float = UDP_TIMEOUT_S
    icmp_interval: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        for name in _Timing.__struct_fields__:
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"{name} is a number of seconds above 0, not {seconds!r}")


class Firewall(_Timing, frozen=True, kw_only=True, tag="firewall", tag_field="kind"):
    """A stateful firewall that translates nothing, IPv4 and IPv6.

    Attributes:
        filtering: Who may answer what went out.
        unsolicited: What answers a SYN that was not asked for.
        crossing_syn: Whether a SYN passes that comes in where a SYN went out (RFC 5382 §4.2,
            REQ-2a, wants it to). Where not, it is dropped.
        rst_ends_session: Whether a passing RST ends its session at once; RFC 7857 §2.2 would
            have it live on for the transitory timeout.
        icmp_interval: Seconds from one ICMP error to the next towards the same address, after a
            burst of six; Linux has 1 (icmp_ratelimit). None: an error for every SYN.
        established_timeout: Idle time in seconds of an established TCP session.
        transitory_timeout: Idle time in seconds of a half-open or closing one.
        udp_timeout: Idle time in seconds of a UDP or ICMP echo session.
    """

    filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    unsolicited: Unsolicited = Unsolicited.SILENCE
    crossing_syn: bool = True
    rst_ends_session: bool = True


class Nat(_Timing, frozen=True, kw_only=True, tag="nat", tag_field="kind"):
    """A NAT for IPv4 that is a stateful firewall for IPv6.

    Attributes:
        mapping: When two destinations see the same external port.
        filtering: Who may send to an external port in use.
        ports: Which external port a new mapping is given.
        unsolicited: What answers a SYN that was not asked for.
        crossing_syn: Whether a SYN passes that comes in where a SYN went out (RFC 5382 §4.2,
            REQ-2a, wants it to). Where not, it is dropped.
        rst_ends_session: Whether a passing RST ends its session at once; RFC 7857 §2.2 would
            have it live on for the transitory timeout.
        hairpinning: Whether two hosts inside reach each other by their external endpoints.
        icmp_interval: Seconds from one ICMP error to the next towards the same address, after a
            burst of six; Linux has 1 (icmp_ratelimit). None: an error for every SYN.
        established_timeout: Idle time in seconds of an established TCP session.
        transitory_timeout: Idle time in seconds of a half-open or closing one.
        udp_timeout: Idle time in seconds of a UDP or ICMP echo session.
        ports_per_subscriber: How many external ports one inside address may hold, for each of
            TCP, UDP and ICMP; a packet that would need one more is answered with ICMP "host
            unreachable" (RFC 6888 §4, REQ-11). None: as many as there are.
        first_port: The lowest external port given out where the internal one is not preserved.
    """

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    ports: PortAllocation = PortAllocation.PRESERVING
    unsolicited: Unsolicited = Unsolicited.SILENCE
    crossing_syn: bool = True
    rst_ends_session: bool = True
    hairpinning: Hairpinning = Hairpinning.NONE
    ports_per_subscriber: int | None = None
    first_port: int = 1024

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        super().__post_init__()
        if self.ports_per_subscriber is not None and self.ports_per_subscriber < 1:
            raise ValueError(
                f"ports_per_subscriber is at least 1, not {self.ports_per_subscriber!r}"
            )
        if not 1 <= self.first_port <= LAST_PORT:
            raise ValueError(f"first_port lies between 1 and 65535, not {self.first_port!r}")


class Masquerade(StrEnum):
    """The flags of nftables' `masquerade` statement, which decide the external port.

    Measured: `PRESERVING` behaves as endpoint-independent mapping that preserves the port and
    overloads it, both random ones as address-and-port-dependent mapping with random ports.
    """

    PRESERVING = "preserving"
    RANDOM = "random"
    FULLY_RANDOM = "fully-random"


class KernelAnswer(StrEnum):
    """What a Linux router does with what arrives from outside and belongs to no connection.

    `DROP`, `TCP_RESET` and `ICMP` are an input filter's verdicts (`drop`, `reject with tcp reset`,
    `reject`); with `NO_FILTER` there is none, so that the router's own TCP answers with RST.
    """

    DROP = "drop"
    TCP_RESET = "tcp-reset"
    ICMP = "icmp"
    NO_FILTER = "no-filter"


class KernelNat(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag="kernel-nat",
    tag_field="kind",
):
    """A Linux router with nftables `masquerade` for IPv4 and connection tracking for IPv6.

    Attributes:
        ports: The flags of `masquerade`.
        unsolicited: What it does with what nothing inside has asked for.
    """

    ports: Masquerade = Masquerade.PRESERVING
    unsolicited: KernelAnswer = KernelAnswer.DROP


class KernelFirewall(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag="kernel-firewall",
    tag_field="kind",
):
    """A Linux router that translates nothing and lets in what belongs to a connection from inside.

    Attributes:
        unsolicited: What it does with the rest; with `NO_FILTER` everything passes.
    """

    unsolicited: KernelAnswer = KernelAnswer.DROP


Gateway: TypeAlias = Nat | Firewall | KernelNat | KernelFirewall
"""Whatever may stand between a site and the outside."""
