"""The health port answers any request with one of its few answers, and reads no more than it says.

The first byte tells how many bytes come at once and whether the coordinator is ready. The answer
has a right length, and nothing of the request is in it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import anyio

from simopen.rendezvous._health import LONGEST_REQUEST, Health, _request_line
from simopen.rendezvous._transport import Transport

from .direct import Pieces, run

LONGEST = 96

_METRICS = ("text/plain", b"simopen_up 1\n")
_HEALTHS = [
    Health(lambda: _METRICS, partial(bool, ready), cast("Any", None)) for ready in (False, True)
]
_BODIES = {
    200: {_METRICS[1], b"alive\n", b"ready\n"},
    400: {b"no HTTP/1 request\n"},
    404: {b"/metrics, /healthz or /readyz\n"},
    405: {b"GET or HEAD\n"},
    503: {b"stopping\n"},
}
_FILL = b"\xff"  # stands for a header that is as long as may be

SEEDS = (
    b"\xffGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\3GET /readyz?x HTTP/1.0\n\n",
    b"\2HEAD /readyz HTTP/1.1\r\n\r\n",
    b"\7GET /healthz HTTP/1.1\r\n\r\nmore",
    b"\6POST / HTTP/1.1\r\n\r\n",
    b"\6GET / HTTP/1.1\r\n\r\n",
    b"\6GET /\r\n\r\n",
    b"\xff\n\n",
    b"\xffGET / HTTP/1.1\r\nx: \xff\xff\r\n\r\n",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    if not data:
        return
    piece, health = data[0] + 1, _HEALTHS[data[0] & 1]
    request = data[1:].replace(_FILL, b"x" * (LONGEST_REQUEST // 2))
    pieces = Pieces(request, piece if len(request) == len(data) - 1 else LONGEST_REQUEST)
    try:
        line = run(_request_line(cast("Transport", pieces)))
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        assert b"\r\n\r\n" not in request[:LONGEST_REQUEST]
        assert b"\n\n" not in request[:LONGEST_REQUEST]
        return
    finally:
        assert pieces.given <= LONGEST_REQUEST
    assert request.startswith(line)
    head, _, body = health._response(line).partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    _, status, _ = first.split(b" ", 2)
    length = int(dict(field.split(b": ") for field in fields)[b"Content-Length"])
    bodies = _BODIES[int(status)]
    assert body in bodies or (body == b"" and line.startswith(b"HEAD "))
    assert length in {len(each) for each in bodies}
    assert not body or length == len(body)
