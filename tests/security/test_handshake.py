"""The handshake of a round: who gets a stream, who does not, and that nothing else comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from simopen.security._certificate import Identity, tls_context
from simopen.security._errors import OfferError, ProofError, ReflectedError, WrongKeyError
from simopen.security._handshake import HEAD, Handshake, exchange_offers
from simopen.security._hello import ACCEPT_LENGTH, HELLO_LENGTH, make_accept, make_hello
from simopen.security._keys import MODE_DIRECT, MODE_RENDEZVOUS, GroupKeys
from simopen.security._offer import SEALED_LENGTH, OfferBody, open_offer, seal_offer
from simopen.security._tls import TlsStream
from tests.net.conformance import PATIENCE, expect, receive_exactly
from tests.security.pairs import memory_pair

pytestmark = pytest.mark.anyio

KEYS = GroupKeys.from_material(bytes(20))
OTHER_KEYS = GroupKeys.from_material(bytes(19) + b"\1")
ROOM = KEYS.room_tag("room")
DIRECT = KEYS.room_tag(None)
SHORT = 0.05  # seconds until something is given up that will not come
SMALLER, GREATER = sorted((Identity.generate() for _ in range(2)), key=lambda each: each.peer_id)


@dataclass(frozen=True)
class Offer:
    """Who made an offer, and the offer."""

    identity: Identity
    sealed: bytes

    @classmethod
    def of(cls, identity: Identity, salt: bytes, certificate: bytes | None = None) -> Offer:
        """An offer with a salt of its own."""
        body = OfferBody(certificate or identity.certificate, bytes(32), 1)
        salt = salt.ljust(32, b"\0")
        sealed = seal_offer(KEYS, body, mode=MODE_RENDEZVOUS, room_tag=ROOM, salt=salt)
        return cls(identity, sealed)


CLIENT, SERVER = Offer.of(SMALLER, b"client"), Offer.of(GREATER, b"server")


def handshake(own: Offer, peer: Offer, *, keys: GroupKeys = KEYS, number: int = 1) -> Handshake:
    """One side's view of a round."""
    body = open_offer(KEYS, peer.sealed, mode=MODE_RENDEZVOUS, room_tag=ROOM, own=own.sealed)
    return Handshake(
        keys=keys,
        identity=own.identity,
        own_offer=own.sealed,
        peer_offer=peer.sealed,
        peer_body=body,
        mode=MODE_RENDEZVOUS,
        round=number,
        room_tag=ROOM,
    )


client_side = partial(handshake, CLIENT, SERVER)
server_side = partial(handshake, SERVER, CLIENT)


async def authenticated(
    client: Handshake, server: Handshake, left: ByteStream, right: ByteStream, *, lane: int = 0
) -> tuple[TlsStream, TlsStream]:
    """Both ends of one connection."""
    found: dict[Handshake, TlsStream] = {}

    async def side(shared: Handshake, transport: ByteStream) -> None:
        found[shared] = await shared.authenticate(transport, lane=lane, deadline_s=PATIENCE)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(side, client, left)
            tasks.start_soon(side, server, right)
    return found[client], found[server]


async def tls_only(offer: Offer, peer: Offer, transport: ByteStream) -> TlsStream:
    """TLS as ``offer``'s author would do it, for a peer that goes on in its own way."""
    is_server = offer is SERVER
    certificate = peer.identity.certificate
    return await TlsStream.open(
        transport,
        tls_context(offer.identity, certificate, server_side=is_server),
        server_side=is_server,
        peer_certificate=certificate,
    )


