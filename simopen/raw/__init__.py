"""Connections without ``listen()`` by handshakes of our own (Linux).

    from simopen import raw

    async with raw.accept("0.0.0.0:7777") as listener:
        stream = await listener.accept()

    stream = await raw.connect("198.51.100.1:80")

A raw socket reads and sends the segments of the handshake, a rule of nftables keeps the kernel from
resetting it, and ``TCP_REPAIR`` makes an ordinary kernel socket of it. The other side is any TCP.
Needs CAP_NET_RAW and CAP_NET_ADMIN.

How it is cut. Pure: `_segments` (bytes and sequence numbers), `_handshake` (the state machine of
one), `_half_open` (all of a port). Executors: `_wire` (the raw socket) with its `_filter`,
`_firewall`, `_repair` (the hand-over), `_host` (what this kernel would offer). `_acceptor` and
`_connector` put them together.
"""

from simopen.net._stream import TcpStream

from ._acceptor import RawListener, accept
from ._connector import connect
from ._errors import RawConnectError, RawTimeoutError, RawUnavailableError

__all__ = [
    "RawConnectError",
    "RawListener",
    "RawTimeoutError",
    "RawUnavailableError",
    "TcpStream",
    "accept",
    "connect",
]
