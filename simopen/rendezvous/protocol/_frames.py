"""Frames: a length of four bytes, big-endian, then one message in JSON.

This is the one door for bytes from the network: what comes through it is a message within its
bounds, or a :class:`WireError`. The length is checked before anything is kept for it, so a reader
never holds more than one frame besides what it was last fed.

Invariant: what a reader yields, and whether it raises, depends on the bytes alone and not on how
they were cut.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

import msgspec

from ._limits import LARGEST_FRAME, Limit
from ._messages import VERSION, ClientMessage, Code, CoordinatorMessage, Message, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("!I")

M = TypeVar("M")
Decoder: TypeAlias = msgspec.json.Decoder[M]

CLIENT_MESSAGES: Final[Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
COORDINATOR_MESSAGES: Final[Decoder[CoordinatorMessage]] = msgspec.json.Decoder(CoordinatorMessage)

_encoder = msgspec.json.Encoder()


class WireError(Exception):
    """The other end does not speak this protocol.

    The text says what is wrong in words of ours; nothing of what was received is in it.

    Attributes:
        code: What a coordinator answers before it hangs up.
        limit: What was hit, if that is what is wrong.
    """

    def __init__(
        self, text: str, code: Code = Code.MALFORMED, *, limit: Limit | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.limit = limit


class _Versioned(msgspec.Struct):
    v: Number = VERSION  # bounded: it is told back, in a text that has to fit an error


_versioned = msgspec.json.Decoder(_Versioned)


def encode_frame(message: Message) -> bytes:
    """Return a message as the bytes of its frame."""
    payload = _encoder.encode(message)
    return HEADER.pack(len(payload)) + payload


def decode_payload(decoder: Decoder[M], payload: bytes) -> M:
    """Read what stands in a frame.

    Args:
        decoder: Knows the messages that may come.
        payload: The frame without its length.

    Raises:
        WireError: It is none of them; ``VERSION`` where it is of another version.
    """
    try:
        return decoder.decode(payload)
    except (ValueError, RecursionError) as error:
        # RecursionError: nesting; UnicodeDecodeError, a ValueError: both beside msgspec's own.
        place = str(error).partition(" - at ")[2]
    if (version := _version(payload)) != VERSION:
        raise WireError(f"version {version}; only {VERSION} is spoken here", Code.VERSION)
    raise WireError(f"malformed message at {place}" if place else "malformed message")


def _version(payload: bytes) -> int:
    try:
        return _versioned.decode(payload).v
    except (ValueError, RecursionError):
        return VERSION


class FrameReader(Generic[M]):
    """Cuts a stream of bytes into messages."""

    __slots__ = ("_broken", "_buffer", "_decoder")

    def __init__(self, decoder: Decoder[M]) -> None:
        """Make a reader that has read nothing.

        Args:
            decoder: ``CLIENT_MESSAGES`` or ``COORDINATOR_MESSAGES``.
        """
        self._decoder = decoder
        self._buffer = bytearray()
        self._broken: WireError | None = None

    def feed(self, data: bytes) -> Iterator[M]:
        """Take bytes and return the messages that are complete with them.

        Exhaust the iterator before the next call.

        Raises:
            WireError: While iterating, at the first frame that is none; and from then on always.
        """
        if self._broken is None:
            self._buffer += data
        return self._messages()

    def discard(self) -> None:
        """Forget what has not been read, when no more is to be."""
        self._buffer.clear()

    def _messages(self) -> Iterator[M]:
        while (payload := self._next_payload()) is not None:
            try:
                message = decode_payload(self._decoder, payload)
            except WireError as error:
                raise self._break(error) from None
            yield message

    def _next_payload(self) -> bytes | None:
        if self._broken is not None:
            raise self._break(self._broken)
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > LARGEST_FRAME:
            text = f"a frame longer than {LARGEST_FRAME} bytes"
            raise self._break(WireError(text, limit=Limit.FRAME))
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return payload

    def _break(self, error: WireError) -> WireError:
        self._buffer.clear()
        self._broken = error
        return WireError(str(error), error.code, limit=error.limit)