@asynccontextmanager
async def running(
    call: Callable[[], Awaitable[object]], error: type[Exception] | None = None
) -> AsyncIterator[None]:
    """``call`` in the background, to end with ``error`` if one is given."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect(call, error) if error else _task(call))
            yield


def authenticate(
    shared: Handshake, transport: ByteStream, *, lane: int = 0, deadline_s: float = PATIENCE
) -> Callable[[], Awaitable[TlsStream]]:
    """The call, to be made later."""
    return partial(shared.authenticate, transport, lane=lane, deadline_s=deadline_s)


def hello(shared: Handshake, lane: int = 0) -> bytes:
    """The HELLO that belongs to a round."""
    return make_hello(KEYS, shared._transcript, lane)


def accept(shared: Handshake) -> bytes:
    """The ACCEPT that belongs to a round."""
    return make_accept(KEYS, shared._transcript)


# -- one connection --------------------------------------------------------------------------------


async def test_same_stream() -> None:
    """Both ends reach the same stream, and the smaller peer id is the TLS client."""
    left, right = memory_pair()
    client, server = client_side(), server_side()
    assert client.is_client
    assert not server.is_client
    here, there = await authenticated(client, server, left, right, lane=7)
    await here.send(b"question")
    assert await there.receive() == b"question"
    await there.send(b"answer")
    assert await here.receive() == b"answer"
    assert client.lane == server.lane == 7


async def test_bytes_behind_hello() -> None:
    """What comes with the HELLO, in the same record or the next, belongs to the stream."""
    left, right = memory_pair()
    server = server_side()

    async def impatient() -> None:
        stream = await tls_only(CLIENT, SERVER, left)
        await stream.send(hello(server) + b"first")
        await stream.send(b"second")

    async with running(impatient):
        stream = await server.authenticate(right, lane=0, deadline_s=PATIENCE)
        assert await receive_exactly(stream, 11) == b"firstsecond"


async def test_bytes_behind_accept() -> None:
    """What comes with the ACCEPT, in the same record or the next, belongs to the stream."""
    left, right = memory_pair()
    client = client_side()

    async def impatient() -> None:
        stream = await tls_only(SERVER, CLIENT, right)
        assert await receive_exactly(stream, HELLO_LENGTH) == hello(client)
        await stream.send(accept(client) + b"first")
        await stream.send(b"second")

    async with running(impatient):
        stream = await client.authenticate(left, lane=0, deadline_s=PATIENCE)
        assert await receive_exactly(stream, 11) == b"firstsecond"


# -- several connections ---------------------------------------------------------------------------


async def test_one_of_many() -> None:
    """Of many connections both sides hand over exactly one, the same; the client refuses others."""
    pairs = [memory_pair() for _ in range(4)]
    client, server = client_side(), server_side()
    at_client: dict[int, TlsStream] = {}
    at_server: dict[int, TlsStream] = {}
    refused: list[int] = []

    async def side(shared: Handshake, lane: int, found: dict[int, TlsStream]) -> None:
        transport = pairs[lane][0 if shared is client else 1]
        try:
            found[lane] = await shared.authenticate(transport, lane=lane, deadline_s=PATIENCE)
        except ProofError:
            refused.append(lane)

    async with anyio.create_task_group() as tasks:
        for lane in range(4):
            tasks.start_soon(side, client, lane, at_client)
            tasks.start_soon(side, server, lane, at_server)
        await anyio.wait_all_tasks_blocked()
        assert len(refused) == 3  # the client's; the server's wait for a HELLO
        tasks.cancel_scope.cancel()
    assert list(at_client) == list(at_server) == [client.lane] == [server.lane]
    [lane] = at_client
    await at_client[lane].send(b"x")
    assert await at_server[lane].receive() == b"x"


@pytest.mark.parametrize("end", ["broken", "closed", "silent", "refused"])
async def test_next_after_failed_nomination(end: str) -> None:
    """Where the nominated connection dies or brings no ACCEPT, the client goes on with the next."""
    dying, doomed = memory_pair()
    left, right = memory_pair()
    client, server = client_side(), server_side()

    async def fails() -> None:
        stream = await tls_only(SERVER, CLIENT, doomed)
        await receive_exactly(stream, HELLO_LENGTH)
        await anyio.wait_all_tasks_blocked()  # the other one is waiting for its turn
        match end:
            case "broken":
                doomed.break_off()
            case "closed":
                await stream.aclose()
            case "refused":
                await stream.send(bytes(ACCEPT_LENGTH))

    error = anyio.BrokenResourceError if end == "broken" else ProofError
    first = authenticate(client, dying, lane=1, deadline_s=SHORT if end == "silent" else PATIENCE)
    async with running(fails), running(first, error):
        await anyio.wait_all_tasks_blocked()
        here, there = await authenticated(client, server, left, right, lane=2)
        await here.send(b"x")
        assert await there.receive() == b"x"
        assert client.lane == server.lane == 2


async def test_one_nomination_at_a_time() -> None:
    """While a HELLO is out, another connection that is ready sends none."""
    pairs = [memory_pair() for _ in range(2)]
    client = client_side()
    ready: list[TlsStream] = []
    nominated: list[bytes] = []

    async def listen(transport: ByteStream) -> None:
        stream = await tls_only(SERVER, CLIENT, transport)
        ready.append(stream)
        nominated.append(await stream.receive())

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for left, right in pairs:
                tasks.start_soon(_task(authenticate(client, left)))
                tasks.start_soon(listen, right)
            await anyio.wait_all_tasks_blocked()
            assert len(ready) == 2
            assert nominated == [hello(client)]
            tasks.cancel_scope.cancel()


async def test_next_after_cancelled_nomination() -> None:
    """A nomination that is cancelled leaves the client free to make another."""
    dying, doomed = memory_pair()
    left, right = memory_pair()
    client, server = client_side(), server_side()
    async with running(partial(tls_only, SERVER, CLIENT, doomed)):
        with anyio.move_on_after(SHORT) as scope:
            await client.authenticate(dying, lane=1, deadline_s=PATIENCE)
        assert scope.cancelled_caught
    await authenticated(client, server, left, right, lane=2)


async def test_no_hello_after_an_accept() -> None:
    """Once a connection is chosen, the client says nothing on another but TLS's own part."""
    left, right = memory_pair()
    late, doomed = memory_pair()
    client, server = client_side(), server_side()
    await authenticated(client, server, left, right)
    opened: list[TlsStream] = []

    async def listen() -> None:
        opened.append(await tls_only(SERVER, CLIENT, doomed))

    async with running(listen):
        with pytest.raises(ProofError, match="another connection"):
            await client.authenticate(late, lane=1, deadline_s=PATIENCE)
    await late.aclose()
    with pytest.raises(anyio.BrokenResourceError):  # the end, and not a HELLO before it
        await opened[0].receive()


