"""Messages and paths for the tests of the protocol."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    Attach,
    Family,
    FrameReader,
    Join,
    Path,
    Probe,
    WireError,
)
from simopen.rendezvous.protocol._frames import HEADER
from simopen.rendezvous.protocol._limits import LARGEST_FRAME
from simopen.rendezvous.protocol._messages import OFFER_LENGTH, SEAT_LENGTH, TAG_LENGTH

TEA = b"t" * TAG_LENGTH
MILK = b"m" * TAG_LENGTH


def seat(number: int) -> bytes:
    """A seat of its own for every number."""
    return number.to_bytes(SEAT_LENGTH, "big")


def offer(number: int, round_: int = 1) -> bytes:
    """An offer of its own for every seat and round."""
    return struct.pack("!II", number, round_).ljust(OFFER_LENGTH, b"\0")


def join(
    number: int = 1, round_: int = 1, *, tag: bytes = TEA, families: tuple[Family, ...] = ()
) -> Join:
    """A join of one seat."""
    return Join(
        tag=tag, seat=seat(number), offer=offer(number, round_), round=round_, families=families
    )


def attach(number: int = 1, *, tag: bytes = TEA) -> Attach:
    """An attach to one seat."""
    return Attach(tag=tag, seat=seat(number))


def probe(number: int = 1, *, tag: bytes = TEA) -> Probe:
    """A probe for one seat."""
    return Probe(tag=tag, seat=seat(number))


def path(
    number: int = 1,
    *,
    family: Family = Family.IPV4,
    port: int = 40000,
    round_trip: float | None = None,
) -> Path:
    """How the host of that number is seen."""
    observed = (
        f"203.0.113.{number}:{port}" if family is Family.IPV4 else f"[2001:db8::{number:x}]:{port}"
    )
    return Path(family, observed, round_trip)


def read(chunks: Iterable[bytes], decoder: Any = CLIENT_MESSAGES) -> tuple[list[Any], str | None]:
    """The messages that come of chunks, and the error that ends them; at most a frame is held."""
    reader: FrameReader[Any] = FrameReader(decoder)
    messages: list[Any] = []
    try:
        for chunk in chunks:
            messages.extend(reader.feed(chunk))
            assert len(reader._buffer) < HEADER.size + LARGEST_FRAME
    except WireError as error:
        assert not reader._buffer
        return messages, str(error)
    return messages, None


def framed(payload: bytes) -> bytes:
    """Any bytes in a frame."""
    return struct.pack("!I", len(payload)) + payload
