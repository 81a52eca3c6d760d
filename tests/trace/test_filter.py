"""The kernel's program, run by an interpreter of the few instructions it is made of."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.capture.packets import Endpoint, Flags, Segment
from simopen.trace._filter import SNAP_BYTES, program
from tests.capture.makers import raw, unreachable

OURS, THEIRS = Endpoint("192.0.2.1", 40000), Endpoint("198.51.100.7", 40001)
OURS6, THEIRS6 = Endpoint("2001:db8::1", 40000), Endpoint("2001:db8:1::2", 40001)
PAIRS = [(OURS, THEIRS), (OURS6, THEIRS6)]
BOTH = pytest.mark.parametrize("pair", PAIRS, ids=["IPv4", "IPv6"])


def kept(instructions: bytes, packet: bytes, *, leaves: bool | None = None) -> int:
    """How many bytes of a packet a classic BPF program keeps (filter.rst of the kernel).

    Where nothing is said of its way, it is shown both when it leaves and when it arrives.
    """
    if leaves is None:
        ways = [kept(instructions, packet, leaves=way) for way in (True, False)]
        assert 0 in ways
        return max(ways)
    ops = list(struct.iter_unpack("@HBBI", instructions))
    loads = {0x20: 4, 0x28: 2, 0x30: 1, 0x40: 4, 0x48: 2, 0x50: 1}
    ethertype = {4: 0x0800, 6: 0x86DD}.get(packet[0] >> 4 if packet else 0, 0)
    a = x = at = 0
    while True:
        code, if_true, if_false, k = ops[at]
        at += 1
        if code == 0x20 and k >= 0xFFFFF000:
            a = {0xFFFFF000: ethertype, 0xFFFFF004: 4 if leaves else 0}[k]
        elif code in loads:
            start = k + (x if code >= 0x40 else 0)
            if start + loads[code] > len(packet):
                return 0
            a = int.from_bytes(packet[start : start + loads[code]], "big")
        elif code == 0xB1:
            x = 4 * (packet[k] & 0xF)
        elif code == 0x15:
            at += if_true if a == k else if_false
        elif code in (0x06, 0x16):
            return k if code == 0x06 else a
        else:
            a = {0x54: a & k, 0x74: a >> k, 0x04: a + k, 0x0C: a + x, 0x87: x}[code]


def segment(source: Endpoint, destination: Endpoint, payload_bytes: int = 0) -> Segment:
    """Any segment, with options."""
    return Segment(source, destination, Flags.SYN, 7, 0, 64240, payload_bytes, 1460, (1, 2))


def headers(endpoint: Endpoint) -> int:
    """Bytes of the headers of such a segment: TCP's are 36."""
    return 36 + (40 if ":" in endpoint.address else 20)


@BOTH
@pytest.mark.parametrize("payload_bytes", [0, 1, 1000])
def test_both_directions_without_payload(
    pair: tuple[Endpoint, Endpoint], payload_bytes: int
) -> None:
    """Of what passes between the endpoints the headers are kept, and not a byte more."""
    for ends in (pair, pair[::-1]):
        packet = raw(segment(*ends, payload_bytes))
        assert kept(program([pair]), packet) == headers(pair[0])


@BOTH
def test_everything_else_is_not_ours(pair: tuple[Endpoint, Endpoint]) -> None:
    """Another port or address at either end, and the kernel keeps it to itself."""
    ours, theirs = pair
    other = "2001:db8::9" if ":" in ours.address else "192.0.2.9"
    for wrong in (ours._replace(port=1), ours._replace(address=other)):
        assert kept(program([pair]), raw(segment(wrong, theirs))) == 0
    for wrong in (theirs._replace(port=1), theirs._replace(address=other)):
        assert kept(program([pair]), raw(segment(ours, wrong))) == 0


@BOTH
def test_a_packet_counts_once_over_loopback(pair: tuple[Endpoint, Endpoint]) -> None:
    """Ours where it leaves and theirs where it arrives, for both are shown both ways."""
    ours, theirs = raw(segment(*pair)), raw(segment(*pair[::-1]))
    instructions = program([pair])
    ways = [kept(instructions, ours, leaves=way) > 0 for way in (True, False)]
    assert ways == [True, False]
    ways = [kept(instructions, theirs, leaves=way) > 0 for way in (True, False)]
    assert ways == [False, True]


def test_of_a_self_connection_both_ways_count() -> None:
    """The socket sends, and the same socket receives."""
    packet = raw(segment(OURS, OURS))
    instructions = program([(OURS, OURS)])
    assert [kept(instructions, packet, leaves=way) > 0 for way in (True, False)] == [True, True]


def test_several_pairs() -> None:
    """Lanes that race are recorded together."""
    for pair in PAIRS:
        assert kept(program(PAIRS), raw(segment(*pair))) == headers(pair[0])


@BOTH
def test_an_unreachable_about_our_syn(pair: tuple[Endpoint, Endpoint]) -> None:
    """ICMP that quotes a SYN of ours is kept as far as that SYN's sequence number."""
    packet = unreachable(segment(*pair))
    assert kept(program([pair]), packet) == (96 if ":" in pair[0].address else 56)
    assert kept(program([pair]), unreachable(segment(*pair[::-1]))) == 0


def test_a_wildcard_is_any_address_of_ours() -> None:
    """Where the kernel has not chosen a source address the port tells."""
    instructions = program([(Endpoint("0.0.0.0", 40000), THEIRS)])
    assert kept(instructions, raw(segment(OURS, THEIRS))) > 0
    assert kept(instructions, raw(segment(OURS._replace(port=1), THEIRS))) == 0


def test_a_zone_is_no_part_of_an_address() -> None:
    """A link-local address stands in packets without the interface."""
    ours = Endpoint("fe80::1", 40000)
    theirs = Endpoint("fe80::2", 40001)
    zoned = ours._replace(address="fe80::1%3")
    assert kept(program([(zoned, theirs)]), raw(segment(ours, theirs))) > 0


def test_a_later_fragment_is_not_ours() -> None:
    """It has no TCP header, whatever stands where that would be."""
    packet = bytearray(raw(segment(OURS, THEIRS)))
    packet[6:8] = b"\x00\x10"
    assert kept(program([(OURS, THEIRS)]), bytes(packet)) == 0


@settings(deadline=None)
@given(st.binary(max_size=120), st.sampled_from(PAIRS))
def test_no_packet_makes_it_keep_more_than_headers(
    tail: bytes, pair: tuple[Endpoint, Endpoint]
) -> None:
    """Whatever lengths a packet claims: two headers at the most."""
    packet = raw(segment(*pair))
    for at in (0, 32, 40):
        forged = packet[:at] + tail + packet[at + len(tail) :]
        assert kept(program(PAIRS), forged) <= SNAP_BYTES
