"""Packets rewritten: equal, byte for byte, to ones that were made that way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simopen.lab.wire.headers import Flow, Packet, read, read_quote
from simopen.lab.wire.rewriting import Translation, checksum_of, one_hop_on, translate_error
from tests.lab.wire.packetry import Endpoint, checksum, echo, icmp_error, see, tcp, udp

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

A, B, X = ("192.168.1.2", 40000), ("198.51.100.9", 443), ("203.0.113.1", 51000)
A6, B6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 443)

addresses = st.integers(1 << 24, (223 << 24) - 1).map(
    lambda number: ".".join(str(byte) for byte in number.to_bytes(4, "big"))
)
endpoints = st.tuples(addresses, st.integers(0, 65535))
payloads = st.binary(max_size=40)
options = st.sampled_from([b"", b"\x01" * 4, b"\x44\x08\x05\x00" + bytes(4)])


def packet(raw: bytes) -> Packet:
    """Read what can be read."""
    read_packet = read(raw)
    assert read_packet is not None
    return read_packet


def flow(raw: bytes) -> Flow:
    """Return whose packet it is."""
    return packet(raw).flow


def translated(raw: bytes, after: Flow, **hops: int) -> bytes:
    """Make a packet one of another flow."""
    return Translation(flow(raw), after).apply(raw, packet(raw).payload_at, **hops)


@unhurried
@given(
    make=st.sampled_from([tcp, udp]),
    before=st.tuples(endpoints, endpoints),
    after=st.tuples(endpoints, endpoints),
    payload=payloads,
    options=options,
)
def test_a_translated_packet_is_as_if_made_so(
    make: Callable[..., bytes],
    before: tuple[Endpoint, Endpoint],
    after: tuple[Endpoint, Endpoint],
    payload: bytes,
    options: bytes,
) -> None:
    """Corrected checksums are those that a full computation gives, UDP's 0xFFFF included."""
    wanted = make(*after, payload=payload, options=options, ttl=63)
    raw = make(*before, payload=payload, options=options, ttl=64)
    assert translated(raw, flow(wanted)) == wanted


@unhurried
@given(ends=st.tuples(addresses, addresses, addresses), ids=st.tuples(*[st.integers(0, 65535)] * 2))
def test_an_echo_is_translated_by_its_identifier(
    ends: tuple[str, str, str], ids: tuple[int, int]
) -> None:
    """Requests by their source, replies by their destination; ICMP has no pseudo header."""
    inside, outside, remote = ends
    wanted = echo(outside, remote, ids[1], ttl=63)
    assert translated(echo(inside, remote, ids[0]), flow(wanted)) == wanted
    wanted = echo(remote, inside, ids[0], reply=True, ttl=63)
    assert translated(echo(remote, outside, ids[1], reply=True), flow(wanted)) == wanted


def test_no_udp_checksum_stays_none() -> None:
    """Zero means that the sender did not compute one (RFC 768)."""
    wanted = udp(X, B, summed=False, ttl=63)
    assert translated(udp(A, B, summed=False), flow(wanted)) == wanted


def test_a_udp_checksum_never_becomes_none() -> None:
    """A sum that comes out as zero is sent as 0xFFFF (RFC 768)."""
    datagrams = (udp(X, B, number.to_bytes(2, "big"), ttl=63) for number in range(65536))
    wanted = next(raw for raw in datagrams if raw[26:28] == b"\xff\xff")
    assert translated(udp(A, B, wanted[28:]), flow(wanted)) == wanted


@unhurried
@given(noise=st.integers(1, 0xFFFE))
def test_a_damaged_packet_stays_damaged(noise: int) -> None:
    """A wrong checksum comes out wrong by the same amount, so that the receiver notices."""
    raw = bytearray(tcp(A, B, "PA", b"hello"))
    right = int.from_bytes(raw[36:38], "big")
    raw[36:38] = ((right + noise) % 0xFFFF).to_bytes(2, "big")
    with pytest.raises(AssertionError, match="checksum of protocol 6"):
        see(translated(bytes(raw), flow(tcp(X, B))))


def test_hops_are_taken_as_told() -> None:
    """What is only rewritten, and not sent on, keeps its hops."""
    assert translated(tcp(A, B), flow(tcp(X, B)), hops=0) == tcp(X, B)


@pytest.mark.parametrize("make", [tcp, udp])
@pytest.mark.parametrize("ends", [(A, B), (A6, B6)])
@pytest.mark.parametrize("ttl", [2, 64, 255])
def test_what_is_not_translated_loses_a_hop_and_nothing_else(
    make: Callable[..., bytes], ends: tuple[Endpoint, Endpoint], ttl: int
) -> None:
    """Over IPv4 the header's checksum follows."""
    assert one_hop_on(make(*ends, ttl=ttl)) == make(*ends, ttl=ttl - 1)


# 37 would cut TCP's checksum in half, which nobody can correct.
@unhurried
@given(
    kept=st.integers(28, 60).filter(lambda kept: kept != 37),
    payload=payloads,
    kind=st.sampled_from([tcp, udp]),
)
def test_an_error_is_translated_inside_and_out(
    kept: int, payload: bytes, kind: Callable[..., bytes]
) -> None:
    """Outer and quoted addresses, the quoted port, and all checksums that are quoted."""
    quoted, wanted_quote = kind(X, B, payload=payload), kind(A, B, payload=payload)
    error = icmp_error("192.0.2.1", X[0], 3, 1, quoted[:kept])
    wanted = icmp_error("192.0.2.1", A[0], 3, 1, wanted_quote[:kept], ttl=63)
    quote = read_quote(packet(error))
    assert quote is not None
    outer = flow(wanted)
    assert translate_error(packet(error), quote, flow(wanted_quote), outer) == wanted


@unhurried
@given(data=st.binary(max_size=64))
def test_the_internet_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    """Of an odd number of bytes and of zeros as well."""
    assert checksum_of(data) == checksum(data)