async def test_second_hello_is_refused() -> None:
    """The server answers one good HELLO a round; the second one fails."""
    left, right = memory_pair()
    again, doomed = memory_pair()
    server = server_side()
    async with running(authenticate(server, right)):
        first = await tls_only(CLIENT, SERVER, left)
        await first.send(hello(server))
        assert await receive_exactly(first, ACCEPT_LENGTH) == accept(server)
    async with running(authenticate(server, doomed), ProofError):
        second = await tls_only(CLIENT, SERVER, again)
        await second.send(hello(server, 1))
    assert server.lane == 0
    await doomed.aclose()
    with pytest.raises(anyio.BrokenResourceError):
        await second.receive()


async def test_another_hello_after_unsent_accept() -> None:
    """An ACCEPT that did not leave counts for nothing: the server answers the next HELLO."""
    dying, doomed = memory_pair()
    left, right = memory_pair()
    client, server = client_side(), server_side()
    async with running(authenticate(server, doomed), anyio.BrokenResourceError):
        stream = await tls_only(CLIENT, SERVER, dying)
        await anyio.wait_all_tasks_blocked()
        doomed.tamper = _broken
        await stream.send(hello(server))
    await authenticated(client, server, left, right, lane=2)


async def test_hello_waits_for_one_being_answered() -> None:
    """While an ACCEPT is on its way out, another HELLO waits, and is refused when it has left."""
    left, right = memory_pair()
    again, doomed = memory_pair()
    server = server_side()
    async with running(authenticate(server, right)):
        first = await tls_only(CLIENT, SERVER, left)
        await anyio.wait_all_tasks_blocked()
        right.room = 0  # as where the buffers are full
        await first.send(hello(server))
        await anyio.wait_all_tasks_blocked()
        async with running(authenticate(server, doomed), ProofError):
            second = await tls_only(CLIENT, SERVER, again)
            await second.send(hello(server, 1))
            await anyio.wait_all_tasks_blocked()
            assert server.lane is None
            right.room = 65536
        assert await receive_exactly(first, ACCEPT_LENGTH) == accept(server)


# -- strangers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [CLIENT, SERVER], ids=["client", "server"])
async def test_stranger(own: Offer) -> None:
    """Who reaches the port with a certificate of its own gets no stream, nor any HELLO."""
    peer = SERVER if own is CLIENT else CLIENT
    left, right = memory_pair()
    stranger = partial(pretend, right, own.identity.certificate, is_server=own is CLIENT)
    async with running(stranger):
        with pytest.raises(ProofError, match="CERTIFICATE_VERIFY_FAILED"):
            await handshake(own, peer).authenticate(left, lane=0, deadline_s=PATIENCE)


