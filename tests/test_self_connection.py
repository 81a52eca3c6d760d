"""Self-connection at the door: made on purpose, guarded against, and never a peer's."""

from __future__ import annotations

import asyncio
import socket

import anyio
import pytest
import trio
from anyio.abc import SocketAttribute

import simopen
from simopen import LocalBindError, SelfConnectionError, UsageError
from simopen._self_connection import view
from tests.helpers import free_port, no_socket_left, own_address
from tests.net.conformance import receive_exactly

SECRET = b"0123456789abcdef"
BIG = 8 * 1024 * 1024  # bytes; more than both buffers of a socket hold


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_what_is_sent_is_received(host: str) -> None:
    """The stream has one endpoint twice, and carries more than its buffers hold."""
    data = bytes(range(256)) * (BIG // 256)
    async with await simopen.connect_self(f"{host}:{free_port()}", timeout=5) as stream:
        assert stream.report.local == stream.report.remote
        local = stream.extra(SocketAttribute.local_address)
        assert local == stream.extra(SocketAttribute.remote_address)
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, data)
            assert await receive_exactly(stream, len(data)) == data


@pytest.mark.anyio
async def test_its_end_of_sending_is_its_end_of_receiving() -> None:
    """A half-close arrives where it came from, after the data."""
    async with await simopen.connect_self(("127.0.0.1", free_port())) as stream:
        await stream.send(b"last words")
        await stream.send_eof()
        assert await stream.receive() == b"last words"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


@pytest.mark.anyio
async def test_its_trace() -> None:
    """It says that one socket is both ends, whether or not packets may be seen."""
    async with await simopen.connect_self(f"127.0.0.1:{free_port()}", trace=True) as stream:
        assert stream.trace is not None
        assert stream.trace.kind is simopen.HandshakeKind.SELF
        assert stream.trace.steps[-1].state == "ESTABLISHED"
        trace = simopen.HandshakeTrace()
        with pytest.raises(LocalBindError):
            await simopen.connect_self(stream.report.local, trace=trace)
        assert trace.kind is simopen.HandshakeKind.NONE


@pytest.mark.anyio
async def test_once_more_at_once() -> None:
    """A closed one, which is in TIME_WAIT, does not hold the port against the next."""
    end = ("127.0.0.1", free_port())
    for _ in range(3):
        stream = await simopen.connect_self(end, timeout=5)
        await stream.send_eof()
        await stream.aclose()


@pytest.mark.anyio
async def test_a_listener_has_the_port() -> None:
    """The error is the system's, with what holds the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        end = server.getsockname()
        with no_socket_left(), pytest.raises(LocalBindError, match="LISTEN") as caught:
            await simopen.connect_self(end)
    assert (caught.value.local, caught.value.state) == (end, "LISTEN")


@pytest.mark.anyio
async def test_another_self_connection_has_the_port() -> None:
    """It is found out when connecting, since both may bind; the error names it."""
    end = ("127.0.0.1", free_port())
    async with await simopen.connect_self(end):
        with no_socket_left(), pytest.raises(LocalBindError, match="to itself") as caught:
            await simopen.connect_self(end)
    assert caught.value.state == "ESTABLISHED"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("endpoint", "timeout", "words"),
    [
        ("nonsense", None, "endpoint 'nonsense'"),
        ("127.0.0.1:40000-40001", None, "one port"),
        ("0.0.0.0:40000", None, "unspecified"),
        ("[::]:40000", None, "unspecified"),
        ("224.0.0.1:40000", None, "multicast"),
        ("255.255.255.255:40000", None, "broadcast"),
        ("[fe80::1]:40000", None, "link-local"),
        ("192.0.2.1:40000", None, "not an address of this host"),
        ("nowhere.invalid:40000", None, "does not resolve"),
        ("127.0.0.1:40000", 0, "timeout"),
    ],
)
async def test_wrong_use_is_told(endpoint: str, timeout: float | None, words: str) -> None:
    """A UsageError that names what is wrong, and no socket is left."""
    with no_socket_left(), pytest.raises(UsageError, match=words):
        await simopen.connect_self(endpoint, timeout=timeout)


@pytest.mark.anyio
async def test_a_view_of_it() -> None:
    """One socket has the port, nobody listens, and every segment it has sent it has received."""
    async with await simopen.connect_self("127.0.0.1:0") as stream:
        await stream.send(b"x")
        await stream.receive()
        seen = view(stream)
    assert (seen.state, seen.sharing) == ("ESTABLISHED", ("ESTABLISHED",))
    assert seen.segments is not None
    assert seen.segments[0] == seen.segments[1] > 2


# -- the guard -------------------------------------------------------------------------------------


def accident() -> tuple[str, int]:
    """What a client's connection would be to by accident: our own address and a free port."""
    return "127.0.0.1", free_port()


