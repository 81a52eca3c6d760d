"""A packet socket that shows the packets between some endpoints, with the kernel's times.

Theory of operation
===================

``AF_PACKET`` shows copies of what passes this host's network interfaces, outgoing and incoming, all
protocols. The filter is attached before the socket is bound, and it is bound only then to all
protocols: so it never holds a packet that is not ours. ``SOCK_DGRAM`` begins packets at their
IP header on every kind of interface. The socket is never waited for: whoever owns it empties it
now and then, and what is in it when its buffer is full the kernel counts and drops.

Invariants
==========

- One socket between :meth:`PacketRecorder.open` and :meth:`PacketRecorder.close`.
- No call blocks for long: opening takes a millisecond. The kernel waits some ten milliseconds for
  its own readers when such a socket is closed (``synchronize_net``), so that is done in a thread.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from simopen.trace._filter import SNAP_BYTES, program
from simopen.trace._steps import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simopen.trace._log import Log, Pair

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33  # likewise
_SO_TIMESTAMPNS = 35  # likewise; the control message has the same number
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263  # linux/socket.h
_PACKET_STATISTICS = 6  # linux/if_packet.h
_SOCKADDR_LL = struct.Struct("@HHiHBB8s")
_TIMESPEC = struct.Struct("@ll")
_STATISTICS = struct.Struct("@II")  # packets seen, packets dropped
_SOCK_FPROG = struct.Struct("@HP")
_NS_PER_S = 1_000_000_000
_INSTRUCTION_BYTES = 8

BUFFER_BYTES = 1 << 22
"""What the kernel may hold between two looks: some thousand small packets, where it lets us."""

STAMPING = 0.001
"""Seconds until the kernel notes times: it patches itself for that, in a worker. A packet before is
given the time of its reading, which is later."""

MOST_IN_BUFFER = BUFFER_BYTES // 256
"""More packets than that it never holds: the kernel counts its own administration."""

MOST_AT_ONCE = 1024
"""Packets taken at one look, so that a flood does not hold the loop."""


class PacketRecorder:
    """Copies packets into a log.

    Args:
        sock: Bound, with the filter.
        log: Where to.
    """

    def __init__(self, sock: socket.socket, log: Log) -> None:
        self._sock = sock
        self._log = log

    @classmethod
    def open(cls, pairs: Sequence[Pair], log: Log) -> PacketRecorder:
        """Begin to record.

        Args:
            pairs: Numeric endpoints, ours and theirs.
            log: Takes the packets.

        Raises:
            OSError: It is not permitted here, or not possible.
        """
        if not hasattr(socket, "AF_PACKET"):
            raise OSError("this system has no packet sockets")
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            _attach(sock, program(pairs))
            _widen(sock)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            _bind_to_all(sock)
            time.sleep(STAMPING)
        except BaseException:
            sock.close()
            raise
        return cls(sock, log)

    def drain(self, most: int = MOST_AT_ONCE) -> None:
        """Take what has been seen so far.

        Args:
            most: How many packets.
        """
        for _ in range(most):
            try:
                data, control, _, address = self._sock.recvmsg(SNAP_BYTES, 64)
            except OSError:  # nothing more; or an interface has gone
                return
            outgoing = address[2] == socket.PACKET_OUTGOING
            self._log.note_packet(Frame(_time_ns(control), outgoing, address[0], data))

    def close(self) -> None:
        """Take the last packets and end."""
        self.drain(MOST_IN_BUFFER)
        seen = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        _, dropped = _STATISTICS.unpack(seen)
        self._log.dropped += dropped
        threading.Thread(target=self._sock.close).start()


def _widen(sock: socket.socket) -> None:
    """Ask for a large buffer: by right with CAP_NET_ADMIN, else as large as the system lets us."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def _attach(sock: socket.socket, instructions: bytes) -> None:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    length = len(instructions) // _INSTRUCTION_BYTES
    fprog = _SOCK_FPROG.pack(length, ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def _bind_to_all(sock: socket.socket) -> None:
    """Bind to all protocols on all interfaces; Python's own ``bind`` wants one interface's name."""
    address = _SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _time_ns(control: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds * _NS_PER_S + nanoseconds)
    return time.time_ns()
