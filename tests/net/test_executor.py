from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel
import pytest

import simopen
from simopen import (
    Cause,
    Event,
    PeerConnectError,
    PeerTimeoutError,
    PunchOptions,
    SelfConnectionError,
)
from simopen.net import _runner
from tests.helpers import free_port, no_socket_left, silent_endpoint

pytestmark = pytest.mark.anyio


QUICK = PunchOptions(refresh_first=0.1)  # so that silence is seen in a short test


def local() -> str:
    """A free endpoint of ours."""
    return f"127.0.0.1:{free_port()}"


@contextmanager
def acceptor() -> Iterator[socket.socket]:
    """A listener: for the engine just a peer that answers its first SYN."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def test_hands_over_an_ordinary_socket() -> None:
    """Connected, non-blocking, lingering normally, with the report of one attempt."""
    with acceptor() as server, no_socket_left():
        sock = await simopen.connect_peer_socket(server.getsockname(), local=local(), timeout=5)
        with sock:
            assert sock.getpeername() == server.getsockname()
            assert not sock.getblocking()
            assert (
                struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[0] == 0
            )
            server.accept()[0].close()


async def test_refires_until_the_peer_is_there() -> None:
    """Refusals are answered by fresh SYNs on the same port until one is met."""
    ours, theirs = local(), free_port()
    server = socket.socket()
    server.bind(("127.0.0.1", theirs))
    threading.Timer(0.2, server.listen).start()
    with server, no_socket_left():
        stream = await simopen.connect_peer(("127.0.0.1", theirs), local=ours, timeout=10)
        assert stream.report.refusals >= 10
        assert stream.report.attempts == stream.report.refusals + 1
        assert stream.report.refused_by == {"reset": stream.report.refusals}
        assert str(stream.report.local) == ours
        assert 0.1 < stream.report.elapsed < 5
        await stream.aclose()


async def test_a_silent_peer_is_refreshed_and_reported() -> None:
    """Unanswered SYNs are replaced ever more slowly; the error says that nothing answers."""
    with silent_endpoint() as remote, no_socket_left(), pytest.raises(PeerTimeoutError) as caught:
        await simopen.connect_peer(remote, local=local(), timeout=0.6, options=QUICK)
    report = caught.value.report
    assert caught.value.diagnosis.cause is Cause.SILENCE
    assert 2 <= report.refreshes <= 5
    assert report.attempts == report.refreshes + 1
    assert report.refusals == 0


async def test_waiting_is_paced_after_the_free_period() -> None:
    """However fast refusals come, the rate is kept."""
    options = PunchOptions(free_period=0.0)
    with pytest.raises(PeerTimeoutError) as caught:
        await simopen.connect_peer(
            f"127.0.0.1:{free_port()}", local=local(), timeout=0.5, options=options
        )
    assert caught.value.diagnosis.cause is Cause.NOT_CONNECTING
    most = 0.5 * options.syn_rate + 2 * options.burst_size
    assert 10 <= caught.value.report.attempts <= most


async def test_other_tasks_go_on_while_refusals_come_in_microseconds() -> None:
    """The loop gets its turn at least every few milliseconds."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        with pytest.raises(PeerTimeoutError):
            await simopen.connect_peer(f"127.0.0.1:{free_port()}", local=local(), timeout=0.4)
        group.cancel_scope.cancel()
    assert turns > 50


async def test_events_tell_the_story_in_order() -> None:
    """Started, attempts and refusals with rising times, connected with the report."""
    events: list[Event] = []
    with acceptor() as server:
        stream = await simopen.connect_peer(
            server.getsockname(), local=local(), timeout=5, on_event=events.append
        )
        await stream.aclose()
    assert [event.name for event in events] == ["punch.started", "punch.attempt", "punch.connected"]
    assert [event.at for event in events] == sorted(event.at for event in events)
    events.clear()
    with pytest.raises(PeerTimeoutError):
        await simopen.connect_peer(
            f"127.0.0.1:{free_port()}", local=local(), timeout=0.1, on_event=events.append
        )
    names = [event.name for event in events]
    assert names[:4] == ["punch.started", "punch.attempt", "punch.refused", "punch.attempt"]
    assert names[-1] == "punch.failed"


