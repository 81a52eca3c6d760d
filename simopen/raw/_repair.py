"""The hand-over: an ordinary kernel socket for a connection that was opened in user space.

With ``TCP_REPAIR``, made for moving processes between hosts, a socket is told both sequence
numbers, "connects" without sending anything, is ESTABLISHED at once, and is then told what the
handshake has agreed on.

From that ``connect()`` on the kernel gives it the packets of the connection. Those that came before
it knows what was agreed on would be misunderstood, and a FIN among them would end all telling; so
until then a filter drops everything, and the caller replays it (:mod:`._taking`).
"""

from __future__ import annotations

import socket
import struct

from . import _filter
from ._errors import RawUnavailableError, lacking
from ._handshake import Connection
from ._segments import Address
from ._wire import SO_DETACH_FILTER, attach_filter, family_of, sockaddr

# linux/tcp.h
_REPAIR, _REPAIR_QUEUE, _QUEUE_SEQ, _REPAIR_OPTIONS = 19, 20, 21, 22
_TIMESTAMP, _REPAIR_WINDOW = 24, 29
_ON, _OFF = 1, -1  # off without a window probe
_RECEIVE_QUEUE, _SEND_QUEUE = 1, 2
_LARGEST_MAXSEG = 32_767  # bytes; MAX_TCP_WINDOW
_MSS, _SCALE, _SACK_PERMITTED, _TIMESTAMPS = 2, 3, 4, 8  # kinds of options, as on the wire


def open_socket(local: Address) -> socket.socket:
    """Make a non-blocking TCP socket, bound to our end and never to listen.

    Args:
        local: Our end; the port may be 0, the address a wildcard.

    Raises:
        OSError: The port is not to be had.
    """
    sock = socket.socket(family_of(local), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # With it the port can be had although connections of ours are still on it; without it from
        # then on, nobody else can listen there.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(sockaddr(local))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        sock.close()
        raise
    return sock


def check_permitted() -> None:
    """See whether this process may repair sockets.

    Raises:
        RawUnavailableError: It lacks CAP_NET_ADMIN, or the kernel has no TCP_REPAIR.
    """
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, _REPAIR, _ON)
        except PermissionError:
            raise lacking("CAP_NET_ADMIN") from None
        except OSError as error:
            raise RawUnavailableError(
                error.errno, "this kernel has no TCP_REPAIR (CONFIG_CHECKPOINT_RESTORE)"
            ) from None


def hand_over(connection: Connection, sock: socket.socket | None = None) -> socket.socket:
    """Give a connection to a kernel socket.

    Args:
        connection: An established one.
        sock: A socket that is bound to our end, or None for a new one. It is closed on failure.

    Returns:
        The ESTABLISHED socket, non-blocking.

    Raises:
        OSError: No socket can be had, or the connection's place is taken.
    """
    flow = connection.flow
    sock = sock or socket.socket(family_of(flow.local), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set(sock, _REPAIR, _ON)
        _set_queue(sock, _RECEIVE_QUEUE, connection.receive_next)
        _set_queue(sock, _SEND_QUEUE, connection.send_next)
        if sock.getsockname()[1] == 0:
            sock.bind(sockaddr(flow.local))
        attach_filter(sock, _filter.DROP_ALL)
        # The size of our segments is reckoned in connect(), and not once more for an option.
        _set(sock, socket.TCP_MAXSEG, min(connection.mss, _LARGEST_MAXSEG))
        sock.connect(sockaddr(flow.remote))
        _set(sock, socket.TCP_MAXSEG, 0)
        _set_options(sock, connection)
        _set_windows(sock, connection)
        _set(sock, _REPAIR, _OFF)
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        _set(sock, socket.TCP_NODELAY, 1)
        # As an accepted socket has it: a server may listen on the port while this one lives.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_queue(sock: socket.socket, queue: int, sequence: int) -> None:
    _set(sock, _REPAIR_QUEUE, queue)
    sock.setsockopt(socket.IPPROTO_TCP, _QUEUE_SEQ, struct.pack("=I", sequence))


def _set_options(sock: socket.socket, connection: Connection) -> None:
    options = [(_MSS, connection.mss)]
    if connection.scales is not None:
        theirs, ours = connection.scales
        options.append((_SCALE, theirs | ours << 16))
    if connection.sack:
        options.append((_SACK_PERMITTED, 0))
    if connection.timestamp is not None:
        options.append((_TIMESTAMPS, 0))
        # An odd one would mean microseconds (Linux 6.7), and it must not go back.
        stamp = connection.timestamp + connection.timestamp % 2
        sock.setsockopt(socket.IPPROTO_TCP, _TIMESTAMP, struct.pack("=I", stamp % 2**32))
    packed = b"".join(struct.pack("=II", *each) for each in options)
    sock.setsockopt(socket.IPPROTO_TCP, _REPAIR_OPTIONS, packed)


def _set_windows(sock: socket.socket, connection: Connection) -> None:
    """``struct tcp_repair_window``: wl1, our send window, the largest so far, what we offered."""
    window = struct.pack(
        "=IIIII",
        connection.window_from,
        connection.send_window,
        connection.send_window,
        connection.receive_window,
        connection.receive_next,
    )
    sock.setsockopt(socket.IPPROTO_TCP, _REPAIR_WINDOW, window)


def _set(sock: socket.socket, option: int, value: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, option, value)
