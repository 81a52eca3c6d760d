"""Sealed offers: known answers, any bytes, and who cannot open them."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import pprint

from simopen.security._certificate import Identity
from simopen.security._errors import OfferError, ReflectedError, WrongKeyError
from simopen.security._keys import MODE_DIRECT, MODE_RENDEZVOUS, GroupKeys, Mode, lp
from simopen.security._offer import (
    MAX_CANDIDATES,
    MAX_HOST,
    PLAIN_LENGTH,
    SEALED_LENGTH,
    OfferBody,
    open_offer,
    seal_offer,
)
from tests.security import make_vectors

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KNOWN = VECTORS["offer"]
SEALED = bytes.fromhex(KNOWN["sealed"])
KEYS = GroupKeys.from_material(bytes.fromhex(VECTORS["keys"]["material"]))
SALT = bytes.fromhex(VECTORS["keys"]["salt"])
TAG = bytes.fromhex(VECTORS["keys"]["room_tag"])
BODY = OfferBody(
    certificate=bytes.fromhex(KNOWN["certificate"]),
    session=bytes.fromhex(KNOWN["session"]),
    round=KNOWN["round"],
    candidates=tuple((host, port) for host, port in KNOWN["candidates"]),
)


def seal(body: OfferBody) -> bytes:
    """Seal as the known offer is sealed."""
    return seal_offer(KEYS, body, mode=MODE_RENDEZVOUS, room_tag=TAG, salt=SALT)


def opened(sealed: bytes, *, own: bytes | None = None) -> OfferBody:
    """Open as the known offer is opened."""
    return open_offer(KEYS, sealed, mode=MODE_RENDEZVOUS, room_tag=TAG, own=own)


def seal_plain(plain: bytes) -> bytes:
    """Seal any 2048 bytes, as somebody who has the secret and means ill could."""
    key = KEYS.offer_key(SALT, TAG, MODE_RENDEZVOUS)
    bound = b"simopen/1 offer" + lp(b"rendezvous") + SALT + TAG
    return SALT + ChaCha20Poly1305(key).encrypt(bytes(12), plain, bound)


def seal_text(text: bytes) -> bytes:
    """Seal any JSON, or what is none, in the right frame."""
    return seal_plain((len(text).to_bytes(2, "big") + text).ljust(PLAIN_LENGTH, b"\0"))


def as_json(**changes: object) -> bytes:
    """The known body's JSON with some members changed."""
    members = json.loads(msgspec.json.encode(BODY))
    return json.dumps(members | changes).encode()


def test_the_known_body_is_sealed_into_the_known_bytes() -> None:
    """With the salt given there is one sealed form."""
    assert seal(BODY) == SEALED


def test_the_known_bytes_open_to_the_known_body() -> None:
    """What was sealed by other code opens."""
    assert opened(SEALED) == BODY


bodies = st.builds(
    OfferBody,
    certificate=st.binary(min_size=1, max_size=300),
    session=st.binary(min_size=32, max_size=32),
    round=st.integers(0, 2**32 - 1),
    candidates=st.lists(st.tuples(st.ip_addresses().map(str), st.integers(1, 65535)), max_size=8)
    .map(tuple),
)  # fmt: skip


@given(bodies, st.binary(min_size=32, max_size=32))
def test_what_was_sealed_opens(body: OfferBody, salt: bytes) -> None:
    """Every usable body comes through, and all offers have one length."""
    sealed = seal_offer(KEYS, body, mode=MODE_DIRECT, room_tag=TAG, salt=salt)
    assert len(sealed) == SEALED_LENGTH
    assert open_offer(KEYS, sealed, mode=MODE_DIRECT, room_tag=TAG, own=None) == body


@given(st.binary(max_size=200) | st.binary(min_size=SEALED_LENGTH, max_size=SEALED_LENGTH))
def test_any_bytes_are_no_offer(sealed: bytes) -> None:
    """Whatever a coordinator sends raises OfferError and nothing else."""
    with pytest.raises(OfferError):
        opened(sealed)


