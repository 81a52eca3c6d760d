"""The one door for bytes from the network."""

from __future__ import annotations

import itertools
import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    COORDINATOR_MESSAGES,
    Code,
    FrameReader,
    Leave,
    Ping,
    Settled,
    WireError,
    encode_frame,
)
from simopen.rendezvous.protocol._frames import HEADER
from simopen.rendezvous.protocol._limits import LARGEST_FRAME

from .makers import framed, join, read
from .test_messages import FROM_CLIENTS, FROM_COORDINATORS, INTRODUCE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
FRAMES = st.one_of(
    st.sampled_from(FROM_CLIENTS + FROM_COORDINATORS).map(encode_frame),
    st.binary(max_size=60).map(framed),
    st.binary(max_size=60),
)
STREAMS = st.lists(FRAMES, max_size=6).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(st.sampled_from(FROM_CLIENTS), max_size=6), st.lists(st.integers(min_value=0)))
def test_messages_survive_any_cutting(sent: list[Any], places: list[int]) -> None:
    """What is framed comes out in order, however the bytes are cut."""
    data = b"".join(encode_frame(message) for message in sent)
    assert read(cut(data, places)) == (sent, None)


@given(STREAMS, st.lists(st.integers(min_value=0)), st.booleans())
def test_any_bytes_parse_or_raise_one_error(data: bytes, places: list[int], server: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever arrives, what comes of it depends on the bytes and not on their cutting."""
    decoder: Any = CLIENT_MESSAGES if server else COORDINATOR_MESSAGES
    assert read(cut(data, places), decoder) == read([data], decoder)


@given(JSON)
def test_any_json_parses_or_raises_one_error(value: Any) -> None:
    """Any value of JSON is a message or a WireError, what Python's encoder adds to it included."""
    read([framed(json.dumps(value).encode())])


@pytest.mark.parametrize(
    ("payload", "text", "code"),
    [
        (b"", "malformed message", Code.MALFORMED),
        (b"null", "malformed message", Code.MALFORMED),
        (b"{}", "malformed message", Code.MALFORMED),
        (b'{"type":"join","v":2}', "version 2; only 1 is spoken here", Code.VERSION),
        (b'{"type":"dance","v":2}', "version 2; only 1 is spoken here", Code.VERSION),
        (b'{"type":"join","v":%s}' % (b"9" * 300), "malformed message at `$.v`", Code.MALFORMED),
        (b'{"type":"join","v":"2"}', "malformed message at `$.v`", Code.MALFORMED),
        (b'{"type":"dance"}', "malformed message at `$.type`", Code.MALFORMED),
        (b'{"type":"welcome"}', "malformed message at `$.type`", Code.MALFORMED),
        (b'{"type":"ping","number":"\xff"}', "malformed message", Code.MALFORMED),
        (b'{"type":"\xff"}', "malformed message", Code.MALFORMED),
        (b'{"type":"ping","number":true}', "malformed message at `$.number`", Code.MALFORMED),
        (b'{"x":' + b"[" * 4000 + b"]" * 4000 + b"}", "malformed message", Code.MALFORMED),
        (b"[" * LARGEST_FRAME, "malformed message", Code.MALFORMED),
    ],
)
def test_what_is_no_message(payload: bytes, text: str, code: Code) -> None:
    """One error for all, with a place where there is one; another version has a code of its own."""
    with pytest.raises(WireError) as caught:
        list(FrameReader(CLIENT_MESSAGES).feed(framed(payload)))
    assert str(caught.value).startswith(text)
    assert caught.value.code is code


def test_an_error_tells_nothing_of_what_came() -> None:
    """Neither its text nor its traceback has anything of the bytes."""
    word = "yranac"[::-1]  # backwards, since a traceback shows the lines of this file too
    payload = f'{{"type":"{word}"}}'.encode()
    with pytest.raises(WireError) as caught:
        list(FrameReader(CLIENT_MESSAGES).feed(framed(payload)))
    assert word not in "".join(traceback.format_exception(caught.value))


def test_a_length_is_refused_before_anything_follows() -> None:
    """Four bytes are enough to know, and nothing is kept."""
    reader = FrameReader(CLIENT_MESSAGES)
    with pytest.raises(WireError, match="longer than 8192 bytes"):
        list(reader.feed(HEADER.pack(LARGEST_FRAME + 1)))
    for _ in range(3):
        with pytest.raises(WireError, match="longer than 8192 bytes"):
            list(reader.feed(b"x" * LARGEST_FRAME))
    assert not reader._buffer


def test_messages_before_an_error_come_out() -> None:
    """The error stands where the bad frame stood."""
    reader = FrameReader(CLIENT_MESSAGES)
    arrived = reader.feed(encode_frame(Leave()) + framed(b"?") + encode_frame(Settled()))
    assert next(arrived) == Leave()
    with pytest.raises(WireError):
        next(arrived)
    with pytest.raises(WireError):
        list(reader.feed(encode_frame(Ping(number=1))))


def test_the_largest_messages_fit() -> None:
    """A join with all families and an introduction with both are well below the limit."""
    for message in (join(), INTRODUCE):
        assert len(encode_frame(message)) < LARGEST_FRAME // 2


def test_frames_on_the_wire() -> None:
    """The bytes, as another language would write them."""
    assert encode_frame(Ping(number=7)) == b'\x00\x00\x00\x1a{"type":"ping","number":7}'
