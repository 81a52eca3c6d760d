"""``trace=`` of the calls, on loopback and on every loop."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import simopen
from simopen import HandshakeKind, HandshakeTrace
from simopen.net._stream import TcpStream
from simopen.trace.recording._recorder import PacketRecorder
from tests.helpers import closed_soon, free_port, on_cpu, open_sockets

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than twenty characters"  # noqa: S105 - a test's
CONNECTED = (HandshakeKind.CROSSING, HandshakeKind.ONE_SIDED, HandshakeKind.UNSEEN)


@asynccontextmanager
async def meeting(secret: str | None = None) -> AsyncIterator[tuple[str, str]]:
    """A peer on loopback, a process of its own; yields our remote and local endpoint."""
    ours, theirs = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [*on_cpu(1), sys.executable, "-m", "simopen", "connect", ours, "--local", theirs]
    environment = {**os.environ, "SIMOPEN_SECRET": secret} if secret else None
    options: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    async with await anyio.open_process(command, env=environment, **options) as process:
        try:
            yield theirs, ours
        finally:
            process.kill()


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "secret"])
async def test_a_stream_has_its_trace(secret: str | None) -> None:
    """True makes one; it ends with the handshake, whatever was proven after that."""
    async with (
        meeting(secret) as (remote, local),
        await simopen.connect_peer(
            remote, local=local, secret=secret, timeout=20, trace=True
        ) as stream,
    ):
        trace = stream.trace
        assert trace is not None
        assert (trace.local, trace.remote) == (stream.report.local, stream.report.remote)
    assert trace.kind in CONNECTED
    # The peer sends SYNs by the thousand; where this process is slow the kernel drops some.
    assert trace.steps[-1].state in ("ESTABLISHED", "CLOSE_WAIT") or trace.dropped
    assert not any(step.payload_bytes for step in trace.steps)


async def test_without_being_asked_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual call opens no packet socket, and its stream has no trace."""

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PacketRecorder, "open", fail)
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(simopen.PeerTimeoutError):
        await simopen.connect_peer(remote, local=local, timeout=0.05)
    here = simopen.Endpoint("127.0.0.1", 1)
    with socket.socket() as sock:
        report = simopen.PunchReport(local=here, remote=here)
        assert simopen.PeerStream(TcpStream(sock), report).trace is None


async def test_an_object_is_filled_when_the_call_fails() -> None:
    """What was seen until then is what one wants to see."""
    before = open_sockets()
    trace = HandshakeTrace()
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(simopen.PeerTimeoutError):
        await simopen.connect_peer(remote, local=local, timeout=0.1, trace=trace)
    assert trace.kind is HandshakeKind.NONE
    assert trace.attempts > 1
    assert {step.flags for step in trace.steps if not step.outgoing} <= {"RST-ACK", "RST"}
    assert str(trace.remote) == remote
    assert await closed_soon(before)


async def test_a_bare_socket_cannot_carry_it() -> None:
    """So an object is given; on failure, too."""
    trace = HandshakeTrace()
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(simopen.PeerTimeoutError):
        await simopen.connect_peer_socket(remote, local=local, timeout=0.05, trace=trace)
    assert trace.attempts > 1


async def test_a_connectable_traces_each_connect() -> None:
    """As the call does."""
    trace = HandshakeTrace()
    peer = simopen.PeerConnectable(
        remote=f"127.0.0.1:{free_port()}",
        local=f"127.0.0.1:{free_port()}",
        timeout=0.05,
        trace=trace,
    )
    with pytest.raises(simopen.PeerTimeoutError):
        await peer.connect()
    assert trace.attempts > 1


async def test_cancellation_leaves_no_socket() -> None:
    """Neither the engine's nor the recorder's; the trace is filled."""
    before = open_sockets()
    trace = HandshakeTrace()
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with anyio.move_on_after(0.05) as scope:
        await simopen.connect_peer(remote, local=local, trace=trace)
    assert scope.cancelled_caught
    assert trace.attempts > 0
    assert await closed_soon(before)


async def test_a_callback_that_raises_leaves_no_socket() -> None:
    """It ends the call, and the recorder with it."""

    def complain(_event: simopen.Event) -> None:
        raise ZeroDivisionError

    before = open_sockets()
    remote, local = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(ZeroDivisionError):
        await simopen.connect_peer(remote, local=local, on_event=complain, trace=True)
    assert await closed_soon(before)


async def test_without_permission_the_call_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace then tells what the socket showed."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(PacketRecorder, "open", refuse)
    async with (
        meeting() as (remote, local),
        await simopen.connect_peer(remote, local=local, timeout=20, trace=True) as stream,
    ):
        assert stream.trace is not None
        assert not stream.trace.from_packets
        assert stream.trace.kind is HandshakeKind.UNSEEN
        assert "CAP_NET_RAW" in str(stream.trace)
