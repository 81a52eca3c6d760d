from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.rivals.observer import answer_connection, binding_answer

TRANSACTION = bytes(range(12))
REQUEST = bytes.fromhex("0001 0000 2112a442") + TRANSACTION


def test_binding() -> None:
    """A Binding request is answered with the endpoint it came from, hidden by the cookie."""
    answer = binding_answer(REQUEST, "192.0.2.1", 32853)
    # RFC 5769 §2.2 has this address and port; its attribute reads so.
    assert answer == (
        bytes.fromhex("0101 000c 2112a442")
        + TRANSACTION
        + bytes.fromhex("0020 0008 0001a147e112a643")
    )


def test_attributes_are_skipped() -> None:
    """What a request carries besides does not matter."""
    request = bytes.fromhex("0001 0004 2112a442") + TRANSACTION + b"more"
    assert binding_answer(request, "192.0.2.1", 1) is not None


@pytest.mark.parametrize(
    "other",
    [
        b"",
        REQUEST[:-1],
        REQUEST + b"x",
        b"\x01\x01" + REQUEST[2:],
        REQUEST[:4] + b"\0\0\0\0" + TRANSACTION,
    ],
)
def test_anything_else_is_not_answered(other: bytes) -> None:
    """What is no Binding request of today has no answer."""
    assert binding_answer(other, "192.0.2.1", 1) is None


def test_connection() -> None:
    """A connection is told its endpoint and kept until its other end closes it."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=answer_connection, args=(theirs, ("192.0.2.1", 5000)))
    thread.start()
    with ours:
        assert ours.recv(64) == b"192.0.2.1:5000"
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
