"""The keys that all who hold one secret share.

Theory of operation
===================

::

    PRK         = HKDF-Extract-SHA256(salt = "simopen/1", ikm)
    room tag    = HKDF-Expand(PRK, "simopen/1 room" ‖ lp(room), 32)      direct: "simopen/1 direct"
    offer key   = HKDF-Expand(PRK, "simopen/1 offer" ‖ salt ‖ room tag ‖ lp(mode), 32)
    hello key   = HKDF-Expand(PRK, "simopen/1 hello client", 32)         or "… server"
    lp(x)       = u32 big-endian length of x ‖ x

Text is UTF-8 and not normalised: two hosts that spell a room with different code points are in
different rooms. The tag is all that a coordinator learns of a room, and without the secret nobody
can compute it.

Invariants
==========

- One offer key seals one offer: its salt is fresh each time, so the nonce may be constant.
- No two labels are prefixes of one another with what follows them: each is read in one way only.
- Pure. Nothing here prints what it holds.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, TypeAlias

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

Mode: TypeAlias = Literal["rendezvous", "direct"]
MODE_RENDEZVOUS: Final = "rendezvous"  # the offers go through a coordinator
MODE_DIRECT: Final = "direct"  # the offers cross on the punched connection itself

KEY_LENGTH = 32  # bytes; of every key and tag
SALT_LENGTH = 32  # bytes


def lp(data: bytes) -> bytes:
    """Length-prefix ``data``, so that what follows cannot be taken for a part of it."""
    return len(data).to_bytes(4, "big") + data


class GroupKeys:
    """What everybody who holds one secret can compute. Prints nothing of itself."""

    __slots__ = ("_prk",)

    def __init__(self, prk: bytes) -> None:
        """Take over a pseudorandom key; :meth:`from_material` makes one.

        Args:
            prk: HKDF's pseudorandom key, 32 bytes.
        """
        self._prk = prk

    @classmethod
    def from_material(cls, ikm: bytes) -> GroupKeys:
        """Extract the keys.

        Args:
            ikm: The input keying material. Its entropy is the caller's business
                (:mod:`simopen.security._secret` sees to it).
        """
        return cls(hmac.digest(b"simopen/1", ikm, "sha256"))

    def room_tag(self, room: str | None) -> bytes:
        """The name of a room for those who must not know its name.

        Args:
            room: The room; None in direct mode, which has none.

        Returns:
            32 bytes.

        Raises:
            UnicodeEncodeError: The room is no text that UTF-8 can hold (a lone surrogate).
        """
        if room is None:
            return self._expand(b"simopen/1 direct")
        return self._expand(b"simopen/1 room" + lp(room.encode()))

    def offer_key(self, salt: bytes, room_tag: bytes, mode: Mode) -> bytes:
        """The key that seals the one offer with this salt.

        Args:
            salt: 32 bytes, never used before.
            room_tag: Of the room it is for.
            mode: How it travels.

        Returns:
            32 bytes.
        """
        return self._expand(b"simopen/1 offer" + salt + room_tag + lp(mode.encode()))

    def hello_key(self, side: Literal["client", "server"]) -> bytes:
        """The key of one side's proof inside TLS.

        Args:
            side: Whose proof, by its part in TLS.

        Returns:
            32 bytes.
        """
        return self._expand(b"simopen/1 hello " + side.encode())

    def _expand(self, info: bytes) -> bytes:
        return HKDFExpand(SHA256(), KEY_LENGTH, info).derive(self._prk)

    def __repr__(self) -> str:
        return "<GroupKeys>"


UNKEYED: Final = GroupKeys.from_material(b"simopen/1 unkeyed")
"""For a rendezvous without a secret. Everybody has these keys: they prove nothing and hide
nothing, they only give the messages the same form."""
