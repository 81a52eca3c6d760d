"""What the kernel knows of a connection (``TCP_INFO``), and what can be told without it.

Linux gives the TCP state, and the round trip of a connection that was accepted. (The estimate is
of no use after a crossing: its first sample runs from our SYN-ACK to the peer's, which left before
ours arrived.) macOS, BSD and Windows have no portable way to tell SYN_SENT from SYN_RECEIVED; there
a socket without news counts as SYN_SENT, so that a half-open connection can be refreshed too early.
That path is written from documentation and is untested.
"""

from __future__ import annotations

import enum
import socket
import struct
import sys

HAS_TCP_INFO = sys.platform == "linux"

_TCP_INFO = 11  # linux/tcp.h; socket.TCP_INFO exists on Linux only
_MIN_RTT = slice(148, 152)  # tcpi_min_rtt of struct tcp_info, since Linux 4.6
_SEGMENTS = slice(136, 144)  # tcpi_segs_out and tcpi_segs_in, since Linux 4.2
_TOTAL_RETRANS = slice(100, 104)  # tcpi_total_retrans, since Linux 2.6
_NO_SAMPLE = (0, 2**32 - 1)  # what the kernel shows before the first one


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


def min_round_trip(sock: socket.socket) -> float | None:
    """The shortest round trip of an accepted connection so far.

    The shortest, because the smoothed one grows with every acknowledgement that the other side
    delays.

    Returns:
        Seconds, or None where there is no sample yet or the system does not tell.
    """
    if not HAS_TCP_INFO:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _MIN_RTT.stop)
    microseconds = int.from_bytes(info[_MIN_RTT], sys.byteorder)  # none on an older kernel: 0
    return None if microseconds in _NO_SAMPLE else microseconds / 1e6


def segments(sock: socket.socket) -> tuple[int, int] | None:
    """How many segments the connection has sent and received; None where nobody tells."""
    if not HAS_TCP_INFO:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SEGMENTS.stop)
    if len(info) < _SEGMENTS.stop:
        return None
    sent, received = struct.unpack("=II", info[_SEGMENTS])
    return sent, received


def retransmits(sock: socket.socket) -> int | None:
    """How many segments of a connection the kernel has sent again so far, its SYNs included.

    Returns:
        None where the system does not tell.
    """
    if not HAS_TCP_INFO:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TOTAL_RETRANS.stop)
    return int.from_bytes(info[_TOTAL_RETRANS], sys.byteorder)


def _state_by_other_means(sock: socket.socket) -> TcpState:
    try:
        sock.getpeername()
    except OSError:
        # An error that is still pending is left for SO_ERROR, which the caller reads.
        return TcpState.SYN_SENT
    return TcpState.ESTABLISHED
