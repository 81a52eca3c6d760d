"""Keys and tags: known answers, and what keeps them apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simopen.security._keys import (
    MODE_DIRECT,
    MODE_RENDEZVOUS,
    UNKEYED,
    GroupKeys,
    lp,
)
from tests.security import make_vectors

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KNOWN = VECTORS["keys"]
KEYS = GroupKeys.from_material(bytes.fromhex(KNOWN["material"]))
SALT = bytes.fromhex(KNOWN["salt"])
TAG = bytes.fromhex(KNOWN["room_tag"])


def test_the_vectors_are_what_the_protocol_says() -> None:
    """The file holds what its script, which knows nothing of the room, computes."""
    assert make_vectors.vectors() == VECTORS


def test_tags_are_the_known_ones() -> None:
    """A room's tag and that of direct mode do not change between versions."""
    assert KEYS.room_tag(KNOWN["room"]).hex() == KNOWN["room_tag"]
    assert KEYS.room_tag(None).hex() == KNOWN["direct_tag"]


def test_keys_are_the_known_ones() -> None:
    """The offer's and the hello's keys do not change between versions."""
    assert KEYS.offer_key(SALT, TAG, MODE_RENDEZVOUS).hex() == KNOWN["offer_key"]
    assert KEYS.hello_key("client").hex() == KNOWN["hello_key_client"]
    assert KEYS.hello_key("server").hex() == KNOWN["hello_key_server"]


def test_everything_that_differs_makes_another_key() -> None:
    """Salt, tag, mode, side, room and secret each give a key of their own."""
    derived = [
        KEYS.room_tag(None),
        KEYS.room_tag(""),
        KEYS.room_tag("kitchen"),
        KEYS.room_tag("Kitchen"),
        KEYS.offer_key(SALT, TAG, MODE_RENDEZVOUS),
        KEYS.offer_key(SALT, TAG, MODE_DIRECT),
        KEYS.offer_key(bytes(32), TAG, MODE_RENDEZVOUS),
        KEYS.offer_key(SALT, bytes(32), MODE_RENDEZVOUS),
        KEYS.hello_key("client"),
        KEYS.hello_key("server"),
        UNKEYED.room_tag("kitchen"),
    ]
    assert len(set(derived)) == len(derived)
    assert {len(each) for each in derived} == {32}


def test_text_is_not_normalised() -> None:
    """Two spellings of one word are two rooms."""
    assert KEYS.room_tag("é") != KEYS.room_tag("e\u0301")


def test_a_length_prefix_is_four_bytes_big_endian() -> None:
    """What is length-prefixed can be told from what follows."""
    assert lp(b"abc") == b"\0\0\0\3abc"


def test_a_room_that_is_no_text_has_no_tag() -> None:
    """A lone surrogate is refused and not silently replaced."""
    with pytest.raises(UnicodeEncodeError):
        KEYS.room_tag("\ud800")


def test_the_keys_print_nothing() -> None:
    """Neither repr nor str has a byte of the secret or of what was extracted from it."""
    assert repr(KEYS) == str(KEYS) == "<GroupKeys>"
