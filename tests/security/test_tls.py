"""The TLS stream: what every byte stream does, its half-close, and what a peer can do to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from simopen.security import _tls
from simopen.security._certificate import Identity, tls_context
from simopen.security._errors import ProofError
from simopen.security._tls import TlsStream
from tests.net.conformance import (
    BIG,
    CHECKS,
    PATIENCE,
    Check,
    checkpointed,
    expect,
    one_receive_at_a_time,
    one_send_at_a_time,
    receive_exactly,
)
from tests.security.pairs import (
    CLIENT,
    SERVER,
    MemoryAttribute,
    MemoryStream,
    client_context,
    memory_pair,
    open_both,
    open_client,
    open_server,
    server_context,
    tls_over_tcp,
    update_key,
)

pytestmark = pytest.mark.anyio

BUFFERS = 256 * 1024  # bytes; small enough to be full soon
ANSWER = 3 * BUFFERS  # bytes; more than the peer's buffer, less than both (Linux doubles each)
OVERHEAD = 22  # bytes that a record is longer than what it carries

Opener = Callable[[ByteStream], Awaitable[TlsStream]]


@asynccontextmanager
async def tls_in_memory(
    room: int = 65536,
) -> AsyncIterator[tuple[TlsStream, TlsStream, MemoryStream, MemoryStream]]:
    """A client and a server, and what is below each of them."""
    left, right = memory_pair(room)
    with anyio.fail_after(PATIENCE):
        client, server = await open_both(left, right)
        async with client, server:
            yield client, server, left, right


@pytest.mark.parametrize("turned", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_byte_stream(check: Check, turned: bool) -> None:  # noqa: FBT001
    """A TlsStream does what every byte stream does, whichever side it is."""
    with anyio.fail_after(PATIENCE):
        async with tls_over_tcp(buffers=BUFFERS) as (client, server):
            await (check(server, client) if turned else check(client, server))


@pytest.mark.parametrize("check", [one_receive_at_a_time, one_send_at_a_time])
async def test_one_task_each_way(check: Check) -> None:
    """A second task is refused by the stream itself: this transport would let it in."""
    async with tls_in_memory() as (client, server, _, _):
        await check(client, server)


async def test_attributes() -> None:
    """The attributes are the transport's."""
    async with tls_in_memory() as (client, _, left, _):
        assert client.extra(MemoryAttribute.end) is left


# -- the half-close --------------------------------------------------------------------------------


async def test_half_close_keeps_unread() -> None:
    """What had come before ``send_eof``, decrypted or not, and what comes later can be received."""
    async with tls_in_memory() as (client, server, _, _):
        for word in (b"one ", b"two ", b"three "):
            await server.send(word)
        assert await client.receive(1) == b"o"
        await client.send_eof()
        await server.send(b"four")
        await server.send_eof()
        assert b"".join([chunk async for chunk in client]) == b"ne two three four"
        with pytest.raises(anyio.EndOfStream):
            await server.receive()


async def test_half_close_keeps_unread_in_pieces() -> None:
    """What was kept at ``send_eof`` comes in the sizes that are asked for, each at a checkpoint."""
    async with tls_in_memory() as (client, server, _, _):
        await server.send(b"abcdef")
        assert await client.receive(1) == b"a"
        await client.send_eof()
        received = [await checkpointed(client.receive(2)) for _ in range(3)]
        assert received == [b"bc", b"de", b"f"]


async def test_half_close_between_two_parts_of_a_record() -> None:
    """A record of which only a part had come at ``send_eof`` is received when it is whole."""
    async with tls_in_memory() as (client, server, left, right):
        held = bytearray()

        def hold(data: bytes) -> bytes:
            held.extend(data[7:])
            return data[:7]

        right.tamper = hold
        await server.send(b"whole")
        with anyio.move_on_after(0.01):
            await client.receive()
        assert left.unread == 0
        await client.send_eof()
        right.tamper = bytes
        await right.send(bytes(held))
        assert await client.receive() == b"whole"


async def test_half_close_while_receiving() -> None:
    """``send_eof`` does not disturb a receive that waits."""
    async with tls_in_memory() as (client, server, _, _), anyio.create_task_group() as tasks:
        tasks.start_soon(receive_expecting, client, b"answer")
        await anyio.wait_all_tasks_blocked()
        await client.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await server.receive()
        await server.send(b"answer")


