"""Knocks at the remote, politely: a few SYNs, seconds apart where nobody answers.

Theory of operation. A knock is one ``connect()``, which is closed as soon as anything has come
back. While nothing does, the kernel sends its SYN again after 1 and 2 seconds by itself, and that
is all the patience there is. An answer that says no is asked for twice more, to see whether it is
always the same and how soon it comes. Who says yes is a listener, or a peer that connects to us at
this moment; a listener says yes to anybody, so one more knock from another port tells them apart.

Invariants: no more than :data:`MOST_SYNS` leave, and every one on its own rather than in a row; no
socket is left behind, nor any trace of the port being used (closing is a reset).
"""

from __future__ import annotations

import errno
import socket
import sys
import time
from typing import TYPE_CHECKING

import anyio

from simopen._endpoints import Endpoint
from simopen._errors import LocalBindError
from simopen.net import _sockets
from simopen.net._addresses import socket_address
from simopen.net._errno import IN_PROGRESS, REFUSED_AT_ONCE, refusal_reason, unsent_reason

from . import _icmp
from ._facts import Answer, IcmpError, Knock, Remote

if TYPE_CHECKING:
    from simopen.net._addresses import Addresses

KNOCKS = 3  # of one that is answered by no
PATIENCE = 2.8  # seconds for the first answer: three SYNs, at 0, 1 and 2
PATIENCE_AGAIN = 0.9  # seconds for each later one: one SYN
PAUSE = 0.2  # seconds between two knocks
MOST_SYNS = 3 + (KNOCKS - 1) + 1  # of all knocks and the stranger's

_IS_LINUX = sys.platform == "linux"
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_LONGEST_CONTROL = 256  # bytes; a sock_extended_err with an IPv6 address has 44


async def probe(pair: Addresses) -> Remote:
    """Knock at the remote of ``pair``.

    Args:
        pair: Numeric ends; the local port is 0 where no peer expects us from any.
    """
    is_named = pair.local.port != 0
    knocks = [await knock(pair.family, pair.local, pair.remote, PATIENCE)]
    while knocks[-1].answer in (Answer.RESET, Answer.ICMP, Answer.ERROR) and len(knocks) < KNOCKS:
        await anyio.sleep(PAUSE)
        knocks.append(await knock(pair.family, pair.local, pair.remote, PATIENCE_AGAIN))
    stranger = None
    if is_named and knocks[-1].answer is Answer.OPEN:
        anywhere = pair.local._replace(port=0)
        stranger = await knock(pair.family, anywhere, pair.remote, PATIENCE_AGAIN)
    return Remote(
        remote=pair.remote, port_is_named=is_named, knocks=tuple(knocks), stranger=stranger
    )


async def knock(
    family: socket.AddressFamily, local: Endpoint, remote: Endpoint, patience: float
) -> Knock:
    """Connect once, close at once, and say what came back.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        local: To connect from.
        remote: To connect to.
        patience: Seconds to wait for an answer.
    """
    try:
        sock = _sockets.open_punch_socket(family, local)
    except LocalBindError as error:
        return Knock(answer=Answer.UNSENT, after=0.0, reason=error.strerror or str(error))
    try:
        if _IS_LINUX:
            sock.setsockopt(*_RECVERR[family], 1)
        began = time.monotonic()
        code = sock.connect_ex(socket_address(remote))
        if code not in IN_PROGRESS and code not in REFUSED_AT_ONCE:
            return Knock(answer=Answer.UNSENT, after=0.0, reason=unsent_reason(code))
        with anyio.move_on_after(patience) as limit:
            if code == errno.EINPROGRESS:
                await anyio.wait_writable(sock)
        after = time.monotonic() - began
        if limit.cancelled_caught:
            return Knock(answer=Answer.SILENT, after=after)
        code = code if code in REFUSED_AT_ONCE else _pending_error(sock)
        return _answer(code, after, _icmp_error(sock, family))
    finally:
        _sockets.close(sock)


def _pending_error(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _answer(code: int, after: float, icmp: IcmpError | None) -> Knock:
    if code == 0:
        return Knock(answer=Answer.OPEN, after=after)
    if icmp is not None:
        return Knock(answer=Answer.ICMP, after=after, reason=_icmp.describe(icmp), icmp=icmp)
    answer = Answer.RESET if code in REFUSED_AT_ONCE else Answer.ERROR
    return Knock(answer=answer, after=after, reason=refusal_reason(code))


def _icmp_error(sock: socket.socket, family: socket.AddressFamily) -> IcmpError | None:
    """What the socket's error queue holds, where the system has one."""
    if not _IS_LINUX:
        return None
    try:
        _, messages, _, _ = sock.recvmsg(0, _LONGEST_CONTROL, socket.MSG_ERRQUEUE)
    except OSError:
        return None  # it is empty: the answer was a reset
    for level, kind, data in messages:
        if (level, kind) == _RECVERR[family]:
            return _icmp.parse_extended_error(data)
    return None
