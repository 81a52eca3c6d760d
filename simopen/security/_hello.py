"""The proof inside TLS that both sides mean this call: HELLO and ACCEPT.

Theory of operation
===================

TLS has shown that the peer holds the key in the offer. What is left to show is that both sides
talk about the same two offers of the same round in the same room. Each of them hashes what it
believes into a transcript and proves it with the key of its own side::

    T      = SHA-256("simopen/1 transcript" ‖ lp(mode) ‖ u32 round ‖ room tag
                     ‖ SHA-256(client's sealed offer) ‖ SHA-256(server's sealed offer))
    HELLO  = "H" ‖ u8 lane ‖ HMAC-SHA256(client's hello key, T)       34 bytes, client to server
    ACCEPT = "A" ‖ HMAC-SHA256(server's hello key, T)                 33 bytes, server to client

The client nominates one of its verified connections with HELLO; the lane says which port pair it
fired on, for the report. The server answers the first good one with ACCEPT. Both frames have one
length, so a reader asks for exactly that many bytes and what follows belongs to the stream.

Invariants
==========

- The two sides have different keys: a proof sent back proves nothing.
- Proofs are compared in constant time, and a wrong one says only that it is wrong.
- Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

from ._errors import ProofError
from ._keys import GroupKeys, Mode, lp

PROOF_LENGTH = 32  # bytes
HELLO_LENGTH = 2 + PROOF_LENGTH  # bytes
ACCEPT_LENGTH = 1 + PROOF_LENGTH  # bytes

_HELLO: Final = b"H"
_ACCEPT: Final = b"A"


def transcript(
    *,
    mode: Mode,
    round: int,  # noqa: A002 - its name in every message
    room_tag: bytes,
    client_offer: bytes,
    server_offer: bytes,
) -> bytes:
    """Hash what both sides must agree on.

    Args:
        mode: How the offers travelled.
        round: The round's number, 0 to 2³² - 1.
        room_tag: Of the room they met in.
        client_offer: The TLS client's, sealed.
        server_offer: The TLS server's, sealed.

    Returns:
        32 bytes.
    """
    return hashlib.sha256(
        b"simopen/1 transcript"
        + lp(mode.encode())
        + round.to_bytes(4, "big")
        + room_tag
        + hashlib.sha256(client_offer).digest()
        + hashlib.sha256(server_offer).digest()
    ).digest()


def make_hello(keys: GroupKeys, transcript: bytes, lane: int) -> bytes:
    """The client's frame.

    Args:
        keys: The group's.
        transcript: Of this round.
        lane: The lane's number, 0 to 255.
    """
    return _HELLO + lane.to_bytes(1, "big") + _proof(keys, "client", transcript)


def check_hello(keys: GroupKeys, transcript: bytes, frame: bytes) -> int:
    """Check the client's frame.

    Args:
        keys: The group's.
        transcript: Of this round.
        frame: What came from the client.

    Returns:
        The lane's number.

    Raises:
        ProofError: It is not the HELLO of this round.
    """
    kind, lane, proof = frame[:1], frame[1:2], frame[2:]
    if kind != _HELLO or not hmac.compare_digest(proof, _proof(keys, "client", transcript)):
        raise ProofError("the peer's HELLO is not one of this call")
    return lane[0]


def make_accept(keys: GroupKeys, transcript: bytes) -> bytes:
    """The server's frame.

    Args:
        keys: The group's.
        transcript: Of this round.
    """
    return _ACCEPT + _proof(keys, "server", transcript)


def check_accept(keys: GroupKeys, transcript: bytes, frame: bytes) -> None:
    """Check the server's frame.

    Args:
        keys: The group's.
        transcript: Of this round.
        frame: What came from the server.

    Raises:
        ProofError: It is not the ACCEPT of this round.
    """
    kind, proof = frame[:1], frame[1:]
    if kind != _ACCEPT or not hmac.compare_digest(proof, _proof(keys, "server", transcript)):
        raise ProofError("the peer's ACCEPT is not one of this call")


def _proof(keys: GroupKeys, side: Literal["client", "server"], transcript: bytes) -> bytes:
    return hmac.digest(keys.hello_key(side), transcript, "sha256")