async def test_half_close_after_the_peers() -> None:
    """The second side to half-close ends orderly, too, and after its end can have been received."""
    async with tls_in_memory() as (client, server, _, _):
        await server.send(b"all")
        await server.send_eof()
        await client.send(b"still")
        await client.send_eof()
        for stream, expected in ((client, b"all"), (server, b"still")):
            assert await stream.receive() == expected
            for _ in range(2):
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()


async def test_sending_after_the_peers_end() -> None:
    """However much there is to send, the peer's half-close does not keep us from it."""
    async with tls_over_tcp(buffers=BUFFERS) as (client, server):
        with anyio.fail_after(PATIENCE):
            await server.send_eof()
            with pytest.raises(anyio.EndOfStream):
                await client.receive()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.send, bytes(BIG))
                assert await receive_exactly(server, BIG) == bytes(BIG)


# -- both directions -------------------------------------------------------------------------------


async def test_full_both_ways() -> None:
    """Two transfers of more than all buffers hold cross, with both sides at both."""
    async with tls_over_tcp(buffers=BUFFERS) as (client, server):
        with anyio.fail_after(2 * PATIENCE):
            async with anyio.create_task_group() as tasks:
                for stream in (client, server):
                    tasks.start_soon(stream.send, bytes(BIG))
                    tasks.start_soon(receive_exactly, stream, BIG)


async def test_send_while_nobody_receives() -> None:
    """A side whose own incoming bytes nobody takes can send all it has."""
    async with tls_over_tcp(buffers=BUFFERS) as (client, server):
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.send, bytes(BIG))
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(client.send, bytes(BIG))
                assert await receive_exactly(server, BIG) == bytes(BIG)
                tasks.cancel_scope.cancel()


# -- bounds ----------------------------------------------------------------------------------------


