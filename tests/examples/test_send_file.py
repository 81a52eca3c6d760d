from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from simopen import lab
from simopen.lab.pytest_plugin import MakeNetwork
from tests.examples.programs import Homes, Running, as_shown, homes

pytestmark = pytest.mark.lab

SIZE = 4_000_000  # bytes: four seconds on the slow line


@pytest.fixture
def slow_homes(lab_network: MakeNetwork, tmp_path: Path) -> Iterator[Homes]:
    """Alice and bob behind routers, with a line between them on which a file takes a while."""
    link = lab.Link(latency=0.005, rate=8e6)
    sites = [
        lab.Site(f"home-{name}", hosts=[name], gateway="home-router", link=link)
        for name in ("alice", "bob")
    ]
    net = lab_network([*sites, lab.Site("net", hosts=["server"])])
    for found in homes(net, tmp_path):
        (tmp_path / "photos.tar").write_bytes(random.Random(1).randbytes(SIZE))
        (tmp_path / "bob").mkdir()
        yield found


def sender(homes: Homes) -> Running:
    """Alice, who sends."""
    return homes.example("alice", "send_file.py", "photos.tar", role="send", terminal=True)


def receiver(homes: Homes) -> Running:
    """Bob, who receives."""
    return homes.example("bob", "send_file.py", "bob/photos.tar", role="receive", terminal=True)


def arrived(homes: Homes) -> bool:
    """Whether bob's file is alice's, and nothing else is left."""
    (found,) = (homes.folder / "bob").iterdir()
    return found.name == "photos.tar" and found.read_bytes() == _sent(homes)


def _sent(homes: Homes) -> bytes:
    return (homes.folder / "photos.tar").read_bytes()


def _part(homes: Homes) -> Path:
    (found,) = (homes.folder / "bob").glob("photos.tar.*.part")
    return found


def test_a_file_arrives(slow_homes: Homes) -> None:
    """It is the same on the other side, and both show how far it is, as in the header."""
    sides = [sender(slow_homes), receiver(slow_homes)]
    for side in sides:
        code, said = side.end()
        assert code == 0, said
        assert as_shown("send_file.py", said.replace("\r", "\n")), said
    assert arrived(slow_homes)


def test_goes_on_after_a_break(slow_homes: Homes) -> None:
    """Where the receiver is killed and started again, the sender waits for it, and goes on there.

    That the beginning was not sent once more is seen by what was done to it meanwhile: the
    receiver's check finds that out, and a third start begins anew.
    """
    alice, bob = sender(slow_homes), receiver(slow_homes)
    bob.until("1\\d %")
    bob.kill()
    alice.until("the connection broke; waiting for the other")
    part = _part(slow_homes)
    had = part.stat().st_size
    assert SIZE / 20 < had < SIZE
    with part.open("r+b") as file:
        file.write(b"spoilt")

    bob = receiver(slow_homes)
    code, said = bob.end()
    assert code == 1
    assert said.endswith("the file has changed on its way; start again\n")
    assert "\r" + "photos.tar: 1 %" not in said
    assert not part.exists()

    bob = receiver(slow_homes)
    assert bob.end()[0] == 0
    assert alice.end()[0] == 0
    assert arrived(slow_homes)


def test_a_part_is_completed(slow_homes: Homes) -> None:
    """Where the sender is killed and started again, what has arrived serves."""
    alice, bob = sender(slow_homes), receiver(slow_homes)
    alice.until("1\\d %")
    alice.kill()
    bob.until("the connection broke; waiting for the other")
    alice = sender(slow_homes)
    for side in (alice, bob):
        code, said = side.end()
        assert code == 0, said
    assert arrived(slow_homes)


def test_two_senders(slow_homes: Homes) -> None:
    """Who meets its like ends with a sentence, and nothing is written."""
    sides = [sender(slow_homes), sender(slow_homes)]
    for side in sides:
        code, said = side.end()
        assert code == 1
        assert "Traceback" not in said
