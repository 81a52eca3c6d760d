"""What a capture keeps of a packet is read or is none, and cutting it behind its headers is free.

The first byte tells how much of the packet is kept. What is read of the part is what is read of
the whole, except for TCP options that were cut off.
"""

from __future__ import annotations

import dataclasses

from simopen.capture.packets import Segment, parse
from tests.lab.wire.packetry import icmp_error, tcp, udp

LONGEST = 128

_A, _B = ("192.168.1.2", 40000), ("198.51.100.9", 40001)
_A6, _B6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 40001)
# MSS and timestamps: a SYN with data offset 9, no checksum, 16 bytes of options.
_OPTIONS = bytes.fromhex("020405b4 0101080a 0000000100000002".replace(" ", ""))
_SYN = tcp(_A, _B, "S", _OPTIONS)

SEEDS = (
    b"\xff" + tcp(_A, _B, "S"),
    b"\x28" + tcp(_A6, _B6, "A", b"data"),
    b"\xff" + _SYN[:32] + b"\x90" + _SYN[33:],
    b"\xff" + udp(_A, _B),
    b"\x60" + icmp_error("198.51.100.1", "192.168.1.2", 3, 3, tcp(_A, _B, "S")),
    b"\xff" + icmp_error("2001:db8:2::1", "2001:db8:1::2", 1, 4, tcp(_A6, _B6, "S")),
)


def check(data: bytes) -> None:
    """Try some bytes."""
    kept, packet = data[0] if data else 0, data[1:]
    whole, part = parse(packet), parse(packet[:kept])
    assert part is None or whole is not None
    if isinstance(whole, Segment):
        assert 0 <= whole.payload_bytes <= 0xFFFF
    if isinstance(part, Segment):
        assert isinstance(whole, Segment)
        part = dataclasses.replace(part, mss=whole.mss, timestamps=whole.timestamps)
    assert part is None or part == whole
