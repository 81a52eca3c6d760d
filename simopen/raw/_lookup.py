"""Whether the kernel has a connection already: one exact question to it (sock_diag(7)).

A SYN that comes late or twice, when its connection has been handed over, is the kernel's affair: it
answers by a challenge (RFC 5961 §4). Were we to answer it too, with a SYN-ACK of other numbers, the
peer's answer to that would look wrong, and our reset would end a good connection.
"""

from __future__ import annotations

import errno
import socket
import struct

from simopen.net._tcp_info import TcpState

from ._errors import RawUnavailableError, refusals_told
from ._segments import Address, Flow
from ._wire import family_of

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20  # type of a message
_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI2s2s16s16sIQ")  # struct inet_diag_req_v2
_ALL_STATES, _ANY_COOKIE = 0xFFFFFFFF, 2**64 - 1
_STATE_AT = _HEADER.size + 1  # of struct inet_diag_msg
_LARGEST_ANSWER = 4096
_NOBODY = Address(bytes((127, 0, 0, 1)), 0)


class Lookup:
    """Asks for sockets."""

    def __init__(self) -> None:
        """Open the way to ask.

        Raises:
            RawUnavailableError: This kernel has none.
        """
        with refusals_told():
            self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        try:
            self.has(Flow(_NOBODY, _NOBODY))
        except BaseException:
            self._sock.close()
            raise

    def has(self, flow: Flow) -> bool:
        """Whether a socket has a connection, other than one in TIME_WAIT, which gives way.

        Args:
            flow: The connection.

        Raises:
            RawUnavailableError: The kernel cannot be asked.
        """
        question = _QUESTION.pack(
            family_of(flow.local),
            socket.IPPROTO_TCP,
            0,
            _ALL_STATES,
            flow.local.port.to_bytes(2, "big"),
            flow.remote.port.to_bytes(2, "big"),
            flow.local.packed,  # padded with zeros where it is IPv4
            flow.remote.packed,
            flow.remote.zone,
            _ANY_COOKIE,
        )
        head = _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 0, 0)
        self._sock.send(head + question)
        answer = self._sock.recv(_LARGEST_ANSWER)
        if _HEADER.unpack_from(answer)[1] == _BY_FAMILY:
            return answer[_STATE_AT] != TcpState.TIME_WAIT
        code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if code != errno.ENOENT:
            raise RawUnavailableError(code, "the kernel does not tell of its sockets (tcp_diag)")
        return False

    def close(self) -> None:
        """Close it."""
        self._sock.close()
