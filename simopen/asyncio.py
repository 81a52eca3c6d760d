"""For programs written against asyncio's streams rather than anyio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ._api import connect_peer_socket

if TYPE_CHECKING:
    from ._endpoints import EndpointsLike
    from ._events import OnEvent
    from .punch import PunchOptions

DEFAULT_LIMIT = 65536  # bytes; asyncio's own default for StreamReader


async def open_peer(
    remote: EndpointsLike,
    *,
    local: EndpointsLike,
    timeout: float | None = None,  # noqa: ASYNC109 - as simopen.connect_peer
    on_event: OnEvent | None = None,
    options: PunchOptions | None = None,
    limit: int = DEFAULT_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a peer as :func:`simopen.connect_peer`, for asyncio's reader and writer.

    Args:
        remote: As for :func:`simopen.connect_peer`.
        local: As for :func:`simopen.connect_peer`.
        timeout: As for :func:`simopen.connect_peer`.
        on_event: As for :func:`simopen.connect_peer`.
        options: As for :func:`simopen.connect_peer`.
        limit: The reader's buffer limit in bytes, as for :func:`asyncio.open_connection`.

    Returns:
        The same pair that :func:`asyncio.open_connection` returns.

    Raises:
        SimopenError: As :func:`simopen.connect_peer`.
    """
    sock = await connect_peer_socket(
        remote, local=local, timeout=timeout, on_event=on_event, options=options
    )
    try:
        return await asyncio.open_connection(sock=sock, limit=limit)
    except BaseException:
        sock.close()
        raise


__all__ = ["open_peer"]