async def test_refreshes_are_told() -> None:
    """A SYN that nobody answered is named before the one that replaces it."""
    events: list[Event] = []
    with silent_endpoint() as remote, pytest.raises(PeerTimeoutError):
        await simopen.connect_peer(
            remote, local=local(), timeout=0.4, on_event=events.append, options=QUICK
        )
    refreshed = [event for event in events if isinstance(event, simopen.PunchRefreshed)]
    assert [event.number for event in refreshed] == list(range(1, len(refreshed) + 1))
    assert refreshed
    assert all(0.08 <= event.after < 0.4 for event in refreshed)


@pytest.mark.parametrize(
    "name",
    [
        "punch.started",
        "punch.attempt",
        "punch.refused",
        "punch.refreshed",
        "punch.connected",
        "punch.failed",
    ],
)
async def test_an_exception_in_on_event_leaves_nothing(name: str) -> None:
    """It ends the call at any event, propagates as it is, and no socket is left."""

    def fail(event: Event) -> None:
        if event.name == name:
            raise LookupError(name)

    with acceptor() as server, silent_endpoint() as silent:
        remote = {
            "punch.connected": server.getsockname(),
            "punch.refreshed": silent,
        }.get(name, ("127.0.0.1", free_port()))
        with no_socket_left(), pytest.raises(LookupError, match=name):
            await simopen.connect_peer(
                remote, local=local(), timeout=0.3, on_event=fail, options=QUICK
            )


@pytest.mark.parametrize("kind", ["refusing", "paced", "silent"])
@pytest.mark.parametrize("after", [0.0, 0.0005, 0.003, 0.02, 0.16, 0.3])
async def test_cancellation_leaves_nothing(kind: str, after: float) -> None:
    """Wherever it strikes, the caller's scope is cancelled and no socket or port is left."""
    ours = local()
    options = PunchOptions(free_period=0.0 if kind == "paced" else 0.5, refresh_first=0.15)
    with silent_endpoint() as silent, no_socket_left():
        remote = silent if kind == "silent" else ("127.0.0.1", free_port())
        with anyio.move_on_after(after) as scope:
            await simopen.connect_peer(remote, local=ours, options=options)
        assert scope.cancelled_caught
    with socket.socket() as sock:  # without SO_REUSEADDR: the port is really free
        host, _, port = ours.partition(":")
        sock.bind((host, int(port)))


@pytest.mark.parametrize(
    "name", ["punch.started", "punch.attempt", "punch.refused", "punch.refreshed"]
)
async def test_cancellation_at_every_event_leaves_nothing(name: str) -> None:
    """The await that follows each event is cancelled once."""
    with silent_endpoint() as silent, no_socket_left():
        remote = silent if name == "punch.refreshed" else ("127.0.0.1", free_port())
        with anyio.CancelScope() as scope:

            def cancel(event: Event) -> None:
                if event.name == name:
                    scope.cancel()

            await simopen.connect_peer(remote, local=local(), on_event=cancel, options=QUICK)
        assert scope.cancelled_caught


async def test_a_cancelled_call_does_not_begin() -> None:
    """In a scope already cancelled, not even a peer that is there is connected."""
    with acceptor() as server, no_socket_left(), anyio.CancelScope() as scope:
        scope.cancel()
        await simopen.connect_peer(server.getsockname(), local=local())
    assert scope.cancelled_caught


