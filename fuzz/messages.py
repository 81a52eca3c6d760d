"""A payload is a message whose every field is within its bounds, or a WireError in words of ours.

The first byte tells which direction. A control byte, which JSON does not have, stands for bytes in
base64 as long as a field has to be, or nearly. The bounds are said once more here, apart from the
types that are to hold them; and no bytes of a message are in its ``repr``.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any

from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    COORDINATOR_MESSAGES,
    Attach,
    Code,
    Introduce,
    Join,
    Outcome,
    Ping,
    Pong,
    Probe,
    Probed,
    Reject,
    Result,
    Verdict,
    Welcome,
    WireError,
)
from simopen.rendezvous.protocol import Error as ErrorMessage
from simopen.rendezvous.protocol._frames import decode_payload

LONGEST = 256

_DECODERS: tuple[Any, Any] = (CLIENT_MESSAGES, COORDINATOR_MESSAGES)
_OURS = re.compile(
    r"malformed message( at `\$[a-z_.\[\]0-9]*`)?|version -?\d+; only 1 is spoken here"
)
_MOST = 2**31 - 1

_LENGTHS = (32, 16, 2096, 31, 33, 15, 17, 2095, 2097, 0)  # bytes; tag, seat, offer, and beside
_FIELDS = {bytes((place,)): base64.b64encode(bytes(size)) for place, size in enumerate(_LENGTHS, 1)}

SEEDS = (
    b'\0{"type":"join","v":1,"tag":"\1","seat":"\2","offer":"\3","round":1,"families":["ipv6"]}',
    b'\0{"type":"join","tag":"\4","seat":"\7","offer":"\x08","round":1}',
    b'\0{"type":"attach","tag":"\1","seat":"\2"}',
    b'\0{"type":"probe","tag":"\1","seat":"\2"}',
    b'\0{"type":"result","round":3,"outcome":"ok","elapsed":1.5}',
    b'\0{"type":"settled","v":2}',
    b'\0{"type":"ping","number":2147483647}',
    b'\1{"type":"welcome","observed":"[2001:db8::1]:4000","probe":[1,65535],"idle":50}',
    b'\1{"type":"error","code":"idle","message":"\\u0000"}',
    b'\1{"type":"introduce","round":1,"delay":0.5,"observed":["[::1]:4000"],"offer":"\3"}',
)


def check(data: bytes) -> None:
    """Try some bytes."""
    payload = data[1:]
    for place, field in _FIELDS.items():
        payload = payload.replace(place, field)
    try:
        message = decode_payload(_DECODERS[data[0] & 1 if data else 0], payload)
    except WireError as error:
        text = str(error)
        assert _OURS.fullmatch(text), text
        assert len(text) <= 200, text  # as an error's message may be
        assert (error.code is Code.VERSION) == text.startswith("version")
        return
    _check_bounds(message)
    told = repr(message)
    for name in ("tag", "seat", "offer"):
        value = getattr(message, name, None)
        assert value is None or f"{name}=<{len(value)} bytes>" in told


def _check_bounds(message: Any) -> None:
    match message:
        case Join():
            assert (len(message.tag), len(message.seat), len(message.offer)) == (32, 16, 2096)
            assert 1 <= message.round <= _MOST
            assert len(message.families) <= 2
        case Attach() | Probe():
            assert (len(message.tag), len(message.seat)) == (32, 16)
        case Result():
            assert 1 <= message.round <= _MOST
            assert message.outcome in Outcome
            assert 0 <= message.elapsed < math.inf
        case Ping() | Pong():
            assert 0 <= message.number <= _MOST
        case Welcome():
            _check_observed(message.observed)
            assert len(message.probe) <= 4
            assert all(1 <= port <= 65535 for port in message.probe)
            assert 1 <= message.idle <= 3600
        case Probed():
            _check_observed(message.observed)
        case Introduce():
            assert 1 <= message.round <= _MOST
            assert math.isfinite(message.delay)
            assert 1 <= len(message.observed) <= 2
            for each in message.observed:
                _check_observed(each)
            assert len(message.offer) == 2096
            assert {message.mapping, message.peer_mapping} <= set(Verdict)
        case Reject() | ErrorMessage():
            assert message.code in Code
            assert len(message.message) <= 200


def _check_observed(text: str) -> None:
    """Nothing but characters of an address, and short; whether it is one is judged elsewhere."""
    host, _, port = text.rpartition(":")
    assert set(host) <= set("0123456789abcdef:.[]"), text
    assert host.startswith("[") == host.endswith("]"), text
    assert host.startswith("[") or ":" not in host, text
    assert 1 <= int(port) <= 99999, text
    assert len(text) <= 53
