"""A stream of bytes is messages and at most one WireError, however it is cut, in both directions.

Two bytes tell which direction, whether each line of the rest is put in a frame, and where the
stream is cut. Besides: what was read is written to bytes that read the same, and a reader holds
less than a frame.
"""

from __future__ import annotations

from typing import Any

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    COORDINATOR_MESSAGES,
    encode_frame,
)
from tests.rendezvous.protocol.makers import framed, read

LONGEST = 192

_DECODERS: tuple[Any, Any] = (CLIENT_MESSAGES, COORDINATOR_MESSAGES)
_FRAMED = 2

SEEDS = (
    b'\2\x07{"type":"ping","number":7}\n{"type":"leave"}',
    b'\2\x20{"type":"settled"}\n{"type":"join","v":2}',
    b'\2\x03{"type":"result","round":3,"outcome":"auth_failed","elapsed":1.5}',
    b'\3\x03{"type":"welcome","v":1,"observed":"192.0.2.1:4000","probe":[1,2],"idle":5e1}',
    b'\3\x50{"type":"probed","observed":"[2001:db8::1]:4000"}\n{"type":"bye"}\n[[[[',
    b'\3\x09{"type":"reject","code":"room_full","message":"\\u00e4"}',
    b'\0\x01\0\0\0\x1a{"type":"ping","number":7}\0\0\x20\1',
)


def check(data: bytes) -> None:
    """Try some bytes."""
    if len(data) < 2:
        return
    how, cut, stream = data[0], data[1], data[2:]
    decoder = _DECODERS[how & 1]
    if how & _FRAMED:
        stream = b"".join(framed(line) for line in stream.split(b"\n"))
    messages, error = read([stream], decoder)
    assert read([stream[:cut], stream[cut:]], decoder) == (messages, error)
    for message in messages:
        assert read([encode_frame(message)], decoder) == ([message], None)
