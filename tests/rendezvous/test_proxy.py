from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen._endpoints import Endpoint
from simopen.rendezvous import _proxy
from simopen.rendezvous._proxy import ProxyError, parse_client, parse_fixed

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
PORTS = st.integers(1, 65535)
TLVS = st.binary(max_size=200)


def header(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    """A header as a load balancer writes it."""
    announced = len(rest) if length is None else length
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, announced) + rest


def read(data: bytes) -> Endpoint | None:
    """Both parts of a header, read as the listener reads them."""
    fixed = parse_fixed(data[: _proxy.FIXED])
    return parse_client(fixed, data[_proxy.FIXED :])


@given(st.ip_addresses(v=4), PORTS, TLVS)
def test_an_ipv4_client(address: ipaddress.IPv4Address, port: int, tlvs: bytes) -> None:
    """The source is the client, whatever the destination and the additions."""
    rest = address.packed + bytes([192, 0, 2, 1]) + struct.pack("!HH", port, 7337) + tlvs
    assert read(header(1, 0x11, rest)) == Endpoint(str(address), port)


@given(st.ip_addresses(v=6), PORTS, TLVS)
def test_an_ipv6_client(address: ipaddress.IPv6Address, port: int, tlvs: bytes) -> None:
    """The same with IPv6; an IPv4 address in IPv6's clothes is an IPv4 client."""
    rest = address.packed + bytes(16) + struct.pack("!HH", port, 7337) + tlvs
    assert read(header(1, 0x21, rest)) == Endpoint(str(address.ipv4_mapped or address), port)


@pytest.mark.parametrize(("command", "family"), [(0, 0x00), (0, 0x11), (1, 0x00)])
def test_the_load_balancer_itself(command: int, family: int) -> None:
    """A health check, or an unknown client, is whoever the connection comes from."""
    assert read(header(command, family, b"anything")) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PROXY TCP4 192.0.", "no PROXY header"),
        (b"GET / HTTP/1.1\r\n", "no PROXY header"),
        (SIGNATURE, "no PROXY header"),
        (SIGNATURE + b"\x11\x11\x00\x0c", "version"),
        (header(2, 0x11, b"", 12), "command"),
        (header(1, 0x12, b"", 12), "not TCP"),
        (header(1, 0x31, b"", 216), "not TCP"),
        (header(1, 0x11, b"", 11), "too short"),
        (header(1, 0x21, b"", 35), "too short"),
        (header(1, 0x11, b"", 2049), "2049 bytes"),
    ],
)
def test_what_is_no_header(data: bytes, why: str) -> None:
    """The first 16 bytes are enough to refuse it."""
    with pytest.raises(ProxyError, match=why):
        parse_fixed(data[: _proxy.FIXED])


def test_a_header_cut_short() -> None:
    """Fewer bytes than announced are no header."""
    whole = header(1, 0x11, bytes(12))
    with pytest.raises(ProxyError, match="cut short"):
        read(whole[:-1])


def test_a_client_without_a_port() -> None:
    """Nobody could be told to connect there."""
    with pytest.raises(ProxyError, match="port"):
        read(header(1, 0x11, bytes(12)))


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda data: SIGNATURE + data))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    """Whatever comes, it is a header or a ProxyError, and what is to be read is bounded."""
    try:
        fixed = parse_fixed(data[: _proxy.FIXED])
        assert fixed.rest <= _proxy.LONGEST_REST
        client = parse_client(fixed, data[_proxy.FIXED :].ljust(fixed.rest, b"x")[: fixed.rest])
    except ProxyError:
        return
    assert client is None or 1 <= client.port <= 65535
