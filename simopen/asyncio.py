"""For programs written against asyncio's streams rather than anyio's.

::

    reader, writer = await simopen.asyncio.open_peer(
        rendezvous="tcp://rendezvous.example:7000", secret=invite
    )
    writer.write(b"hello")
    print(await reader.readexactly(5))
    writer.close()
    await writer.wait_closed()
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, overload

from ._api import connect_peer, connect_peer_socket
from ._asyncio_transport import PeerTransport
from ._endpoints import EndpointsLike
from ._events import OnEvent
from .net._stream import PeerStream
from .punch import PunchOptions
from .rendezvous._url import Rendezvous
from .security._secret import SecretLike, hold

if TYPE_CHECKING:
    from .trace import HandshakeTrace

DEFAULT_LIMIT = 65536  # bytes; asyncio's own default for StreamReader


@overload
async def open_peer(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
    secret: SecretLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - as simopen.connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
    limit: int = DEFAULT_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...


@overload
async def open_peer(
    *,
    rendezvous: str | Rendezvous,
    room: str | None = None,
    secret: SecretLike | None = None,
    local: EndpointsLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - as simopen.connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
    limit: int = DEFAULT_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...


async def open_peer(  # noqa: PLR0913 - as simopen.connect_peer
    remote: EndpointsLike | None = None,
    *,
    local: EndpointsLike | None = None,
    rendezvous: str | Rendezvous | None = None,
    room: str | None = None,
    secret: SecretLike | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - as simopen.connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    trace: bool | HandshakeTrace = False,
    limit: int = DEFAULT_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a peer as :func:`simopen.connect_peer`, for asyncio's reader and writer.

    The bytes, and who may be at the other end, are the same: one side may use this, and the other
    :func:`simopen.connect_peer`. ``writer.write_eof()`` half-closes, encrypted or not. A connection
    that breaks is a ``ConnectionResetError``, and so is an encrypted one that ends without the
    peer's word that this is the end.

    ``writer.get_extra_info()`` knows ``"peername"``, ``"sockname"`` and ``"socket"``; with a secret
    or a rendezvous also ``"report"``, the :class:`simopen.PunchReport`. (Without either the
    transport is asyncio's own, and ``on_event`` has the report.)

    Example::

        reader, writer = await open_peer(
            "203.0.113.2:40001", local="0.0.0.0:40000", secret=invite, timeout=10
        )
        writer.write(b"hello")
        print(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()

    Args:
        remote: As for :func:`simopen.connect_peer`.
        local: As for :func:`simopen.connect_peer`.
        rendezvous: As for :func:`simopen.connect_peer`.
        room: As for :func:`simopen.connect_peer`.
        secret: As for :func:`simopen.connect_peer`.
        timeout: As for :func:`simopen.connect_peer`.
        on_event: As for :func:`simopen.connect_peer`.
        options: As for :func:`simopen.connect_peer`.
        trace: As for :func:`simopen.connect_peer`; reader and writer cannot carry it, so give an
            object.
        limit: The reader's buffer limit in bytes, as for :func:`asyncio.open_connection`.

    Returns:
        The same pair that :func:`asyncio.open_connection` returns.

    Raises:
        RuntimeError: The event loop is not asyncio's. Nothing was sent.
        TypeError: As :func:`simopen.connect_peer`.
        SimopenError: As :func:`simopen.connect_peer`.
    """
    secret = None if secret is None else hold(secret)
    loop = _running_loop()
    common: dict[str, Any] = {
        "timeout": timeout,
        "on_event": on_event,
        "options": options,
        "trace": trace,
    }
    bare = all(each is None for each in (rendezvous, room, secret))
    if remote is not None and local is not None and bare:
        return await _open_bare(await connect_peer_socket(remote, local=local, **common), limit)
    peer: dict[str, Any] = {"remote": remote, "local": local, "rendezvous": rendezvous}
    stream = await connect_peer(**peer, room=room, secret=secret, **common)
    return _opened(stream, limit, loop)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "open_peer needs asyncio's event loop; simopen.connect_peer runs on trio as well"
        ) from None


async def _open_bare(
    sock: socket.socket, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(sock=sock, limit=limit)
    except BaseException:
        sock.close()
        raise


def _opened(
    stream: PeerStream, limit: int, loop: asyncio.AbstractEventLoop
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As :func:`asyncio.open_connection`, over a stream; nothing waits, so nothing can be lost."""
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = PeerTransport(stream, protocol)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


__all__ = ["open_peer"]