def test_the_guard_on_a_plain_socket() -> None:
    """It says so and leaves the socket to its owner; one to a server passes."""
    end = accident()
    with socket.create_connection(end, source_address=end) as sock:
        with pytest.raises(SelfConnectionError, match=f"127.0.0.1:{end[1]}"):
            simopen.guard_self_connection(sock)
        assert sock.fileno() != -1
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        simopen.guard_self_connection(sock)


def test_the_guard_on_the_sockets_of_asyncio() -> None:
    """What a writer gives as its socket can be checked."""

    async def main() -> None:
        host, port = end = accident()
        _, writer = await asyncio.open_connection(host, port, local_addr=end)
        with pytest.raises(SelfConnectionError):
            simopen.guard_self_connection(writer.get_extra_info("socket"))
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


@pytest.mark.anyio
async def test_the_guard_on_the_sockets_of_anyio() -> None:
    """What a stream gives as its raw socket can be checked, on every loop."""
    async with await simopen.connect_self(accident()) as stream:
        with pytest.raises(SelfConnectionError):
            simopen.guard_self_connection(stream.extra(SocketAttribute.raw_socket))


def test_the_guard_on_the_sockets_of_trio() -> None:
    """They are no sockets of the standard library's, and have the same ends."""

    async def main() -> None:
        end = accident()
        with trio.socket.socket() as sock:
            await sock.bind(end)
            await sock.connect(end)
            with pytest.raises(SelfConnectionError):
                simopen.guard_self_connection(sock)  # type: ignore[arg-type]

    trio.run(main)


# -- never a peer's --------------------------------------------------------------------------------

DISGUISES = [
    ("127.0.0.1:{p}", "127.0.0.1:{p}"),
    ("127.0.0.1:{p}", "0.0.0.0:{p}"),
    ("{own}:{p}", "0.0.0.0:{p}"),
    ("{own}:{p}", "{own}:{p}"),
    ("[::1]:{p}", "[::1]:{p}"),
    ("[::1]:{p}", "[::]:{p}"),
    ("[0:0:0:0:0:0:0:1]:{p}", "[::1]:{p}"),
    ("[::ffff:127.0.0.1]:{p}", "127.0.0.1:{p}"),
    ("[::ffff:127.0.0.1]:{p}", "0.0.0.0:{p}"),
    ("127.0.0.1:{p}", "[::ffff:127.0.0.1]:{p}"),
    ("127.0.0.1:{p}", "[::ffff:0.0.0.0]:{p}"),
    ("localhost:{p}", "127.0.0.1:{p}"),
    ("localhost:{p}", "0.0.0.0:{p}"),
    ("127.1:{p}", "127.0.0.1:{p}"),
    ("127.0.0.1:{p}-{q}", "0.0.0.0:{p}-{q}"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("remote", "local"), DISGUISES)
@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "secret"])
async def test_connect_peer_is_never_connected_to_itself(
    remote: str, local: str, secret: bytes | None
) -> None:
    """However the one socket address is spelled, with and without a secret, no SYN leaves."""
    port = free_port()
    words = {"p": port, "q": port + 1, "own": own_address() if "{own}" in remote else ""}
    events: list[simopen.Event] = []
    with no_socket_left(), pytest.raises(SelfConnectionError):
        await simopen.connect_peer(
            remote.format(**words),
            local=local.format(**words),
            secret=secret,
            timeout=5,
            on_event=events.append,
        )
    assert not [event for event in events if isinstance(event, simopen.PunchAttempt)]


@pytest.mark.anyio
async def test_a_secret_is_not_proven_to_oneself() -> None:
    """Where a stream to oneself is made all the same, the proof over it fails."""
    stream = await simopen.connect_self("127.0.0.1:0")
    with no_socket_left(), pytest.raises(simopen.ReflectedOfferError):
        await simopen.secure_stream(stream, secret=SECRET, timeout=5)
