"""TLS 1.3 over any byte stream, with a half-close.

Theory of operation
===================

OpenSSL works between two buffers in memory and never touches a socket. What the transport delivers
is fed into one, what is to be sent is taken from the other, and all waiting is done by the
transport (:class:`anyio.abc.ByteStream`). Within TLS 1.3 the two directions are independent: a send
never waits for a receive, nor the reverse. The only thing that receiving makes us send is the
answer to a key update, and that is due before our next data and not earlier (RFC 8446 §4.6.3): it
stays in the buffer, and the next send takes it along. So only ``send``, ``send_eof`` and
``aclose`` ever send.

A half-close is a close_notify (RFC 8446 §6.1); the transport's own half stays open until
``aclose``. OpenSSL's ``SSL_shutdown`` sends it, but then also reads, and takes data that it finds
for a fatal error. Therefore everything that has come is decrypted first and kept for ``receive``,
the shutdown finds nothing to read, and reading goes on after it as before.

States
======

The halves go their own ways; ``aclose`` ends both.

=========  =====================  ==================================================================
half       state                  left by
=========  =====================  ==================================================================
sending    open                   ``send_eof``; a transport that did not take everything
sending    ended                  final: ``ClosedResourceError``
sending    torn                   final: an unknown part of a record has been sent, and nothing that
                                  follows could be read; ``BrokenResourceError``
receiving  open                   the peer's close_notify; the transport's end; bad records
receiving  ended                  final: ``EndOfStream``
receiving  broken                 final: ``BrokenResourceError``
=========  =====================  ==================================================================

Invariants
==========

- The transport is read only where nothing is left to decrypt, and one piece at a time: at most
  ``LARGEST_PIECE`` bytes and the beginning of one record are held, whoever sends.
- A transport that ends without close_notify has been cut off: never an orderly end.
- Between a piece's arrival and its place in the buffer nothing waits, so a cancelled ``receive``
  loses nothing.
- Before the handshake is done no more than ``limit`` bytes are read.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from ._certificate import ALPN
from ._errors import ProofError

DEFAULT_RECEIVE = 65536  # bytes; anyio's own default
RECORD = 16384  # bytes of plaintext that one record holds at most (RFC 8446 §5.1)
LARGEST_PIECE = 65536  # bytes; the most that is read from the transport at once
LARGEST_BATCH = 65536  # bytes encrypted at once, at most: what stays in the processor's cache
MOST_ANSWERS = 16384  # bytes of answers to key updates that may wait for the next send: some 600
BEFORE_PROOF = 16384  # bytes read from a stranger; an honest handshake takes about 1,000
LEFTOVERS = 0.001  # seconds for reading what is there at the close
CLOSING = 1.0  # seconds for the close_notify where the peer holds us back


class TlsStream(ByteStream):
    """TLS 1.3 with one known peer: an :class:`anyio.abc.ByteStream`, made by :meth:`open`.

    One task may send while another receives. Extra attributes are the transport's.
    """

    def __init__(self, transport: ByteStream, session: _Session) -> None:
        self._transport = transport
        self._session = session
        self._closed = False
        self._sent_eof = False
        self._torn = False
        self._sending = anyio.ResourceGuard("sending to")
        self._receiving = anyio.ResourceGuard("receiving from")

    @classmethod
    async def open(
        cls,
        transport: ByteStream,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        peer_certificate: bytes,
        limit: int = BEFORE_PROOF,
    ) -> TlsStream:
        """Shake hands with the holder of a certificate.

        The client's handshake ends before the server has judged the client's certificate: only a
        message from the server proves that it did.

        Args:
            transport: Becomes the stream's on success, and stays the caller's on failure.
            context: As :func:`~simopen.security._certificate.tls_context` makes it.
            server_side: Our part; the same as the context's.
            peer_certificate: What the peer must present, DER.
            limit: The most to read before the handshake is done, in bytes.

        Raises:
            ProofError: The peer did not prove that it holds the certificate's key.
            anyio.BrokenResourceError: The transport broke or ended meanwhile.
        """
        session = _Session(context, server_side=server_side)
        try:
            await _shake_hands(session, transport, limit)
        except ssl.SSLError as error:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await transport.send(session.take())  # the alert: the peer need not wait
            raise ProofError(f"TLS with the peer failed ({error.reason})") from error
        session.check_peer(peer_certificate)
        return cls(transport, session)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The transport's typed attributes (see :meth:`anyio.TypedAttributeProvider.extra`)."""
        return self._transport.extra_attributes

    async def receive(self, max_bytes: int = DEFAULT_RECEIVE) -> bytes:
        """Receive at least one byte. Cancelled, it takes nothing with it.

        Args:
            max_bytes: The most to receive, in bytes; positive.

        Raises:
            anyio.EndOfStream: The peer has sent everything and closed or half-closed.
            anyio.BrokenResourceError: The connection broke, ended without TLS's own end, or
                brought what TLS does not accept.
            anyio.ClosedResourceError: This stream is closed.
            anyio.BusyResourceError: Another task is receiving.
            ValueError: ``max_bytes`` is not positive.
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be positive, not {max_bytes}")
        with self._receiving:
            if not self._session.dry:  # else the transport's receive is the checkpoint
                await anyio.lowlevel.checkpoint()
            self._check_open()
            while not (data := self._session.read(max_bytes)):
                self._session.feed(await self._receive_piece())
        return data

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send all of ``item``; when this returns the transport has it.

        Cancelled half-way, an unknown part has been sent: sending is over, receiving goes on, and
        the peer learns at our close that it has not got everything.

        Raises:
            anyio.BrokenResourceError: The connection broke, or an earlier send was cancelled.
            anyio.ClosedResourceError: This stream is closed, or its sending half is.
            anyio.BusyResourceError: Another task is sending.
        """
        with self._sending, memoryview(item).cast("B") as rest:
            # The transport's send is the checkpoint; cancelled there the stream would be torn.
            await anyio.lowlevel.checkpoint_if_cancelled()
            self._check_open()
            if self._sent_eof:
                raise anyio.ClosedResourceError
            if not rest:
                await anyio.lowlevel.checkpoint()
            for start in range(0, len(rest), LARGEST_BATCH):
                with rest[start : start + LARGEST_BATCH] as batch:
                    await self._transmit(self._session.encrypt, batch)

    async def send_eof(self) -> None:
        """Half-close: tell the peer that no more will come; receiving goes on. Idempotent.

        Raises:
            anyio.BrokenResourceError: The connection broke, or an earlier send was cancelled.
            anyio.ClosedResourceError: This stream is closed.
            anyio.BusyResourceError: Another task is sending.
        """
        with self._sending:
            await anyio.lowlevel.checkpoint()
            self._check_open()
            if not self._sent_eof:
                await self._transmit(self._session.end)
                self._sent_eof = True

    async def aclose(self) -> None:
        """Close, without waiting for the peer's end; what was sent is still delivered.

        Whoever is waiting in ``receive`` or ``send`` gets a ``ClosedResourceError``. The peer gets
        a close_notify, unless a send is under way or was cancelled, closing itself is cancelled,
        or the peer takes nothing for a second: then it sees a connection cut off. Received bytes
        that are left unread do what they do to the transport: a kernel tells the peer by a reset.
        """
        try:
            if not self._closed:
                self._closed = True
                if not self._sent_eof:
                    await self._end_soon()
                await self._take_their_end()
        finally:
            await self._transport.aclose()

    async def _end_soon(self) -> None:
        with (
            contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError),
            anyio.move_on_after(CLOSING),
        ):
            await self._transmit(self._session.end)

    async def _take_their_end(self) -> None:
        """Read what has come, if that is little.

        Whoever knows the length of what it receives does not read to the end, and leaves the peer's
        close_notify. As unread bytes that would turn the close of a kernel's socket into a reset,
        which destroys what we have just sent.
        """
        with (
            contextlib.suppress(
                anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError
            ),
            anyio.move_on_after(LEFTOVERS),
        ):
            await self._receive_piece()

    def _check_open(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError

    async def _receive_piece(self) -> bytes:
        """What the transport has; empty at its end."""
        try:
            return await self._transport.receive(LARGEST_PIECE)
        except anyio.EndOfStream:
            return b""

    async def _transmit(self, produce: Callable[..., bytes], *args: memoryview) -> None:
        """Hand the transport what ``produce`` makes: all of it, or the sending half is torn."""
        if self._torn:
            raise anyio.BrokenResourceError
        self._torn = True
        await self._transport.send(produce(*args))
        self._torn = False


class _Session:
    """OpenSSL between its two buffers: no I/O and no waiting."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._kept = bytearray()  # decrypted by end(), for read()
        self._dry = False
        self._over: ssl.SSLError | None = None  # why nothing more will come

    # -- the handshake ---------------------------------------------------------------------------

    def shake_hands(self) -> bool:
        """Go as far as what was fed allows; whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def check_peer(self, certificate: bytes) -> None:
        """Raise ProofError unless the peer speaks our protocol and presented ``certificate``."""
        if self._tls.selected_alpn_protocol() != ALPN:
            raise ProofError(f"the peer speaks TLS, but not {ALPN}")
        if self._tls.getpeercert(binary_form=True) != certificate:
            raise ProofError("the peer's certificate is not the one in its offer")

    # -- receiving -------------------------------------------------------------------------------

    @property
    def dry(self) -> bool:
        """Whether more must be fed before there is anything to read."""
        return self._dry and not self._kept

    def feed(self, piece: bytes) -> None:
        """Take a piece from the transport; empty for its end."""
        if not piece:
            self._over = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "cut off without close_notify")
        elif self._outgoing.pending > MOST_ANSWERS:
            self._over = ssl.SSLError(ssl.SSL_ERROR_SSL, "too many key updates")
        else:
            self._incoming.write(piece)
        self._dry = False

    def read(self, most: int) -> bytes:
        """At most ``most`` bytes; empty where more must be fed first.

        Raises:
            anyio.EndOfStream: All has been read, and the peer has sent its close_notify.
            anyio.BrokenResourceError: All has been read, and no more can come.
        """
        if self._kept:
            data = bytes(self._kept[:most])
            del self._kept[:most]
        else:
            data = self._decrypt(most)
        if not data and self._over is not None:
            if isinstance(self._over, ssl.SSLZeroReturnError):
                raise anyio.EndOfStream
            raise anyio.BrokenResourceError from self._over
        return data

    def _decrypt(self, most: int) -> bytes:
        """At most ``most`` bytes of what was fed, from as many records as it takes.

        An error after them is kept for the next time.
        """
        records: list[bytes] = []
        while most and not self._dry and self._over is None:
            try:
                record = self._tls.read(min(most, RECORD))
            except ssl.SSLWantReadError:
                self._dry = True
            except ssl.SSLError as error:
                self._over = error.with_traceback(None)
            else:
                if not record:  # how close_notify looks before our own is sent
                    self._over = ssl.SSLZeroReturnError()
                records.append(record)
                most -= len(record)
                # A test that spares OpenSSL's error for the usual case: a piece read to its end.
                self._dry = not (self._incoming.pending or self._tls.pending())
        return b"".join(records)

    # -- sending ---------------------------------------------------------------------------------

    def take(self) -> bytes:
        """What is to be sent."""
        return self._outgoing.read()

    def encrypt(self, plaintext: memoryview) -> bytes:
        """The records of ``plaintext``, behind whatever else was to be sent.

        Raises:
            anyio.BrokenResourceError: TLS has failed meanwhile.
        """
        written = 0
        try:
            while written < len(plaintext):
                with plaintext[written:] as rest:
                    written += self._tls.write(rest)
        except ssl.SSLError as error:
            raise anyio.BrokenResourceError from error
        return self.take()

    def end(self) -> bytes:
        """The close_notify, behind whatever else was to be sent; after a failure its alert."""
        while not self._dry and self._over is None:
            self._kept += self._decrypt(DEFAULT_RECEIVE)
        with contextlib.suppress(ssl.SSLError):  # it wants to read the peer's close_notify, too
            self._tls.unwrap()
        return self.take()


async def _shake_hands(session: _Session, transport: ByteStream, limit: int) -> None:
    """Exchange messages until our part of the handshake is done.

    Raises:
        ssl.SSLError: It failed; the alert is there to be taken.
        ProofError: The peer sent ``limit`` bytes, and it is not done.
        anyio.BrokenResourceError: The transport broke or ended.
    """
    done = False
    while not done:
        done = session.shake_hands()
        if message := session.take():
            await transport.send(message)
        if not done:
            if not limit:
                raise ProofError("the peer sent too much before TLS was established")
            piece = await _receive_more(transport, min(limit, LARGEST_PIECE))
            limit -= len(piece)
            session.feed(piece)


async def _receive_more(transport: ByteStream, most: int) -> bytes:
    try:
        return await transport.receive(most)
    except anyio.EndOfStream:
        raise anyio.BrokenResourceError from None
