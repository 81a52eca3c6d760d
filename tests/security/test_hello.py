"""HELLO and ACCEPT: known answers, and that nothing but the right proof is one."""

from __future__ import annotations

import json
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.security._errors import ProofError
from simopen.security._hello import (
    ACCEPT_LENGTH,
    HELLO_LENGTH,
    check_accept,
    check_hello,
    make_accept,
    make_hello,
    transcript,
)
from simopen.security._keys import MODE_DIRECT, MODE_RENDEZVOUS, UNKEYED, GroupKeys, Mode
from tests.security import make_vectors

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KNOWN = VECTORS["hello"]
KEYS = GroupKeys.from_material(bytes.fromhex(VECTORS["keys"]["material"]))
T = bytes.fromhex(KNOWN["transcript"])
HELLO = bytes.fromhex(KNOWN["hello"])
ACCEPT = bytes.fromhex(KNOWN["accept"])


class Said(TypedDict):
    """The arguments of a transcript."""

    mode: Mode
    round: int
    room_tag: bytes
    client_offer: bytes
    server_offer: bytes


SAID: Said = {
    "mode": MODE_RENDEZVOUS,
    "round": KNOWN["round"],
    "room_tag": bytes.fromhex(VECTORS["keys"]["room_tag"]),
    "client_offer": bytes.fromhex(KNOWN["client_offer"]),
    "server_offer": bytes.fromhex(KNOWN["server_offer"]),
}


def test_the_transcript_is_the_known_one() -> None:
    """Both hosts, whatever their version or language, hash the same."""
    assert transcript(**SAID) == T


def test_everything_in_the_transcript_counts() -> None:
    """Another mode, round, room or offer, or the two offers exchanged, is another transcript."""
    others: list[Said] = [
        {**SAID, "mode": MODE_DIRECT},
        {**SAID, "round": SAID["round"] + 1},
        {**SAID, "room_tag": bytes(32)},
        {**SAID, "client_offer": b""},
        {**SAID, "server_offer": b""},
        {
            **SAID,
            "client_offer": SAID["server_offer"],
            "server_offer": SAID["client_offer"],
        },
    ]
    assert len({transcript(**said) for said in [SAID, *others]}) == 1 + len(others)


def test_the_frames_are_the_known_ones() -> None:
    """HELLO and ACCEPT have the bytes and the lengths that the peer reads."""
    assert make_hello(KEYS, T, KNOWN["lane"]) == HELLO
    assert make_accept(KEYS, T) == ACCEPT
    assert (len(HELLO), len(ACCEPT)) == (HELLO_LENGTH, ACCEPT_LENGTH)


@pytest.mark.parametrize("lane", [0, 7, 255])
def test_a_hello_names_its_lane(lane: int) -> None:
    """The server learns which port pair the client nominates."""
    assert check_hello(KEYS, T, make_hello(KEYS, T, lane)) == lane


def test_the_right_accept_is_accepted() -> None:
    """The client takes the server's proof."""
    check_accept(KEYS, T, ACCEPT)


@pytest.mark.parametrize("position", [0, *range(2, HELLO_LENGTH)])
def test_a_hello_with_one_wrong_byte_is_none(position: int) -> None:
    """Every byte but the lane's, which TLS protects, is checked."""
    frame = bytearray(HELLO)
    frame[position] ^= 1
    with pytest.raises(ProofError):
        check_hello(KEYS, T, bytes(frame))


@pytest.mark.parametrize("position", range(ACCEPT_LENGTH))
def test_an_accept_with_one_wrong_byte_is_none(position: int) -> None:
    """Every byte is checked."""
    frame = bytearray(ACCEPT)
    frame[position] ^= 1
    with pytest.raises(ProofError):
        check_accept(KEYS, T, bytes(frame))


@given(st.binary(max_size=2 * HELLO_LENGTH))
def test_any_other_bytes_are_no_proof(frame: bytes) -> None:
    """Whatever a stranger sends raises ProofError and nothing else."""
    with pytest.raises(ProofError):
        check_hello(KEYS, T, frame)
    with pytest.raises(ProofError):
        check_accept(KEYS, T, frame)


@pytest.mark.parametrize(("keys", "said"), [(UNKEYED, T), (KEYS, bytes(32))])
def test_a_proof_of_something_else_is_none(keys: GroupKeys, said: bytes) -> None:
    """Another secret or another transcript does not do."""
    with pytest.raises(ProofError):
        check_hello(KEYS, T, make_hello(keys, said, 0))
    with pytest.raises(ProofError):
        check_accept(KEYS, T, make_accept(keys, said))


def test_the_clients_proof_sent_back_is_no_accept() -> None:
    """A server without the secret cannot answer with what the client sent it."""
    with pytest.raises(ProofError):
        check_accept(KEYS, T, b"A" + HELLO[2:])
