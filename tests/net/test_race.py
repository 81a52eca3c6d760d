"""Several lanes of one call, on real sockets."""

from __future__ import annotations

import errno
import socket

import anyio
import pytest

import simopen
from simopen import Cause, PeerConnectError, PeerTimeoutError, PunchOptions
from simopen.net import _executor, _sockets
from tests.helpers import free_neighbours, free_port, no_socket_left, silent_endpoint

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


async def test_a_lane_whose_turn_comes_with_the_choice_stays_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It neither sends nor tells, though its cancellation is still on its way."""

    async def turn(self: _executor.Punch, _number: int) -> bool:
        with anyio.CancelScope(shield=True):
            while self._chosen is None:  # noqa: ASYNC110 - no event tells it
                await anyio.sleep(0.001)
        return True

    monkeypatch.setattr(_executor.Punch, "_turn", turn)
    events: list[simopen.Event] = []
    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        stream = await simopen.connect_peer(
            [server.getsockname(), f"127.0.0.1:{free_port()}"],
            local=f"127.0.0.1:{free_port()}",
            timeout=5,
            on_event=events.append,
        )
        await stream.aclose()
    assert [event.name for event in events] == ["punch.started", "punch.attempt", "punch.connected"]


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


async def test_a_lane_follows_at_once_one_that_can_send_nothing() -> None:
    """Nothing is waited for behind a lane without a way to its remote."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        remote = ["10.0.0.1:3", server.getsockname()]
        stream = await simopen.connect_peer(
            remote,
            local=f"127.0.0.1:{free_port()}",
            timeout=20,
            options=PunchOptions(lane_delay=10),
        )
        assert stream.report.elapsed < 5
        assert [lane.unsent > 0 for lane in stream.report.lanes] == [True, False]
        await stream.aclose()


async def test_a_taken_port_ends_the_call_before_anything_is_sent() -> None:
    """The port is named, and the others of the range are free again."""
    events: list[simopen.Event] = []
    last = free_neighbours() + 1
    with (
        socket.create_server(("127.0.0.1", last)),
        no_socket_left(),
        pytest.raises(simopen.LocalBindError, match=f"port {last} is taken"),
    ):
        await simopen.connect_peer(
            f"127.0.0.2:{last - 1}-{last}",
            local=f"127.0.0.1:{last - 1}-{last}",
            on_event=events.append,
        )
    assert events == []


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05, 0.15, 0.3])
async def test_cancellation_leaves_nothing(seconds: float) -> None:
    """At whatever moment: no socket, no port, no task."""
    first = free_port()
    with silent_endpoint() as silent, no_socket_left():
        remote: list[str | tuple[str, int]] = [silent, f"127.0.0.1:{free_port()}"]
        with anyio.move_on_after(seconds) as scope:
            await simopen.connect_peer(remote, local=f"127.0.0.1:{first}")
        assert scope.cancelled_caught
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", first))


async def test_a_cancellation_as_it_connects_leaves_nothing() -> None:
    """The winner too is closed if its caller is gone."""
    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        with anyio.CancelScope() as scope:

            def cancel(event: simopen.Event) -> None:
                if isinstance(event, simopen.PunchAttempt):
                    scope.cancel()

            await simopen.connect_peer(
                [server.getsockname(), f"127.0.0.1:{free_port()}"],
                local=f"127.0.0.1:{free_port()}",
                on_event=cancel,
            )
        assert scope.cancelled_caught


@pytest.mark.parametrize("lane", [0, 1])
async def test_an_error_of_the_callback_in_any_lane(lane: int) -> None:
    """It comes out as itself, not in a group, and all is closed."""

    def fail(event: simopen.Event) -> None:
        if isinstance(event, simopen.PunchAttempt) and event.lane == lane:
            raise LookupError("mine")

    with silent_endpoint() as silent, no_socket_left(), pytest.raises(LookupError, match="mine"):
        await simopen.connect_peer(
            [silent, f"127.0.0.1:{free_port()}"],
            local=f"127.0.0.1:{free_port()}",
            on_event=fail,
            timeout=5,
        )


async def test_the_limit_on_files_does_not_end_a_punch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no descriptor for a fresh socket, the silent one's is used."""
    real = _sockets.open_punch_socket
    opened = 0

    def scarce(family: socket.AddressFamily, local: simopen.Endpoint) -> socket.socket:
        nonlocal opened
        opened += 1
        if opened % 2 == 0:  # the first try of each refresh
            raise simopen.LocalBindError(errno.EMFILE, "no more", local=local, state=None)
        return real(family, local)

    monkeypatch.setattr(_sockets, "open_punch_socket", scarce)
    with silent_endpoint() as silent, no_socket_left(), pytest.raises(PeerTimeoutError) as caught:
        await simopen.connect_peer(
            silent,
            local=f"127.0.0.1:{free_port()}",
            timeout=0.5,
            options=PunchOptions(refresh_first=0.1),
        )
    assert caught.value.report.refreshes >= 2
