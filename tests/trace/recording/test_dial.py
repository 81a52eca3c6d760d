"""A plain connect, traced."""

from __future__ import annotations

import socket

import anyio
import pytest

from simopen import Endpoint, HandshakeKind, HandshakeTrace, UsageError
from simopen.trace.recording import dial
from tests.helpers import closed_soon, free_port, open_sockets, silent_endpoint

pytestmark = pytest.mark.anyio

FAMILIES = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


@FAMILIES
async def test_a_listener(host: str) -> None:
    """Connected, and told as a three-way handshake, with packets or without."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    trace = HandshakeTrace()
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with await dial(Endpoint(host, port), trace) as sock:
            assert sock.getpeername()[:2] == (host, port)
            assert trace.local == sock.getsockname()[:2]
    assert trace.kind is HandshakeKind.THREE_WAY
    assert trace.steps[-1].state == "ESTABLISHED"
    assert trace.retransmits == 0


@FAMILIES
async def test_oneself(host: str) -> None:
    """Bound to where it connects, a socket is both ends."""
    remote = Endpoint(host, free_port())
    trace = HandshakeTrace()
    with await dial(remote, trace, from_itself=True) as sock:
        assert sock.getsockname() == sock.getpeername()
    assert trace.kind is HandshakeKind.SELF


async def test_nobody_there() -> None:
    """The error is the kernel's, the trace is filled, and nothing is left open."""
    before = open_sockets()
    trace = HandshakeTrace()
    with pytest.raises(ConnectionRefusedError):
        await dial(Endpoint("127.0.0.1", free_port()), trace)
    assert trace.kind is HandshakeKind.NONE
    assert trace.steps[-1].flags.startswith("RST")
    assert await closed_soon(before)


async def test_cancelled() -> None:
    """A SYN that nobody answers can be given up: the trace has it, and no socket is left."""
    trace = HandshakeTrace()
    with silent_endpoint() as remote:
        before = open_sockets()
        with anyio.move_on_after(0.05) as scope:
            await dial(Endpoint(*remote), trace)
        assert scope.cancelled_caught
        assert await closed_soon(before)
    assert [step.flags for step in trace.steps] == ["SYN"]
    assert trace.kind is HandshakeKind.NONE


async def test_a_name_that_is_none() -> None:
    """Nothing is sent."""
    with pytest.raises(UsageError, match="does not resolve"):
        await dial(Endpoint("no-such-host.invalid", 1), HandshakeTrace())
