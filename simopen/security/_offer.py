"""What a peer tells the other through a coordinator that must not read it: the sealed offer.

Theory of operation
===================

::

    sealed = salt(32) ‖ ChaCha20-Poly1305(K, nonce = 0, plain(2048), AAD)       2096 bytes
    K      = the offer key of the salt, the room tag and the mode (simopen.security._keys)
    AAD    = "simopen/1 offer" ‖ lp(mode) ‖ salt ‖ room tag
    plain  = u16 big-endian length ‖ JSON ‖ zeros up to 2048 bytes
    JSON   = {"certificate": base64, "session": base64, "round": int, "candidates": [[host, port]]}

All offers have one length, so a coordinator cannot count candidates. Unknown members of the JSON
are ignored: a later version may add some. Neither the coordinator's address (it may have several
names) nor an observed endpoint (a NAT makes it) is bound.

Opening an offer says that somebody with the secret wrote it, once, for this room and mode; not
when. That its author is at the other end now is what TLS and the hello show.

Invariants
==========

- A salt is used once, and so is its key. :func:`seal_offer` is given the salt and cannot see to
  that: each round takes a fresh one.
- Whatever the bytes, :func:`open_offer` returns a body within its bounds or raises
  :class:`~simopen.security._errors.OfferError`. Whether a candidate may be fired at is not judged
  here.
- What is sealed can be opened: :func:`seal_offer` refuses a body that the peer would refuse.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ._errors import OfferError, ReflectedError, WrongKeyError
from ._keys import SALT_LENGTH, GroupKeys, Mode, lp

PLAIN_LENGTH = 2048  # bytes; a certificate and eight candidates take some 900
TAG_LENGTH = 16  # bytes
SEALED_LENGTH = SALT_LENGTH + PLAIN_LENGTH + TAG_LENGTH  # bytes
MAX_CANDIDATES = 8  # addresses of the author in an offer
MAX_HOST = 64  # characters; the longest IPv6 address with a zone has 61

_LENGTH = 2  # bytes; of the length in front of the JSON
_NONCE: Final = bytes(12)  # constant, because the key is used once

_Candidate = tuple[
    Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_HOST)],
    Annotated[int, msgspec.Meta(ge=1, le=65535)],
]


@dataclass(frozen=True, slots=True)
class OfferBody:
    """What an offer says. Its ``repr`` keeps the session and the addresses to itself.

    Attributes:
        certificate: The author's for this call, DER.
        session: 32 random bytes, the same in all rounds of one call.
        round: The round's number, 0 to 2³² - 1.
        candidates: Further addresses of the author as (host, port), at most 8.
    """

    certificate: Annotated[bytes, msgspec.Meta(min_length=1)] = field(repr=False)
    session: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)] = field(repr=False)
    round: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    candidates: Annotated[tuple[_Candidate, ...], msgspec.Meta(max_length=MAX_CANDIDATES)] = field(
        default=(), repr=False
    )


_DECODER = msgspec.json.Decoder(OfferBody)


def seal_offer(
    keys: GroupKeys, body: OfferBody, *, mode: Mode, room_tag: bytes, salt: bytes
) -> bytes:
    """Seal an offer.

    Args:
        keys: The group's.
        body: What to say.
        mode: How the offer will travel.
        room_tag: Of the room it is for.
        salt: 32 random bytes that have sealed nothing yet.

    Returns:
        ``SEALED_LENGTH`` bytes.

    Raises:
        ValueError: The salt is not 32 bytes, the body is too long, or a field of it is not what
            its type says.
    """
    if len(salt) != SALT_LENGTH:
        raise ValueError(f"the salt must be {SALT_LENGTH} bytes, not {len(salt)}")
    text = msgspec.json.encode(body)
    longest = PLAIN_LENGTH - _LENGTH
    if len(text) > longest:
        raise ValueError(f"the offer is {len(text)} bytes; at most {longest} can be sealed")
    _DECODER.decode(text)  # raises what the peer would
    plain = (len(text).to_bytes(_LENGTH, "big") + text).ljust(PLAIN_LENGTH, b"\0")
    cipher = ChaCha20Poly1305(keys.offer_key(salt, room_tag, mode))
    return salt + cipher.encrypt(_NONCE, plain, _bound_to(mode, salt, room_tag))


def open_offer(
    keys: GroupKeys, sealed: bytes, *, mode: Mode, room_tag: bytes, own: bytes | None
) -> OfferBody:
    """Open the peer's offer.

    Args:
        keys: The group's.
        sealed: What came; any bytes.
        mode: How it travelled.
        room_tag: Of the room we are in.
        own: Our own sealed offer, which must not come back; None where we have sent none.

    Raises:
        ReflectedError: It has the salt of our own.
        WrongKeyError: It was sealed with another secret, or for another room or mode.
        OfferError: It is no offer.
    """
    if len(sealed) != SEALED_LENGTH:
        raise OfferError(f"an offer is {SEALED_LENGTH} bytes, not {len(sealed)}")
    salt, secret_part = sealed[:SALT_LENGTH], sealed[SALT_LENGTH:]
    if own is not None and salt == own[:SALT_LENGTH]:
        raise ReflectedError("our own offer came back to us")
    cipher = ChaCha20Poly1305(keys.offer_key(salt, room_tag, mode))
    try:
        plain = cipher.decrypt(_NONCE, secret_part, _bound_to(mode, salt, room_tag))
    except InvalidTag:
        raise WrongKeyError(
            "the offer does not open: it was sealed with another secret, or for another room"
        ) from None
    return _read(plain)


def _bound_to(mode: Mode, salt: bytes, room_tag: bytes) -> bytes:
    return b"simopen/1 offer" + lp(mode.encode()) + salt + room_tag


def _read(plain: bytes) -> OfferBody:
    end = _LENGTH + int.from_bytes(plain[:_LENGTH], "big")
    if end > PLAIN_LENGTH or any(plain[end:]):
        raise OfferError("the offer's padding is not what it should be")
    with contextlib.suppress(ValueError, RecursionError):  # more than msgspec's own DecodeError:
        return _DECODER.decode(plain[_LENGTH:end])  # bad UTF-8 and deep nesting are none
    # Not where that was caught: an error of bad UTF-8 holds the bytes.
    raise OfferError("the offer holds something else than an offer")
