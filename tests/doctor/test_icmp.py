from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.doctor import IcmpError
from simopen.doctor._icmp import describe, is_from_a_filter, parse_extended_error


def message(origin: int, kind: int, code: int, sender: str = "") -> bytes:
    """A control message as ip(7) describes it."""
    data = struct.pack("=IBBBBII", 111, origin, kind, code, 0, 0, 0)
    if not sender:
        return data
    address = ipaddress.ip_address(sender)
    before = b"\2\0\0\0" if address.version == 4 else b"\12\0\0\0\0\0\0\0"
    return data + before + address.packed + bytes(8)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (message(2, 3, 3, "192.0.2.1"), IcmpError(version=4, type=3, code=3, sender="192.0.2.1")),
        (
            message(3, 1, 4, "2001:db8::1"),
            IcmpError(version=6, type=1, code=4, sender="2001:db8::1"),
        ),
        (message(2, 3, 1, "0.0.0.0"), IcmpError(version=4, type=3, code=1)),
        (message(2, 3, 1), IcmpError(version=4, type=3, code=1)),
        (message(1, 3, 1, "192.0.2.1"), None),  # an error of this host's own
        (message(2, 3, 3)[:-1], None),
        (b"", None),
    ],
)
def test_what_the_error_queue_holds(data: bytes, error: IcmpError | None) -> None:
    """An ICMP error with its sender, or nothing."""
    assert parse_extended_error(data) == error


@given(st.binary(max_size=60))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    """Whatever is there, it is an error in words or none."""
    error = parse_extended_error(data)
    assert error is None or describe(error).isprintable()


@pytest.mark.parametrize(
    ("version", "kind", "code", "words", "filters"),
    [
        (4, 3, 3, "port unreachable, ICMP 3/3", True),
        (4, 3, 13, "administratively prohibited, ICMP 3/13", True),
        (4, 3, 1, "host unreachable, ICMP 3/1", False),
        (6, 1, 1, "administratively prohibited, ICMPv6 1/1", True),
        (6, 1, 3, "address unreachable, ICMPv6 1/3", False),
        (4, 3, 77, "an error, ICMP 3/77", False),
    ],
)
def test_errors_in_words(version: int, kind: int, code: int, words: str, *, filters: bool) -> None:
    """Names where there are some, numbers always; and whether a filter speaks so."""
    error = IcmpError(version=version, type=kind, code=code)
    assert describe(error) == words
    assert is_from_a_filter(error) is filters
