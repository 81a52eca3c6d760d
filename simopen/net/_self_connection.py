"""A socket that is connected to itself: told from all others, and made on purpose.

Theory of operation
===================

A TCP socket that is bound to an address and connects to that very address sends its SYN to itself.
The kernel looks for whom a SYN is among the sockets that have its four-tuple, before any listener;
the one that has it is the sender, in SYN_SENT. A SYN that arrives there is one that has crossed
(RFC 9293 §3.5), so one socket plays both parts of a simultaneous open: its SYN makes it
SYN_RECEIVED, its SYN-ACK comes back too, and it is ESTABLISHED. What it sends it receives.

By accident it happens to a client that is not bound and tries a closed port of its own host again
and again: where that port is one that the kernel gives to clients (:mod:`._local_ports`), one of
the attempts gets it as its own. Nothing in a socket call tells; only its two ends being equal does.

On purpose it takes one SYN, and the answer is nearly always there before ``connect()`` returns.
There is nobody to wait for, so the first refusal is the last, and silence is a firewall's.

States
======

==============  ==========================================================
state           meaning
==============  ==========================================================
bound           the port is ours, nothing has been sent
SYN_SENT        the SYN is on its way to us, or a firewall has dropped it
SYN_RECEIVED    it has arrived, the SYN-ACK has not
ESTABLISHED     the connection is to be handed over
==============  ==========================================================

Invariants
==========

- No socket is left when :meth:`SelfConnection.run` fails or is cancelled; one, the caller's, when
  it returns.
- Nothing is awaited between the look that shows the connection open and the end of ``run``.
"""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from simopen._diagnosis import Cause, Diagnosis, diagnose
from simopen._errors import (
    LocalBindError,
    PeerConnectError,
    PeerTimeoutError,
    SelfConnectionError,
    UsageError,
)
from simopen._events import PunchAttempt, PunchConnected, PunchRefused, PunchStarted
from simopen._report import PunchReport

from . import _errno, _port_state, _sockets
from ._addresses import endpoint_of, resolve_own, socket_address
from ._local_ports import LocalPorts, read_local_ports
from ._tcp_info import TcpState, tcp_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from simopen._endpoints import Endpoint
    from simopen._events import Event

PATH = "self"  # in the report
_OURSELVES_IN_USE = (errno.EADDRNOTAVAIL, errno.EADDRINUSE)
_ON_ITS_WAY = (TcpState.SYN_SENT, TcpState.SYN_RECEIVED, TcpState.ESTABLISHED)


# -- telling ---------------------------------------------------------------------------------------


def is_self_connection(sock: socket.socket) -> bool:
    """Whether both ends of a connected socket are one.

    Raises:
        OSError: It is not connected.
    """
    # As endpoints, since an IPv6 flow label is part of one end's address and not of the other's.
    return endpoint_of(sock.getpeername()) == endpoint_of(sock.getsockname())


