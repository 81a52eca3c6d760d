"""Bytes are a capture whose records can be written and read again, or a CaptureError.

The first byte tells whether the rest is a whole file, or blocks of a kind, a length and a body,
which are given the frame of a pcapng block; the second where the file is cut. Of a file that is
still growing the records are the first of the whole file's.
"""

from __future__ import annotations

import struct

from simopen.capture.pcapng import (
    CaptureError,
    Direction,
    Interface,
    Record,
    header,
    packet_block,
    read,
)

LONGEST = 192

_KINDS = (0x0A0D0D0A, 1, 6, 5)
_OPENING = header([Interface("alice"), Interface("home", gateway=True), "x"], 64)
_BLOCK = packet_block(1, Direction.OUTBOUND, 1 << 40, 7, b"E" + bytes(19), 64)


def _body(block: bytes) -> bytes:
    return block[8:-4]


SEEDS = (
    b"\0\xff" + _OPENING[:152] + _BLOCK,
    b"\0\x60" + header(["x"]) + packet_block(0, Direction.INBOUND, 0, 1, b""),
    b"\1\xff\2" + bytes((len(_body(_BLOCK)),)) + _body(_BLOCK),
    b"\1\xff\2" + bytes((len(_body(_BLOCK)),)) + _body(_BLOCK) + b"\1\x04abcd",
    b"\1\xff\3\0",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    if len(data) < 2:
        return
    capture = _OPENING + _blocks(data[2:]) if data[0] & 1 else data[2:]
    part = capture[: data[1] * len(capture) // 255]
    records = _read(capture)
    growing = _read(part, growing=True)
    if records is not None and growing is not None:
        assert records[: len(growing)] == growing
    if part == capture and records is not None:
        assert growing == records
    if records:
        _check(records)


def _blocks(data: bytes) -> bytes:
    blocks = []
    while len(data) >= 2:
        body = data[2 : 2 + data[1]]
        body += bytes(-len(body) % 4)
        total = len(body) + 12
        kind = _KINDS[data[0] % len(_KINDS)]
        blocks.append(struct.pack("<II", kind, total) + body + struct.pack("<I", total))
        data = data[2 + data[1] :]
    return b"".join(blocks)


def _read(data: bytes, *, growing: bool = False) -> list[Record] | None:
    try:
        return read(data, growing=growing)
    except CaptureError:
        return None


def _check(records: list[Record]) -> None:
    """They say what they must, and are the same once written."""
    interfaces = list({Interface(each.interface, each.gateway): None for each in records})
    blocks = [header(interfaces, 0xFFFF)]
    for record in records:
        assert len(record.data) <= record.length
        assert record.time_ns < 1 << 64
        number = interfaces.index(Interface(record.interface, record.gateway))
        whole = record.data if len(record.data) == record.length else record.data + b"\0"
        blocks.append(
            packet_block(
                number, record.direction, record.time_ns, record.packet_id, whole, len(record.data)
            )
        )
    again = read(b"".join(blocks))
    assert [each.data for each in again] == [each.data for each in records]
    for one, other in zip(again, records, strict=True):
        assert (one.interface, one.gateway, one.direction) == (
            other.interface, other.gateway, other.direction,
        )  # fmt: skip
        assert (one.time_ns, one.packet_id) == (other.time_ns, other.packet_id)
