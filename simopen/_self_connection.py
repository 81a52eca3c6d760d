"""Self-connection at the door: a socket connected to itself, made on purpose or guarded against.

How it comes about, and how it is told, is at the head of :mod:`.net._self_connection`.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from anyio.abc import SocketAttribute

from ._api import _checked_timeout
from ._endpoints import EndpointLike, parse_listener
from ._traced import Traced
from .net import _port_state
from .net._self_connection import SelfConnection, guard
from .net._stream import PeerStream, TcpStream
from .net._tcp_info import segments, tcp_state

if TYPE_CHECKING:
    from .trace import HandshakeTrace


async def connect_self(
    endpoint: EndpointLike,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 - ends in a diagnosis, as connect_peer
    trace: bool | HandshakeTrace = False,
) -> PeerStream:
    """Connect one socket to itself: both its ends are ``endpoint``, and nobody listens.

    The socket's SYN comes back to the socket that has sent it, which is in SYN_SENT then: a
    simultaneous open in which it plays both parts (RFC 9293 §3.5). What is sent to the stream is
    received from it. Whoever sends more than both kernel buffers hold must receive meanwhile: there
    is nobody else to do it.

    Example::

        async with await simopen.connect_self("127.0.0.1:40000") as stream:
            await stream.send(b"hello, me")
            print(await stream.receive())

    Args:
        endpoint: An address of this host with a port, as ``"host:port"``, ``"[v6]:port"`` or
            ``(host, port)``; port 0 is any free one. A name stands for its first address.
        timeout: Seconds for all of it; None for as long as the kernel tries, some two minutes where
            a firewall drops the SYN.
        trace: As for :func:`connect_peer`.

    Returns:
        The connected stream; ``stream.report`` has one endpoint as both ends.

    Raises:
        UsageError: The endpoint is not one address of this host: a wildcard, a multicast address,
            one of another host, or a name that does not resolve (a ``ValueError``). Nothing was
            sent.
        LocalBindError: The port is taken, by another self-connection too (an ``OSError``).
        PeerTimeoutError: It took longer than ``timeout`` (a ``TimeoutError``).
        PeerConnectError: This host's firewall does not let the socket reach itself, or the system
            would not send.
    """
    began = time.monotonic()
    end = parse_listener(endpoint, role="endpoint")
    timeout = _checked_timeout(timeout)
    with Traced(trace, None) as traced:
        making = SelfConnection(end, began=began, timeout=timeout, announce=traced.announce)
        sock, report = await making.run()
        return traced.stream(PeerStream(TcpStream(sock), report))


def guard_self_connection(sock: socket.socket) -> None:
    """Refuse a connected socket of your own whose other end is itself.

    A client that is not bound and tries a closed port of its own host again and again is connected
    in the end, to itself: it sees success, holds the port so that the server cannot start,
    and hears its own requests as answers. Call this after each ``connect()`` to an address that may
    be this host's; it costs two system calls and sends nothing. (What :func:`connect_peer` returns
    has been checked.)

    Example::

        with socket.create_connection(("127.0.0.1", 40000)) as sock:
            simopen.guard_self_connection(sock)

    Args:
        sock: A connected TCP socket, IPv4 or IPv6; also ``ssl.SSLSocket``, what asyncio gives as
            ``writer.get_extra_info("socket")``, and what anyio gives as
            ``SocketAttribute.raw_socket``. It stays open, whatever is found.

    Raises:
        SelfConnectionError: It is connected to itself; the text says how that came about on this
            host, and what prevents it. Close the socket: it holds the port.
        UsageError: It is no TCP socket: of other sockets equal ends mean other things, or nothing
            (a ``ValueError``).
        OSError: It is not connected (``ENOTCONN``): not yet, or no more, or it is closed
            (``EBADF``).
    """
    guard(sock)


class SelfView(NamedTuple):
    """What the system shows of a connection.

    Attributes:
        state: Its TCP state (``"ESTABLISHED"``).
        segments: How many it has sent and received, where the system tells.
        sharing: The TCP states of all sockets on its port; empty where the system shows none.
    """

    state: str
    segments: tuple[int, int] | None
    sharing: tuple[str, ...]


def view(stream: PeerStream) -> SelfView:
    """Look at an open stream of :func:`connect_self`."""
    sock = stream.extra(SocketAttribute.raw_socket)
    return SelfView(
        state=tcp_state(sock).name,
        segments=segments(sock),
        sharing=tuple(state.name for state in _port_state.states(stream.report.local)),
    )