@pytest.mark.parametrize("length", [0, 1, SEALED_LENGTH - 1, SEALED_LENGTH + 1])
def test_an_offer_of_another_length_is_malformed(length: int) -> None:
    """That is no question of the secret, and is not said to be one."""
    with pytest.raises(OfferError) as caught:
        opened(bytes(length))
    assert caught.type is OfferError


@given(st.binary(max_size=PLAIN_LENGTH - 2))
def test_any_sealed_bytes_open_to_a_body_or_are_no_offer(text: bytes) -> None:
    """Whatever a member of the group seals raises OfferError at worst."""
    with pytest.raises(OfferError):
        opened(seal_text(text))


letters = st.text("abcdefgh=:.", max_size=50)
json_values = st.none() | st.booleans() | st.integers() | st.floats() | letters
base64_texts = st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
candidate_lists = st.lists(
    st.tuples(st.sampled_from(["192.0.2.1", "", "x" * 65]), st.integers(-1, 70000)), max_size=10
)


@given(
    certificate=base64_texts | json_values,
    session=st.just(base64.b64encode(bytes(32)).decode()) | base64_texts | json_values,
    round=st.integers(-1, 2**33) | json_values,
    candidates=candidate_lists | st.lists(json_values, max_size=3) | json_values,
)
def test_any_members_make_a_body_within_its_bounds_or_none(**changes: object) -> None:
    """What opens has 32 bytes of session, a u32 round and at most 8 candidates with ports."""
    try:
        body = opened(seal_text(as_json(**changes)))
    except OfferError:
        return
    assert len(body.session) == 32
    assert 0 <= body.round < 2**32
    assert len(body.candidates) <= MAX_CANDIDATES
    assert all(0 < len(host) <= MAX_HOST and 0 < port < 65536 for host, port in body.candidates)


def test_a_member_of_a_later_version_is_ignored() -> None:
    """A newer peer may say more than we understand."""
    assert opened(seal_text(as_json(later=[1, {"x": None}]))) == BODY


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"later":' + b"[" * 1990, id="nested too deep"),
        pytest.param(as_json(candidates=[["?", 1]]).replace(b"?", b"\xff"), id="bad UTF-8"),
        pytest.param(as_json(certificate=""), id="no certificate"),
        pytest.param(as_json(session="AAAA"), id="short session"),
        pytest.param(as_json(session=base64.b64encode(bytes(33)).decode()), id="long session"),
        pytest.param(as_json(round=-1), id="negative round"),
        pytest.param(as_json(round=2**32), id="round beyond 32 bits"),
        pytest.param(as_json(candidates=[["192.0.2.1", 4000]] * 9), id="nine candidates"),
        pytest.param(as_json(candidates=[["192.0.2.1", 0]]), id="port 0"),
        pytest.param(as_json(candidates=[["192.0.2.1", 65536]]), id="port 65536"),
        pytest.param(as_json(candidates=[["", 4000]]), id="no host"),
        pytest.param(as_json(candidates=[["x" * 65, 4000]]), id="long host"),
        pytest.param(as_json(candidates=[["192.0.2.1"]]), id="no port"),
    ],
)
def test_a_body_out_of_bounds_is_no_offer(text: bytes) -> None:
    """Every bound is enforced where the bytes come in."""
    with pytest.raises(OfferError):
        opened(seal_text(text))


def test_padding_has_to_be_zeros() -> None:
    """There is no room for anything that is not checked."""
    text = msgspec.json.encode(BODY)
    plain = (len(text).to_bytes(2, "big") + text).ljust(PLAIN_LENGTH, b"\0")
    assert opened(seal_plain(plain)) == BODY
    with pytest.raises(OfferError):
        opened(seal_plain(plain[:-1] + b"\1"))


