"""Segments as bytes, their checksums, and the arithmetic of sequence numbers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.raw._segments import (
    FIN,
    SYN,
    Options,
    Segment,
    SegmentError,
    Timestamps,
    build,
    is_sound,
    is_within,
    parse,
    plus,
    with_checksum,
)

A, B = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"

words = st.integers(0, 2**32 - 1)
ports = st.integers(0, 2**16 - 1)
options = st.builds(
    Options,
    mss=st.none() | ports,
    window_scale=st.none() | st.integers(0, 14),
    sack_permitted=st.booleans(),
    timestamps=st.none() | st.builds(Timestamps, words, words),
)
segments = st.builds(
    Segment,
    source=ports,
    destination=ports,
    seq=words,
    ack=words,
    flags=st.integers(0, 255),
    window=ports,
    options=options,
    data=st.binary(max_size=50),
)


def header(options: bytes = b"", *, words: int | None = None) -> bytes:
    """A SYN with options as they are given."""
    offset = 5 + len(options) // 4 if words is None else words
    return struct.pack("!HHIIBBHHH", 1, 2, 3, 4, offset << 4, SYN, 5, 6, 7) + options


@given(segments)
def test_what_is_built_is_parsed(segment: Segment) -> None:
    """And its checksum is right for its addresses, of both versions."""
    for source, target in ((A, B), (A6, B6)):
        data = build(segment, source, target)
        assert parse(data) == segment
        assert is_sound(data, source, target)


@given(segments, st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(segment: Segment, at: int, change: int) -> None:
    """One byte changed anywhere is one that the checksum tells of."""
    data = bytearray(build(segment, A, B))
    data[at % len(data)] ^= change
    assert not is_sound(bytes(data), A, B)


def test_the_checksum() -> None:
    """It is the complement of the sum of 16-bit words, as RFC 1071 adds them."""
    data = bytes.fromhex(
        "9c401e61 00000001 00000000 60 02 ffff 0000 0000 020405b4".replace(" ", "")
    )
    words = struct.unpack("!12H", data)
    pseudo = struct.unpack("!4H", A + B)
    total = sum(words) + sum(pseudo) + 6 + len(data)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert with_checksum(data, A, B)[16:18] == struct.pack("!H", ~total & 0xFFFF)


def test_a_checksum_left_to_the_card_is_none() -> None:
    """The sum of the pseudo-header alone is what the kernel leaves there for a card to go on."""
    data = build(Segment(source=1, destination=2, seq=3, data=b"data"), A, B)
    pseudo = sum(struct.unpack("!4H", A + B)) + 6 + len(data)
    pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    left = data[:16] + struct.pack("!H", pseudo) + data[18:]
    assert left != data
    assert is_sound(left, A, B)
    assert not is_sound(left, A, A)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_segment_or_none(data: bytes) -> None:
    """Bytes are read or raise SegmentError."""
    try:
        segment = parse(data)
    except SegmentError:
        return
    assert len(segment.data) <= len(data) - 20


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header()[:19],
        header(words=4),
        header(words=6),
        header(b"\2\4\5\xb4\1\1\1\2"),  # a kind without a length
        header(b"\1\1\2\0"),  # a length of nothing
        header(b"\1\1\2\5"),  # one past the end
        header(b"\2\3\1\1"),  # no length of an MSS
        header(b"\3\4\1\1"),
        header(b"\4\3\1\1"),
        header(b"\x08\x08" + bytes(6)),
    ],
)
def test_what_is_no_segment(data: bytes) -> None:
    """What is cut short or says a length it cannot have is refused."""
    with pytest.raises(SegmentError):
        parse(data)


def test_other_options_are_skipped() -> None:
    """Fast open, MPTCP, padding and whatever comes after the end mean nothing."""
    options = bytes((34, 2, 30, 4, 0, 1, 1, 2, 4, 5, 180, 0, 2, 99, 0, 0))
    assert parse(header(options)).options == Options(mss=1460)


def test_a_scale_too_large_is_the_largest() -> None:
    """RFC 7323 §2.3 has it so."""
    assert parse(header(b"\1\3\3\xff")).options.window_scale == 14


def test_length_counts_syn_and_fin() -> None:
    """SEG.LEN, as RFC 9293 counts it."""
    segment = Segment(source=1, destination=2, seq=3, flags=SYN | FIN, data=b"123")
    assert segment.length == 5


@given(words, st.integers(0, 2**31), st.integers(0, 2**31))
def test_sequence_numbers_wrap(first: int, step: int, size: int) -> None:
    """A number is within a window wherever the window lies."""
    assert is_within(plus(first, step), first, size) == (step < size)
