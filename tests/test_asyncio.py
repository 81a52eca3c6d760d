"""simopen.asyncio: a punched connection as asyncio's reader and writer."""

from __future__ import annotations

import asyncio
import socket

import pytest

import simopen.asyncio
from simopen import PeerTimeoutError
from simopen.asyncio import open_peer
from tests.conftest import LOOPS
from tests.helpers import free_port, no_socket_left, silent_endpoint
from tests.net.conformance import HELLO, PATIENCE, peer_process, tcp_pair, two_endpoints

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", LOOPS[:2], indirect=True),  # asyncio and uvloop
]


async def test_echo() -> None:
    """Bytes cross both ways, and our close is the peer's orderly end of the stream."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="last"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE)
        writer.write(await reader.readexactly(len(HELLO)))
        await writer.drain()
        assert writer.get_extra_info("peername") == there
        assert writer.get_extra_info("sockname") == here
        writer.close()
        await writer.wait_closed()


async def test_end_of_stream() -> None:
    """The peer's close is the reader's end of file, after everything that was sent before it."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="first"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE)
        writer.write(HELLO)
        assert await reader.read() == HELLO
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()


async def test_limit() -> None:
    """``limit`` is the reader's: a longer line is refused as asyncio refuses it."""
    here, there = two_endpoints()
    async with peer_process(here, there, close="last"):
        reader, writer = await open_peer(there, local=here, timeout=PATIENCE, limit=len(HELLO) // 2)
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.readuntil(b"\n")
        writer.write(HELLO)
        writer.close()
        await writer.wait_closed()


async def test_timeout() -> None:
    """Not reaching the peer in time is connect_peer's own error, and leaves no socket."""
    with silent_endpoint() as remote, no_socket_left(), pytest.raises(PeerTimeoutError):
        await open_peer(remote, local=("127.0.0.1", free_port()), timeout=0.05)


async def test_cancelled_punch() -> None:
    """A punch that asyncio cancels leaves no socket."""
    with silent_endpoint() as remote, no_socket_left():
        task = asyncio.ensure_future(open_peer(remote, local=("127.0.0.1", free_port())))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_hand_over(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while asyncio takes the connected socket over, at any turn, none is left."""
    with no_socket_left():
        near, far = tcp_pair()

        async def punched(*_: object, **__: object) -> socket.socket:
            return near

        monkeypatch.setattr(simopen.asyncio, "connect_peer_socket", punched)
        task = asyncio.ensure_future(open_peer("192.0.2.1:1", local="0.0.0.0:1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            _, writer = await task
        except asyncio.CancelledError:
            if not turns:  # never began
                near.close()
        else:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.01)  # transports close in the turn after
        far.close()
