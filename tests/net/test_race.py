from __future__ import annotations

import socket

import anyio
import pytest

import simopen
from simopen import Cause, PeerConnectError, PeerTimeoutError, PunchOptions
from tests.helpers import free_port, no_socket_left, silent_endpoint

pytestmark = pytest.mark.anyio


async def test_a_silent_lane_is_overtaken_and_closed() -> None:
    """The one that connects is handed over, and nothing of the other is left."""
    with silent_endpoint() as silent, socket.create_server(("127.0.0.1", 0)) as server:
        remote = [silent, server.getsockname()]
        with no_socket_left():
            local = f"127.0.0.1:{free_port()}"
            stream = await simopen.connect_peer(remote, local=local, timeout=5)
            assert stream.report.remote == server.getsockname()
            assert [lane.attempts for lane in stream.report.lanes] == [1, 1]
            assert stream.report.elapsed >= PunchOptions().lane_delay
            await stream.aclose()


async def test_an_error_is_not_lost_to_a_cancellation() -> None:
    """An exception of the callback comes out as itself, also if it has cancelled the call."""

    def fail(event: simopen.Event) -> None:
        if event.name == "punch.refused":
            scope.cancel()
            raise LookupError("mine")

    remote = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    with no_socket_left(), anyio.CancelScope() as scope, pytest.raises(LookupError, match="mine"):
        await simopen.connect_peer(remote, local=f"127.0.0.1:{free_port()}", on_event=fail)


async def test_silence_is_reported_lane_by_lane() -> None:
    """The totals are the lanes' sums, and a lane that can send nothing does not end the call."""
    options = PunchOptions(patience_unsent=0.05)
    with silent_endpoint() as silent, no_socket_left(), pytest.raises(PeerTimeoutError) as caught:
        await simopen.connect_peer(
            ["10.0.0.1:3", silent], local=f"127.0.0.1:{free_port()}", timeout=0.4, options=options
        )
    report = caught.value.report
    assert caught.value.diagnosis.cause is Cause.SILENCE
    assert report.attempts == sum(lane.attempts for lane in report.lanes) >= 1
    assert report.unsent == report.lanes[1].unsent + report.lanes[0].unsent >= 2


async def test_the_state_of_the_pair_in_use_is_told() -> None:
    """All hopeless ends early; the state is that of the furthest lane's pair, not the first's."""
    local = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await simopen.connect_peer(server.getsockname(), local=local, timeout=5)
        with pytest.raises(PeerConnectError, match="ESTABLISHED") as caught:
            await simopen.connect_peer(
                ["10.0.0.1:3", server.getsockname()],
                local=local,
                options=PunchOptions(patience_unsent=0.1),
            )
        await stream.aclose()
    assert caught.value.diagnosis.cause is Cause.PAIR_IN_USE