async def test_server_refuses_our_certificate() -> None:
    """A client whose certificate the server does not take is told why it gets no ACCEPT."""
    left, right = memory_pair()
    context = tls_context(GREATER, Identity.generate().certificate, server_side=True)
    opening = partial(
        TlsStream.open,
        right,
        context,
        server_side=True,
        peer_certificate=SMALLER.certificate,
    )
    async with running(opening, ProofError):
        with pytest.raises(ProofError, match="ALERT"):
            await client_side().authenticate(left, lane=0, deadline_s=PATIENCE)


@pytest.mark.parametrize("side", [client_side, server_side])
async def test_garbage(side: Callable[[], Handshake]) -> None:
    """Who speaks no TLS is refused at once."""
    left, right = memory_pair()
    await right.send(b"GET / HTTP/1.1\r\n\r\n")
    with anyio.fail_after(PATIENCE), pytest.raises(ProofError):
        await side().authenticate(left, lane=0, deadline_s=PATIENCE)


@pytest.mark.parametrize("side", [client_side, server_side])
async def test_silence(side: Callable[[], Handshake]) -> None:
    """Who says nothing is refused when the time for TLS is over."""
    left, _ = memory_pair()
    with anyio.fail_after(PATIENCE), pytest.raises(ProofError, match=r"within 0\.05 s"):
        await side().authenticate(left, lane=0, deadline_s=SHORT)


@pytest.mark.parametrize("side", [client_side, server_side])
async def test_broken_transport(side: Callable[[], Handshake]) -> None:
    """A transport that breaks or ends is the transport's error."""
    left, right = memory_pair()
    async with running(authenticate(side(), left), anyio.BrokenResourceError):
        await anyio.wait_all_tasks_blocked()
        right.break_off()


async def test_server_waits_for_hello() -> None:
    """The server's wait for HELLO is bounded by its caller, not by the deadline of TLS."""
    left, right = memory_pair()
    server = server_side()
    async with running(authenticate(server, right, deadline_s=4 * SHORT)):
        stream = await tls_only(CLIENT, SERVER, left)
        await anyio.sleep(6 * SHORT)
        await stream.send(hello(server))
        assert await receive_exactly(stream, ACCEPT_LENGTH) == accept(server)


def _wrong_hellos() -> list[object]:
    right = server_side()
    good = hello(right)
    return [
        pytest.param(good[:-1] + bytes([good[-1] ^ 1]), id="hmac"),
        pytest.param(b"A" + good[1:], id="kind"),
        pytest.param(make_hello(OTHER_KEYS, right._transcript, 0), id="secret"),
        pytest.param(hello(server_side(number=2)), id="round"),
        pytest.param(hello(handshake(SERVER, Offer.of(SMALLER, b"old"))), id="offer"),
        pytest.param(accept(right).ljust(HELLO_LENGTH, b"\0"), id="accept"),
    ]


@pytest.mark.parametrize("frame", _wrong_hellos())
async def test_wrong_hello(frame: bytes) -> None:
    """A HELLO with another proof than this round's is refused, and the right one still accepted."""
    left, right = memory_pair()
    server = server_side()
    async with running(authenticate(server, right), ProofError):
        stream = await tls_only(CLIENT, SERVER, left)
        await stream.send(frame)
    left, right = memory_pair()
    await authenticated(client_side(), server, left, right)


def _wrong_accepts() -> list[object]:
    right = client_side()
    good = accept(right)
    return [
        pytest.param(good[:-1] + bytes([good[-1] ^ 1]), id="hmac"),
        pytest.param(b"H" + good[1:], id="kind"),
        pytest.param(make_accept(OTHER_KEYS, right._transcript), id="secret"),
        pytest.param(accept(client_side(number=2)), id="round"),
        pytest.param(hello(right)[:ACCEPT_LENGTH], id="hello"),
    ]


@pytest.mark.parametrize("frame", _wrong_accepts())
async def test_wrong_accept(frame: bytes) -> None:
    """An ACCEPT with another proof than this round's is refused."""
    left, right = memory_pair()

    async def server() -> None:
        stream = await tls_only(SERVER, CLIENT, right)
        await stream.send(frame)

    async with running(server):
        with pytest.raises(ProofError, match="ACCEPT"):
            await client_side().authenticate(left, lane=0, deadline_s=PATIENCE)