async def test_a_source_that_cannot_reach_the_remote() -> None:
    """From loopback nothing leaves for elsewhere: told before the timeout, with an event each."""
    events: list[Event] = []
    with pytest.raises(PeerConnectError, match="wildcard") as caught:
        await simopen.connect_peer(
            "192.0.2.1:40000",
            local=local(),
            on_event=events.append,
            options=PunchOptions(patience_unsent=0.1),
        )
    assert caught.value.diagnosis.cause is Cause.UNUSABLE_SOURCE
    unsent = [event for event in events if isinstance(event, simopen.PunchUnsent)]
    assert len(unsent) == caught.value.report.unsent >= 2


async def test_every_refusal_is_counted() -> None:
    """Also the one that is seen at the very end of the time."""
    for _ in range(5):
        with pytest.raises(PeerTimeoutError) as caught:
            await simopen.connect_peer(f"127.0.0.1:{free_port()}", local=local(), timeout=0.01)
        report = caught.value.report
        assert report.refusals == sum(report.refused_by.values())


async def test_an_occupied_pair_is_named() -> None:
    """A connection between the same endpoints blocks the pair, and the error tells its state."""
    ours = local()
    with acceptor() as server:
        stream = await simopen.connect_peer(server.getsockname(), local=ours, timeout=5)
        began = time.monotonic()
        with pytest.raises(PeerConnectError, match="ESTABLISHED") as caught:
            await simopen.connect_peer(
                server.getsockname(), local=ours, options=PunchOptions(patience_unsent=0.3)
            )
        await stream.aclose()
    assert caught.value.diagnosis.cause is Cause.PAIR_IN_USE
    assert not isinstance(caught.value, TimeoutError)
    assert caught.value.report.attempts == 0
    assert time.monotonic() - began < 5


async def test_a_half_closed_peer_is_a_success() -> None:
    """The peer wrote and closed before we woke: CLOSE_WAIT, with its data to be read."""
    with acceptor() as server:

        def serve() -> None:
            accepted, _ = server.accept()
            accepted.sendall(b"gone already")
            accepted.close()

        thread = threading.Thread(target=serve)
        thread.start()

        def linger(event: Event) -> None:
            if event.name == "punch.attempt":
                thread.join()

        stream = await simopen.connect_peer(
            server.getsockname(), local=local(), timeout=5, on_event=linger
        )
        async with stream:
            assert await stream.receive() == b"gone already"
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_an_already_reset_connection_is_no_success() -> None:
    """Established and reset before we looked counts as refused; the next is handed over."""
    with acceptor() as server:

        def reset() -> None:
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()

        def spoil(event: Event) -> None:
            if isinstance(event, simopen.PunchAttempt) and event.number == 1:
                reset()

        stream = await simopen.connect_peer(
            server.getsockname(), local=local(), timeout=5, on_event=spoil
        )
        assert stream.report.refusals >= 1
        assert stream.report.attempts == stream.report.refusals + 1
        await stream.aclose()


async def test_a_self_connection_is_seen_after_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the check before the first packet was fooled, the socket itself gives it away."""
    port = free_port()
    real = _runner.LaneRunner._connect

    def to_itself(self: _runner.LaneRunner) -> int:
        self._addresses = self._addresses._replace(remote=self._addresses.local)
        return real(self)

    monkeypatch.setattr(_runner.LaneRunner, "_connect", to_itself)
    with no_socket_left(), pytest.raises(SelfConnectionError, match="connected to itself"):
        await simopen.connect_peer(f"127.0.0.1:{free_port()}", local=f"127.0.0.1:{port}", timeout=5)


async def test_systems_whose_refused_sockets_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """There each refusal is followed by a socket of its own, and none is left."""
    monkeypatch.setattr("simopen.net._sockets.REFUSED_SOCKET_IS_REUSABLE", False)
    with no_socket_left(), pytest.raises(PeerTimeoutError) as caught:
        await simopen.connect_peer(f"127.0.0.1:{free_port()}", local=local(), timeout=0.2)
    assert caught.value.report.refusals > 10
