"""What a gateway sends in its own name, as the one who gets it sees it."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable

import pytest

from simopen.lab.wire import answers
from simopen.lab.wire.headers import Packet, read
from tests.lab.wire.packetry import Endpoint, echo, see, tcp, udp

A, B = ("192.168.1.2", 40000), ("198.51.100.9", 443)
A6, B6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 443)
OWN, OWN6 = "203.0.113.1", "2001:db8:1::1"


def packet(raw: bytes) -> Packet:
    """Read what can be read."""
    read_packet = read(raw)
    assert read_packet is not None
    return read_packet


@pytest.mark.parametrize("ends", [(A, B), (A6, B6)])
@pytest.mark.parametrize(
    ("flags", "payload", "seq", "ack"),
    [("S", b"", 1000, 1001), ("S", b"early", 7, 13), ("SF", b"", 7, 9), ("S", b"", 2**32 - 1, 0)],
)
def test_a_reset_acknowledges_what_it_refuses(
    ends: tuple[Endpoint, Endpoint], flags: str, payload: bytes, seq: int, ack: int
) -> None:
    """From the endpoint addressed, sequence number 0, ACK of all that was sent (RFC 9293)."""
    answer = see(answers.reset(packet(tcp(*ends, flags, payload, seq=seq))))
    assert (answer.source, answer.destination, answer.flags) == (*ends[::-1], "RA")
    assert struct.unpack_from("!II", answer.payload, 4) == (0, ack)


ERRORS = [
    (answers.port_unreachable, (3, 3), (1, 1)),
    (answers.host_unreachable, (3, 1), (1, 3)),
    (answers.time_exceeded, (11, 0), (3, 0)),
]


@pytest.mark.parametrize(("make", "v4", "v6"), ERRORS)
def test_an_error_quotes_what_it_is_about(
    make: Callable[[Packet, bytes], bytes], v4: tuple[int, int], v6: tuple[int, int]
) -> None:
    """From the gateway's own address to the sender, with type and code of the IP version."""
    for (source, destination), own, kind in (((A, B), OWN, v4), ((A6, B6), OWN6, v6)):
        raw = tcp(source, destination, "S")
        error = see(make(packet(raw), ipaddress.ip_address(own).packed))
        assert (error.source, error.destination) == ((own, 0), (source[0], 0))
        assert (error.icmp, error.quoted) == (kind, raw)


@pytest.mark.parametrize(("ends", "most"), [((A, B), 576), ((A6, B6), 1280)])
def test_an_error_is_no_larger_than_anyone_must_take(
    ends: tuple[Endpoint, Endpoint], most: int
) -> None:
    """It quotes as much as fits into 576 bytes of IPv4, 1280 of IPv6."""
    own = ipaddress.ip_address(ends[1][0]).packed
    error = answers.port_unreachable(packet(udp(*ends, bytes(1400))), own)
    assert len(error) == most
    see(error)


@pytest.mark.parametrize("ends", [(A[0], B[0]), (A6[0], B6[0])])
@pytest.mark.parametrize("payload", [b"", b"odd", bytes(56)])
def test_a_ping_is_answered_in_kind(ends: tuple[str, str], payload: bytes) -> None:
    """The reply has the request's identifier, number and data."""
    answer = answers.echo_reply(packet(echo(*ends, 7, payload=payload)))
    assert answer[-len(payload) - 4 :] == b"\0\x07\0\x01" + payload
    assert see(answer).source == (ends[1], 7)
    assert see(answer).destination == (ends[0], 7)
    assert see(answer).icmp in ((0, 0), (129, 0))
