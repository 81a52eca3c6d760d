"""A sealed offer opens to a body within its bounds, or is refused with an OfferError that hides it.

The first byte chooses what the rest is: what is in the seal (a text, or the padding too), what
turns bits of a good offer, or the offer itself. What opens can be sealed again and opens to the
same.
"""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from simopen.security._errors import OfferError, ReflectedError, WrongKeyError
from simopen.security._keys import MODE_RENDEZVOUS, GroupKeys, lp
from simopen.security._offer import (
    PLAIN_LENGTH,
    SEALED_LENGTH,
    OfferBody,
    open_offer,
    seal_offer,
)

LONGEST = 256

_KEYS = GroupKeys.from_material(b"sixteen or more bytes")
_SALT, _OTHER_SALT, _TAG = bytes(32), bytes(31) + b"\1", b"t" * 32
_CIPHER = ChaCha20Poly1305(_KEYS.offer_key(_SALT, _TAG, MODE_RENDEZVOUS))
_BOUND = b"simopen/1 offer" + lp(MODE_RENDEZVOUS.encode()) + _SALT + _TAG
_TEXT, _PLAIN, _CHANGE = 0, 1, 2
_SESSION, _CERTIFICATE = b"\1", b"\2"  # stand for fields of bytes, which chance would not find
_FIELDS = {_SESSION: b"c2Vz" * 10 + b"c2U=", _CERTIFICATE: b"Y2Vy" * 100}


def _sealed(plain: bytes) -> bytes:
    return _SALT + _CIPHER.encrypt(bytes(12), plain, _BOUND)


_GOOD = seal_offer(
    _KEYS, OfferBody(b"cer", bytes(32), 1), mode=MODE_RENDEZVOUS, room_tag=_TAG, salt=_SALT
)

_BODY = b'{"certificate":"Y2Vy","session":"' + _FIELDS[_SESSION] + b'","round":1}'

SEEDS = (
    b'\0{"certificate":"\2","session":"\1","round":1,"candidates":[["192.0.2.1",4000]]}',
    b'\0{"certificate":"Y2Vy","session":"\1","round":4294967295,"more":{}}',
    b'\0{"certificate":"","session":"\1","round":0,"candidates":[["fe80::1%x",1],["",0]]}',
    b"\1\0" + bytes((len(_BODY),)) + _BODY,
    b"\1\0\2{}",
    b"\1\x07\xff{}",
    b"\1\0\1{}\0\0\1",
    b"\2\0\1\1",
    b"\2\x08\x2f\1",
    b"\3garbage",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    how, rest = data[0] & 3 if data else 0, data[1:]
    sealed = _offer(how, rest)
    own = _GOOD if how == _CHANGE and rest[:1] == b"\xff" else None
    try:
        body = open_offer(_KEYS, sealed, mode=MODE_RENDEZVOUS, room_tag=_TAG, own=own)
    except OfferError as error:
        assert error.__context__ is None or error.__suppress_context__
        assert isinstance(error, ReflectedError) == (own is not None and sealed[:32] == _SALT)
        whole = how in (_TEXT, _PLAIN) or sealed == _GOOD
        assert not isinstance(error, WrongKeyError) or not whole
        return
    assert how in (_TEXT, _PLAIN) or sealed == _GOOD
    assert own is None
    _check(body)
    if how == _PLAIN:
        end = 2 + int.from_bytes(rest[:2], "big")
        assert end <= PLAIN_LENGTH
        assert not any(rest[end:])
    if len(msgspec.json.encode(body)) <= PLAIN_LENGTH - 2:  # defaults are written out
        again = seal_offer(_KEYS, body, mode=MODE_RENDEZVOUS, room_tag=_TAG, salt=_OTHER_SALT)
        assert len(again) == SEALED_LENGTH
        assert open_offer(_KEYS, again, mode=MODE_RENDEZVOUS, room_tag=_TAG, own=None) == body


def _offer(how: int, rest: bytes) -> bytes:
    if how == _TEXT:
        for place, field in _FIELDS.items():
            rest = rest.replace(place, field)
        rest = rest[: PLAIN_LENGTH - 2]
        rest = len(rest).to_bytes(2, "big") + rest
    if how in (_TEXT, _PLAIN):
        return _sealed(rest[:PLAIN_LENGTH].ljust(PLAIN_LENGTH, b"\0"))
    if how == _CHANGE:
        at = int.from_bytes(rest[:2], "big") % SEALED_LENGTH
        turned = bytes(one ^ other for one, other in zip(_GOOD[at:], rest[2:], strict=False))
        return _GOOD[:at] + turned + _GOOD[at + len(turned) :]
    return rest


def _check(body: OfferBody) -> None:
    assert 1 <= len(body.certificate) <= PLAIN_LENGTH
    assert len(body.session) == 32
    assert 0 <= body.round < 1 << 32
    assert len(body.candidates) <= 8
    for host, port in body.candidates:
        assert 1 <= len(host) <= 64
        assert 1 <= port <= 65535
    told = repr(body)
    assert told == f"OfferBody(round={body.round})"
