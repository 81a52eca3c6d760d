"""The raw socket's filter, run by an interpreter of its few instructions."""

from __future__ import annotations

import struct

import pytest

from simopen.raw._filter import MOST_PORTS, Instruction, pack, program
from simopen.raw._segments import ACK, RST, SYN, Address, Segment, build

V4, V6 = Address(bytes(4), 7777), Address(bytes(16), 7777)
HERE, BROADCAST = 0, 1  # types of packets
A, B = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))


def passes(instructions: list[Instruction], packet: bytes, kind: int = HERE) -> bool:
    """Run a program over a packet (RFC 9669's classic ancestor, as in linux/filter.h)."""
    accumulator = index = at = 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        match code:
            case 0x30 if operand == 2**32 - 0x1000 + 4:
                accumulator = kind
            case 0x50:
                accumulator = packet[index + operand]
            case 0x48:
                (accumulator,) = struct.unpack_from("!H", packet, index + operand)
            case 0xB1:
                index = (packet[operand] & 0x0F) * 4
            case 0x01:
                index = operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case 0x06:
                return operand > 0
            case _:
                raise AssertionError(hex(code))


def packet(local: Address, flags: int, *, source: int = 40_000, target: int = 7777) -> bytes:
    """A packet as the raw socket of a version sees it; on IPv4 with an option in its header."""
    segment = build(Segment(source=source, destination=target, seq=1, flags=flags), A, B)
    return segment if local is V6 else b"\x46" + bytes(23) + segment


@pytest.mark.parametrize("local", [V4, V6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("few", [True, False], ids=["few peers", "many"])
def test_what_passes(local: Address, *, few: bool) -> None:
    """SYNs to our port and segments of handshakes pass; with many, all to our port."""
    peers = set(range(40_000, 40_000 + MOST_PORTS)) if few else None
    instructions = program(local, peers)
    for flags in (SYN, SYN | ACK, ACK, RST):
        assert passes(instructions, packet(local, flags))
        assert passes(instructions, packet(local, flags, source=40_000 + MOST_PORTS - 1))
        assert not passes(instructions, packet(local, flags, target=7778))
        assert not passes(instructions, packet(local, flags), BROADCAST)
        unknown = passes(instructions, packet(local, flags, source=50_000))
        assert unknown == (bool(flags & SYN) or not few)


def test_without_peers_only_syns_pass() -> None:
    """While no handshake is going on a transfer is not copied."""
    instructions = program(V4, ())
    assert passes(instructions, packet(V4, SYN))
    assert not passes(instructions, packet(V4, ACK))


def test_the_kernel_takes_the_longest() -> None:
    """It is as long as the kernel takes (BPF_MAXINSNS), eight bytes each."""
    instructions = program(V4, range(MOST_PORTS))
    assert len(pack(instructions)) == 8 * len(instructions) <= 8 * 4096