def test_a_length_beyond_the_end_is_no_offer() -> None:
    """The length inside is not believed."""
    text = msgspec.json.encode(BODY).ljust(PLAIN_LENGTH - 2)  # JSON may end in spaces
    assert opened(seal_plain((PLAIN_LENGTH - 2).to_bytes(2, "big") + text)) == BODY
    with pytest.raises(OfferError):
        opened(seal_plain((PLAIN_LENGTH - 1).to_bytes(2, "big") + text))


@pytest.mark.parametrize("position", [0, 31, 32, 1000, SEALED_LENGTH - 1])
def test_an_altered_offer_does_not_open(position: int) -> None:
    """The salt, the body and the tag are all authenticated."""
    altered = bytearray(SEALED)
    altered[position] ^= 1
    with pytest.raises(WrongKeyError):
        opened(bytes(altered))


@pytest.mark.parametrize(
    ("keys", "mode", "tag"),
    [
        pytest.param(GroupKeys.from_material(bytes(20)), MODE_RENDEZVOUS, TAG, id="secret"),
        pytest.param(KEYS, MODE_DIRECT, TAG, id="mode"),
        pytest.param(KEYS, MODE_RENDEZVOUS, bytes(32), id="room"),
    ],
)
def test_an_offer_for_somebody_else_does_not_open(keys: GroupKeys, mode: Mode, tag: bytes) -> None:
    """Another secret, mode or room is its own error: well-formed, but not for us."""
    with pytest.raises(WrongKeyError):
        open_offer(keys, SEALED, mode=mode, room_tag=tag, own=None)


def test_our_own_offer_is_not_the_peers() -> None:
    """A coordinator that sends us back to ourselves gets an error of its own."""
    with pytest.raises(ReflectedError):
        opened(SEALED, own=SEALED)


def test_our_own_salt_is_not_the_peers() -> None:
    """Whoever seals something else with our salt shares its key with us, and is refused."""
    theirs = seal(dataclasses.replace(BODY, round=BODY.round + 1))
    with pytest.raises(ReflectedError):
        opened(theirs, own=SEALED)


def test_another_offer_than_our_own_opens() -> None:
    """Only our own is refused."""
    own = seal_offer(KEYS, BODY, mode=MODE_RENDEZVOUS, room_tag=TAG, salt=bytes(32))
    assert opened(SEALED, own=own) == BODY


def test_a_real_certificate_and_eight_long_candidates_fit() -> None:
    """The fixed length is enough for everything that an offer may hold."""
    full = OfferBody(
        certificate=Identity.generate().certificate,
        session=bytes(32),
        round=2**32 - 1,
        candidates=(("x" * MAX_HOST, 65535),) * MAX_CANDIDATES,
    )
    assert opened(seal(full)) == full


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"certificate": bytes(2048)}, "at most 2046", id="certificate"),
        pytest.param({"session": b"short"}, "session", id="session"),
        pytest.param({"candidates": (("192.0.2.1", 4000),) * 9}, "candidates", id="candidates"),
        pytest.param({"round": -1}, "round", id="round"),
    ],
)
def test_what_the_peer_would_refuse_is_not_sealed(changes: dict[str, Any], says: str) -> None:
    """The error comes up where the body was made, and names what is wrong with it."""
    with pytest.raises(ValueError, match=says):
        seal(dataclasses.replace(BODY, **changes))


def test_a_salt_of_another_length_is_refused() -> None:
    """The salt cannot run into what follows it."""
    with pytest.raises(ValueError, match="salt"):
        seal_offer(KEYS, BODY, mode=MODE_RENDEZVOUS, room_tag=TAG, salt=b"short")


def test_a_body_prints_neither_session_nor_addresses() -> None:
    """Not by repr, and not by rich, which looks into classes by itself."""
    screen = io.StringIO()
    pprint(BODY, console=Console(file=screen, width=500))
    for printed in (repr(BODY), screen.getvalue()):
        assert "192.0.2.1" not in printed
        assert repr(BODY.session)[2:20] not in printed
        assert "round=3" in printed
