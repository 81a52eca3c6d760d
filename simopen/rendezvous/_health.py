"""A loopback HTTP port for those who watch the coordinator: metrics, alive, ready.

Theory of operation. One request a connection, ``GET`` or ``HEAD`` without a body, answered and
closed. A request that is longer than :data:`LONGEST_REQUEST` or slower than :data:`PATIENCE` is cut
off, and at most :data:`AT_ONCE` connections are served at once: this port is for one operator, and
must not take anything away from the members. Metrics that fail are 500, and an error in the log.

===========  =====================================================================
path         answer
===========  =====================================================================
/metrics     200 with the metrics
/healthz     200: the loop turns
/readyz      200 while members are taken, 503 from the beginning of a clean stop
===========  =====================================================================
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from http import HTTPStatus

import anyio
from anyio.abc import TaskGroup

from simopen._endpoints import Endpoint

from ._log import log
from ._transport import Transport

LONGEST_REQUEST = 4096  # bytes, headers included
PATIENCE = 5.0  # seconds for the whole exchange
AT_ONCE = 16  # connections

_PLAIN = "text/plain; charset=utf-8"


class Health:
    """Answers requests.

    Args:
        exposition: What ``/metrics`` shows: content type and body.
        is_ready: Whether members are taken.
        group: Where the connections are served.
    """

    def __init__(
        self,
        exposition: Callable[[], tuple[str, bytes]],
        is_ready: Callable[[], bool],
        group: TaskGroup,
    ) -> None:
        self._exposition = exposition
        self._is_ready = is_ready
        self._group = group
        self._open = 0

    def on_connection(self, sock: socket.socket, _: Endpoint) -> None:
        """Serve one accepted connection."""
        if self._open >= AT_ONCE:
            raise ConnectionRefusedError("as many as are served at once")
        transport = Transport(sock)
        self._open += 1
        self._group.start_soon(self._serve, transport)

    async def _serve(self, transport: Transport) -> None:
        try:
            with anyio.move_on_after(PATIENCE):
                try:
                    await transport.send(self._answer(await _request_line(transport)))
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
        finally:
            self._open -= 1
            transport.close()

    def _answer(self, request_line: bytes) -> bytes:
        """The response, whatever the operator's own metrics do."""
        try:
            return self._response(request_line)
        except Exception:  # noqa: BLE001 - it costs one answer, not the coordinator
            log.exception("health.crashed")
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, _PLAIN, b"")

    def _response(self, request_line: bytes) -> bytes:
        method, _, rest = request_line.partition(b" ")
        path, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            return _message(HTTPStatus.BAD_REQUEST, _PLAIN, b"no HTTP/1 request\n")
        if method not in (b"GET", b"HEAD"):
            return _message(HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, b"GET or HEAD\n")
        status, content_type, body = self._page(path.partition(b"?")[0])
        return _message(status, content_type, body, with_body=method == b"GET")

    def _page(self, path: bytes) -> tuple[HTTPStatus, str, bytes]:
        match path:
            case b"/metrics":
                return HTTPStatus.OK, *self._exposition()
            case b"/healthz":
                return HTTPStatus.OK, _PLAIN, b"alive\n"
            case b"/readyz" if self._is_ready():
                return HTTPStatus.OK, _PLAIN, b"ready\n"
            case b"/readyz":
                return HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, b"stopping\n"
            case _:
                return HTTPStatus.NOT_FOUND, _PLAIN, b"/metrics, /healthz or /readyz\n"


async def _request_line(transport: Transport) -> bytes:
    """The first line, once all headers are there: closing on unread bytes would be a reset."""
    request = b""
    while b"\r\n\r\n" not in request and b"\n\n" not in request:
        if len(request) >= LONGEST_REQUEST:
            raise anyio.BrokenResourceError
        request += await transport.receive(LONGEST_REQUEST - len(request))
    return request.splitlines()[0]


def _message(
    status: HTTPStatus, content_type: str, body: bytes, *, with_body: bool = True
) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
