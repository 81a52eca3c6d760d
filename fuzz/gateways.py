"""Whatever packets come to a gateway, what it sends is sound, and what comes in was asked for.

The first byte chooses the gateway; then each pair of bytes is something that happens: a packet from
inside or outside, an answer to the last that went out, one with a byte changed, time that passes.

What holds: nothing is raised; a packet that was sound leaves with right lengths and checksums;
every packet is counted once; and what comes in from outside, errors apart, goes to an endpoint that
something went out from, and comes from where the filter lets it come from.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import operator
import random
import struct

from simopen.lab.nat import (
    Filtering,
    Firewall,
    Hairpinning,
    Mapping,
    Nat,
    PortAllocation,
    Unsolicited,
)
from simopen.lab.wire.gateway import Counts, Emission, GatewayModel
from simopen.lab.wire.headers import ICMP, Kind, Packet, read
from tests.lab.wire.boxes import OWN, OWN6
from tests.lab.wire.packetry import echo, icmp_error, see, tcp, udp

LONGEST = 13

_SPECS: list[Nat | Firewall] = [
    Nat(),
    Nat(filtering=Filtering.ENDPOINT_INDEPENDENT, hairpinning=Hairpinning.EXTERNAL_SOURCE),
    Nat(filtering=Filtering.ADDRESS_DEPENDENT, mapping=Mapping.ADDRESS_DEPENDENT),
    Nat(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=PortAllocation.RANDOM),
    Nat(ports=PortAllocation.SEQUENTIAL, unsolicited=Unsolicited.RST, ports_per_subscriber=1),
    Nat(ports=PortAllocation.PRESERVING_WITH_COLLISION, unsolicited=Unsolicited.ICMP),
    Nat(
        hairpinning=Hairpinning.INTERNAL_SOURCE,
        unsolicited=Unsolicited.ICMP_AFTER_6_S,
        crossing_syn=False,
    ),
    Nat(hairpinning=Hairpinning.EXTERNAL_SOURCE, rst_ends_session=False, icmp_interval=1.0),
    Firewall(),
    Firewall(filtering=Filtering.ADDRESS_DEPENDENT, unsolicited=Unsolicited.ICMP_AFTER_6_S),
]

_HOSTS = [("192.168.1.2", 4000), ("192.168.1.3", 4000)]
_HOST6 = ("2001:db8:1::2", 4000)
_REMOTES = [("198.51.100.9", 5000), ("198.51.100.9", 5001), ("198.51.100.10", 5000)]
_REMOTE6 = ("2001:db8:2::9", 5000)
_OUTSIDE = (OWN, 4000)
_OWN = ipaddress.IPv4Address(OWN).packed
_PAIRS = [
    *((host, remote) for host in _HOSTS for remote in _REMOTES),
    (_HOSTS[0], _OUTSIDE),
    (_HOST6, _REMOTE6),
]

_FROM_INSIDE = [
    *(tcp(host, remote, flags) for host, remote in _PAIRS for flags in ("S", "A", "FA", "R")),
    *(udp(host, remote) for host, remote in _PAIRS),
    *(echo(host[0], remote[0], 7) for host, remote in _PAIRS[::3]),
    echo("192.168.1.2", OWN, 7),
    tcp(*_PAIRS[0], "S", ttl=1),
    icmp_error("192.168.1.2", "198.51.100.9", 3, 3, tcp(_REMOTES[0], _HOSTS[0], "S")),
]
_TO_OUTSIDE = [
    *(tcp(remote, _OUTSIDE, flags) for remote in _REMOTES for flags in ("S", "SA", "A", "R")),
    *(tcp(_REMOTE6, _HOST6, flags) for flags in ("S", "SA", "A", "R")),
    *(tcp(_REMOTES[0], host, "S") for host in _HOSTS),
    *(udp(remote, _OUTSIDE) for remote in _REMOTES),
    udp(_REMOTE6, _HOST6),
    echo("198.51.100.9", OWN, 7, reply=True),
    echo("198.51.100.9", OWN, 7),
    icmp_error("198.51.100.1", OWN, 3, 3, tcp(_OUTSIDE, _REMOTES[0], "S")),
    icmp_error("2001:db8:2::1", "2001:db8:1::2", 1, 4, tcp(_HOST6, _REMOTE6, "S")),
    tcp(_REMOTES[0], _OUTSIDE, "S", ttl=1),
]
_GAPS = (0.5, 6.0, 200.0, 8000.0)  # seconds

# What became of the packets that came; refusals answer packets that were counted already.
_EACH_ONCE = operator.attrgetter(
    *(field.name for field in dataclasses.fields(Counts) if field.name != "refused")
)

SEEDS = (
    b"\0\0\0\2\1\0\1\2\2",
    b"\1\0\x19\0\0\1\0\1\4",
    b"\6\1\0\1\1\4\1\0\0",
    b"\3\0\x20\2\3\0\x28\2\0",
    b"\x08\0\x1c\1\x0c\1\x0d\4\0",
    b"\5\1\2\1\3\3\x10\0\x2b",
    b"\4\0\0\0\4\0\x08\1\x17",
)


class Box:
    """One gateway, and what is known of what went through."""

    def __init__(self, spec: Nat | Firewall) -> None:
        self.model = GatewayModel(spec, ipv4=OWN, ipv6=OWN6, chance=random.Random(1))
        self.filtering = spec.filtering
        self.now = 0.0
        self.given = 0
        self.last = b""  # sound packet that went out
        self.sent: set[tuple[bytes, bytes]] = set()  # from where outside, to where
        self.hairpinned = False  # something has an endpoint outside that was not seen there

    def outbound(self, raw: bytes, *, sound: bool) -> None:
        """A packet from inside."""
        self.given += 1
        self.hairpinned |= raw[16:20] == _OWN
        self.follow(self.model.outbound(raw, self.now), sound=sound)

    def inbound(self, raw: bytes, *, sound: bool) -> None:
        """A packet from outside."""
        self.given += 1
        emissions = self.model.inbound(raw, self.now)
        self.follow(emissions, sound=sound)
        came_in = any(not each.outwards and not each.own for each in emissions)
        if came_in and not self.hairpinned:
            self.check_asked_for(raw)

    def wait(self, seconds: float) -> None:
        """Time passes, with a look at each deadline."""
        end = self.now + seconds
        while (due := self.model.next_deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self.follow(self.model.pop_due(self.now), sound=True)
        self.now = end

    def follow(self, emissions: list[Emission], *, sound: bool) -> None:
        """Look at what was sent."""
        for emission in emissions:
            packet = read(emission.packet)
            assert packet is not None
            if sound:
                _check_sums(packet)
            if sound and emission.outwards and not emission.own:
                self.last = emission.packet
            if emission.outwards:
                self.sent.add((packet.flow.source, packet.flow.destination))
        assert sum(_EACH_ONCE(self.model.counts)) == self.given, self.model.counts

    def check_asked_for(self, raw: bytes) -> None:
        """A packet has come in: something must have gone out to where it comes from."""
        packet = read(raw)
        assert packet is not None
        if packet.kind is Kind.ERROR:
            return
        _, source, destination = packet.flow
        filtering = self.filtering
        assert any(
            destination == own
            and (
                filtering is Filtering.ENDPOINT_INDEPENDENT
                or (filtering is Filtering.ADDRESS_DEPENDENT and remote[:-2] == source[:-2])
                or remote == source
            )
            for own, remote in self.sent
        ), packet


def check(data: bytes) -> None:
    """Try some bytes."""
    if not data:
        return
    box = Box(_SPECS[data[0] % len(_SPECS)])
    for at in range(1, len(data) - 1, 2):
        _happen(box, data[at], data[at + 1])


def _happen(box: Box, kind: int, what: int) -> None:
    match kind % 6:
        case 0:
            box.outbound(_FROM_INSIDE[what % len(_FROM_INSIDE)], sound=True)
        case 1:
            box.inbound(_TO_OUTSIDE[what % len(_TO_OUTSIDE)], sound=True)
        case 2 if box.last:
            box.inbound(_answer(box.last, what), sound=True)
        case 3:
            box.outbound(_changed(_FROM_INSIDE[what % len(_FROM_INSIDE)], kind), sound=False)
        case 4:
            box.wait(_GAPS[what % len(_GAPS)])
        case 5:
            box.inbound(_changed(_TO_OUTSIDE[what % len(_TO_OUTSIDE)], kind), sound=False)


def _check_sums(packet: Packet) -> None:
    """The checksums of IPv4, TCP, UDP and ICMP: words that add up to zero, modulo 0xFFFF."""
    raw, at, (protocol, source, destination) = packet.raw, packet.payload_at, packet.flow
    assert packet.version == 6 or _is_zero(raw[:at]), packet
    pseudo = b""
    if protocol != ICMP:
        pseudo = source[:-2] + destination[:-2] + struct.pack("!HH", protocol, len(raw) - at)
    assert _is_zero(pseudo + raw[at:]), packet


def _is_zero(data: bytes) -> bool:
    return int.from_bytes(data + bytes(len(data) & 1), "big") % 0xFFFF == 0


@functools.lru_cache(maxsize=4096)  # it takes longer than what the gateway does with it
def _answer(raw: bytes, what: int) -> bytes:
    """What the remote host might send back; or another one's idea of it."""
    seen = see(raw, cut=True)
    remote = (seen.destination[0], seen.destination[1] ^ (what >> 7))
    if seen.protocol == 6:
        return tcp(remote, seen.source, ("SA", "A", "R", "S", "FA")[what % 5])
    if seen.protocol == 17:
        return udp(remote, seen.source)
    if what & 1:
        return icmp_error(
            seen.destination[0], seen.source[0], 3 if seen.protocol == 1 else 1, 3, raw
        )
    return echo(seen.destination[0], seen.source[0], seen.source[1], reply=True)


def _changed(raw: bytes, kind: int) -> bytes:
    """A packet with one byte of its headers changed."""
    at = kind // 6 % len(raw)
    return raw[:at] + bytes((raw[at] ^ 0xFF >> kind % 7,)) + raw[at + 1 :]
