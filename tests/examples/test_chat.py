from __future__ import annotations

import signal

import pytest

from tests.examples.programs import Homes, Running, as_shown

pytestmark = pytest.mark.lab

CTRL_D = "\x04"


@pytest.fixture
def alice_and_bob(homes: Homes) -> tuple[Running, Running]:
    """Two who are connected, each at a terminal."""
    alice, bob = (homes.example(host, "chat.py", terminal=True) for host in ("alice", "bob"))
    alice.until("encrypted")
    bob.until("encrypted")
    return alice, bob


def test_two_talk(alice_and_bob: tuple[Running, Running]) -> None:
    """What one types the other sees, as in the header, and Ctrl-D ends it for both."""
    alice, bob = alice_and_bob
    alice.type("is the kettle on?\n")
    bob.until("< is the kettle on\\?\n")
    bob.type("it is\n")
    alice.until("< it is\n")
    bob.type(CTRL_D)
    code, said = alice.end()
    assert code == 0
    assert as_shown("chat.py", said), said
    code, said = bob.end()
    assert code == 0
    assert said.endswith("(the other has left)\n")


def test_a_line_steers_no_terminal(alice_and_bob: tuple[Running, Running]) -> None:
    """A peer's escape sequence is shown as text."""
    alice, bob = alice_and_bob
    alice.type("\x16\x1b[2Jboo\n")  # Ctrl-V, so that alice's terminal takes the escape as typed
    assert bob.until("< .*boo")[0] == "< \ufffd[2Jboo"


def test_one_who_vanishes(alice_and_bob: tuple[Running, Running]) -> None:
    """A peer whose program is killed has not left: the connection broke."""
    alice, bob = alice_and_bob
    bob.kill()
    code, said = alice.end()
    assert code == 0
    assert said.endswith("(the connection broke)\n")


def test_ctrl_c(alice_and_bob: tuple[Running, Running]) -> None:
    """Ctrl-C leaves without a traceback, and the other sees that one has left."""
    alice, bob = alice_and_bob
    bob.process.send_signal(signal.SIGINT)
    code, said = bob.end()
    assert code == 130
    assert "Traceback" not in said
    assert alice.end()[1].endswith("(the other has left)\n")
