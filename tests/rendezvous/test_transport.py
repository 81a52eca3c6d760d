from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

import anyio
import pytest
from anyio.abc import SocketAttribute

from simopen import Endpoint
from simopen.rendezvous import _transport
from simopen.rendezvous._listener import listen
from simopen.rendezvous._transport import Transport
from tests.helpers import no_socket_left
from tests.net.conformance import expect, reset, tcp_pair

pytestmark = pytest.mark.anyio


async def test_bytes_both_ways() -> None:
    """What is sent arrives, and the end of the client is the end of the stream."""
    with no_socket_left():
        near, far = tcp_pair()
        async with Transport(near) as stream:
            await stream.send(b"hello")
            assert far.recv(10) == b"hello"
            far.send(b"answer")
            assert await stream.receive() == b"answer"
            far.close()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_exactly() -> None:
    """What follows the bytes asked for stays in the kernel."""
    near, far = tcp_pair()
    with far:
        async with Transport(near) as stream:
            far.send(b"headerbody")
            assert await stream.receive_exactly(6) == b"header"
            assert struct.unpack("@i", fcntl.ioctl(near, termios.FIONREAD, bytes(4)))[0] == 4


async def test_sending_now_never_waits() -> None:
    """When the kernel's buffer is full it says how much went, and ``send`` waits for the rest."""
    near, far = tcp_pair(buffers=65536)
    async with Transport(near) as stream, Transport(far) as client:
        sent = 0
        while taken := stream.send_now(bytes(65536)):
            sent += taken
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, b"x" * 100_000)
            got = b""
            while len(got) < sent + 100_000:
                got += await client.receive()
        assert got == bytes(sent) + b"x" * 100_000


async def test_a_reset_breaks_it() -> None:
    """After the client's reset every way to use it raises anyio's error."""
    near, far = tcp_pair()
    async with Transport(near) as stream:
        reset(far)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            stream.send_now(b"x")
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send_eof()


async def test_closing_wakes_the_receiver() -> None:
    """Closed under a waiting task, it is closed for that task and for the next."""
    near, far = tcp_pair()
    with far:
        stream = Transport(near)
        async with anyio.create_task_group() as group:
            group.start_soon(expect(stream.receive, anyio.ClosedResourceError))
            await anyio.wait_all_tasks_blocked()
            stream.close()
        with pytest.raises(anyio.ClosedResourceError):
            stream.send_now(b"x")


async def test_options() -> None:
    """No delay, and a dead client is noticed, by the listener's options where it has them."""
    (listener,) = await listen([Endpoint("127.0.0.1", 0)])
    with listener, socket.create_connection(listener.getsockname()):
        near, _ = listener.accept()
        async with Transport(near) as stream:
            sock = stream.extra(SocketAttribute.raw_socket)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if sys.platform == "linux":
                timeout = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout == _transport.USER_TIMEOUT
                idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                assert idle == _transport.KEEPALIVE_IDLE
                interval = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
                assert interval == _transport.KEEPALIVE_INTERVAL


async def test_options_that_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are set on each connection."""
    monkeypatch.setattr(_transport, "OPTIONS_ARE_INHERITED", False)
    near, far = tcp_pair()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    with far:
        async with Transport(near):
            assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