async def test_nothing_read_unasked() -> None:
    """What nobody receives stays with the transport and holds the peer back."""
    async with (
        tls_in_memory(room=4096) as (client, server, left, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(server.send, bytes(10 * _tls.LARGEST_PIECE))
        await anyio.wait_all_tasks_blocked()
        await client.send(b"x")
        await client.send_eof()
        assert left.unread == 4096
        tasks.cancel_scope.cancel()


async def test_one_piece_at_a_time() -> None:
    """A receive of one byte takes one piece from the transport, and the next ones take no more."""
    async with tls_in_memory(room=2**20) as (client, server, left, right):
        before = len(right.sent)
        await server.send(bytes(200_000))
        sent = len(right.sent) - before
        for _ in range(1000):
            await client.receive(1)
        await client.send_eof()  # decrypts, and reads no further either
        assert left.unread == sent - _tls.LARGEST_PIECE


async def test_batches() -> None:
    """A long send is encrypted in bounded batches."""
    async with tls_in_memory(room=2**20) as (client, server, left, _):
        await client.send(bytes(10 * _tls.LARGEST_BATCH + 1))
        assert left.largest_send <= _tls.LARGEST_BATCH * 1.01
        await receive_exactly(server, 10 * _tls.LARGEST_BATCH + 1)


# -- cut off, broken and garbage -------------------------------------------------------------------


@pytest.mark.parametrize("closing", ["close", "half-close"])
async def test_truncation(closing: str) -> None:
    """A transport that ends without TLS's own end has been cut off, whoever asks how often."""
    async with tls_in_memory() as (client, server, _, right):
        await server.send(b"before")
        await (right.aclose() if closing == "close" else right.send_eof())
        assert await client.receive() == b"before"
        for _ in range(3):
            with pytest.raises(anyio.BrokenResourceError):
                await client.receive()


async def test_truncated_record() -> None:
    """Of a record that was cut in two nothing is received."""
    async with tls_in_memory() as (client, server, _, right):
        right.tamper = lambda data: data[:-1]
        await server.send(b"lost")
        await right.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await client.receive()


async def test_cut_off_after_half_close() -> None:
    """Our own half-close does not make the peer's missing one an orderly end."""
    async with tls_in_memory() as (client, _, _, right):
        await client.send_eof()
        await right.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await client.receive()


async def test_transport_breaks() -> None:
    """Where the transport breaks, waiting calls and later ones do."""
    async with tls_in_memory(room=4096) as (client, _, left, _):

        async def sender() -> None:
            await client.send(bytes(BIG))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect(client.receive, anyio.BrokenResourceError))
            tasks.start_soon(expect(sender, anyio.BrokenResourceError))
            await anyio.wait_all_tasks_blocked()
            left.break_off()
        for call in (client.receive, client.send_eof, lambda: client.send(b"x")):
            with pytest.raises(anyio.BrokenResourceError):
                await call()


async def test_changed_record() -> None:
    """A record with one bit changed breaks the stream, after what came before it."""
    async with tls_in_memory() as (client, server, _, right):
        await server.send(b"good")
        right.tamper = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        await server.send(b"bad")
        right.tamper = bytes
        await server.send(b"behind it")
        assert await client.receive() == b"good"
        for _ in range(3):
            with pytest.raises(anyio.BrokenResourceError):
                await client.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await client.send(b"x")


async def test_alert_on_close() -> None:
    """The peer whose record was refused hears of it when we close, not of an orderly end."""
    async with tls_in_memory() as (client, server, _, right):
        await right.send(b"garbage" * 10)
        with pytest.raises(anyio.BrokenResourceError):
            await client.receive()
        await client.aclose()
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await server.receive()
        assert "ALERT" in str(caught.value.__cause__)


@given(garbage=st.binary(min_size=1, max_size=300), half_closed=st.booleans())
def test_any_bytes_in_the_stream(garbage: bytes, half_closed: bool) -> None:  # noqa: FBT001
    """Whatever is put between the records: data, and then a broken stream, nothing else."""

    async def run() -> None:
        async with tls_in_memory() as (client, server, _, right):
            if half_closed:
                await client.send_eof()
            await server.send(b"good")
            await right.send(garbage)
            await right.aclose()
            assert await client.receive() == b"good"
            with pytest.raises(anyio.BrokenResourceError):
                await client.receive()

    anyio.run(run)


# -- cancellation and closing ----------------------------------------------------------------------


async def test_cancelled_send() -> None:
    """After a cancelled send no more is sent, the rest goes on, and the peer learns of the gap."""
    async with tls_in_memory(room=4096) as (client, server, _, _):
        with anyio.move_on_after(0.01) as scope:
            await client.send(bytes(BIG))
        assert scope.cancelled_caught
        for call in (client.send_eof, lambda: client.send(b"x")):
            with pytest.raises(anyio.BrokenResourceError):
                await call()
        await server.send(b"still")
        assert await client.receive() == b"still"
        await client.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await receive_exactly(server, BIG)


@pytest.mark.parametrize("turns", range(4))
async def test_native_cancellation(turns: int, anyio_backend_name: str) -> None:
    """A task cancelled by asyncio's own means, whenever, takes no received byte with it."""
    if anyio_backend_name != "asyncio":
        pytest.skip("trio knows no other cancellation than scopes")
    async with tls_over_tcp() as (client, server):
        await client.send(b"kept")
        await anyio.wait_all_tasks_blocked()
        task = asyncio.ensure_future(server.receive())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with anyio.fail_after(PATIENCE):
            try:
                received = await task
            except asyncio.CancelledError:
                received = await server.receive()
        assert received == b"kept"


async def test_close_while_sending() -> None:
    """Closing under a waiting send cuts the peer off: no end that looks orderly."""
    async with tls_in_memory(room=4096) as (client, server, _, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect(lambda: client.send(bytes(BIG)), anyio.ClosedResourceError))
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await receive_exactly(server, BIG)


async def test_close_with_unread() -> None:
    """Unread data on our side does not spoil the end that the peer sees."""
    async with tls_in_memory() as (client, server, _, _):
        await server.send(b"unread")
        assert await client.receive(1) == b"u"
        await client.aclose()
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await server.receive()


async def test_close_delivers_the_answer_to_a_half_closed_peer() -> None:
    """Whoever answers without having read to the end does not destroy its answer by closing."""
    async with tls_over_tcp(buffers=BUFFERS) as (client, server):
        await client.send(b"?")
        assert await server.receive() == b"?"
        await client.send_eof()
        await anyio.sleep(0.05)  # so that it has arrived
        await server.send(bytes(ANSWER))
        await server.aclose()
        await receive_exactly(client, ANSWER)
        with pytest.raises(anyio.EndOfStream):
            await client.receive()


async def test_close_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes nothing holds ``aclose`` up for a while only."""
    monkeypatch.setattr(_tls, "CLOSING", 0.05)
    async with tls_in_memory(room=4096) as (client, _, left, right):
        await client.send(bytes(4096 - right.unread - OVERHEAD))
        assert right.unread == 4096
        with anyio.fail_after(1):
            await client.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await left.send(b"x")


async def test_close_after_the_transport_broke() -> None:
    """Closing what is broken is no error."""
    async with tls_in_memory() as (client, _, left, _):
        left.break_off()
        await client.aclose()


# -- key updates -----------------------------------------------------------------------------------


async def test_key_updates() -> None:
    """Key updates in both directions, asked for in return, disturb nothing."""
    async with tls_in_memory() as (client, server, _, _):
        for number in range(20):
            for here, there in ((client, server), (server, client)):
                update_key(here)
                await here.send(b"%d" % number)
                assert await there.receive() == b"%d" % number


async def test_key_update_after_half_close() -> None:
    """A key update that comes after our close_notify does not stop what follows it."""
    async with tls_in_memory() as (client, server, _, _):
        await client.send_eof()
        for number in range(5):
            update_key(server)
            await server.send(b"%d" % number)
            assert await client.receive() == b"%d" % number
        with pytest.raises(anyio.EndOfStream):
            await server.receive()


async def test_key_update_while_sending() -> None:
    """A key update that arrives while a send waits is answered behind that send."""
    async with tls_in_memory(room=4096) as (client, server, _, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, bytes(100_000))
            await anyio.wait_all_tasks_blocked()
            update_key(server)
            await server.send(b"new key")
            assert await client.receive() == b"new key"
            await receive_exactly(server, 100_000)
        await client.send(b"answered")
        assert await server.receive() == b"answered"


async def test_flood_of_key_updates() -> None:
    """Key updates whose answers nobody fetches break the stream before they fill the memory."""
    async with tls_in_memory(room=2**20) as (client, server, _, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect(client.receive, anyio.BrokenResourceError))
            for _ in range(100):
                for _ in range(50):
                    update_key(server)
                await server.send(b"")
                await server._transport.send(server._session.take())
                await anyio.wait_all_tasks_blocked()
        assert client._session._outgoing.pending < _tls.MOST_ANSWERS + _tls.LARGEST_PIECE


# -- the handshake ---------------------------------------------------------------------------------


async def test_bytes_behind_the_handshake() -> None:
    """What the client sends right behind its handshake belongs to the stream."""
    left, right = memory_pair()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:

            async def client() -> None:
                stream = await open_client(left)
                await stream.send(b"at once")

            right_end = Slow(right)
            tasks.start_soon(client)
            server = await open_server(right_end)
        assert await server.receive() == b"at once"


class Slow(MemoryStream):
    """Receives only when everything that will come at once is there."""

    def __init__(self, below: MemoryStream) -> None:
        super().__init__(0)
        self._below = below

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive as late as can be."""
        await anyio.wait_all_tasks_blocked()
        return await self._below.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send at once."""
        await self._below.send(item)


async def test_strangers_certificate() -> None:
    """A server with another certificate is refused, and hears so."""
    left, right = memory_pair()
    stranger = tls_context(Identity.generate(), CLIENT.certificate, server_side=True)

    async def refused() -> None:
        with pytest.raises(ProofError, match="ALERT"):
            await TlsStream.open(
                right, stranger, server_side=True, peer_certificate=CLIENT.certificate
            )

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refused)
            with pytest.raises(ProofError, match="CERTIFICATE_VERIFY_FAILED"):
                await open_client(left)


async def test_strangers_certificate_as_client() -> None:
    """A client with another certificate is refused; its first receive tells it."""
    left, right = memory_pair()
    stranger = tls_context(Identity.generate(), SERVER.certificate, server_side=False)

    async def refused() -> None:
        stream = await TlsStream.open(
            left, stranger, server_side=False, peer_certificate=SERVER.certificate
        )
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await stream.receive()
        assert "ALERT" in str(caught.value.__cause__)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refused)
            with pytest.raises(ProofError, match="CERTIFICATE_VERIFY_FAILED"):
                await open_server(right)


async def test_client_without_certificate() -> None:
    """A client that presents nothing is refused."""
    left, right = memory_pair()
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    bare.set_alpn_protocols(["simopen/1"])

    async def client() -> None:
        stream = await TlsStream.open(
            left, bare, server_side=False, peer_certificate=SERVER.certificate
        )
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            with pytest.raises(ProofError):
                await open_server(right)


async def test_certificate_compared_again() -> None:
    """The certificate presented must be the one asked for, whatever the context trusts."""
    left, right = memory_pair()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_server, right)
            with pytest.raises(ProofError, match="not the one"):
                await TlsStream.open(
                    left,
                    client_context(),
                    server_side=False,
                    peer_certificate=CLIENT.certificate,
                )


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]], ids=["none", "another"])
async def test_other_protocol(protocols: list[str]) -> None:
    """A peer that speaks TLS but not our protocol inside it is refused."""
    left, right = memory_pair()
    other = tls_context(CLIENT, SERVER.certificate, server_side=False)
    other.set_alpn_protocols(protocols)

    async def client() -> None:
        with pytest.raises(ProofError, match="simopen/1"):
            await TlsStream.open(
                left, other, server_side=False, peer_certificate=SERVER.certificate
            )

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            with pytest.raises(ProofError, match="simopen/1"):
                await open_server(right)


@pytest.mark.parametrize("limit", [100, 5000, _tls.BEFORE_PROOF])
async def test_endless_handshake(limit: int) -> None:
    """From a stranger whose first message never ends no more than the limit is read."""
    left, right = memory_pair(room=2**20)
    # Records of 4 KiB that are parts of one ClientHello of 64 KiB.
    record = b"\x16\x03\x01\x10\x00"
    await left.send(record + b"\x01\x01\x00\x00" + bytes(4092) + (record + bytes(4096)) * 10)
    sent = right.unread
    with pytest.raises(ProofError, match="too much"):
        await TlsStream.open(
            right,
            server_context(),
            server_side=True,
            peer_certificate=CLIENT.certificate,
            limit=limit,
        )
    assert sent - right.unread == limit


@pytest.mark.parametrize("opener", [open_client, open_server])
@pytest.mark.parametrize("end", ["closed", "broken"])
async def test_transport_ends_in_handshake(opener: Opener, end: str) -> None:
    """A transport that ends or breaks during the handshake is the transport's own error."""
    left, right = memory_pair()

    async def opening() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await opener(left)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opening)
            await anyio.wait_all_tasks_blocked()
            await right.aclose() if end == "closed" else right.break_off()


