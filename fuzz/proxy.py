"""A PROXY header is read to what it says, or refused with ProxyError; and never with a long rest.

The first byte tells whether the signature is put in front, which chance would not find.
"""

from __future__ import annotations

import contextlib
import ipaddress

from simopen.rendezvous._proxy import FIXED, LONGEST_REST, ProxyError, parse_client, parse_fixed

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST = 128

SEEDS = (
    b"\1\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + b"\x9c\x40\x1c\xa9",
    b"\1\x21\x21\0\x24" + bytes.fromhex("20010db8") + bytes(28) + b"\x9c\x40\x1c\xa9",
    b"\1\x21\x21\0\x24" + bytes(10) + b"\xff\xff\xc0\0\2\1" + bytes(16) + b"\x9c\x40\x1c\xa9",
    b"\1\x20\0\0\0",
    b"\0PROXY TCP4 192.0.2.1 192.0.2.2 40000 7337\r\n",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    data = SIGNATURE + data[1:] if data[:1] == b"\1" else data[1:]
    with contextlib.suppress(ProxyError):
        header = parse_fixed(data[:FIXED])
        assert data.startswith(SIGNATURE)
        assert data[12] in (0x20, 0x21)
        assert 0 <= header.rest <= LONGEST_REST
        rest = data[FIXED:]
        client = parse_client(header, rest)
        assert len(rest) == header.rest
        if client is None:
            assert data[12] == 0x20 or data[13] == 0
            return
        size = {0x11: 4, 0x21: 16}[data[13]]
        assert client.port == int.from_bytes(rest[2 * size : 2 * size + 2], "big") > 0
        assert _packed(client.host) == rest[:size].removeprefix(bytes(10) + b"\xff\xff")


def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed
