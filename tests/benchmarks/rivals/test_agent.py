from __future__ import annotations

import io
import json
import socket
import sys
import threading

import pytest

from benchmarks.rivals import agent
from benchmarks.rivals.agent import Answer, Trial


def trial(*, first: bool, limit: float = 5.0) -> Trial:
    """One side of a trial."""
    return Trial(7, first, "127.0.0.1", [5000, 5001], "127.0.0.1", 3478, limit)


def test_proofs_differ_by_side_and_trial() -> None:
    """What a side sends is what the other expects, and nothing that it sends itself."""
    a, b = trial(first=True), trial(first=False)
    assert a.proof(ours=True) == b.proof(ours=False) != a.proof(ours=False)
    assert len(a.proof(ours=True)) == 8


def test_prove() -> None:
    """Both ends of a connection prove each other."""
    one, other = socket.socketpair()
    a, b = Answer(0.0), Answer(0.0)
    thread = threading.Thread(target=trial(first=True).prove, args=(one, a))
    thread.start()
    trial(first=False).prove(other, b)
    thread.join(5)
    assert a.proven
    assert b.proven


@pytest.mark.parametrize("sent", [b"", b"8 bytes!", trial(first=True).proof(ours=True)])
def test_a_stranger_proves_nothing(sent: bytes) -> None:
    """Silence, other bytes and our own bytes back are no proof."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        assert not trial(first=True).prove(ours, Answer(0.0)).proven


def test_a_broken_connection_says_so() -> None:
    """A proof that does not come in time leaves the error's words."""
    ours, theirs = socket.socketpair()
    with theirs:
        answer = trial(first=True, limit=0.01).prove(ours, Answer(0.0))
    assert (answer.proven, answer.words) == (False, "TimeoutError: timed out")


def test_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for the peer goes out, and the peer's comes in with the moments."""
    said = io.StringIO()
    monkeypatch.setattr(agent, "_way_out", lambda: said)
    line = '{"theirs": {"key": 2}, "at": 3.0, "together": 4.0}\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))
    side = trial(first=True)
    assert side.swap({"key": 1}) == {"key": 2}
    assert json.loads(said.getvalue()) == {"ours": {"key": 1}}
    assert (side.at, side.together) == (3.0, 4.0)