async def test_wrong_secret() -> None:
    """Two that a coordinator introduces although their secrets differ get no stream, on no side."""
    left, right = memory_pair()
    client, server = client_side(keys=OTHER_KEYS), server_side()

    async def refuse() -> None:
        with pytest.raises(ProofError):
            await server.authenticate(right, lane=0, deadline_s=PATIENCE)
        await right.aclose()

    async with running(refuse):
        with pytest.raises(anyio.BrokenResourceError):
            await client.authenticate(left, lane=0, deadline_s=PATIENCE)


# -- offers ----------------------------------------------------------------------------------------


def test_own_certificate() -> None:
    """A peer with our own certificate is ourselves."""
    with pytest.raises(ReflectedError):
        handshake(CLIENT, Offer.of(SMALLER, b"again"))


def test_no_certificate() -> None:
    """A well-sealed offer with something else than a certificate in it is refused at once."""
    with pytest.raises(ProofError, match="no certificate"):
        handshake(CLIENT, Offer.of(GREATER, b"junk", certificate=b"junk"))


# -- direct mode -----------------------------------------------------------------------------------


def exchange(
    transport: ByteStream, identity: Identity, keys: GroupKeys = KEYS
) -> Callable[[], Awaitable[Handshake]]:
    """The exchange of offers on ``transport``, to be made later."""
    return partial(
        exchange_offers,
        transport,
        keys,
        identity,
        mode=MODE_DIRECT,
        room_tag=keys.room_tag(None),
    )


def direct_offer(identity: Identity, keys: GroupKeys = KEYS) -> bytes:
    """What a peer in direct mode begins with."""
    body = OfferBody(identity.certificate, bytes(32), 0)
    tag = keys.room_tag(None)
    return HEAD + seal_offer(keys, body, mode=MODE_DIRECT, room_tag=tag, salt=bytes(32))


async def test_direct() -> None:
    """Offers that cross on the connection lead to a stream on the same connection."""
    left, right = memory_pair()
    received: list[bytes] = []

    async def side(transport: ByteStream, identity: Identity, word: bytes) -> None:
        shared = await exchange(transport, identity)()
        stream = await shared.authenticate(transport, lane=0, deadline_s=PATIENCE)
        await stream.send(word)
        received.append(await stream.receive())

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(side, left, SMALLER, b"one")
            tasks.start_soon(side, right, GREATER, b"two")
    assert sorted(received) == [b"one", b"two"]


async def test_nothing_read_beyond_the_offer() -> None:
    """What comes right behind the peer's offer is left to TLS."""
    left, right = memory_pair()
    await right.send(direct_offer(GREATER) + b"behind")
    shared = await exchange(left, SMALLER)()
    assert shared.is_client
    assert await left.receive() == b"behind"


@pytest.mark.parametrize(
    "first",
    [
        b"G",
        b"220 mail\r\n",
        b"simopen/2\0",
        b"simopen/1\0" + (SEALED_LENGTH + 1).to_bytes(4, "big"),
        b"simopen/1\0\xff\xff\xff\xff",
    ],
)
async def test_peer_without_secret(first: bytes) -> None:
    """A peer that begins otherwise is refused at the first byte that differs, without waiting."""
    left, right = memory_pair()
    await right.send(first)
    with anyio.fail_after(PATIENCE), pytest.raises(OfferError, match="no sealed certificate"):
        await exchange(left, SMALLER)()


@pytest.mark.parametrize("length", [0, 5, len(HEAD), len(HEAD) + 100])
async def test_peer_that_ends(length: int) -> None:
    """A peer that ends before its offer is whole has sent none."""
    left, right = memory_pair()
    await right.send(direct_offer(GREATER)[:length])
    await right.send_eof()
    with anyio.fail_after(PATIENCE), pytest.raises(OfferError, match="no sealed certificate"):
        await exchange(left, SMALLER)()


async def test_broken_exchange() -> None:
    """A transport that breaks meanwhile is the transport's error."""
    left, right = memory_pair()
    async with running(exchange(left, SMALLER), anyio.BrokenResourceError):
        await anyio.wait_all_tasks_blocked()
        right.break_off()


