"""Secrets as people hold them: an invite, random bytes, or a long text.

Theory of operation
===================

All protection hangs on the secret. Whoever sees a sealed offer can try secrets on it at home, some
180,000 a second on each core; so a secret has to be random, and long. There are three kinds:

- An :class:`Invite`: a room and 160 random bits in one string with a checksum. The way to go.
- ``bytes``: at least 16, used as they are.
- ``str``: at least 20 characters, stretched with scrypt, which makes each guess cost 32 MiB and a
  tenth of a second. It has a constant salt: the two hosts share nothing that could be another.

::

    invite  = "simopen1-" ‖ base32, lower case, without padding, of
              u8 length of room ‖ room (UTF-8) ‖ 20 random bytes ‖ u32 little-endian CRC-32 of these

The checksum is against slips, not attackers. A CRC-32 notices every error within 32 bits, so one
wrong character or two neighbours exchanged are noticed always and not just nearly always; the
length in front does the same for a string cut short.

Invariants
==========

- :func:`check_secret` refuses at once whatever :func:`derive_keys` would refuse.
- The secret is in no ``repr``, no error and no variable of a call that waits (:class:`Secret`); of
  a text that cannot be used not even the position of the offending character is told.
- One spelling for each invite: what :meth:`Invite.parse` accepts, :meth:`Invite.reveal` returns.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import re
import zlib
from typing import Final, TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ._errors import SecretError
from ._keys import GroupKeys

PREFIX: Final = "simopen1-"
MATERIAL_LENGTH = 20  # bytes of an invite that are random
MAX_ROOM = 255  # bytes of UTF-8
MIN_BYTES = 16  # of a secret that is used as it is
MIN_CHARACTERS = 20  # of a text, which mostly has far less than 8 bits in each
STRETCHING_AT_ONCE = 2  # each takes a core and 32 MiB

_CHECKSUM = 4  # bytes
_LONGEST = 512  # characters; 255 bytes of room make 457
_ANY_VERSION = re.compile(r"\s*simopen\d*-", re.IGNORECASE)
_MAKE_ONE = "make one with `simopen invite`"

_stretching: RunVar[anyio.CapacityLimiter] = RunVar("_stretching")


class Invite:
    """A room and the secret of those who may meet in it. Prints neither.

    ``Invite.new("kitchen").reveal()`` is the one string to hand over, out of band; the other side
    reads it with :meth:`parse`. Two are equal if both parts are.

    >>> ours = simopen.Invite.new("kitchen")
    >>> theirs = simopen.Invite.parse(ours.reveal())
    >>> theirs == ours, theirs.room, theirs
    (True, 'kitchen', <Invite>)

    Attributes:
        room: The room's name.
    """

    __slots__ = ("_material", "room")

    def __init__(self, room: str, material: bytes) -> None:
        """Join a room and its secret; :meth:`new` makes a fresh secret.

        Args:
            room: 1 to 255 bytes of UTF-8.
            material: 20 random bytes.

        Raises:
            SecretError: One of them is not that.
        """
        if not 1 <= len(_utf8(room, "room")) <= MAX_ROOM:
            raise SecretError(f"a room's name has 1 to {MAX_ROOM} bytes of UTF-8")
        if len(material) != MATERIAL_LENGTH:
            raise SecretError(f"an invite is made from {MATERIAL_LENGTH} random bytes")
        self.room: str = room
        self._material: bytes = material

    @classmethod
    def new(cls, room: str, *, entropy: bytes | None = None) -> Invite:
        """Make an invite with a secret of its own.

        Args:
            room: 1 to 255 bytes of UTF-8.
            entropy: 20 random bytes; None for the operating system's.

        Raises:
            SecretError: The room or the entropy is not that.
        """
        return cls(room, os.urandom(MATERIAL_LENGTH) if entropy is None else entropy)

    @classmethod
    def parse(cls, text: str) -> Invite:
        """Read what :meth:`reveal` returned.

        Args:
            text: The string; white space around it is ignored.

        Raises:
            SecretError: It is something else, or was changed on the way (a ``ValueError``).
        """
        body = text.strip()
        if not body.startswith(PREFIX):
            raise SecretError(f"an invite starts with {PREFIX}: {_MAKE_ONE}")
        room, material = _unpacked(_decoded(body.removeprefix(PREFIX)))
        return cls(room, material)

    def reveal(self) -> str:
        """The invite as one string, secret included."""
        room = self.room.encode()
        payload = bytes([len(room)]) + room + self._material
        return PREFIX + _encoded(payload + _checksum(payload))

    def group_keys(self) -> GroupKeys:
        """The keys of its secret."""
        return GroupKeys.from_material(self._material)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Invite):
            return NotImplemented
        return hmac.compare_digest(self.reveal(), other.reveal())

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __repr__(self) -> str:
        return "<Invite>"


class Secret:
    """A secret on its way through our calls: no traceback that shows variables has it."""

    __slots__ = ("_held",)

    def __init__(self, secret: bytes | str) -> None:
        self._held = secret

    @property
    def stretched(self) -> bool:
        """Whether its keys take a tenth of a second."""
        return isinstance(self._held, str)

    def checked(self) -> Invite | Secret:
        """As :func:`check_secret`."""
        invite = _checked(self._held)
        return invite if isinstance(invite, Invite) else self

    def group_keys(self) -> GroupKeys:
        """The keys of a secret that was checked."""
        if isinstance(self._held, str):
            return _stretched(self._held)
        return GroupKeys.from_material(self._held)

    def __repr__(self) -> str:
        return "<Secret>"


SecretLike: TypeAlias = Invite | bytes | str | Secret
"""An invite, at least 16 random bytes, or a text: an invite's string or at least 20 characters."""


