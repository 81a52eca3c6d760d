"""On a direct connection exactly one sealed offer is read, however it comes, or OfferError raised.

Three bytes tell how many bytes come at once and how long the offer is; the rest is what comes
before it. Bytes that follow the offer are left alone, and what begins otherwise is refused with the
piece in which it differs.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

import anyio
from anyio.abc import ByteReceiveStream

from simopen.security._errors import OfferError
from simopen.security._handshake import HEAD, _receive_offer
from simopen.security._offer import SEALED_LENGTH

LONGEST = 40

SEEDS = (
    b"\x10\x08\x31" + HEAD,
    b"\xff\x08\x30" + HEAD,
    b"\1\x08\x2f" + HEAD,
    b"\5\1\1" + HEAD[:-1] + b"\1",
    b"\2\0\0GET / HTTP/1.1\r\n",
    b"\0\0\0",
)


class Pieces:
    """A stream that has all its bytes already and gives them in pieces.

    Attributes:
        given: How many bytes have been read.
    """

    def __init__(self, data: bytes, piece: int) -> None:
        self.given = 0
        self._data = data
        self._piece = piece

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """At most a piece."""
        if self.given == len(self._data):
            raise anyio.EndOfStream
        data = self._data[self.given : self.given + min(max_bytes, self._piece)]
        self.given += len(data)
        return data


def run(task: Coroutine[Any, Any, bytes]) -> bytes:
    """Run what waits for nothing."""
    try:
        task.send(None)
    except StopIteration as done:
        result: bytes = done.value
        return result
    raise AssertionError("it waits for something")


def check(data: bytes) -> None:
    """Try some bytes."""
    if len(data) < 3:
        return
    piece, length = data[0] + 1, int.from_bytes(data[1:3], "big") % (SEALED_LENGTH + 256)
    stream = data[3:] + bytes(length)
    pieces = Pieces(stream, piece)
    try:
        offer = run(_receive_offer(cast("ByteReceiveStream", pieces)))
    except OfferError:
        assert not (stream.startswith(HEAD) and len(stream) >= len(HEAD) + SEALED_LENGTH)
        same = next(
            (at for at, byte in enumerate(HEAD) if stream[at : at + 1] != bytes((byte,))), None
        )
        assert same is None or pieces.given <= same + piece
    else:
        assert stream.startswith(HEAD + offer)
        assert len(offer) == SEALED_LENGTH
        assert pieces.given == len(HEAD) + SEALED_LENGTH
