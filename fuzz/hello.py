"""A HELLO or ACCEPT is taken if it is the one of this round and side, or refused with ProofError.

The first byte chooses what the rest is: the frame itself, or what changes the right one.
"""

from __future__ import annotations

from simopen.security._errors import ProofError
from simopen.security._hello import check_accept, check_hello, make_accept, make_hello
from simopen.security._keys import GroupKeys

LONGEST = 48

_KEYS = GroupKeys.from_material(b"sixteen or more bytes")
_TRANSCRIPT = bytes(range(32))
_HELLOS = [make_hello(_KEYS, _TRANSCRIPT, lane) for lane in range(256)]
_ACCEPT = make_accept(_KEYS, _TRANSCRIPT)

SEEDS = (
    b"\0" + _HELLOS[7],
    b"\0" + _ACCEPT,
    b"\0" + _HELLOS[7] + b"\0",
    b"\0H",
    b"\0",
    b"\1" + bytes(34),
    b"\1" + bytes(33) + b"\1",
    b"\2" + bytes(33),
    b"\2\1",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    how, frame = data[:1], data[1:]
    if how == b"\1":
        frame = _changed(_HELLOS[7], frame)
    elif how == b"\2":
        frame = _changed(_ACCEPT, frame)
    try:
        lane = check_hello(_KEYS, _TRANSCRIPT, frame)
    except ProofError:
        assert frame not in _HELLOS
    else:
        assert frame == _HELLOS[lane]
    try:
        check_accept(_KEYS, _TRANSCRIPT, frame)
    except ProofError:
        assert frame != _ACCEPT
    else:
        assert frame == _ACCEPT


def _changed(frame: bytes, by: bytes) -> bytes:
    """The frame with some bits turned, as short as what turns them."""
    return bytes(one ^ other for one, other in zip(frame, by, strict=False))