async def test_failure_closes_nothing() -> None:
    """After a failed handshake the transport is still the caller's."""
    left, right = memory_pair()
    await right.send(b"garbage" * 10)
    with pytest.raises(ProofError):
        await open_client(left)
    await left.send(b"open")
    assert (await right.receive()).endswith(b"open")


async def test_garbage_and_gone() -> None:
    """Garbage from a peer that does not wait for our alert is garbage, and no broken transport."""
    left, right = memory_pair()
    await right.send(b"\x16\x03\x01\x00\x05" + bytes(5))  # enough of TLS to be answered
    await right.aclose()
    with pytest.raises(ProofError):
        await open_server(left)
    assert left.sent


@given(garbage=st.binary(max_size=300), server_side=st.booleans(), hello=st.booleans())
def test_any_bytes_in_the_handshake(
    garbage: bytes,
    server_side: bool,  # noqa: FBT001
    hello: bool,  # noqa: FBT001
) -> None:
    """Whatever a stranger sends, it is refused or the transport has ended."""
    # What begins as a handshake record reaches further into OpenSSL.
    prefix = b"\x16\x03\x03" + len(garbage).to_bytes(2, "big") if hello else b""

    async def run() -> None:
        left, right = memory_pair()
        await right.send(prefix + garbage)
        await right.aclose()
        with pytest.raises((ProofError, anyio.BrokenResourceError)):
            await (open_server(left) if server_side else open_client(left))

    anyio.run(run)


# -- tools -----------------------------------------------------------------------------------------


async def receive_expecting(stream: TlsStream, expected: bytes) -> None:
    """Receive just that."""
    assert await stream.receive() == expected
