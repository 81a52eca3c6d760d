"""What the kernel knows of a connection (``TCP_INFO``), and what can be told without it.

Linux gives the TCP state. (Its round-trip estimate is of no use at the hand-over: after a crossing
the first sample runs from our SYN-ACK to the peer's, which left before ours arrived.) macOS, BSD
and Windows have no portable way to tell SYN_SENT from SYN_RECEIVED; there a socket without news
counts as SYN_SENT, so that a half-open connection can be refreshed too early. That path is written
from documentation and is untested.
"""

from __future__ import annotations

import enum
import socket
import sys

HAS_TCP_INFO = sys.platform == "linux"

_TCP_INFO = 11  # linux/tcp.h; socket.TCP_INFO exists on Linux only


class TcpState(enum.IntEnum):
    """TCP states as Linux numbers them (net/tcp_states.h; names of RFC 9293 §3.3.2)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    TIME_WAIT = 6
    CLOSED = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECEIVED = 12


def tcp_state(sock: socket.socket) -> TcpState:
    """The socket's TCP state, now."""
    if HAS_TCP_INFO:
        # The state is the first byte; asking for one byte alone is cheap enough for every look.
        return TcpState(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0])
    return _state_by_other_means(sock)


def _state_by_other_means(sock: socket.socket) -> TcpState:
    try:
        sock.getpeername()
    except OSError:
        # An error that is still pending is left for SO_ERROR, which the caller reads.
        return TcpState.SYN_SENT
    return TcpState.ESTABLISHED
