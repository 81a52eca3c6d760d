"""Write vectors.json: known answers for keys, tags, an offer, a hello and an invite.

Run ``python tests/security/make_vectors.py`` after a change of the protocol, and never otherwise.
It computes everything from the protocol's description, with the standard library and one cipher,
and imports nothing of simopen: so the vectors check the room and do not just repeat it. Bytes are
written in hexadecimal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

FILE = Path(__file__).with_name("vectors.json")

MATERIAL = bytes(range(20))
ROOM = "Küche"
TEXT = "correct horse battery staple"
SALT = bytes(range(100, 132))
CERTIFICATE = b"any bytes; an offer does not look into them"
SESSION = bytes(range(200, 232))
ROUND = 3
CANDIDATES = [["192.0.2.1", 40000], ["2001:db8::1", 40001]]
LANE = 2


def expand(prk: bytes, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3) for one block of 32 bytes."""
    return hmac.digest(prk, info + b"\x01", "sha256")


def lp(data: bytes) -> bytes:
    """A u32 length, then the data."""
    return struct.pack(">I", len(data)) + data


def invite_text(room: bytes, material: bytes) -> str:
    """The one string of an invite."""
    payload = struct.pack("B", len(room)) + room + material
    payload += struct.pack("<I", zlib.crc32(payload))
    return "simopen1-" + base64.b32encode(payload).decode().replace("=", "").lower()


def sealed_offer(prk: bytes, mode: bytes, tag: bytes) -> bytes:
    """The offer of the constants above."""
    body = {
        "certificate": base64.b64encode(CERTIFICATE).decode(),
        "session": base64.b64encode(SESSION).decode(),
        "round": ROUND,
        "candidates": CANDIDATES,
    }
    text = json.dumps(body, separators=(",", ":")).encode()
    plain = struct.pack(">H", len(text)) + text
    plain += bytes(2048 - len(plain))
    key = expand(prk, b"simopen/1 offer" + SALT + tag + lp(mode))
    bound = b"simopen/1 offer" + lp(mode) + SALT + tag
    return SALT + ChaCha20Poly1305(key).encrypt(bytes(12), plain, bound)


def vectors() -> dict[str, Any]:
    """All inputs and answers."""
    prk = hmac.digest(b"simopen/1", MATERIAL, "sha256")
    tag = expand(prk, b"simopen/1 room" + lp(ROOM.encode()))
    offer = sealed_offer(prk, b"rendezvous", tag)
    other = sealed_offer(prk, b"direct", tag)  # stands for the server's: any bytes would do
    transcript = hashlib.sha256(
        b"simopen/1 transcript"
        + lp(b"rendezvous")
        + struct.pack(">I", ROUND)
        + tag
        + hashlib.sha256(offer).digest()
        + hashlib.sha256(other).digest()
    ).digest()
    client, server = (expand(prk, b"simopen/1 hello " + side) for side in (b"client", b"server"))
    stretched = hashlib.scrypt(
        TEXT.encode(), salt=b"simopen/1 secret", n=32768, r=8, p=1, maxmem=2**26, dklen=32
    )
    return {
        "keys": {
            "material": MATERIAL.hex(),
            "prk": prk.hex(),
            "room": ROOM,
            "room_tag": tag.hex(),
            "direct_tag": expand(prk, b"simopen/1 direct").hex(),
            "salt": SALT.hex(),
            "offer_key": expand(prk, b"simopen/1 offer" + SALT + tag + lp(b"rendezvous")).hex(),
            "hello_key_client": client.hex(),
            "hello_key_server": server.hex(),
        },
        "text": {
            "text": TEXT,
            "material": stretched.hex(),
            "prk": hmac.digest(b"simopen/1", stretched, "sha256").hex(),
        },
        "invite": {"room": ROOM, "text": invite_text(ROOM.encode(), MATERIAL)},
        "offer": {
            "mode": "rendezvous",
            "certificate": CERTIFICATE.hex(),
            "session": SESSION.hex(),
            "round": ROUND,
            "candidates": CANDIDATES,
            "sealed": offer.hex(),
        },
        "hello": {
            "mode": "rendezvous",
            "round": ROUND,
            "client_offer": offer.hex(),
            "server_offer": other.hex(),
            "transcript": transcript.hex(),
            "lane": LANE,
            "hello": (b"H" + bytes([LANE]) + hmac.digest(client, transcript, "sha256")).hex(),
            "accept": (b"A" + hmac.digest(server, transcript, "sha256")).hex(),
        },
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
