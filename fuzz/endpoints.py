"""What people write is endpoints that read back the same, or a UsageError.

The first byte tells whether it is one text, a list of lines or a pair of host and port, and whether
port 0 is one. A wide range of ports is left out: it is slow because it is long.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re

from simopen._endpoints import (
    EndpointsLike,
    check_one_host,
    is_private,
    literal_address,
    parse_endpoints,
    parse_listener,
)
from simopen._errors import UsageError

LONGEST = 64
WIDE = 300  # ports

_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)
_LIST, _PAIR, _ANY_PORT = 1, 2, 4

SEEDS = (
    b"\0192.0.2.1:4000",
    b"\0[2001:db8::1]:4000-4003",
    b"\0[fe80::1%eth0]:4000",
    b"\0[::ffff:192.0.2.1]:1",
    b"\4example.net:0",
    b"\1192.0.2.1:4000\nexample.net:4001",
    b"\2192.0.2.1\x0f\xa0",
    b"\2fe80::1\0\1",
    b"\0255.255.255.255:9\0 ",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    how = data[0] if data else 0
    given = _given(how, data[1:])
    if given is None:
        return
    any_port = bool(how & _ANY_PORT)
    with contextlib.suppress(UsageError):
        for candidate in parse_endpoints(given, role="remote", any_port=any_port):
            first, last = candidate[0].port, candidate[-1].port
            assert [each.port for each in candidate] == list(range(first, last + 1))
            assert 1 <= first <= last <= 65535 or (any_port and first == last == 0)
            for endpoint in (candidate[0], candidate[-1]):
                _check_host(endpoint.host)
                again = parse_endpoints(str(endpoint), role="remote", any_port=any_port)
                assert again == ((endpoint,),)
                if (address := literal_address(endpoint.host)) is not None:
                    is_private(address)
                    with contextlib.suppress(UsageError):
                        check_one_host(endpoint, address, role="remote")
                        assert not address.is_unspecified
                        assert not address.is_multicast
    if isinstance(given, str | tuple):
        with contextlib.suppress(UsageError):
            listener = parse_listener(given, role="listen")
            assert 0 <= listener.port <= 65535
            _check_host(listener.host)


def _given(how: int, rest: bytes) -> EndpointsLike | None:
    if how & _PAIR:
        return rest[:-2].decode(errors="surrogateescape"), int.from_bytes(rest[-2:], "little") - 1
    text = rest.decode(errors="surrogateescape")
    for match in _RANGE.finditer(text):
        if int(match[2]) - int(match[1]) > WIDE:
            return None
    return text.split("\n") if how & _LIST else text


def _check_host(host: str) -> None:
    """A name without what would end it, or the one spelling of an address, never a mapped one."""
    assert host
    assert not set(host) & set(" []\n\r\t\0")
    if ":" not in host:
        return
    address = ipaddress.IPv6Address(host)
    assert str(address) == host
    assert not address.ipv4_mapped
