"""A secret can be used, or is refused with a SecretError that has nothing of it.

The first byte chooses what the rest is: the text of an invite, what is in one before its checksum,
or a secret as text or bytes. What is read as an invite is written the same.
"""

from __future__ import annotations

import base64
import re
import zlib

from simopen.security._errors import SecretError
from simopen.security._keys import GroupKeys
from simopen.security._secret import Invite, Secret, check_secret

LONGEST = 96

_PREFIX = "simopen1-"
_INVITE, _INSIDE, _BYTES = 0, 1, 3

# Every text that is ours; what is not one of them could be somebody's secret.
_OURS = re.compile(
    r"an invite starts with simopen1-: make one with `simopen invite`"
    r"|the invite was changed on the way or is not complete: copy it once more"
    r"|a room's name has 1 to 255 bytes of UTF-8"
    r"|an invite is made from 20 random bytes"
    r"|the (secret|room) holds something that UTF-8 cannot write"
    r"|this invite is bytes: decode it and give the text"
    r"|a secret of bytes has at least 16: make one with `simopen invite`"
    r"|a secret text has at least 20 characters: make one with `simopen invite`"
)


def _text(payload: bytes) -> str:
    payload += zlib.crc32(payload).to_bytes(4, "little")
    return _PREFIX + base64.b32encode(payload).decode().rstrip("=").lower()


SEEDS = (
    b"\0" + Invite("kitchen", bytes(range(20))).reveal().encode(),
    b"\0 " + Invite("x", bytes(20)).reveal().encode() + b"\n",
    b"\1\7kitchen" + bytes(range(20)),
    b"\1\2\xc3\xa4" + bytes(20),
    b"\1\1\xff" + bytes(20),
    b"\1\0" + bytes(20),
    b"\2SIMOPEN1-AAAA",
    b"\2twenty characters of text",
    b"\3sixteen or more bytes",
    b"\3simopen1-aaaaaaaaaaaa",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    how, rest = data[0] & 3 if data else 0, data[1:]
    text = rest.decode(errors="surrogateescape")
    try:
        if (
            how == _INVITE
        ):  # the two are alike, and apart so that libFuzzer tells one from the other
            assert _spelt(Invite.parse(text)) == text.strip()
        elif how == _INSIDE:
            text = _text(rest)
            assert _spelt(Invite.parse(text)) == text
        secret = rest if how == _BYTES else text
        held = check_secret(secret)
    except SecretError as error:
        assert _OURS.fullmatch(str(error)), error
        assert error.__context__ is None
        return
    _check_usable(secret, held)


def _spelt(invite: Invite) -> str:
    assert 1 <= len(invite.room.encode()) <= 255
    assert repr(invite) == "<Invite>"
    return invite.reveal()


def _check_usable(secret: str | bytes, held: Invite | Secret) -> None:
    """Its keys can be had; those of a text are left out, which take a tenth of a second."""
    if isinstance(held, Secret):
        assert repr(held) == "<Secret>"
        assert len(secret) >= (20 if isinstance(secret, str) else 16)
        if held.stretched:
            str(secret).encode()
            return
    assert isinstance(held.group_keys(), GroupKeys)
