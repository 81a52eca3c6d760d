r"""From a connected transport to a stream that the holder of the peer's offer is at the end of.

Theory of operation
===================

Both sides hold both sealed offers of a round, and :class:`Handshake` is what follows from them: who
is the TLS client (the smaller peer id), the one certificate to trust, and the transcript. All
connections of the round that open share it. Each shakes hands in TLS; then the client nominates one
with HELLO, and the server answers the first good HELLO with ACCEPT (:mod:`._hello`)::

    client   TLS …  HELLO ─────────►           ◄───────── ACCEPT   client hands over
    server   TLS …         ACCEPT, hands over

In direct mode there is nobody to carry the offers: they cross on the connection itself first
(:func:`exchange_offers`)::

    "simopen/1\0" ‖ u32 big-endian length ‖ sealed offer, without candidates

States
======

=========  =======================================  ==============================================
state      client                                   server
=========  =======================================  ==============================================
open       no nomination is out                     no ACCEPT has been sent
nominated  a HELLO is out, other connections wait   an ACCEPT is being sent, other HELLOs wait
settled    an ACCEPT has come, no HELLO leaves      an ACCEPT has been sent, no other will be
=========  =======================================  ==============================================

*Nominated* falls back to *open* when that connection breaks, is cancelled or, for the client, has
no ACCEPT in time. The server may then send another ACCEPT, since a client that has had one sends no
further HELLO.

Invariants
==========

- A stream is handed over only after authenticated bytes have crossed it both ways, and one a round.
- What the peer sends makes :class:`~simopen.security._errors.ProofError`,
  :class:`~simopen.security._errors.OfferError` or an error of the transport, and nothing else.
- Nothing is read beyond a frame: what follows belongs to the stream.
- A failure closes nothing, the transport is the caller's until its stream is handed over.

What no protocol can give: when the server hands over, its ACCEPT may still be lost with the
connection. Then the server holds a stream that breaks, and the client none.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator

import anyio
from anyio.abc import ByteReceiveStream, ByteStream

from ._certificate import Identity, peer_id, tls_context
from ._errors import LateError, OfferError, ProofError, ReflectedError
from ._hello import (
    ACCEPT_LENGTH,
    HELLO_LENGTH,
    check_accept,
    check_hello,
    make_accept,
    make_hello,
    transcript,
)
from ._keys import SALT_LENGTH, GroupKeys, Mode
from ._offer import SEALED_LENGTH, OfferBody, open_offer, seal_offer
from ._tls import TlsStream

SESSION_LENGTH = 32  # bytes
DIRECT_ROUND = 0  # a direct call has one round
HEAD = b"simopen/1\0" + SEALED_LENGTH.to_bytes(4, "big")  # in front of an offer in direct mode


class Nomination:
    """The choice of one connection among several; shared by whatever competes.

    Attributes:
        lane: The lane that was chosen, by the client's count; None until then.
    """

    def __init__(self) -> None:
        self.lane: int | None = None
        self._turn = anyio.Lock()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have one's turn at being chosen.

        Raises:
            ProofError: Another connection has been chosen.
        """
        async with self._turn:
            if self.lane is not None:
                raise ProofError("another connection of this round has been chosen")
            yield