def guard(sock: socket.socket) -> None:
    """As :func:`simopen.guard_self_connection`."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        kind = f"{_name(sock.family)}, {_name(sock.type)}"
        raise UsageError(f"only TCP sockets are checked (IPv4 and IPv6), and this one is {kind}")
    if is_self_connection(sock):
        raise SelfConnectionError(explain(endpoint_of(sock.getsockname()), read_local_ports()))


def explain(end: Endpoint, ports: LocalPorts | None) -> str:
    """What has happened to a socket that is connected to itself, and what prevents it.

    Args:
        end: Both its ends.
        ports: What the kernel gives to sockets that are not bound, where that is known.
    """
    fact = f"the socket is connected to itself: both its ends are {end}, and nobody else is there"
    if ports is None:
        return (
            f"{fact}. If it was not bound, the kernel has given it the very port that it was "
            "connecting to: let the server have a port outside the range that such ports are from, "
            "or bind the client to another port before it connects"
        )
    given = f"{ports.first}-{ports.last} (net.ipv4.ip_local_port_range)"
    if not ports.gives(end.port):
        return (
            f"{fact}. A socket that is not bound gets a port of {given} that is not reserved, and "
            f"{end.port} is none, so it was bound to it: bind it to another port, or connect it "
            "elsewhere"
        )
    return (
        f"{fact}. Nothing listened on port {end.port}, and the kernel gives the ports {given} to "
        "sockets that are not bound: one that tries often enough gets the very port that it is "
        "connecting to. Let the server have a port outside that range, or reserve its port (add "
        f"{end.port} to net.ipv4.ip_local_reserved_ports), or bind the client to another port "
        "before it connects"
    )


def _name(value: object) -> str:
    return getattr(value, "name", str(value))


# -- making one ------------------------------------------------------------------------------------


class SelfConnection:
    """One socket on its way to itself; for one use.

    Args:
        end: Both its ends; port 0 is any free one.
        began: When the call began, on :func:`time.monotonic`'s clock; ``elapsed`` and the timeout
            count from it.
        timeout: Seconds, or None for as long as the kernel tries.
        announce: Takes what the engine would tell of a punch.
    """

    def __init__(
        self,
        end: Endpoint,
        *,
        began: float,
        timeout: float | None,
        announce: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self._end = end
        self._announce = announce
        self._began = began
        self._timeout = timeout
        self._sock: socket.socket | None = None
        self._report = PunchReport(local=end, remote=end, path=PATH)

    async def run(self) -> tuple[socket.socket, PunchReport]:
        """Bind, and connect.

        Returns:
            The connected, non-blocking socket, now the caller's to close, and the report.

        Raises:
            UsageError: The endpoint is not one address of this host.
            LocalBindError: Its port cannot be had.
            PeerTimeoutError: The time allowed ended.
            PeerConnectError: The system does not let the socket reach itself.
        """
        left = None if self._timeout is None else max(0.0, self._timeout - self._elapsed())
        try:
            await anyio.lowlevel.checkpoint()  # the SYN may be answered without any other
            with anyio.move_on_after(left):
                return await self._connect(await self._bind())
        except BaseException:
            self._close()
            raise
        self._close()
        raise self._failure(PeerTimeoutError)

    async def _bind(self) -> socket.socket:
        family, end = await resolve_own(self._end)
        try:
            self._sock = _sockets.open_punch_socket(family, end)
        except LocalBindError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            raise UsageError(
                f"{end.host} is not an address of this host: a socket can only reach itself at one "
                "that is"
            ) from None
        self._end = endpoint_of(self._sock.getsockname())
        self._report = replace(self._report, local=self._end, remote=self._end)
        return self._sock

    async def _connect(self, sock: socket.socket) -> tuple[socket.socket, PunchReport]:
        ends = self._end, self._end
        self._announce(
            PunchStarted(
                at=self._elapsed(),
                local=self._end,
                remote=self._end,
                lanes=(ends,),
                timeout=self._timeout,
            )
        )
        code = sock.connect_ex(socket_address(self._end))
        if code in _OURSELVES_IN_USE:
            raise self._taken(code)
        if code not in _errno.IN_PROGRESS | _errno.REFUSED_AT_ONCE:
            reasons = {_errno.unsent_reason(code): 1}
            self._report = replace(self._report, unsent=1, unsent_by=reasons)
            raise self._failure(PeerConnectError)
        self._report = replace(self._report, attempts=1)
        self._announce(PunchAttempt(at=self._elapsed(), lane=0, number=1))
        if code in _errno.REFUSED_AT_ONCE:
            raise self._refused(code)
        while not self._is_open(sock):
            await anyio.wait_writable(sock)
        _sockets.keep(sock)
        report = self._timed()
        self._announce(PunchConnected(at=report.elapsed, report=report))
        return sock, report

    def _is_open(self, sock: socket.socket) -> bool:
        state = tcp_state(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state is TcpState.SYN_RECEIVED and self._report.half_open_at is None:
            self._report = replace(self._report, half_open_at=self._elapsed())
        if code or state not in _ON_ITS_WAY:
            raise self._refused(code or errno.ECONNRESET)
        return state is TcpState.ESTABLISHED

    def _refused(self, code: int) -> PeerConnectError:
        reason, at = _errno.refusal_reason(code), self._elapsed()
        self._report = replace(self._report, refusals=1, refused_by={reason: 1})
        self._announce(PunchRefused(at=at, lane=0, number=1, reason=reason, after=at))
        return self._failure(PeerConnectError)

    def _taken(self, code: int) -> LocalBindError:
        state = _port_state.pair_state(self._end, self._end)
        words = "" if state is None else f" (state {state})"
        return LocalBindError(
            code,
            f"another socket is or was connected to itself at {self._end}{words}: close it, wait, "
            "or choose another port",
            local=self._end,
            state=state,
        )

    def _close(self) -> None:
        if self._sock is not None:
            _sockets.close(self._sock)

    def _failure(self, kind: type[PeerConnectError]) -> PeerConnectError:
        report = self._timed()
        return kind(report=report, diagnosis=_diagnosis(report))

    def _timed(self) -> PunchReport:
        return replace(self._report, elapsed=self._elapsed())

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def _diagnosis(report: PunchReport) -> Diagnosis:
    found = diagnose(report)
    if not report.attempts:
        return found  # nothing was sent, which has the same reasons as with a peer
    return replace(
        found,
        cause=Cause.LOCAL_FIREWALL,
        explanation="A packet to oneself meets nobody on its way but this host's own firewall",
        advice=f"Allow TCP from {report.local} to itself (most rule sets allow all of loopback: "
        "iif lo accept)",
    )
