from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen import Endpoint, UsageError
from simopen._endpoints import (
    EndpointLike,
    EndpointsLike,
    check_one_host,
    parse_endpoints,
    parse_listener,
)


def parse_endpoint(value: EndpointsLike, *, role: str) -> Endpoint:
    """Read what is a single endpoint."""
    ((endpoint,),) = parse_endpoints(value, role=role)
    return endpoint


@pytest.mark.parametrize(
    ("given_value", "host", "port"),
    [
        ("203.0.113.2:40001", "203.0.113.2", 40001),
        (" 203.0.113.2:40001 ", "203.0.113.2", 40001),
        ("[2001:db8::1]:1", "2001:db8::1", 1),
        ("[2001:DB8:0:0::1]:65535", "2001:db8::1", 65535),
        ("[fe80::1%eth0]:40000", "fe80::1%eth0", 40000),
        ("host.example:40000", "host.example", 40000),
        (("203.0.113.2", 40001), "203.0.113.2", 40001),
        (("2001:db8::1", 40001), "2001:db8::1", 40001),
        ("[::ffff:192.0.2.1]:40000", "192.0.2.1", 40000),
    ],
)
def test_reads_every_form(given_value: str | tuple[str, int], host: str, port: int) -> None:
    """Text with and without brackets, and pairs; IPv4-mapped addresses are IPv4."""
    assert parse_endpoint(given_value, role="remote") == Endpoint(host, port)


@pytest.mark.parametrize(
    "bad",
    [
        "", "40000", ":40000", "host", "host:", "host:x", "host:0", "host:65536", "host:-1",
        "host:\uff14\uff10",
        "2001:db8::1:40000", "[2001:db8::1]", "a b:1", "[x:1", "x" * 254 + ":1",
        ("host", "1"), ("host", True), ("host",), ("", 1), ("a:b", 1), (b"host", 1), None, 7,
        "host:99999999999999999999", "[fe80::1%a b]:1", "[fe80::1%\0]:1", "[fe80::1%\udcff]:1",
        "[fe80::1%averyveryverylongname]:1",
    ],
)  # fmt: skip
def test_refuses_what_is_none(bad: object) -> None:
    """Anything else is a UsageError that names the role and the value."""
    with pytest.raises(UsageError, match="remote"):
        parse_endpoints(bad, role="remote")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("several", "hosts", "ports"),
    [
        ("203.0.113.2:40000-40003", ["203.0.113.2"], [40000, 40001, 40002, 40003]),
        ("[2001:db8::1]:65534-65535", ["2001:db8::1"], [65534, 65535]),
        ("host:7-7", ["host"], [7]),
        (["192.0.2.1:7", ("2001:db8::1", 7)], ["192.0.2.1", "2001:db8::1"], [7]),
        (("192.0.2.1:7-8", "192.0.2.2:7-8"), ["192.0.2.1", "192.0.2.2"], [7, 8]),
    ],
)
def test_reads_ranges_and_lists(several: EndpointsLike, hosts: list[str], ports: list[int]) -> None:
    """A range is that many endpoints of one host, a list several hosts."""
    found = parse_endpoints(several, role="remote")
    assert found == tuple(tuple(Endpoint(host, port) for port in ports) for host in hosts)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("host:40003-40000", "backwards: write 40000-40003"),
        ("host:0-3", "port 0 is not usable"),
        ("host:65535-65536", "port 65536 is not usable"),
        ("host:1-2-3", "no port number"),
        ("host:1-", "no port number"),
        ([], "empty"),
        ([["host:1"]], "not an endpoint"),
        (["host:1", 7], "7 is not an endpoint"),
    ],
)
def test_refuses_bad_ranges_and_lists(bad: object, why: str) -> None:
    """The error says what is wrong with the range or the list."""
    with pytest.raises(UsageError, match=why):
        parse_endpoints(bad, role="remote")  # type: ignore[arg-type]


@given(st.one_of(st.text(), st.tuples(st.text(), st.integers())))
def test_any_input_parses_or_raises_one_error(value: str | tuple[str, int]) -> None:
    """No input makes anything but an endpoint or a UsageError."""
    try:
        (candidate,) = parse_endpoints(value, role="local")
    except UsageError:
        return
    for endpoint in candidate:
        assert parse_endpoint(str(endpoint), role="local") == endpoint


@given(st.ip_addresses(), st.integers(1, 65535))
def test_text_form_reads_back(address: ipaddress.IPv4Address, port: int) -> None:
    """``str()`` of an endpoint is an endpoint."""
    endpoint = parse_endpoint((str(address), port), role="local")
    assert parse_endpoint(str(endpoint), role="local") == endpoint


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"])
def test_a_remote_is_one_host(host: str) -> None:
    """Unspecified, multicast and broadcast addresses are refused, as both ends in one too."""
    for role in ("remote", "endpoint"):
        with pytest.raises(UsageError, match=f"{role}.* one host"):
            check_one_host(Endpoint(host, 40000), ipaddress.ip_address(host), role=role)


def test_a_local_address_may_be_a_wildcard_but_no_group() -> None:
    """The kernel chooses the source for a wildcard; a multicast source would be nonsense."""
    check_one_host(Endpoint("0.0.0.0", 1), ipaddress.ip_address("0.0.0.0"), role="local")
    with pytest.raises(UsageError, match="local"):
        check_one_host(Endpoint("224.0.0.1", 1), ipaddress.ip_address("224.0.0.1"), role="local")


def test_link_local_needs_its_zone() -> None:
    """Without an interface the kernel would only say that the argument is invalid."""
    with pytest.raises(UsageError, match="%eth0"):
        check_one_host(Endpoint("fe80::1", 1), ipaddress.ip_address("fe80::1"), role="remote")


def test_is_a_socket_address() -> None:
    """An endpoint can be handed to ``bind`` as it is."""
    with socket.socket() as sock:
        sock.bind(Endpoint("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::]:7337", "::", 7337),
        (("localhost", 7337), "localhost", 7337),
    ],
)
def test_a_listener_may_leave_the_port_to_the_system(
    value: EndpointLike, host: str, port: int
) -> None:
    """Where nobody has to know it beforehand, port 0 is any free one."""
    assert parse_listener(value, role="listen") == Endpoint(host, port)


@pytest.mark.parametrize(
    "value", ["", "7337", "127.0.0.1:1-2", ("127.0.0.1", 65536), ("127.0.0.1", -1)]
)
def test_a_listener_has_one_port(value: EndpointLike) -> None:
    """A range, or no port at all, is nothing to listen on; the error names the argument."""
    with pytest.raises(UsageError, match="listen"):
        parse_listener(value, role="listen")