def hold(secret: SecretLike) -> Invite | Secret:
    """Put away what a caller has given, unchecked; the first thing that a call does with it."""
    return secret if isinstance(secret, Invite | Secret) else Secret(secret)


def check_secret(secret: SecretLike) -> Invite | Secret:
    """Find out at once whether a secret can be used.

    Returns:
        The secret, put away; the invite, where it is the text of one.

    Raises:
        SecretError: It cannot; the text says what to do.
    """
    held = hold(secret)
    return held.checked() if isinstance(held, Secret) else held


async def derive_keys(secret: SecretLike) -> GroupKeys:
    """Compute the keys of a secret.

    A text takes a tenth of a second in a thread. Cancelled meanwhile, the thread is left to end
    by itself.

    Raises:
        SecretError: The secret cannot be used; the text says what to do.
    """
    held = check_secret(secret)
    if isinstance(held, Secret) and held.stretched:
        return await anyio.to_thread.run_sync(
            held.group_keys, abandon_on_cancel=True, limiter=_limiter()
        )
    await anyio.lowlevel.checkpoint()
    return held.group_keys()


def _checked(secret: object) -> Invite | bytes | str:
    """The secret if it can be used; an invite for the text of one."""
    match secret:
        case bytes():
            if secret.startswith(PREFIX.encode()):
                raise SecretError("this invite is bytes: decode it and give the text")
            if len(secret) < MIN_BYTES:
                raise SecretError(f"a secret of bytes has at least {MIN_BYTES}: {_MAKE_ONE}")
            return secret
        case str():
            if _ANY_VERSION.match(secret):
                return Invite.parse(secret)
            _utf8(secret, "secret")
            if len(secret) < MIN_CHARACTERS:
                raise SecretError(
                    f"a secret text has at least {MIN_CHARACTERS} characters: {_MAKE_ONE}"
                )
            return secret
        case _:
            raise SecretError(
                f"a secret is an Invite, bytes or a str, not {type(secret).__name__}: {_MAKE_ONE}"
            )


def _stretched(text: str) -> GroupKeys:
    # 2**15 blocks of 1 KiB; hashlib's own limit is exactly that and leaves nothing for the rest.
    material = hashlib.scrypt(
        text.encode(), salt=b"simopen/1 secret", n=2**15, r=8, p=1, maxmem=64 << 20, dklen=32
    )
    return GroupKeys.from_material(material)


def _limiter() -> anyio.CapacityLimiter:
    """This event loop's own limiter, so that many calls at once do not take 32 MiB each."""
    try:
        return _stretching.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(STRETCHING_AT_ONCE)
        _stretching.set(limiter)
        return limiter


def _utf8(text: str, what: str) -> bytes:
    with contextlib.suppress(UnicodeEncodeError):
        return text.encode()
    # Not where that was caught: it holds the text, and would come along as the context.
    raise SecretError(f"the {what} holds something that UTF-8 cannot write")


def _encoded(payload: bytes) -> str:
    return base64.b32encode(payload).decode().rstrip("=").lower()


def _decoded(body: str) -> bytes:
    text = body[:_LONGEST].upper()
    with contextlib.suppress(ValueError):
        payload = base64.b32decode(text + "=" * (-len(text) % 8))
        if _encoded(payload) == body:  # and not another spelling of the same bytes
            return payload
    raise _damaged()


def _unpacked(payload: bytes) -> tuple[str, bytes]:
    """The room and the random bytes; whether there are 20 of these, Invite itself checks."""
    content, checksum = payload[:-_CHECKSUM], payload[-_CHECKSUM:]
    end = 1 + (content[0] if content else 0)
    if checksum != _checksum(content):
        raise _damaged()
    with contextlib.suppress(UnicodeDecodeError):  # made by something else than reveal()
        return content[1:end].decode(), content[end:]
    raise _damaged()


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(_CHECKSUM, "little")


def _damaged() -> SecretError:
    return SecretError("the invite was changed on the way or is not complete: copy it once more")
