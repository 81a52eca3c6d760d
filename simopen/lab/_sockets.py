"""Listening sockets, read from the kernel's tables `/proc/net/tcp` and `tcp6`.

The tables print an address as hexadecimal words of four bytes in the machine's own byte order, and
the port behind a colon (Documentation/networking/proc_net_tcp.rst of the kernel).
"""

from __future__ import annotations

import ipaddress
import sys
from typing import NamedTuple

_LISTEN = "0A"  # TCP_LISTEN of net/tcp_states.h, as the table prints it


class Listener(NamedTuple):
    """A listening TCP socket.

    Attributes:
        address: Address it is bound to, as text.
        port: Its port.
    """

    address: str
    port: int


def listeners(table: str) -> list[Listener]:
    """Return the listening sockets in the text of one table."""
    rows = (line.split() for line in table.splitlines()[1:])
    return [_endpoint(row[1]) for row in rows if row[3] == _LISTEN]


def _endpoint(text: str) -> Listener:
    address, port = text.split(":")
    words = [bytes.fromhex(address[i : i + 8]) for i in range(0, len(address), 8)]
    order = slice(None, None, -1) if sys.byteorder == "little" else slice(None)
    packed = b"".join(word[order] for word in words)
    return Listener(str(ipaddress.ip_address(packed)), int(port, 16))