async def test_another_secret() -> None:
    """An offer of somebody with another secret does not open, on either side."""
    left, right = memory_pair()
    async with running(exchange(right, GREATER, OTHER_KEYS), WrongKeyError):
        with pytest.raises(WrongKeyError):
            await exchange(left, SMALLER)()


async def test_reflected_offer() -> None:
    """Our own offer sent back is known as ours."""
    left, right = memory_pair()

    async def mirror() -> None:
        await right.send(await receive_exactly(right, len(HEAD) + SEALED_LENGTH))

    async with running(mirror):
        with pytest.raises(ReflectedError, match="our own offer"):
            await exchange(left, SMALLER)()


@pytest.mark.parametrize("own", [SMALLER, GREATER], ids=["client", "server"])
async def test_replayed_offer(own: Identity) -> None:
    """Who sends somebody's old offer without its key gets no stream."""
    left, right = memory_pair()
    author = GREATER if own is SMALLER else SMALLER
    await right.send(direct_offer(author))
    shared = await exchange(left, own)()
    await receive_exactly(right, len(HEAD) + SEALED_LENGTH)

    async with running(partial(pretend, right, own.certificate, is_server=shared.is_client)):
        with pytest.raises(ProofError):
            await shared.authenticate(left, lane=0, deadline_s=PATIENCE)


# -- any bytes -------------------------------------------------------------------------------------


@given(data=st.binary(max_size=100), valid=st.integers(0, len(HEAD) + SEALED_LENGTH))
def test_any_bytes_for_an_offer(data: bytes, valid: int) -> None:
    """Whatever comes instead of an offer, or of the rest of one, it is no offer."""
    begin = direct_offer(GREATER)[:valid] + data
    if begin.startswith(direct_offer(GREATER)):
        return

    async def run() -> None:
        left, right = memory_pair()
        await right.send(begin)
        await right.send_eof()
        with pytest.raises(OfferError):
            await exchange(left, SMALLER)()

    anyio.run(run)


@given(data=st.binary(max_size=100), ends=st.booleans())
def test_any_bytes_for_a_hello(data: bytes, ends: bool) -> None:  # noqa: FBT001
    """Whatever comes inside TLS instead of a HELLO proves nothing."""

    async def run() -> None:
        left, right = memory_pair()
        async with running(authenticate(server_side(), right), ProofError):
            stream = await tls_only(CLIENT, SERVER, left)
            await stream.send(data if ends else data.ljust(HELLO_LENGTH, b"H"))
            await stream.send_eof()

    anyio.run(run)


@given(data=st.binary(max_size=100), ends=st.booleans())
def test_any_bytes_for_an_accept(data: bytes, ends: bool) -> None:  # noqa: FBT001
    """Whatever comes inside TLS instead of an ACCEPT proves nothing."""

    async def run() -> None:
        left, right = memory_pair()
        async with running(authenticate(client_side(), left), ProofError):
            stream = await tls_only(SERVER, CLIENT, right)
            await stream.send(data if ends else data.ljust(ACCEPT_LENGTH, b"A"))
            await stream.send_eof()

    anyio.run(run)


@given(data=st.binary(max_size=100), client=st.booleans())
def test_any_bytes_for_tls(data: bytes, client: bool) -> None:  # noqa: FBT001
    """Whatever comes instead of TLS, it is no proof, or the transport has ended."""

    async def run() -> None:
        left, right = memory_pair()
        await right.send(data)
        await right.send_eof()
        shared = client_side() if client else server_side()
        with pytest.raises((ProofError, anyio.BrokenResourceError)):
            await shared.authenticate(left, lane=0, deadline_s=PATIENCE)

    anyio.run(run)


# -- tools -----------------------------------------------------------------------------------------


async def pretend(transport: ByteStream, certificate: bytes, *, is_server: bool) -> None:
    """Be a stranger with a certificate of its own, who must get nothing from its owner."""
    context = tls_context(Identity.generate(), certificate, server_side=is_server)
    try:
        stream = await TlsStream.open(
            transport, context, server_side=is_server, peer_certificate=certificate
        )
    except ProofError:
        return
    with pytest.raises(anyio.BrokenResourceError):
        await stream.receive()


def _task(call: Callable[[], Awaitable[object]]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def task() -> None:
        await call()

    return task


def _broken(_: bytes) -> bytes:
    raise anyio.BrokenResourceError
