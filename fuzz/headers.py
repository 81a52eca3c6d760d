"""Any packet on the lab's wire is read or is none, and the short way finds the flow the long does.

A packet with a plain key is read, to a flow of that key; what was read is as long as it says; the
quote of an ICMP error lies within it. No bytes raise anything.
"""

from __future__ import annotations

from simopen.lab.wire.headers import Kind, is_routable, plain_key, read, read_quote
from tests.lab.wire.packetry import echo, icmp_error, tcp, udp

LONGEST = 128

_A, _B = ("192.168.1.2", 40000), ("198.51.100.9", 40001)
_A6, _B6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 40001)

SEEDS = (
    tcp(_A, _B, "S"),
    tcp(_A6, _B6, "A", b"data"),
    tcp(_A, _B, "A", options=b"\1\1\1\0"),
    udp(_A, _B),
    udp(_A6, _B6),
    echo("192.168.1.2", "198.51.100.9", 7),
    echo("2001:db8:2::9", "2001:db8:1::2", 7, reply=True),
    icmp_error("198.51.100.1", "192.168.1.2", 3, 3, tcp(_A, _B, "S")),
    icmp_error("2001:db8:2::1", "2001:db8:1::2", 1, 4, udp(_A6, _B6)),
)


def check(data: bytes) -> None:
    """Try some bytes."""
    key, packet = plain_key(data), read(data)
    if packet is None:
        assert key is None
        return
    assert key is None or key == packet.flow.key
    assert 20 <= packet.payload_at <= len(data)
    assert packet.hops == data[8 if packet.version == 4 else 7]
    size = 4 if packet.version == 4 else 16
    assert len(packet.flow.source) == len(packet.flow.destination) == size + 2
    assert packet.flow.addresses in data[:40]
    is_routable(packet.flow.source[:-2])
    if packet.kind is Kind.ERROR and (quote := read_quote(packet)) is not None:
        assert quote.at == packet.payload_at + 8
        assert quote.at + quote.payload_at + 8 <= len(data)
        assert quote.flow.addresses in data[quote.at :]
