"""A client that says exactly what a test wants, and what else the coordinator's tests share."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from simopen import Endpoint
from simopen.rendezvous.protocol import (
    COORDINATOR_MESSAGES,
    CoordinatorMessage,
    Family,
    FrameReader,
    Join,
    Message,
    encode_frame,
)

PATIENCE = 10  # seconds for what takes milliseconds
OFFER = bytes(32 + 2048 + 16)

M = TypeVar("M", bound=Message)


class Client:
    """One connection to a coordinator.

    Attributes:
        stream: The bytes under it.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._reader = FrameReader(COORDINATOR_MESSAGES)
        self._messages: Iterator[CoordinatorMessage] = iter(())

    @classmethod
    async def connect(
        cls, endpoint: Endpoint, *, tls: ssl.SSLContext | None = None, first: bytes = b""
    ) -> Client:
        """Connect, and send ``first`` before anything else."""
        stream: ByteStream = await anyio.connect_tcp(endpoint.host, endpoint.port)
        try:
            if first:
                await stream.send(first)
            if tls is not None:
                return cls(await _encrypted(stream, tls))
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return cls(stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.aclose_forcefully(self.stream)

    async def send(self, *messages: Message) -> None:
        """Send them in one piece."""
        await self.stream.send(b"".join(map(encode_frame, messages)))

    async def receive(self, kind: type[M]) -> M:
        """Receive the next message, which must be of that kind."""
        with anyio.fail_after(PATIENCE):
            message = next(self._messages, None)
            while message is None:
                self._messages = self._reader.feed(await self.stream.receive())
                message = next(self._messages, None)
        assert isinstance(message, kind), message
        return message

    async def ended(self) -> bool:
        """Whether the coordinator closes now, without another word."""
        with anyio.fail_after(PATIENCE):
            try:
                return not await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True


async def _encrypted(stream: ByteStream, tls: ssl.SSLContext) -> ByteStream:
    return await TLSStream.wrap(
        stream, server_side=False, ssl_context=tls, standard_compatible=False
    )


def join(
    tag: bytes, seat: bytes | None = None, *, round_: int = 1, families: tuple[Family, ...] = ()
) -> Join:
    """A join of a seat, by default of a new one."""
    seat = seat or secrets.token_bytes(16)
    return Join(tag=tag, seat=seat, offer=OFFER, round=round_, families=families)


def new_tag() -> bytes:
    """The tag of a room that nobody is in."""
    return secrets.token_bytes(32)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.002)
