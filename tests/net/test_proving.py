"""Connections that have to prove who is at their other end before they are handed over."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from simopen import Endpoint, Event, PeerTimeoutError, PunchOptions, PunchReport
from simopen.net._addresses import Addresses
from simopen.net._executor import Punch, Race, Verdict
from simopen.net._runner import UNPROVEN
from tests.helpers import free_port, no_socket_left

pytestmark = pytest.mark.anyio


def pair(server: socket.socket) -> Addresses:
    """From a free port to a listener: for the engine just a peer that answers its first SYN."""
    ours = Endpoint("127.0.0.1", free_port())
    return Addresses(socket.AF_INET, ours, Endpoint(*server.getsockname()), ours)


async def punch(
    servers: Sequence[socket.socket],
    prove: Callable[[int, socket.socket], Awaitable[Verdict]],
    *,
    timeout: float = 5.0,
    events: list[Event] | None = None,
) -> tuple[socket.socket, PunchReport]:
    """Punch to listeners, all at once."""
    race = Race([pair(server) for server in servers], [0.0] * len(servers))
    announce = (lambda _: None) if events is None else events.append
    return await Punch(
        race,
        options=PunchOptions(),
        began=time.monotonic(),
        timeout=timeout,
        announce=announce,
        prove=prove,
    ).run()


async def test_a_proven_connection_is_handed_over() -> None:
    """The very socket that was proven."""
    seen: list[socket.socket] = []

    async def prove(_lane: int, sock: socket.socket) -> Verdict:
        await anyio.sleep(0.01)
        seen.append(sock)
        return Verdict.PROVEN

    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        sock, report = await punch([server], prove)
        with sock:
            assert seen == [sock]
            assert report.remote == server.getsockname()


async def test_a_stranger_costs_a_candidate_not_the_call() -> None:
    """The lane that has met somebody else is over at once; the other one is handed over."""
    reset = anyio.Event()

    async def prove(lane: int, _sock: socket.socket) -> Verdict:
        if lane == 0:
            return Verdict.FALSE
        await reset.wait()
        return Verdict.PROVEN

    async def see_reset(server: socket.socket) -> None:
        await anyio.wait_readable(server)
        accepted, _ = server.accept()
        with accepted:
            await anyio.wait_readable(accepted)
            with pytest.raises(ConnectionResetError):
                accepted.recv(1)
        reset.set()

    with (
        socket.create_server(("127.0.0.1", 0)) as stranger,
        socket.create_server(("127.0.0.1", 0)) as peer,
        no_socket_left(),
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(see_reset, stranger)
            sock, report = await punch([stranger, peer], prove)
        with sock:
            assert sock.getpeername() == peer.getsockname() == report.remote


async def test_a_lost_connection_is_punched_again() -> None:
    """From the same port, and the report counts it as a refusal."""
    ports: list[int] = []

    async def prove(_lane: int, sock: socket.socket) -> Verdict:
        ports.append(sock.getsockname()[1])
        return Verdict.PROVEN if len(ports) == 3 else Verdict.LOST

    events: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        sock, report = await punch([server], prove, events=events)
        sock.close()
    assert len(ports) == 3
    assert len(set(ports)) == 1
    assert report.refused_by == {UNPROVEN: 2}
    assert [event.name for event in events].count("punch.refused") == 2


async def test_when_every_candidate_is_false_the_punch_fails_at_once() -> None:
    """Nothing is left to wait for."""

    async def prove(_lane: int, _sock: socket.socket) -> Verdict:
        return Verdict.FALSE

    began = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        no_socket_left(),
        pytest.raises(Exception, match="sent 1 SYN"),
    ):
        await punch([server], prove, timeout=30)
    assert time.monotonic() - began < 10


async def test_a_proof_may_outlast_the_time_for_punching() -> None:
    """The time allowed is for SYNs; who is being proven at its end is not cut off."""

    async def prove(_lane: int, _sock: socket.socket) -> Verdict:
        await anyio.sleep(0.3)
        return Verdict.PROVEN

    with socket.create_server(("127.0.0.1", 0)) as server, no_socket_left():
        sock, report = await punch([server], prove, timeout=0.1)
        sock.close()
    assert report.elapsed >= 0.3


async def test_a_loss_after_the_time_is_the_end() -> None:
    """A lane whose connection is lost too late is not punched again."""

    async def prove(_lane: int, _sock: socket.socket) -> Verdict:
        await anyio.sleep(0.2)
        return Verdict.LOST

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        no_socket_left(),
        pytest.raises(PeerTimeoutError) as caught,
    ):
        await punch([server], prove, timeout=0.1)
    assert caught.value.report.attempts == 1


async def test_an_error_of_the_prover_ends_the_punch() -> None:
    """It comes out as itself, and no socket stays."""

    async def prove(_lane: int, _sock: socket.socket) -> Verdict:
        raise LookupError("mine")

    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
        no_socket_left(),
        pytest.raises(LookupError, match="mine"),
    ):
        await punch([first, second], prove)


async def test_all_lanes_together_send_no_more_than_allowed() -> None:
    """The allowance is shared equally, and the lanes then wait for the end of the time."""

    async def prove(_lane: int, _sock: socket.socket) -> Verdict:
        raise AssertionError

    refusing = [Endpoint("127.0.0.1", free_port()) for _ in range(2)]
    pairs = [
        Addresses(socket.AF_INET, ours, remote, ours)
        for remote in refusing
        for ours in [Endpoint("127.0.0.1", free_port())]
    ]
    with no_socket_left(), pytest.raises(PeerTimeoutError) as caught:
        await Punch(
            Race(pairs, [0.0, 0.0], most=20),
            options=PunchOptions(),
            began=time.monotonic(),
            timeout=0.5,
            announce=lambda _: None,
            prove=prove,
        ).run()
    assert [lane.attempts for lane in caught.value.report.lanes] == [10, 10]
