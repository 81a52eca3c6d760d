"""Packets read: kinds, flows, what is malformed, and the short way to a key."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simopen.lab.wire.headers import Kind, Packet, is_routable, plain_key, read, read_quote
from tests.lab.wire.packetry import Endpoint, echo, icmp, icmp_error, ip, tcp, udp

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

A, B = ("192.168.1.2", 40000), ("198.51.100.9", 443)
A6, B6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 443)

KINDS = {
    "tcp": (tcp(A, B), Kind.TCP),
    "udp": (udp(A, B), Kind.UDP),
    "echo request": (echo(A[0], B[0], 7), Kind.ECHO_REQUEST),
    "echo reply": (echo(B[0], A[0], 7, reply=True), Kind.ECHO_REPLY),
    "unreachable": (icmp_error(B[0], A[0], 3, 3, tcp(A, B)), Kind.ERROR),
    "time exceeded": (icmp_error(B[0], A[0], 11, 0, tcp(A, B)), Kind.ERROR),
    "redirect": (icmp_error(B[0], A[0], 5, 1, tcp(A, B)), Kind.OPAQUE),
    "gre": (ip(A[0], B[0], 47, b"x"), Kind.OPAQUE),
    "icmpv6 over ipv4": (ip(A[0], B[0], 58, b"\x80" + bytes(7)), Kind.OPAQUE),
    "tcp6": (tcp(A6, B6), Kind.TCP),
    "udp6": (udp(A6, B6), Kind.UDP),
    "echo request6": (echo(A6[0], B6[0], 7), Kind.ECHO_REQUEST),
    "echo reply6": (echo(B6[0], A6[0], 7, reply=True), Kind.ECHO_REPLY),
    "unreachable6": (icmp_error(B6[0], A6[0], 1, 1, tcp(A6, B6)), Kind.ERROR),
    "too big": (icmp_error(B6[0], A6[0], 2, 0, tcp(A6, B6)), Kind.ERROR),
    "router solicitation": (icmp(A6[0], B6[0], b"\x85" + bytes(7)), Kind.OPAQUE),
    "hop-by-hop options": (ip(A6[0], B6[0], 0, bytes(8)), Kind.OPAQUE),
    "icmpv4 over ipv6": (ip(A6[0], B6[0], 1, b"\x08" + bytes(7)), Kind.OPAQUE),
}


def packet(raw: bytes) -> Packet:
    """Read what can be read."""
    read_packet = read(raw)
    assert read_packet is not None
    return read_packet


def endpoint(address: str, port: int) -> bytes:
    """Return an endpoint as the code under test has it."""
    return ipaddress.ip_address(address).packed + struct.pack("!H", port)


@pytest.mark.parametrize(("raw", "kind"), KINDS.values(), ids=KINDS)
def test_a_packet_is_known_by_kind(raw: bytes, kind: Kind) -> None:
    """What a NAT treats alike has one kind, whichever the IP version."""
    assert packet(raw).kind is kind


@pytest.mark.parametrize("make", [tcp, udp])
@pytest.mark.parametrize(("source", "destination"), [(A, B), (A6, B6)])
def test_a_flow_has_address_and_port_at_either_end(
    make: Callable[..., bytes], source: Endpoint, destination: Endpoint
) -> None:
    """The flow of TCP and UDP is the 5-tuple."""
    flow = packet(make(source, destination)).flow
    assert flow == (6 if make is tcp else 17, endpoint(*source), endpoint(*destination))


def test_an_echo_has_its_identifier_at_the_asking_end() -> None:
    """So that request and reply are one flow and its reverse, for all remote hosts alike."""
    request, reply = packet(echo(A[0], B[0], 7)), packet(echo(B[0], A[0], 7, reply=True))
    assert request.flow[1:] == (endpoint(A[0], 7), endpoint(B[0], 0))
    assert reply.flow == request.flow.reversed()


def test_the_key_of_a_flow_is_unlike_that_of_any_other() -> None:
    """Protocol, addresses, ports and IP version all count."""
    others = [tcp(A, B), tcp(B, A), udp(A, B), tcp(A6, B6), tcp(A, (B[0], 444)), tcp((A[0], 1), B)]
    assert len({packet(raw).flow.key for raw in others}) == len(others)


@pytest.mark.parametrize(
    ("flags", "opens"),
    [("S", True), ("SP", True), ("SA", False), ("SF", False), ("SR", False), ("A", False)],
)
def test_only_a_pure_syn_opens(flags: str, opens: bool) -> None:  # noqa: FBT001  # a table's column
    """SYN with ACK answers; with FIN or RST it is nonsense."""
    assert packet(tcp(A, B, flags)).opens is opens


def altered(raw: bytes, at: int, value: bytes) -> bytes:
    """Return a packet with some bytes replaced."""
    return raw[:at] + value + raw[at + len(value) :]


MALFORMED = {
    "nothing": b"",
    "no IP version": b"\x15" + tcp(A, B)[1:],
    "half an IPv4 header": tcp(A, B)[:19],
    "half an IPv6 header": tcp(A6, B6)[:39],
    "IPv4 header below 20 bytes": altered(tcp(A, B), 0, b"\x44"),
    "IPv4 header beyond the packet": altered(ip(A[0], B[0], 47, b""), 0, b"\x46"),
    "longer than it says": tcp(A, B) + b"x",
    "shorter than it says": tcp(A, B, payload=b"xy")[:-1],
    "IPv6 longer than it says": tcp(A6, B6) + b"x",
    "first fragment": altered(udp(A, B), 6, b"\x20\x00"),
    "later fragment": altered(udp(A, B), 6, b"\x00\x10"),
    "half a TCP header": ip(A[0], B[0], 6, bytes(19)),
    "TCP header below 20 bytes": altered(tcp(A, B), 32, b"\x40"),
    "TCP header beyond the segment": altered(tcp(A, B), 32, b"\x60"),
    "half a UDP header": ip(A[0], B[0], 17, bytes(7)),
    "UDP shorter than its header": altered(udp(A, B), 24, b"\0\x07"),
    "UDP longer than its packet": altered(udp(A, B), 24, b"\0\x0d"),
    "half an ICMP header": ip(A[0], B[0], 1, bytes(7)),
    "half an ICMPv6 header": ip(A6[0], B6[0], 58, bytes(7)),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_or_a_fragment_is_none(raw: bytes) -> None:
    """Lengths that lie and fragments are not read, neither way."""
    assert read(raw) is None
    assert plain_key(raw) is None


@pytest.mark.parametrize("ends", [(A[0], B[0]), (A6[0], B6[0])])
def test_a_header_alone_is_a_packet(ends: tuple[str, str]) -> None:
    """Of a protocol that needs nothing else."""
    assert packet(ip(*ends, 47, b"")).kind is Kind.OPAQUE


@pytest.mark.parametrize(
    "raw", [tcp(A, B), tcp(A, B, "PA", b"x"), udp(A, B, b""), tcp(A6, B6), udp(A6, B6, b"")]
)
def test_a_plain_packet_has_its_flows_key(raw: bytes) -> None:
    """Segments amid a connection and datagrams go the short way, to the same key."""
    assert plain_key(raw) == packet(raw).flow.key


@pytest.mark.parametrize(
    "raw",
    [
        *(tcp(A, B, flags) for flags in ("S", "SA", "FA", "R", "RA")),
        tcp(A, B, ttl=1),
        tcp(A6, B6, ttl=1),
        tcp(A, B, options=b"\x01" * 4),
        echo(A[0], B[0], 7),
        ip(A[0], B[0], 47, bytes(40)),
    ],
)
def test_what_needs_a_closer_look_has_no_plain_key(raw: bytes) -> None:
    """Whatever opens, closes, ends here or is unusual goes the long way."""
    assert plain_key(raw) is None
    assert read(raw) is not None


@unhurried
@given(
    raw=st.sampled_from([raw for raw, _ in KINDS.values()]),
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    length=st.none() | st.integers(0, 80),
)
def test_the_short_way_takes_nothing_that_the_long_would_not(
    raw: bytes, changes: list[tuple[int, int]], length: int | None
) -> None:
    """However a packet is damaged: a plain key means that it reads, to that key, with hops left."""
    for at, value in changes:
        raw = altered(raw, at, bytes([value])) if at < len(raw) else raw
    raw = raw[:length]
    key, whole = plain_key(raw), read(raw)
    if key is not None:
        assert whole is not None
        assert whole.flow.key == key
        assert whole.hops > 1
        assert not whole.flags & 0x07


@unhurried
@given(raw=st.binary(max_size=120))
def test_no_bytes_raise(raw: bytes) -> None:
    """Reading is total, of packets and of what claims to quote one."""
    plain_key(raw)
    whole = read(icmp_error(B[0], A[0], 3, 3, raw))
    assert read(raw) is None or whole is not None
    assert whole is not None
    read_quote(whole)


@pytest.mark.parametrize("kept", [28, 40, None])
@pytest.mark.parametrize(
    ("quoted", "error"),
    [
        (tcp(A, B), (B[0], A[0], 3, 3)),
        (udp(A, B), (B[0], A[0], 11, 0)),
        (echo(A[0], B[0], 7), (B[0], A[0], 3, 1)),
        (tcp(A6, B6), (B6[0], A6[0], 1, 4)),
        (echo(B6[0], A6[0], 7, reply=True), (A6[0], B6[0], 1, 4)),
    ],
)
def test_an_error_tells_whose_packet_it_is_about(
    quoted: bytes, error: tuple[str, str, int, int], kept: int | None
) -> None:
    """The quote's flow is read though it is cut: 8 bytes behind its IP header are enough."""
    cut = quoted[: kept and kept + (20 if quoted[0] >> 4 == 6 else 0)]
    quote = read_quote(packet(icmp_error(*error, cut)))
    assert quote is not None
    assert quote.flow == packet(quoted).flow


@pytest.mark.parametrize(
    "quoted",
    [
        b"",
        tcp(A, B)[:27],
        tcp(A6, B6),
        ip(A[0], B[0], 47, bytes(8)),
        altered(tcp(A, B), 6, b"\0\x10"),
        icmp_error(A[0], B[0], 3, 3, tcp(B, A)),
    ],
)
def test_an_error_about_anything_else_has_no_quote(quoted: bytes) -> None:
    """Too short, another IP version, another protocol, a fragment, an error itself."""
    assert read_quote(packet(icmp_error(B[0], A[0], 3, 3, quoted))) is None


@pytest.mark.parametrize(
    ("address", "routable"),
    [
        ("192.168.1.2", True),
        ("100.64.0.1", True),
        ("2001:db8::1", True),
        ("fd00::1", True),
        ("0.0.0.0", False),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
    ],
)
def test_addresses_of_one_link_or_of_many_hosts_are_not_routed(
    address: str,
    routable: bool,  # noqa: FBT001  # a table's column
) -> None:
    """Routers forward between single hosts, across links."""
    assert is_routable(ipaddress.ip_address(address).packed) is routable