class Handshake:
    """What two offers agree on; shared by all connections of one call's round.

    Attributes:
        is_client: Whether we are the TLS client, which nominates.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        keys: GroupKeys,
        identity: Identity,
        own_offer: bytes,
        peer_offer: bytes,
        peer_body: OfferBody,
        mode: Mode,
        round: int,  # noqa: A002  # its name in every message
        room_tag: bytes,
        nomination: Nomination | None = None,
    ) -> None:
        """Find out who is who.

        Args:
            keys: The group's.
            identity: Ours, whose certificate is in our offer.
            own_offer: Sealed.
            peer_offer: Sealed.
            peer_body: What ``peer_offer`` says.
            mode: How the offers travelled.
            round: The round's number, 0 to 2³² - 1.
            room_tag: Of the room they met in.
            nomination: Shared with other handshakes, where each connection has its own.

        Raises:
            ReflectedError: The peer's certificate is our own.
            ProofError: There is no certificate in the peer's offer.
        """
        theirs = peer_id(peer_body.certificate)
        if theirs == identity.peer_id:
            raise ReflectedError("our own certificate came back to us")
        self.is_client = identity.peer_id < theirs
        self._keys = keys
        self._peer_certificate = peer_body.certificate
        self._context = tls_context(identity, peer_body.certificate, server_side=not self.is_client)
        self._transcript = transcript(
            mode=mode,
            round=round,
            room_tag=room_tag,
            client_offer=own_offer if self.is_client else peer_offer,
            server_offer=peer_offer if self.is_client else own_offer,
        )
        self._nomination = nomination or Nomination()

    @property
    def lane(self) -> int | None:
        """The lane that was chosen, by the client's count; None until then."""
        return self._nomination.lane

    async def authenticate(
        self, transport: ByteStream, *, lane: int, deadline_s: float
    ) -> TlsStream:
        """Make one of the round's connections the stream, or fail.

        The server waits for HELLO until it is cancelled: it comes on one connection only.

        Args:
            transport: Becomes the stream's on success, and stays the caller's on failure.
            lane: The connection's number, 0 to 255.
            deadline_s: Seconds for TLS, and for the client again from HELLO to ACCEPT.

        Raises:
            ProofError: The peer did not prove the key in its offer, or not in time; or another
                connection has been chosen.
            anyio.BrokenResourceError: The transport broke or ended.
        """
        with _at_most(deadline_s, "the peer did not finish TLS"):
            stream = await TlsStream.open(
                transport,
                self._context,
                server_side=not self.is_client,
                peer_certificate=self._peer_certificate,
            )
        with _as_proof():
            if self.is_client:
                await self._nominate(stream, lane, deadline_s)
            else:
                await self._accept(stream)
        return stream

    async def _nominate(self, stream: TlsStream, lane: int, deadline_s: float) -> None:
        async with self._nomination.turn():
            with _at_most(deadline_s, "the peer sent no ACCEPT"):
                await stream.send(make_hello(self._keys, self._transcript, lane))
                frame = await _receive_exactly(stream, ACCEPT_LENGTH)
            check_accept(self._keys, self._transcript, frame)
            self._nomination.lane = lane

    async def _accept(self, stream: TlsStream) -> None:
        frame = await _receive_exactly(stream, HELLO_LENGTH)
        lane = check_hello(self._keys, self._transcript, frame)
        async with self._nomination.turn():
            await stream.send(make_accept(self._keys, self._transcript))
            self._nomination.lane = lane


async def exchange_offers(
    transport: ByteStream,
    keys: GroupKeys,
    identity: Identity,
    *,
    mode: Mode,
    room_tag: bytes,
    nomination: Nomination | None = None,
) -> Handshake:
    """Exchange offers on the connection itself, where there is no coordinator.

    Both sides send first: the transport must take some 2 KiB before the peer reads.

    Args:
        transport: Stays the caller's.
        keys: The group's.
        identity: Ours.
        mode: Bound into the offers.
        room_tag: Likewise.
        nomination: Shared by all connections of a call, where several compete.

    Returns:
        The handshake to authenticate ``transport`` with.

    Raises:
        OfferError: The peer sent no offer, or none that our secret opens, or our own.
        ProofError: There is no certificate in the peer's offer.
        anyio.BrokenResourceError: The transport broke.
    """
    body = OfferBody(identity.certificate, os.urandom(SESSION_LENGTH), DIRECT_ROUND)
    salt = os.urandom(SALT_LENGTH)
    own_offer = seal_offer(keys, body, mode=mode, room_tag=room_tag, salt=salt)
    await transport.send(HEAD + own_offer)
    peer_offer = await _receive_offer(transport)
    return Handshake(
        keys=keys,
        identity=identity,
        own_offer=own_offer,
        peer_offer=peer_offer,
        peer_body=open_offer(keys, peer_offer, mode=mode, room_tag=room_tag, own=own_offer),
        mode=mode,
        round=DIRECT_ROUND,
        room_tag=room_tag,
        nomination=nomination,
    )


async def _receive_offer(transport: ByteReceiveStream) -> bytes:
    """The peer's sealed offer. What begins otherwise is refused at the first byte that differs."""
    head = b""
    try:
        while len(head) < len(HEAD):
            head += await transport.receive(len(HEAD) - len(head))
            if not HEAD.startswith(head):
                raise OfferError("the peer sent no sealed certificate")
        return await _receive_exactly(transport, SEALED_LENGTH)
    except anyio.EndOfStream:
        raise OfferError("the peer sent no sealed certificate") from None


async def _receive_exactly(stream: ByteReceiveStream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += await stream.receive(size - len(received))
    return received


@contextlib.contextmanager
def _at_most(seconds: float, otherwise: str) -> Iterator[None]:
    """Raise LateError where it takes longer. A transport's own TimeoutError is left alone."""
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise LateError(f"{otherwise} within {seconds:g} s")


@contextlib.contextmanager
def _as_proof() -> Iterator[None]:
    """Tell what the peer did inside TLS from what happened to the transport."""
    try:
        yield
    except anyio.EndOfStream:
        raise ProofError("the peer ended the connection before the hello") from None
    except anyio.BrokenResourceError as error:
        failure = error.__cause__
        if isinstance(failure, ssl.SSLError) and not isinstance(failure, ssl.SSLEOFError):
            raise ProofError(f"TLS with the peer failed ({failure.reason})") from failure
        raise
